-- Drop ended jobs from the user's history. Their records stay until trimmed; their
-- prompt ids are free again.
-- KEYS  1 done, 2 hidden, 3 names, 4 user, then jobs
-- ARGV  1 user, then job ids
-- Reply how many were dropped
local dropped = 0
for i = 5, #KEYS do
  local id = ARGV[i - 3]
  local score = redis.call('ZSCORE', KEYS[1], id)
  if score then
    redis.call('ZREM', KEYS[1], id)
    redis.call('ZADD', KEYS[2], score, id)
    local prompt_id = redis.call('HGET', KEYS[i], 'prompt_id')
    if prompt_id then redis.call('HDEL', KEYS[3], 'p:' .. prompt_id) end
    dropped = dropped + 1
  end
end
if dropped > 0 then stamp(KEYS[4]) end
return dropped
