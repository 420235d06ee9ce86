-- Write why jobs wait. No transition: rev stays, no event. `said` tells readers who keep
-- decoded jobs that the words have changed.
-- KEYS  1 leader, 2… jobs
-- ARGV  1 epoch, then reason and detail for each job
-- Reply how many were written
if not is_leader(KEYS[1], ARGV[1]) then return 0 end
local said = redis.call('HINCRBY', KEYS[1], 'said', 1)
local written = 0
for i = 2, #KEYS do
  local state, held = unpack(redis.call('HMGET', KEYS[i], 'state', 'held'))
  if state == 'QUEUED' and not held then
    redis.call('HSET', KEYS[i], 'wait_reason', ARGV[2 * i - 2], 'wait_detail', ARGV[2 * i - 1],
      'said', said)
    written = written + 1
  end
end
return written
