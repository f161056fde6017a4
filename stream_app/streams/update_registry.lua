-- Write the registry of models and what belongs to it, if nobody else wrote it since it was read.
--
-- KEYS  registry, snapshots, meta
-- ARGV  expected revision, new revision, registry (JSON); version and snapshot to store, or two
--       empty ones; the trainer's checkpoint, or an empty one; versions to drop, if any
local registry, snapshots, meta = unpack(KEYS)
if (redis.call('HGET', registry, 'revision') or '0') ~= ARGV[1] then
  return 0
end
-- Raises here, before the first write, if another program keeps something else under a key.
redis.call('HGET', snapshots, '0')
redis.call('HGET', meta, 'version')

redis.call('HSET', registry, 'revision', ARGV[2], 'document', ARGV[3])
if #ARGV[4] > 0 then
  redis.call('HSET', snapshots, ARGV[4], ARGV[5])
end
if #ARGV[6] > 0 then
  redis.call('HSET', meta, 'trainer', ARGV[6])
end
if #ARGV > 6 then
  redis.call('HDEL', snapshots, unpack(ARGV, 7))
end
return 1
