-- Give the leadership back. The epoch stays: it only grows.
-- KEYS  1 leader
-- ARGV  1 owner, 2 epoch
-- Reply 1, or 0 when another leads
local leader = load(KEYS[1]) or {}
if leader.owner ~= ARGV[1] or leader.epoch ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], 'owner', 'until')
return 1
