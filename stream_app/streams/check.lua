-- Use every command that the other scripts use, and leave nothing.
--
-- KEYS  a hash, a list
local hash, list = KEYS[1], KEYS[2]
redis.call('HSET', hash, 'field', 0)
redis.call('HGET', hash, 'field')
redis.call('HMGET', hash, 'field')
redis.call('HGETALL', hash)
redis.call('HLEN', hash)
redis.call('HDEL', hash, 'field')
redis.call('LLEN', list)
redis.call('LTRIM', list, 1, 0)
redis.call('TIME')
