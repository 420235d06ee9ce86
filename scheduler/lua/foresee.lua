-- Write when jobs should start. No transition: rev stays, no event. `said` tells readers who
-- keep decoded jobs that what is told has changed.
-- KEYS  1 leader, then for each job: job, user
-- ARGV  1 epoch, 2 what forecasts are worth, then p50 and p90 (ms) for each job
-- Reply how many were written
if not is_leader(KEYS[1], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'trust', ARGV[2])
local said = redis.call('HINCRBY', KEYS[1], 'said', 1)
local written = 0
for i = 2, #KEYS, 2 do
  local state, held = unpack(redis.call('HMGET', KEYS[i], 'state', 'held'))
  if state == 'QUEUED' and not held then
    redis.call('HSET', KEYS[i], 'start_p50_ms', ARGV[i + 1], 'start_p90_ms', ARGV[i + 2],
      'said', said)
    touch(KEYS[i + 1])
    written = written + 1
  end
end
return written
