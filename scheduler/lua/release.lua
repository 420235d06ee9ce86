-- READY and idle → RELEASING, and tell the agent. report.lua tells it again every 5 s.
-- KEYS  1 leader, 2 worker, 3 inbox, 4 events
-- ARGV  1 epoch ('': an admin's order), 2 worker, 3 agent (as the caller believes), 4 call
-- Reply {'RELEASING'} | {'REFUSED'} | {'MOVED'}
local worker = load(KEYS[2])
if worker and worker.call == ARGV[4] then return {'RELEASING'} end
if ARGV[1] ~= '' and not is_leader(KEYS[1], ARGV[1]) then return {'REFUSED'} end
if not worker or worker.state ~= 'READY' or worker.job then return {'REFUSED'} end
if worker.agent ~= ARGV[3] then return {'MOVED'} end
redis.call('HSET', KEYS[2], 'state', 'RELEASING', 'told_ms', now_ms(), 'call', ARGV[4])
redis.call('RPUSH', KEYS[3], table.concat({'release', ARGV[2], '', 0}, '\t'))
emit(KEYS[4], 'capacity', {worker = ARGV[2], gpu = worker.gpu, reason = 'releasing'})
return {'RELEASING'}
