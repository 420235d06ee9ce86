-- How long the streams are, and what of them the recorder has not stored yet.
-- KEYS  1 events, 2 records
-- ARGV  1 the recorder's group
-- Reply for each: entries, entries not stored yet, ms of the oldest of those ('' of none)
local function first_after(key, id)
  local found = redis.call('XRANGE', key, id == '-' and '-' or '(' .. id, '+', 'COUNT', 1)
  return found[1] and found[1][1]
end

local function ms_of(id) return string.match(id or '', '^%d+') or '' end

-- the group as it is told, by field; nil: nobody has recorded
local function group_of(key)
  if redis.call('EXISTS', key) == 0 then return nil end
  for _, told in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local fields = {}
    for k = 1, #told, 2 do fields[told[k]] = told[k + 1] end
    if fields.name == ARGV[1] then return fields end
  end
end

local length = redis.call('XLEN', KEYS[1])
local waiting, oldest = length, first_after(KEYS[1], '-')
local group = group_of(KEYS[1])
if group then
  -- lag is nil where the server cannot say: then all may be waiting
  waiting = math.min(length, (group.lag or length) + group.pending)
  oldest = first_after(KEYS[1], group['last-delivered-id'])
  if group.pending > 0 then oldest = redis.call('XPENDING', KEYS[1], ARGV[1])[2] end
end
-- records leave their stream when they are stored
local told = redis.call('XLEN', KEYS[2])
return {
  length, waiting, waiting > 0 and ms_of(oldest) or '',
  told, told, ms_of(first_after(KEYS[2], '-')),
}
