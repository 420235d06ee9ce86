-- Give a QUEUED job the first or the last place of its user's own, within its lane.
-- KEYS  1-18 job keys
-- ARGV  1 user, 2 front (1/0), 3 call
-- Reply {'CANCEL', state, changed (1/0)} | {'UNKNOWN'}
local K = job_keys()
local job = load(K.job)
if not job or job.user ~= ARGV[1] then return {'UNKNOWN'} end
if job.call == ARGV[3] then return {'CANCEL', job.state, 1} end
if job.state ~= 'QUEUED' then return {'CANCEL', job.state, 0} end

local number = redis.call('HINCRBY', K.user, 'number', 1)
if ARGV[2] == '1' then number = -number end
redis.call('ZADD', job.held and K.held or K.queue, place_of(job, number), job.id)
redis.call('HSET', K.job, 'number', number, 'rev', job.rev + 1, 'call', ARGV[3])
touch(K.user)
emit_job(K, 'moved', job)
return {'CANCEL', job.state, 1}
