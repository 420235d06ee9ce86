-- Write when jobs should start. No transition: rev stays, no event; plans do not read it.
-- KEYS  1 leader, then each job
-- ARGV  1 epoch, 2 what forecasts are worth, then p50 and p90 (ms) for each job
-- Reply how many were written
if not is_leader(KEYS[1], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'trust', ARGV[2])
local written = 0
for i = 2, #KEYS do
  local state, held = unpack(redis.call('HMGET', KEYS[i], 'state', 'held'))
  if state == 'QUEUED' and not held then
    redis.call('HSET', KEYS[i], 'start_p50_ms', ARGV[2 * i - 1], 'start_p90_ms', ARGV[2 * i])
    written = written + 1
  end
end
return written
