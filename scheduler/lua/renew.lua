-- Prolong an attempt's lease.
-- KEYS  1 job, 2 inflight
-- ARGV  1 id, 2 attempt, 3 lease_ms
-- Reply {'RENEWED', cancel asked (1/0), told to make room (1/0)} | {'UNKNOWN' | 'FENCED'}
local job = load(KEYS[1])
if not job then return {'UNKNOWN'} end
if job.attempt ~= ARGV[2] or not is_active(job.state) then return {'FENCED'} end
redis.call('ZADD', KEYS[2], 'XX', now_ms() + ARGV[3], ARGV[1])
return {'RENEWED', job.state == 'CANCELLING' and 1 or 0, job.preempting and 1 or 0}
