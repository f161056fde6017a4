-- Store a model snapshot and the trainer's checkpoint if the version is the next one.
--
-- KEYS  meta, snapshots
-- ARGV  version, snapshot, checkpoint, how many snapshots to keep
local version = tonumber(ARGV[1])
if version ~= tonumber(redis.call('HGET', KEYS[1], 'version') or '0') + 1 then
  return 0
end
redis.call('HLEN', KEYS[2])
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'trainer', ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[2], string.format('%.0f', version - tonumber(ARGV[4])))
return 1
