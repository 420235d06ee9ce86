-- Shared by all transitions; its text is put before each script.
--
-- A job transition's KEYS[1..12], as Keys.of_job lists them. `worker`, `holds`
-- and `inbox` belong to the worker that the caller believes has the job; a
-- script that touches them first compares belief with record (`moved`).

local EVENTS_MAX = 200000

local function job_keys()
  return {
    job = KEYS[1], result = KEYS[2], queue = KEYS[3], active = KEYS[4],
    users = KEYS[5], done = KEYS[6], hidden = KEYS[7], inflight = KEYS[8],
    events = KEYS[9], worker = KEYS[10], holds = KEYS[11], inbox = KEYS[12],
  }
end

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A hash as a table, or nil when there is none.
local function load(key)
  local flat = redis.call('HGETALL', key)
  if #flat == 0 then return nil end
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

local function is_active(state)
  return state == 'RESERVED' or state == 'RUNNING' or state == 'CANCELLING'
end

local function is_leader(key, epoch)
  return redis.call('HGET', key, 'epoch') == epoch
end

local function moved(job, worker, gpu)
  return (job.worker or '') ~= worker or (job.gpu or '') ~= gpu
end

local function remaining(K)
  return redis.call('ZCARD', K.queue) + redis.call('ZCARD', K.active)
end

-- Append one event. Empty fields are left out: readers take them as empty. Only
-- an empty client_id is a client_id of its own.
local function emit(events, kind, fields)
  local args = {'kind', kind}
  for name, value in pairs(fields) do
    if name == 'client_id' or (value ~= '' and value ~= 0) then
      args[#args + 1] = name
      args[#args + 1] = value
    end
  end
  return redis.call('XADD', events, 'MAXLEN', '~', EVENTS_MAX, '*', unpack(args))
end

local function emit_job(K, kind, job, more)
  local fields = {
    job = job.id, user = job.user, prompt_id = job.prompt_id, client_id = job.client_id,
    state = job.state, attempt = job.attempt,
    worker = job.worker, gpu = job.gpu, remaining = remaining(K),
  }
  for name, value in pairs(more or {}) do fields[name] = value end
  return emit(K.events, kind, fields)
end

-- Take a job off its worker: lease, reservation, the worker itself.
local function leave_worker(K, job)
  redis.call('ZREM', K.inflight, job.id)
  redis.call('ZREM', K.active, job.id)
  if redis.call('HGET', K.worker, 'job') == job.id then
    redis.call('HDEL', K.worker, 'job')
    redis.call('HDEL', K.holds, 'r:' .. job.worker)
  end
end

-- The settle event's id as a score: ms * 1024 + sequence, exact in a double.
local function event_score(id)
  local ms, sequence = string.match(id, '^(%d+)%-(%d+)$')
  return string.format('%.0f', ms * 1024 + math.min(tonumber(sequence), 1023))
end

-- Into a terminal state. The job has left queue and worker already.
-- end_ = {reason, result, frames, listed, ...}; further fields are written to the job.
local function end_job(K, job, state, end_)
  job.state = state
  local id = emit_job(K, 'settled', job, {reason = end_.reason, frames = end_.frames})
  local fields = {
    'state', state, 'rev', job.rev + 1, 'ended_ms', string.match(id, '^%d+'),
  }
  for name, value in pairs({reason = end_.reason, peak_bytes = end_.peak_bytes,
                            run_seconds = end_.run_seconds, call = end_.call,
                            losses = end_.losses, ooms = end_.ooms, clean = end_.clean,
                            closed = end_.closed, closed_as = end_.closed and state}) do
    if value and value ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  redis.call('HSET', K.job, unpack(fields))
  redis.call('HDEL', K.job, 'wait_reason', 'wait_detail')
  if end_.result and end_.result ~= '' then redis.call('SET', K.result, end_.result) end
  redis.call('ZADD', end_.listed and K.done or K.hidden, event_score(id), job.id)
  if remaining(K) == 0 then redis.call('SREM', K.users, job.user) end
  return state
end

-- Back to its old place in the queue, nothing of the attempt left but its number.
local function requeue(K, job, reason, fields)
  redis.call('ZADD', K.queue, job.number, job.id)
  redis.call('HDEL', K.job, 'worker', 'gpu', 'agent', 'reserved_bytes', 'attempt_uuid', 'sid',
    'admitted_ms', 'started_ms')
  local args = {'state', 'QUEUED', 'rev', job.rev + 1}
  for name, value in pairs(fields) do
    args[#args + 1] = name
    args[#args + 1] = value
  end
  redis.call('HSET', K.job, unpack(args))
  job.state = 'QUEUED'
  emit_job(K, 'requeued', job, {reason = reason})
  return 'QUEUED'
end

-- An attempt that nobody will finish. `closing` holds result and frames for the
-- two ways it may end; `closed` is the attempt's number when its agent says so;
-- `returned`: its agent stops in order, which counts against nobody.
local function lose(K, job, max_losses, closing, closed, returned)
  leave_worker(K, job)
  if job.state == 'CANCELLING' then
    return end_job(K, job, 'CANCELLED', {
      result = closing.cancel_result, frames = closing.cancel_frames, listed = true,
      closed = closed,
    })
  end
  if returned then
    return requeue(K, job, 'returned', {closed = closed, closed_as = 'QUEUED'})
  end
  local losses = (job.losses or 0) + 1
  if losses >= max_losses then
    return end_job(K, job, 'FAILED', {
      reason = 'poison', result = closing.poison_result, frames = closing.poison_frames,
      listed = true, losses = losses, closed = closed,
    })
  end
  local fields = {losses = losses}
  if closed then
    fields.closed = closed
    fields.closed_as = 'QUEUED'
  end
  return requeue(K, job, 'lost', fields)
end

-- x_00001_.png → 'x_', 1, '_.png'; a name without a counter gets one, as ComfyUI writes them.
local function split_counter(filename)
  local head, digits, tail = string.match(filename, '^(.*_)(%d+)(_?%.[^.]*)$')
  if head then return head, tonumber(digits), tail end
  local stem, extension = string.match(filename, '^(.+)(%.[^.]*)$')
  return (stem or filename) .. '_', 0, '_' .. (extension or '')
end

-- The field of `origins` for a file on a worker's disk.
local function file_origin(agent, worker, type, subfolder, filename)
  return table.concat({agent, worker, type, subfolder, filename}, '\n')
end
