-- Take a partition: every earlier owner is fenced from here on. Returns its position and names.
--
-- KEYS  meta, names
-- ARGV  owner, kept for displays
redis.call('HLEN', KEYS[2])
redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
return {
  redis.call('HMGET', KEYS[1], 'epoch', 'revision', 'offsets', 'model', 'outbox_first'),
  redis.call('HGETALL', KEYS[2]),
}
