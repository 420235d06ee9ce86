-- Close one attempt whose lease has passed.
-- KEYS  1-18 job keys, 19 leader
-- ARGV  1 epoch, 2 worker, 3 gpu (as the caller believes), 4 max_losses,
--       5 cancel result, 6 cancel frames, 7 poison result, 8 poison frames, 9 id
-- Reply {'REAPED', state} | {'STALE_LEADER' | 'UNKNOWN' | 'CONFLICT' (renewed or settled) | 'MOVED'}
local K = job_keys()
if not is_leader(KEYS[19], ARGV[1]) then return {'STALE_LEADER'} end
local lease = redis.call('ZSCORE', K.inflight, ARGV[9])
if not lease or tonumber(lease) > now_ms() then return {'CONFLICT'} end
local job = load(K.job)
if not job then return {'UNKNOWN'} end
if moved(job, ARGV[2], ARGV[3]) then return {'MOVED'} end
return {'REAPED', lose(K, job, tonumber(ARGV[4]), {
  cancel_result = ARGV[5], cancel_frames = ARGV[6],
  poison_result = ARGV[7], poison_frames = ARGV[8],
}, {failed = true})}
