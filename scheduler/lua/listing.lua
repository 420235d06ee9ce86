-- A user's unfinished and ended jobs at one instant: all of them, or what has become of those
-- that have changed since an earlier reply.
-- KEYS  1 user, 2 active, 3 queue, 4 held, 5 done, 6 events
-- ARGV  1 user, 2 `changed` and 3 `stamps` of the earlier reply ('' none), 4 most events to look at
-- Reply {'ALL', changed, stamps, active ids, queue, held, done}: the last three as id, score, …
--       | {'SINCE', changed, stamps, active ids, jobs}: of each changed one its id and its scores
--       in queue, held and done, '-' where it is not.
--       Lists are strings of words, which costs both sides less than lists of ten thousand.
local state = pick(KEYS[1], 'changed', 'stamps')
local changed, stamps = state.changed or '', state.stamps or ''
local active = table.concat(redis.call('ZRANGE', KEYS[2], 0, -1), ' ')

-- Each transition writes an event and names the state after it; what else changes lists (hide,
-- trim) stamps. So with as many stamps as then, and the event of then still there, the events
-- since name all jobs that have moved.
local function moved_since(event)
  if not string.match(event, '^%d+%-%d+$') or stamps ~= ARGV[3] then return nil end
  if #redis.call('XRANGE', KEYS[6], event, event) == 0 then return nil end
  local most = tonumber(ARGV[4])
  local entries = redis.call('XRANGE', KEYS[6], '(' .. event, '+', 'COUNT', most)
  if #entries == most then return nil end
  local moved, seen = {}, {}
  for _, entry in ipairs(entries) do
    local fields, flat = {}, entry[2]
    for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
    if fields.user == ARGV[1] and fields.job and not seen[fields.job] then
      seen[fields.job] = true
      moved[#moved + 1] = fields.job
    end
  end
  return moved
end

local moved = moved_since(ARGV[2])
if moved then
  local words = {}
  for _, id in ipairs(moved) do
    words[#words + 1] = id
    for key = 3, 5 do words[#words + 1] = redis.call('ZSCORE', KEYS[key], id) or '-' end
  end
  return {'SINCE', changed, stamps, active, table.concat(words, ' ')}
end

local function scored(key)
  return table.concat(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'), ' ')
end
return {'ALL', changed, stamps, active, scored(KEYS[3]), scored(KEYS[4]), scored(KEYS[5])}
