-- QUEUED → FAILED for a job that can never run.
-- KEYS  1-18 job keys, 19 leader
-- ARGV  1 epoch, 2 rev, 3 reason, 4 result, 5 frames, 6 call
-- Reply 1, or 0 when the caller leads no more or the job has changed
local K = job_keys()
local job = load(K.job)
if job and job.call == ARGV[6] then return 1 end
if not is_leader(KEYS[19], ARGV[1]) then return 0 end
if not job or job.state ~= 'QUEUED' or job.rev ~= ARGV[2] then return 0 end
dequeue(K, job)
end_job(K, job, 'FAILED', {
  reason = ARGV[3], result = ARGV[4], frames = ARGV[5], listed = true, call = ARGV[6],
})
return 1
