-- What a commit has to know of its partition before it writes.
--
-- KEYS  meta, state, profile, outbox, names, erased
for _, i in ipairs({2, 3, 5, 6}) do
  redis.call('HLEN', KEYS[i]) -- raises here if another program keeps something else under this key
end
return {
  redis.call('HMGET', KEYS[1], 'epoch', 'revision', 'offsets', 'model', 'outbox_first'),
  redis.call('LLEN', KEYS[4]),
}
