-- Tell a RUNNING job's agent to interrupt it and give it back. It stays RUNNING until then.
-- KEYS  1-18 job keys, 19 leader
-- ARGV  1 epoch, 2 rev, 3 worker, 4 gpu (as the caller believes), 5 call
-- Reply {'OK'} | {'REFUSED'} | {'MOVED'}
local K = job_keys()
local job = load(K.job)
if job and job.call == ARGV[5] then return {'OK'} end
if not is_leader(KEYS[19], ARGV[1]) then return {'REFUSED'} end
if not job or job.state ~= 'RUNNING' or job.rev ~= ARGV[2] then return {'REFUSED'} end
if job.preempting then return {'OK'} end
if moved(job, ARGV[3], ARGV[4]) then return {'MOVED'} end
redis.call('HSET', K.job, 'preempting', 1, 'rev', job.rev + 1, 'call', ARGV[5])
redis.call('RPUSH', K.inbox, table.concat({'preempt', job.worker, job.id, job.attempt}, '\t'))
emit_job(K, 'preempting', job)
return {'OK'}
