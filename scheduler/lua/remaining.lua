-- How many unfinished jobs a user has at one instant.
-- KEYS  1 active, 2 queue
-- Reply count
return redis.call('ZCARD', KEYS[1]) + redis.call('ZCARD', KEYS[2])
