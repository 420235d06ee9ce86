-- QUEUED → RESERVED: the one place where memory is promised.
-- KEYS  1-18 job keys (of the worker it goes to), 19 leader, 20 gpu, then for each
--       job that it passes: job, user
-- ARGV  1 epoch, 2 rev, 3 worker, 4 gpu ('' none), 5 agent, 6 bytes, 7 capacity (0: not counted),
--       8 lease_ms, 9 heartbeat_ms, 10 call, 11 seconds, 12 load seconds (granted),
--       13 user charge, 14 group charge, 15 charge without weights, 16 trial (1/0)
-- Reply {'ADMITTED', attempt} | {'STALE_LEADER' | 'UNKNOWN' | 'CONFLICT' | 'WORKER_GONE' |
--       'GPU_GONE' | 'NO_FIT'}
local K = job_keys()
local leader, gpu_key = KEYS[19], KEYS[20]
local worker_name, gpu_name, agent = ARGV[3], ARGV[4], ARGV[5]
local bytes, capacity, heartbeat = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[9])

local job = load(K.job)
if job and job.call == ARGV[10] then return {'ADMITTED', tonumber(job.attempt)} end
if not is_leader(leader, ARGV[1]) then return {'STALE_LEADER'} end
if not job then return {'UNKNOWN'} end
if job.state ~= 'QUEUED' or job.rev ~= ARGV[2] then return {'CONFLICT'} end
if job.held then return {'CONFLICT'} end

local now = now_ms()
local worker = pick(K.worker, 'state', 'gpu', 'agent', 'heartbeat_ms', 'job')
if worker.state ~= 'READY' or worker.gpu ~= gpu_name or worker.agent ~= agent
    or now - worker.heartbeat_ms > heartbeat then
  return {'WORKER_GONE'}
end
if worker.job then return {'CONFLICT'} end

if gpu_name ~= '' then
  local gpu = pick(gpu_key, 'state', 'heartbeat_ms')
  if gpu.state ~= 'READY' or now - gpu.heartbeat_ms > heartbeat then
    return {'GPU_GONE'}
  end
end
if gpu_name ~= '' and capacity > 0 then
  local holds = {}
  local flat = redis.call('HGETALL', K.holds)
  for i = 1, #flat, 2 do
    local other = string.sub(flat[i], 3)
    if other ~= worker_name then
      holds[other] = math.max(holds[other] or 0, tonumber(flat[i + 1]))
    end
  end
  local sum = bytes
  for _, held in pairs(holds) do sum = sum + held end
  if sum > capacity then return {'NO_FIT'} end
end

local attempt = (job.attempt or 0) + 1
redis.call('ZADD', K.active, now, job.id)
redis.call('ZADD', K.inflight, now + ARGV[8], job.id)
redis.call('HSET', K.worker, 'job', job.id)
redis.call('HSET', K.holds, 'r:' .. worker_name, bytes)
redis.call('HSET', K.job, 'state', 'RESERVED', 'rev', job.rev + 1, 'attempt', attempt,
  'worker', worker_name, 'gpu', gpu_name, 'agent', agent, 'reserved_bytes', bytes,
  'admitted_ms', now, 'call', ARGV[10], 'granted_seconds', ARGV[11],
  'granted_load_seconds', ARGV[12], 'user_charge', ARGV[13], 'group_charge', ARGV[14],
  'charge', ARGV[15], 'trial', ARGV[16])
if job.wait_reason or job.start_p50_ms then unsay(K.job) end
redis.call('HSET', K.user, 'last_admitted_ms', now)
-- The clock of an emptied queue is the counter with this charge: as if one more waited.
charge(K, job, ARGV[13], ARGV[14])
dequeue(K, job)
for i = 21, #KEYS, 2 do
  local state, held = unpack(redis.call('HMGET', KEYS[i], 'state', 'held'))
  if state == 'QUEUED' and not held then
    redis.call('HINCRBY', KEYS[i], 'skips', 1)
    touch(KEYS[i + 1])
  end
end
redis.call('RPUSH', K.inbox, table.concat({'run', worker_name, job.id, attempt, job.user}, '\t'))
job.state, job.attempt, job.worker, job.gpu = 'RESERVED', attempt, worker_name, gpu_name
emit_job(K, 'admitted', job, {bytes = ARGV[6]})
return {'ADMITTED', attempt}
