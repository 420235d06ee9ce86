-- An agent's heartbeat: everything it sees, merged with what the ledger knows better.
-- KEYS  1 events, 2 agents, 3 workers, 4 gpus, 5 agent, 6 fleet, 7 inbox, 8 leader,
--       then for each worker: worker, holds of the GPU it had, holds of the GPU it has;
--       then for each GPU: gpu, holds
-- ARGV  1 agent, 2 url, 3 version, 4 fleet rev (as the caller believes), 5 workers, 6 GPUs,
--       7 host_total_bytes, 8 host_available_bytes, 9 boot ('': not told), 10 protocol,
--       then for each worker: id, named (1/0), GPU it had, GPU it has, state, used_bytes, models,
--       has_probe, limit, host_used_bytes, catalogue, detail, loaded (job, '': none);
--       then for each GPU: id, named (1/0), index, name, total, used, foreign, state, memory_source,
--       vitals
-- Reply {'OK', protocol of the leader ('': none has led), then for each GPU that another agent
--       claims too: id, that agent} | {'MOVED'} | {'REPLACED'}
local TELL_AGAIN_MS = 5000
local GREW_BYTES = 64 * 1024 * 1024
local CLAIM_MS = 5000

local events, fleet = KEYS[1], KEYS[6]
local agent = ARGV[1]
if (redis.call('HGET', fleet, 'rev') or '0') ~= ARGV[4] then return {'MOVED'} end

local me = pick(KEYS[5], 'boot', 'former')
local boot = ARGV[9]
if boot ~= '' and me.boot and me.boot ~= boot then
  -- whoever was replaced and still reports runs beside its successor
  if me.former == boot then return {'REPLACED'} end
  redis.call('HSET', KEYS[5], 'former', me.boot)
end

local now = now_ms()
local spoken = redis.call('HGET', KEYS[8], 'protocol')
local understood = not spoken or spoken == ARGV[10]
local reply = {'OK', spoken or ''}
local change = nil
local fleet_changed = false
local function changed(worker, gpu, reason)
  change = change or {worker = worker, gpu = gpu, reason = reason}
end
local function enlist(field, value)
  if redis.call('HGET', fleet, field) ~= value then
    redis.call('HSET', fleet, field, value)
    fleet_changed = true
  end
end
local function dismiss(field)
  redis.call('HDEL', fleet, field)
  fleet_changed = true
end

local function merge_worker(key, old_holds, new_holds, a)
  local id, old_gpu, gpu, state, models = ARGV[a], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 6]
  local known = load(key)
  local holds = new_holds
  if known and known.job and known.agent == agent then
    gpu, holds = old_gpu, old_holds  -- a reservation stays on the GPU it was made on
  elseif old_gpu ~= gpu then
    redis.call('HDEL', old_holds, 'u:' .. id)
  end
  if not understood then
    state = 'DOWN'
  elseif state ~= 'DOWN' then
    state = known and known.state == 'RELEASING' and 'RELEASING' or 'READY'
  end
  if state == 'RELEASING' and now - (known.told_ms or 0) > TELL_AGAIN_MS then
    redis.call('RPUSH', KEYS[7], table.concat({'release', id, '', 0}, '\t'))
    redis.call('HSET', key, 'told_ms', now)
  end
  if not known then
    changed(id, gpu, 'worker_appeared')
  elseif known.state ~= state then
    changed(id, gpu, 'worker_' .. string.lower(state))
  elseif (known.catalogue or '') ~= ARGV[a + 10] then
    changed(id, gpu, 'catalogue')
  elseif known.models ~= models then
    changed(id, gpu, 'models')
  elseif ARGV[a + 12] ~= '' and ARGV[a + 12] == known.job and ARGV[a + 12] ~= known.loaded then
    changed(id, gpu, 'loaded')  -- what waits for that load may start
  end
  redis.call('HSET', key, 'agent', agent, 'gpu', gpu, 'state', state, 'models', models,
    'has_probe', ARGV[a + 7], 'limit', ARGV[a + 8], 'host_used_bytes', ARGV[a + 9],
    'heartbeat_ms', now, 'catalogue', ARGV[a + 10], 'detail', ARGV[a + 11],
    'loaded', ARGV[a + 12])
  redis.call('HSET', holds, 'u:' .. id, ARGV[a + 5])
  redis.call('SADD', KEYS[3], id)
  enlist('w:' .. id, gpu)
end

local function lose_worker(key, old_holds, a)
  local id = ARGV[a]
  local known = load(key)
  if not known or known.agent ~= agent then return dismiss('w:' .. id) end
  if known.state ~= 'DOWN' then
    redis.call('HSET', key, 'state', 'DOWN')
    redis.call('HDEL', old_holds, 'u:' .. id)  -- its process has gone, and its memory with it
    changed(id, known.gpu, 'worker_gone')
  end
  if not known.job then dismiss('w:' .. id) end
end

local function headroom(total, foreign, holds_key)
  local holds, free = {}, total - foreign
  local flat = redis.call('HGETALL', holds_key)
  for i = 1, #flat, 2 do
    local worker = string.sub(flat[i], 3)
    holds[worker] = math.max(holds[worker] or 0, tonumber(flat[i + 1]))
  end
  for _, held in pairs(holds) do free = free - held end
  return free
end

local function merge_gpu(key, holds, a)
  local id, state = ARGV[a], ARGV[a + 7]
  local known = load(key)
  if known and known.agent ~= agent and now - known.heartbeat_ms < CLAIM_MS then
    -- each counts the other's workers as foreign: neither's figures can be believed
    if known.rival ~= agent then changed('', id, 'gpu_claimed_twice') end
    redis.call('HSET', key, 'rival', agent, 'rival_ms', now, 'state', 'SUSPECT')
    reply[#reply + 1], reply[#reply + 2] = id, known.agent
    return
  end
  if known and known.rival then
    if known.rival ~= agent and now - known.rival_ms < CLAIM_MS then
      state = 'SUSPECT'
      reply[#reply + 1], reply[#reply + 2] = id, known.rival
    else
      redis.call('HDEL', key, 'rival', 'rival_ms')
    end
  end
  local free = headroom(tonumber(ARGV[a + 4]), tonumber(ARGV[a + 6]), holds)
  local announced = known and tonumber(known.announced_bytes) or free
  if not known then
    changed('', id, 'gpu_appeared')
  elseif known.state ~= state then
    changed('', id, 'gpu_' .. string.lower(state))
  elseif free > announced + GREW_BYTES then
    changed('', id, 'headroom')
    announced = free
  end
  -- What shrank bit by bit counts as news when it has grown back.
  announced = math.min(announced, free)
  redis.call('HSET', key, 'agent', agent, 'index', ARGV[a + 2], 'name', ARGV[a + 3],
    'total_bytes', ARGV[a + 4], 'used_bytes', ARGV[a + 5], 'foreign_bytes', ARGV[a + 6],
    'state', state, 'memory_source', ARGV[a + 8], 'heartbeat_ms', now,
    'announced_bytes', announced, 'vitals', ARGV[a + 9])
  redis.call('SADD', KEYS[4], id)
  enlist('g:' .. id, '1')
end

local function lose_gpu(key, a)
  local id = ARGV[a]
  dismiss('g:' .. id)
  if redis.call('HGET', key, 'agent') ~= agent then return end
  redis.call('DEL', key)
  redis.call('SREM', KEYS[4], id)
  changed('', id, 'gpu_gone')
end

local k, a = 9, 11
for _ = 1, tonumber(ARGV[5]) do
  if ARGV[a + 1] == '1' then
    merge_worker(KEYS[k], KEYS[k + 1], KEYS[k + 2], a)
  else
    lose_worker(KEYS[k], KEYS[k + 1], a)
  end
  k, a = k + 3, a + 13
end
for _ = 1, tonumber(ARGV[6]) do
  if ARGV[a + 1] == '1' then merge_gpu(KEYS[k], KEYS[k + 1], a) else lose_gpu(KEYS[k], a) end
  k, a = k + 2, a + 10
end
redis.call('HSET', KEYS[5], 'url', ARGV[2], 'version', ARGV[3], 'heartbeat_ms', now,
  'host_total_bytes', ARGV[7], 'host_available_bytes', ARGV[8],
  'boot', boot, 'protocol', ARGV[10])
redis.call('SADD', KEYS[2], agent)
if fleet_changed then redis.call('HINCRBY', fleet, 'rev', 1) end
if change then emit(events, 'capacity', change) end
return reply
