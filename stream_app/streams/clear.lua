-- Remove some fields of a hash, so that no call takes long however large it is.
--
-- KEYS  a hash
-- ARGV  cursor of HSCAN, fields to look at
local scanned = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local pairs_, fields = scanned[2], {}
for i = 1, #pairs_, 2 do
  fields[#fields + 1] = pairs_[i]
end
local CHUNK = 4000 -- Lua's unpack takes some 8,000 values
for from = 1, #fields, CHUNK do
  redis.call('HDEL', KEYS[1], unpack(fields, from, math.min(from + CHUNK - 1, #fields)))
end
return scanned[1]
