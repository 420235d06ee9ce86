-- QUEUED | RESERVED → CANCELLED at once; RUNNING → CANCELLING, and tell the agent.
-- KEYS  1-18 job keys
-- ARGV  1 worker, 2 gpu (as the caller believes), 3 user, 4 call
-- Reply {'CANCEL', state after, changed (1/0)} | {'UNKNOWN' | 'MOVED'}
local K = job_keys()
local job = load(K.job)
if not job or job.user ~= ARGV[3] then return {'UNKNOWN'} end
if job.call == ARGV[4] then return {'CANCEL', job.state, 1} end
if job.state ~= 'QUEUED' and job.state ~= 'RESERVED' and job.state ~= 'RUNNING' then
  return {'CANCEL', job.state, 0}
end
if moved(job, ARGV[1], ARGV[2]) then return {'MOVED'} end

if job.state == 'RUNNING' then
  job.state = 'CANCELLING'
  redis.call('HSET', K.job, 'state', job.state, 'rev', job.rev + 1, 'call', ARGV[4])
  redis.call('RPUSH', K.inbox, table.concat({'cancel', job.worker, job.id, job.attempt}, '\t'))
  emit_job(K, 'cancelling', job)
  return {'CANCEL', job.state, 1}
end
if job.state == 'QUEUED' then
  dequeue(K, job)
else
  leave_worker(K, job, {})
end
-- ComfyUI keeps no history of a prompt that was cancelled before it ran.
return {'CANCEL', end_job(K, job, 'CANCELLED', {listed = false, call = ARGV[4]}), 1}
