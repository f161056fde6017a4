-- Take a partition: every earlier owner is fenced from here on. Returns its position and names.
--
-- KEYS  meta, names
-- ARGV  owner, kept for displays; 'close' to refuse every other claim from here on, or ''
redis.call('HLEN', KEYS[2])
if ARGV[2] == '' and redis.call('HGET', KEYS[1], 'closed') then
  return 'CLOSED'
end
-- The clock keeps an epoch from being given twice when Redis was set back to an older copy.
local now = redis.call('TIME')
local now_us = tonumber(now[1]) * 1000000 + tonumber(now[2])
local epoch = math.max(tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0') + 1, now_us)
redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', epoch), 'owner', ARGV[1])
if ARGV[2] == 'close' then
  redis.call('HSET', KEYS[1], 'closed', 1)
end
return {
  redis.call('HMGET', KEYS[1], 'epoch', 'revision', 'offsets', 'model', 'outbox_first'),
  redis.call('HGETALL', KEYS[2]),
}
