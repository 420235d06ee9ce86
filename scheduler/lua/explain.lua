-- Write why jobs wait. No transition: rev stays, no event. `said` tells readers who keep
-- decoded jobs that the words have changed.
-- KEYS  1 leader, then for each job: job, user
-- ARGV  1 epoch, then reason, detail and blocker ('' none) for each job
-- Reply how many were written
if not is_leader(KEYS[1], ARGV[1]) then return 0 end
local said = redis.call('HINCRBY', KEYS[1], 'said', 1)
local written = 0
for i = 2, #KEYS, 2 do
  local first = i / 2 * 3 - 1
  local state, held = unpack(redis.call('HMGET', KEYS[i], 'state', 'held'))
  if state == 'QUEUED' and not held then
    redis.call('HSET', KEYS[i], 'wait_reason', ARGV[first], 'wait_detail', ARGV[first + 1],
      'wait_blocker', ARGV[first + 2], 'said', said)
    touch(KEYS[i + 1])
    written = written + 1
  end
end
return written
