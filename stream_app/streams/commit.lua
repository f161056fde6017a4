-- One commit of one partition, all or nothing. Lua in Redis has no rollback, so everything that can
-- fail is looked at before the first write.
--
-- KEYS  meta, state, profile, outbox, names, erased
-- ARGV  expected epoch, revision and offsets; new revision, offsets, model version, outbox_first;
--       summary; then six msgpack arrays, each empty or: states (id, bytes, ...), profiles (the
--       same), removed (id, ...), outbox entries, names (hash, name, ...), erased (digest, JSON, ...)
local meta, state, profile, outbox, names, erased = unpack(KEYS)
local summary = ARGV[8]

local stored = redis.call('HMGET', meta, 'epoch', 'revision', 'offsets', 'outbox_first')
if stored[1] ~= ARGV[1] then
  return {'FENCED', stored[1] or '0'}
end
if (stored[2] or '0') ~= ARGV[2] then
  return {'MOVED', 'revision ' .. (stored[2] or '0')}
end
if (stored[3] or '{}') ~= ARGV[3] then
  return {'MOVED', 'offsets ' .. (stored[3] or '{}')}
end
-- A trim may have run since the caller read outbox_first: the larger of the two holds.
local first = tonumber(stored[4] or '0')
local new_first = math.max(first, tonumber(ARGV[7]))
local stored_end = first + redis.call('LLEN', outbox)
if new_first > stored_end then
  return {'MOVED', string.format('outbox end %.0f', stored_end)}
end
for _, key in ipairs({state, profile, names, erased}) do
  redis.call('HLEN', key) -- raises here if another program keeps something else under this key
end
local function array(blob)
  return #blob > 0 and cmsgpack.unpack(blob) or {}
end
local states, profiles, removed = array(ARGV[9]), array(ARGV[10]), array(ARGV[11])
local entries, new_names, new_erased = array(ARGV[12]), array(ARGV[13]), array(ARGV[14])

-- Redis refuses a script for lack of memory, disk or the primary's role only at its first write,
-- and only if that write may grow the data. So the first one changes nothing.
redis.call('HSET', meta, 'epoch', ARGV[1])

local CHUNK = 4000 -- Lua's unpack takes some 8,000 values; even, because fields come in pairs
local function write(command, key, values)
  for from = 1, #values, CHUNK do
    redis.call(command, key, unpack(values, from, math.min(from + CHUNK - 1, #values)))
  end
end
write('HDEL', state, removed)
write('HDEL', profile, removed)
write('HSET', state, states)
write('HSET', profile, profiles)
write('HSET', names, new_names)
write('HSET', erased, new_erased)
if new_first > first then
  redis.call('LTRIM', outbox, string.format('%.0f', new_first - first), -1)
end
write('RPUSH', outbox, entries)
if #summary > 0 then
  redis.call('HSET', meta, 'summary', summary)
end
local kept_from = string.format('%.0f', new_first)
redis.call('HSET', meta, 'revision', ARGV[4], 'offsets', ARGV[5], 'model', ARGV[6],
           'outbox_first', kept_from)
return {'OK', kept_from}
