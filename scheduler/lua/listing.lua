-- A user's unfinished and ended jobs at one instant.
-- KEYS  1 user, 2 active, 3 queue, 4 held, 5 done
-- Reply {changed, active ids, queue, held, done}: the last three as id, score, …; each one a
--       string of words, which costs both sides less than lists of ten thousand
local function scored(key)
  return table.concat(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'), ' ')
end
return {redis.call('HGET', KEYS[1], 'changed') or '',
  table.concat(redis.call('ZRANGE', KEYS[2], 0, -1), ' '),
  scored(KEYS[3]), scored(KEYS[4]), scored(KEYS[5])}
