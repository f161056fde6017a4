#!/bin/sh
# Prints users.acl with the hashes of real passwords, for the `aclfile` of Redis:
#
#   sh users.sh FOLDER [PREFIX [VERSION]] > /etc/redis/users.acl
#
# FOLDER has one file per user, called as the user is (stream-app-worker, ...), with the password.
# PREFIX is redis.prefix of the settings, `sa` unless you changed it. VERSION is that of Redis, 7
# unless you say another. The operator writes only what is noted of replayed dead letters, and which
# model is in use; that takes selectors, the parts in parentheses, which Redis 6.2 does not know. With
# VERSION 6.2 they are left out: then `dlq replay` and the commands that change the model are refused to
# the operator and need the workers' user. users.acl itself is only a template: Redis refuses to start
# with it, so nobody runs it with a password that is public.
set -eu
folder=$1
prefix=${2:-sa}
version=${3:-7}
template=$(dirname "$0")/users.acl

sha256() {
    if command -v sha256sum > /dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-64
}

script="s/~sa:/~$prefix:/g"
case $version in 6.*) script="$script; s/ (.*)//" ;; esac
for user in $(sed -n 's/^user \([^ ]*\) on .*/\1/p' "$template"); do
    password=$(cat "$folder/$user") # without the line end, as stream-app reads it
    [ -n "$password" ] || { echo "$folder/$user is empty" >&2; exit 1; }
    name=SHA256_OF_$(printf %s "$user" | tr 'a-z-' 'A-Z_')
    script="$script; s/$name/$(printf %s "$password" | sha256)/"
done
sed "$script" "$template"
