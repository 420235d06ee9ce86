-- Shared by all transitions; its text is put before each script.
--
-- A job transition's KEYS[1..18], as Keys.of_job lists them. `worker`, `holds`
-- and `inbox` belong to the worker that the caller believes has the job; a
-- script that touches them first compares belief with record (`moved`). `group`
-- and `turns` belong to the job's group, which never changes.

-- A last resort: housekeeping trims, and never past what the recorder has. A store that is down for
-- an hour loses nothing below some 500 transitions a second.
local EVENTS_MAX = 2000000

local function job_keys()
  return {
    job = KEYS[1], result = KEYS[2], queue = KEYS[3], active = KEYS[4],
    users = KEYS[5], done = KEYS[6], hidden = KEYS[7], inflight = KEYS[8],
    events = KEYS[9], worker = KEYS[10], holds = KEYS[11], inbox = KEYS[12],
    held = KEYS[13], user = KEYS[14], group = KEYS[15], turns = KEYS[16],
    groups = KEYS[17], clock = KEYS[18],
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

-- Some fields of a hash as a table; all nil when there is none.
local function pick(key, ...)
  local values, fields = redis.call('HMGET', key, ...), {}
  for i, name in ipairs({...}) do fields[name] = values[i] or nil end
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
  return redis.call('ZCARD', K.queue) + redis.call('ZCARD', K.held) + redis.call('ZCARD', K.active)
end

-- Readers who keep answers about a user's jobs see by this that their lists have changed; those
-- who keep the lists (listing.lua), by `stamps`, that no event tells of it (`id` nil).
local function stamp(user_key, id)
  redis.call('HSET', user_key, 'changed', id or table.concat(redis.call('TIME'), '.'))
  if not id then redis.call('HINCRBY', user_key, 'stamps', 1) end
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
    worker = job.worker, gpu = job.gpu, remaining = remaining(K), cost = job.closing_cost,
    begun = job.begun,
  }
  for name, value in pairs(more or {}) do fields[name] = value end
  local id = emit(K.events, kind, fields)
  stamp(K.user, id)
  return id
end

-- ── turns: who goes first (docs/decisions/0008) ─────────────────────────────
-- Counters are whole numbers below 2^53, exact in Lua's doubles.

-- All unfinished jobs of a user belong to one group. (Records of older versions do not name it.)
local function group_of(K, job)
  return job.group or redis.call('HGET', K.user, 'group') or ''
end

local function least(turns)
  return tonumber(redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')[2])
end

-- Give a user with a job that may start a turn. `lift`: newly backlogged, so no less than
-- the least of those who wait (else the clock). A job that comes back lifts nobody.
local function take_turn(K, job, lift)
  if redis.call('ZSCORE', K.turns, job.user) then return end
  local group = group_of(K, job)
  local virtual = tonumber(redis.call('HGET', K.user, 'virtual') or 0)
  if lift then
    virtual = math.max(virtual, least(K.turns) or tonumber(redis.call('HGET', K.group, 'clock') or 0))
    redis.call('HSET', K.user, 'virtual', virtual)
  end
  redis.call('ZADD', K.turns, virtual, job.user)
  if redis.call('ZSCORE', K.groups, group) then return end
  virtual = tonumber(redis.call('HGET', K.group, 'virtual') or 0)
  if lift then
    virtual = math.max(virtual, least(K.groups) or tonumber(redis.call('GET', K.clock) or 0))
    redis.call('HSET', K.group, 'virtual', virtual)
  end
  redis.call('ZADD', K.groups, virtual, group)
end

-- Take the turn of a user who has no job left that may start.
local function leave_turn(K, job)
  if redis.call('ZCARD', K.queue) > 0 or redis.call('ZREM', K.turns, job.user) == 0 then return end
  if redis.call('ZCARD', K.turns) > 0 then return end
  local user, clock = redis.call('HGET', K.user, 'virtual'), redis.call('HGET', K.group, 'clock')
  redis.call('HSET', K.group, 'clock', math.max(tonumber(clock or 0), tonumber(user or 0)))
  redis.call('ZREM', K.groups, group_of(K, job))
  if redis.call('ZCARD', K.groups) > 0 then return end
  local group, pool_clock = redis.call('HGET', K.group, 'virtual'), redis.call('GET', K.clock)
  redis.call('SET', K.clock, math.max(tonumber(pool_clock or 0), tonumber(group or 0)))
end

-- Add to the counters of a job's user and group, and keep their turns in step.
local function charge(K, job, of_user, of_group)
  local virtual = redis.call('HINCRBY', K.user, 'virtual', of_user)
  redis.call('HINCRBY', K.user, 'charged', of_user)
  redis.call('ZADD', K.turns, 'XX', virtual, job.user)
  virtual = redis.call('HINCRBY', K.group, 'virtual', of_group)
  redis.call('HINCRBY', K.group, 'charged', of_group)
  redis.call('ZADD', K.groups, 'XX', virtual, group_of(K, job))
end

-- What an attempt cost; scheduler/bookkeeping.py has the same formula.
local function cost(charged, granted, ran)
  if granted <= 0 then return charged end
  return math.floor(charged * math.max(ran, 0) / granted + 0.5)
end

-- ── what is told of waiting jobs ────────────────────────────────────────────

-- Forget it: the job no longer waits, or for another reason.
local function unsay(key)
  redis.call('HDEL', key, 'wait_reason', 'wait_detail', 'wait_blocker', 'start_p50_ms',
    'start_p90_ms')
end

-- ── moving jobs ─────────────────────────────────────────────────────────────

-- Tell readers who keep decoded jobs (snapshot.lua) that the user's first jobs have changed:
-- which they are, their revs, what they are told, how often they were passed.
local function touch(user_key)
  redis.call('HINCRBY', user_key, 'seen', 1)
end

-- Batch jobs stand behind all interactive ones of their user: a plan sees only the first.
local BATCH_PLACE = 2 ^ 40
local function place_of(job, number)
  return string.format('%.0f', (number or job.number) + (job.batch and BATCH_PLACE or 0))
end

local function enqueue(K, job, lift)
  redis.call('ZADD', K.queue, place_of(job), job.id)
  take_turn(K, job, lift)
  touch(K.user)
end

local function dequeue(K, job)
  redis.call('ZREM', job.held and K.held or K.queue, job.id)
  leave_turn(K, job)
  touch(K.user)
end

-- Replace the charge of a closing attempt by what it cost.
local function pay(K, job, ran)
  local whole = cost(tonumber(job.charge or 0), tonumber(job.granted_seconds or 0), ran)
  if whole > 0 then
    redis.call('HINCRBY', K.job, 'cost', whole)
    job.closing_cost = string.format('%.0f', whole)  -- its event tells it
  end
  local of_user, of_group = tonumber(job.user_charge or 0), tonumber(job.group_charge or 0)
  if of_user == 0 and of_group == 0 then return end
  local granted = tonumber(job.granted_seconds or 0)
  local user_cost, group_cost = cost(of_user, granted, ran), cost(of_group, granted, ran)
  charge(K, job, user_cost - of_user, group_cost - of_group)
  redis.call('HINCRBY', K.job, 'user_cost', user_cost)
  redis.call('HINCRBY', K.job, 'group_cost', group_cost)
end

-- Take a job off its worker: lease, reservation, the worker itself; and settle its charge.
-- end_ = {ran = seconds that it is charged for, failed = the worker lost it or let it hang,
-- succeeded}.
local function leave_worker(K, job, end_)
  redis.call('ZREM', K.inflight, job.id)
  redis.call('ZREM', K.active, job.id)
  if redis.call('HGET', K.worker, 'job') == job.id then
    redis.call('HDEL', K.worker, 'job')
    redis.call('HDEL', K.holds, 'r:' .. job.worker)
    if end_.succeeded then redis.call('HSET', K.worker, 'failures', 0) end
    if end_.failed and redis.call('HGET', K.worker, 'failed_job') ~= job.id then
      redis.call('HINCRBY', K.worker, 'failures', 1)
      redis.call('HSET', K.worker, 'failed_ms', now_ms(), 'failed_job', job.id)
    end
  end
  pay(K, job, end_.ran or 0)
  redis.call('HDEL', K.job, 'charge', 'user_charge', 'group_charge', 'preempting', 'probed')
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
                            probed = end_.probed,
                            closed = end_.closed, closed_as = end_.closed and state}) do
    if value and value ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  redis.call('HSET', K.job, unpack(fields))
  unsay(K.job)
  redis.call('HDEL', K.job, 'held')
  if end_.result and end_.result ~= '' then redis.call('SET', K.result, end_.result) end
  redis.call('ZADD', end_.listed and K.done or K.hidden, event_score(id), job.id)
  if remaining(K) == 0 then redis.call('SREM', K.users, job.user) end
  return state
end

-- Back to its old place in the queue, nothing of the attempt left but its number.
local function requeue(K, job, reason, fields)
  enqueue(K, job, false)
  redis.call('HDEL', K.job, 'worker', 'gpu', 'agent', 'reserved_bytes', 'attempt_uuid', 'sid',
    'admitted_ms', 'started_ms', 'granted_seconds', 'granted_load_seconds',
    'trial')
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
-- two ways it may end. end_ is leave_worker's, with `closed`, the attempt's number, when
-- its agent says so, and `returned`: given back in order, which counts against nobody.
local function lose(K, job, max_losses, closing, end_)
  leave_worker(K, job, end_)
  local closed = end_.closed
  if job.state == 'CANCELLING' then
    return end_job(K, job, 'CANCELLED', {
      result = closing.cancel_result, frames = closing.cancel_frames, listed = true,
      closed = closed,
    })
  end
  local fields = {}
  if closed then fields.closed, fields.closed_as = closed, 'QUEUED' end
  if end_.returned then
    if not job.preempting then return requeue(K, job, 'returned', fields) end
    fields.preemptions = (job.preemptions or 0) + 1
    return requeue(K, job, 'preempted', fields)
  end
  fields.losses = (job.losses or 0) + 1
  if fields.losses >= max_losses then
    return end_job(K, job, 'FAILED', {
      reason = 'poison', result = closing.poison_result, frames = closing.poison_frames,
      listed = true, losses = fields.losses, closed = closed,
    })
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
