-- A user's unfinished jobs at one instant.
-- KEYS  1 active, 2 queue, 3 held
-- ARGV  1 how many of the queue, and none that is held; -1: all
-- Reply {active ids, queued ids, held ids}
local active, most = redis.call('ZRANGE', KEYS[1], 0, -1), tonumber(ARGV[1])
if most < 0 then
  return {active, redis.call('ZRANGE', KEYS[2], 0, -1), redis.call('ZRANGE', KEYS[3], 0, -1)}
end
return {active, most > 0 and redis.call('ZRANGE', KEYS[2], 0, most - 1) or {}, {}}
