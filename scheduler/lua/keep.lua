-- Everything whose parts must agree, at one instant, for a backup. It only reads, and like
-- snapshot.lua it makes key names itself (all of the pool's slot). Bodies are read afterwards:
-- they never change.
-- KEYS  1 everyone, 2 events
-- ARGV  1 what every key begins with
-- Reply {now in ms, id of the last event ('0-0' none), entries}: for each key that there is:
--       its name without the beginning, type, then a string, a set's members, a hash's or a
--       sorted set's flat pairs
local prefix, call = ARGV[1], redis.call
local found = {}
local readers = {
  string = function(key) return {call('GET', key)} end,
  hash = function(key) return call('HGETALL', key) end,
  set = function(key) return call('SMEMBERS', key) end,
  zset = function(key) return call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
}

local function take(name)
  local key = prefix .. name
  local type = call('TYPE', key).ok
  if readers[type] then found[#found + 1] = {name, type, readers[type](key)} end
end

for _, name in ipairs({'leader', 'users', 'everyone', 'inflight', 'turns', 'clock', 'overrides',
                       'override_meta', 'secrets', 'week', 'fingerprints', 'layout'}) do
  take(name)
end
local groups = {}
for _, user in ipairs(call('SMEMBERS', KEYS[1])) do
  for _, kind in ipairs({'user', 'queue', 'held', 'active', 'names', 'done', 'hidden'}) do
    take(kind .. ':' .. user)
  end
  for _, kind in ipairs({'queue', 'held', 'active'}) do
    for _, id in ipairs(call('ZRANGE', prefix .. kind .. ':' .. user, 0, -1)) do
      take('job:' .. id)
    end
  end
  local group = call('HGET', prefix .. 'user:' .. user, 'group')
  if group and not groups[group] then
    groups[group] = true
    take('group:' .. group)
    take('turns:' .. group)
  end
end
local last = call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
return {now_ms(), last[1] and last[1][1] or '0-0', found}
