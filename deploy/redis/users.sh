#!/bin/sh
# Prints users.acl with the hashes of real passwords, for the `aclfile` of Redis:
#
#   sh users.sh FOLDER [PREFIX] > /etc/redis/users.acl
#
# FOLDER has one file per user, called as the user is (stream-app-worker, ...), with the password.
# PREFIX is redis.prefix of the settings, `sa` unless you changed it. users.acl itself is only a
# template: Redis refuses to start with it, so nobody runs it with a password that is public.
set -eu
folder=$1
prefix=${2:-sa}
template=$(dirname "$0")/users.acl

sha256() {
    if command -v sha256sum > /dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-64
}

script="s/~sa:/~$prefix:/"
for user in $(sed -n 's/^user \([^ ]*\) on .*/\1/p' "$template"); do
    password=$(cat "$folder/$user") # without the line end, as stream-app reads it
    [ -n "$password" ] || { echo "$folder/$user is empty" >&2; exit 1; }
    name=SHA256_OF_$(printf %s "$user" | tr 'a-z-' 'A-Z_')
    script="$script; s/$name/$(printf %s "$password" | sha256)/"
done
sed "$script" "$template"
