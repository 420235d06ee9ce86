-- Close an attempt's books: into a terminal state, or back to QUEUED (lost, returned, out of memory).
-- KEYS  1-18 job keys
-- ARGV  1 attempt, 2 worker, 3 gpu (as the caller believes), 4 ending, 5 result, 6 frames, 7 reason,
--       8 peak_bytes, 9 run_seconds, 10 retry_bytes, 11 max_losses, 12 clean (1/0),
--       13 what the probe told ('' nothing), 14 bytes that the process kept (0 not told),
--       15 cancel result, 16 cancel frames, 17 poison result, 18 poison frames
-- Reply {'SETTLED', state} | {'UNKNOWN' | 'FENCED' | 'MOVED'}
local K = job_keys()
local attempt, ending, reason = ARGV[1], ARGV[4], ARGV[7]
local job = load(K.job)
if not job then return {'UNKNOWN'} end
if job.closed == attempt then return {'SETTLED', job.closed_as} end
if job.attempt ~= attempt or not is_active(job.state) then return {'FENCED'} end
-- An attempt that was never claimed has nothing to show.
if job.state == 'RESERVED' and ending == 'SUCCEEDED' then return {'FENCED'} end
if moved(job, ARGV[2], ARGV[3]) then return {'MOVED'} end

-- The agent's last heartbeat may be older than the peak. Until the next one the worker
-- is taken to hold what it held then, or what it kept, lest its neighbours be promised
-- the difference.
local function keep_residency(K, job, peak)
  if peak == 0 or job.gpu == '' or redis.call('HGET', K.worker, 'state') == 'DOWN' then return end
  local field = 'u:' .. job.worker
  if peak > tonumber(redis.call('HGET', K.holds, field) or 0) then
    redis.call('HSET', K.holds, field, peak)
  end
end

local closing = {
  cancel_result = ARGV[15], cancel_frames = ARGV[16],
  poison_result = ARGV[17], poison_frames = ARGV[18],
}
-- Whoever asked to cancel gets that, unless the job ended by itself first.
local by_interrupt = ending == 'OOM'
  or (ending == 'FAILED' and (reason == '' or reason == 'lost' or reason == 'hung'))
local given_up = ending == 'LOST' or ending == 'RETURNED'
if not given_up then
  keep_residency(K, job, tonumber(ARGV[14] ~= '0' and ARGV[14] or ARGV[8]))
end
local left = {
  -- What never ran, or was given up, costs nothing.
  ran = (given_up or job.state == 'RESERVED') and 0 or tonumber(ARGV[9]),
  failed = ending == 'LOST' or (ending == 'FAILED' and reason == 'hung'),
  succeeded = ending == 'SUCCEEDED', returned = ending == 'RETURNED', closed = attempt,
}
if given_up or (job.state == 'CANCELLING' and by_interrupt) then
  return {'SETTLED', lose(K, job, tonumber(ARGV[11]), closing, left)}
end

leave_worker(K, job, left)
if ending == 'OOM' then
  -- We gave it less than it was known to need: that is no fault of its own.
  local trial = job.trial == '1'
  local ooms = (job.ooms or 0) + (trial and 0 or 1)
  if trial or ooms == 1 then
    local more = not trial and tonumber(ARGV[10]) > tonumber(job.need_bytes)
    return {'SETTLED', requeue(K, job, 'oom', {
      -- what was not enough is never enough the second time
      ooms = ooms, need_bytes = more and ARGV[10] or job.need_bytes,
      peak_bytes = ARGV[8], clean = ARGV[12], probed = ARGV[13], closed = attempt,
      closed_as = 'QUEUED',
    })}
  end
  return {'SETTLED', end_job(K, job, 'FAILED', {
    reason = 'oom', result = ARGV[5], frames = ARGV[6], listed = true, ooms = ooms,
    peak_bytes = ARGV[8], run_seconds = ARGV[9], clean = ARGV[12],
    probed = ARGV[13], closed = attempt,
  })}
end
return {'SETTLED', end_job(K, job, ending, {
  reason = ending == 'FAILED' and reason or nil, result = ARGV[5], frames = ARGV[6],
  -- ComfyUI keeps no history of a prompt that was cancelled before it ran.
  listed = not (ending == 'CANCELLED' and job.state == 'RESERVED'),
  peak_bytes = ARGV[8], run_seconds = ARGV[9], clean = ARGV[12],
  probed = ARGV[13], closed = attempt,
})}
