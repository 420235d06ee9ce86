-- Set or clear admin overrides, all at once.
-- KEYS  1 overrides, 2 override_meta, 3 events
-- ARGV  1 call, 2 revision that the caller has seen ('' any), then for each change: path,
--       set (1/0), JSON text
-- Reply the new revision, or nil where it is no longer the one that was seen
local meta = load(KEYS[2]) or {}
if meta.call == ARGV[1] then return tonumber(meta.rev) end
if ARGV[2] ~= '' and ARGV[2] ~= (meta.rev or '0') then return nil end
for i = 3, #ARGV, 3 do
  if ARGV[i + 1] == '1' then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
  else
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
local rev = redis.call('HINCRBY', KEYS[2], 'rev', 1)
redis.call('HSET', KEYS[2], 'call', ARGV[1])
emit(KEYS[3], 'overrides', {reason = rev})
return rev
