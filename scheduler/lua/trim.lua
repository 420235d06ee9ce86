-- Forget ended jobs of one user.
-- KEYS  1 leader, 2 done or hidden, 3 names, then for each job: job, prompt, result
-- ARGV  1 epoch, 2 highest score that the recorder has, then job ids
-- Reply how many were forgotten, or -1 when the caller leads no more
if not is_leader(KEYS[1], ARGV[1]) then return -1 end
local recorded = tonumber(ARGV[2])
local forgotten = 0
for i = 3, #ARGV do
  local score = redis.call('ZSCORE', KEYS[2], ARGV[i])
  if score and tonumber(score) <= recorded then
    local k = 3 * i - 5
    local job = load(KEYS[k]) or {}
    -- A hidden job's prompt_id may be another job's by now.
    local named = job.prompt_id and redis.call('HGET', KEYS[3], 'p:' .. job.prompt_id)
    if named and string.match(named, ' (%S+)$') == ARGV[i] then
      redis.call('HDEL', KEYS[3], 'p:' .. job.prompt_id)
    end
    if job.key then redis.call('HDEL', KEYS[3], 'k:' .. job.key) end
    redis.call('DEL', KEYS[k], KEYS[k + 1], KEYS[k + 2])
    redis.call('ZREM', KEYS[2], ARGV[i])
    forgotten = forgotten + 1
  end
end
return forgotten
