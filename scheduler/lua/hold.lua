-- Keep a QUEUED job from starting, or let it start again. Its place stays.
-- KEYS  1-18 job keys
-- ARGV  1 user, 2 held (1/0), 3 why it waits, for its user, 4 call
-- Reply {'CANCEL', state, changed (1/0)} | {'UNKNOWN'}
local K = job_keys()
local job = load(K.job)
if not job or job.user ~= ARGV[1] then return {'UNKNOWN'} end
if job.call == ARGV[4] then return {'CANCEL', job.state, 1} end
local held = ARGV[2] == '1'
if job.state ~= 'QUEUED' or (job.held == '1') == held then return {'CANCEL', job.state, 0} end

if held then
  dequeue(K, job)
  redis.call('ZADD', K.held, place_of(job), job.id)
  unsay(K.job)
  redis.call('HSET', K.job, 'rev', job.rev + 1, 'call', ARGV[4], 'held', 1,
    'wait_reason', 'held', 'wait_detail', ARGV[3])
else
  redis.call('ZREM', K.held, job.id)
  redis.call('HSET', K.job, 'rev', job.rev + 1, 'call', ARGV[4])
  unsay(K.job)
  redis.call('HDEL', K.job, 'held')
  enqueue(K, job, true)
end
emit_job(K, held and 'held' or 'unheld', job)
return {'CANCEL', job.state, 1}
