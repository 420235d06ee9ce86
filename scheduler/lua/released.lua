-- RELEASING → READY.
-- KEYS  1 worker, 2 holds, 3 events
-- ARGV  1 worker, 2 gpu (as the caller believes), 3 used_bytes
-- Reply {'READY'} | {'UNKNOWN' | 'CONFLICT' | 'MOVED'}
local worker = load(KEYS[1])
if not worker then return {'UNKNOWN'} end
if worker.state ~= 'RELEASING' then return {'CONFLICT'} end
if worker.gpu ~= ARGV[2] then return {'MOVED'} end
redis.call('HSET', KEYS[1], 'state', 'READY')
redis.call('HDEL', KEYS[1], 'told_ms')
redis.call('HSET', KEYS[2], 'u:' .. ARGV[1], ARGV[3])
emit(KEYS[3], 'capacity', {worker = ARGV[1], gpu = worker.gpu, reason = 'released'})
return {'READY'}
