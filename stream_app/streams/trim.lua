-- Drop acknowledged outbox entries outside a commit.
--
-- KEYS  meta, outbox
-- ARGV  epoch, index of the first entry to keep
local stored = redis.call('HMGET', KEYS[1], 'epoch', 'outbox_first')
if stored[1] ~= ARGV[1] then
  return {'FENCED', stored[1] or '0'}
end
local first, new_first = tonumber(stored[2] or '0'), tonumber(ARGV[2])
local stored_end = first + redis.call('LLEN', KEYS[2])
if new_first > stored_end then
  return {'MOVED', string.format('outbox end %.0f', stored_end)}
end
if new_first > first then
  redis.call('HSET', KEYS[1], 'outbox_first', string.format('%.0f', new_first))
  redis.call('LTRIM', KEYS[2], string.format('%.0f', new_first - first), -1)
end
return {'OK', ''}
