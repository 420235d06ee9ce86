-- The recorder has stored these batches: let go of them.
-- KEYS  1 records
-- ARGV  1 group, then ids
-- Reply how many were still to be acknowledged
local acked = redis.call('XACK', KEYS[1], unpack(ARGV))
redis.call('XDEL', KEYS[1], unpack(ARGV, 2))
return acked
