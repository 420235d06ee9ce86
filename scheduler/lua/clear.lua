-- Delete keys of a pool, a stretch of the server at a time: a restore begins with nothing.
-- KEYS  1 any key of the pool
-- ARGV  1 what every key begins with, 2 cursor, 3 how many keys of the server to look at
-- Reply {the next cursor ('0': it is done), how many were deleted}
local step = redis.call('SCAN', ARGV[2], 'MATCH', ARGV[1] .. '*', 'COUNT', ARGV[3])
for _, key in ipairs(step[2]) do redis.call('UNLINK', key) end
return {step[1], #step[2]}
