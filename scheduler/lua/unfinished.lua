-- A user's unfinished jobs at one instant.
-- KEYS  1 active, 2 queue, 3 held
-- Reply {active ids, queued ids, held ids}
return {redis.call('ZRANGE', KEYS[1], 0, -1), redis.call('ZRANGE', KEYS[2], 0, -1),
  redis.call('ZRANGE', KEYS[3], 0, -1)}
