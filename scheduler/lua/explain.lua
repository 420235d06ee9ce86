-- Write why jobs wait. No transition: rev stays, no event.
-- KEYS  1 leader, 2… jobs
-- ARGV  1 epoch, then reason and detail for each job
-- Reply how many were written
if not is_leader(KEYS[1], ARGV[1]) then return 0 end
local written = 0
for i = 2, #KEYS do
  if redis.call('HGET', KEYS[i], 'state') == 'QUEUED' then
    redis.call('HSET', KEYS[i], 'wait_reason', ARGV[2 * i - 2], 'wait_detail', ARGV[2 * i - 1])
    written = written + 1
  end
end
return written
