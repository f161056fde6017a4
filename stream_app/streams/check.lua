-- Use every command that the other scripts use, on keys of its own, and leave nothing. A script
-- that lacks a permission half-way would leave half a commit, so this runs once at the start.
--
-- KEYS  a hash, a list
-- ARGV  the msgpack array ["ok"]
local hash, list = KEYS[1], KEYS[2]
redis.call('HSET', hash, 'field', 0)
redis.call('HGET', hash, 'field')
redis.call('HMGET', hash, 'field')
redis.call('HGETALL', hash)
redis.call('HLEN', hash)
redis.call('HDEL', hash, 'field')
redis.call('RPUSH', list, 'entry')
redis.call('LLEN', list)
redis.call('LTRIM', list, 1, 0)
redis.call('TIME')
return cmsgpack.unpack(ARGV[1])[1]
