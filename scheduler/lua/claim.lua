-- RESERVED → RUNNING, once per attempt.
-- KEYS  1-18 job keys, 19 prompt
-- ARGV  1 attempt, 2 worker, 3 attempt_uuid, 4 sid, 5 lease_ms
-- Reply {'CLAIMED', again (1/0), prompt body, job as field, value, …} | {'UNKNOWN' | 'FENCED'}
local K = job_keys()
local job = load(K.job)
if not job then return {'UNKNOWN'} end
if job.attempt ~= ARGV[1] or job.worker ~= ARGV[2] then return {'FENCED'} end
local again = job.state == 'RUNNING' and job.attempt_uuid == ARGV[3]
if job.state ~= 'RESERVED' and not again then return {'FENCED'} end

local now = now_ms()
redis.call('ZADD', K.inflight, 'XX', now + ARGV[5], job.id)
if not again then
  redis.call('HSET', K.job, 'state', 'RUNNING', 'rev', job.rev + 1, 'started_ms', now,
    'attempt_uuid', ARGV[3], 'sid', ARGV[4], 'begun', 1)
  job.state, job.begun = 'RUNNING', 1
  emit_job(K, 'claimed', job)
end
return {'CLAIMED', again and 1 or 0, redis.call('GET', KEYS[19]), unpack(redis.call('HGETALL', K.job))}
