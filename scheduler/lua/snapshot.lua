-- What one plan sees, at one instant. It only reads, and it is the one script that makes key
-- names itself (all of the pool's slot): naming thousands of jobs costs more than the rest.
-- KEYS  1 users, 2 inflight, 3 turns of groups, 4 agents, 5 workers, 6 gpus
-- ARGV  1 what every key begins with, 2 window, 3 when the caller last looked (ms; '' never), then
--       for each user whose first jobs the caller knows: user, seen
-- Reply {run_id, now in ms, users, active, groups, agents, workers, GPUs, fresh}:
--       users: for each: {user, group, last_admitted_ms, virtual, queued, running, seen}, heads;
--       active: for each: id, rev; groups: for each: group, virtual;
--       agents, workers, GPUs: for each: id, its hash as field, value, … joined by unit
--       separators (a reader need not take apart what is as it was); a worker's with its
--       GPU's holds, `used` and `reserved`.
--       Heads are a line for each of the first jobs: id, rev, said, skips, tab-separated; nil
--       where the caller knows them.
--       fresh: for jobs that have come, or moved on, since the caller last looked: their hashes
--       as field, value, … It saves the caller the question; who finds a job missing there asks.
local FRESH_MAX = 32
local prefix, window, last = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local call = redis.call

local fresh = {}
local function freshen(key, since)
  if last and since and tonumber(since) >= last and #fresh < FRESH_MAX then
    fresh[#fresh + 1] = call('HGETALL', key)
  end
end

local function heads(user)
  local lines = call('ZRANGE', prefix .. 'queue:' .. user, 0, window - 1)
  for n, id in ipairs(lines) do
    local key = prefix .. 'job:' .. id
    local seen = call('HMGET', key, 'rev', 'said', 'skips', 'submitted_ms')
    lines[n] = id .. '\t' .. (seen[1] or '') .. '\t' .. (seen[2] or '') .. '\t' .. (seen[3] or '')
    freshen(key, seen[4])
  end
  return table.concat(lines, '\n')
end

local known = {}
for i = 4, #ARGV, 2 do known[ARGV[i]] = ARGV[i + 1] end
local users = {}
for _, user in ipairs(call('SMEMBERS', KEYS[1])) do
  local record = call('HMGET', prefix .. 'user:' .. user, 'group', 'last_admitted_ms', 'virtual',
    'seen')
  local queued = call('ZCARD', prefix .. 'queue:' .. user)
  local running = call('ZCARD', prefix .. 'active:' .. user)
  if queued > 0 or running > 0 then
    local seen = record[4] or ''
    users[#users + 1] = {
      {user, record[1] or '', record[2] or '0', record[3] or '0', queued, running, seen},
      known[user] ~= seen and heads(user),
    }
  end
end

local active = {}
for _, id in ipairs(call('ZRANGE', KEYS[2], 0, -1)) do
  local key = prefix .. 'job:' .. id
  local seen = call('HMGET', key, 'rev', 'started_ms', 'admitted_ms')
  active[#active + 1] = {id, seen[1] or ''}
  freshen(key, seen[2] or seen[3])
end

local function records(ids, kind)
  local found = {}
  for _, id in ipairs(ids) do
    found[#found + 1] = {id, table.concat(call('HGETALL', prefix .. kind .. ':' .. id), '\31')}
  end
  return found
end

local workers = records(call('SMEMBERS', KEYS[5]), 'worker')
for _, worker in ipairs(workers) do
  local id = worker[1]
  local gpu = call('HGET', prefix .. 'worker:' .. id, 'gpu') or ''
  local held = call('HMGET', prefix .. 'holds:' .. gpu, 'u:' .. id, 'r:' .. id)
  worker[2] = table.concat({'used', held[1] or '0', 'reserved', held[2] or '0', worker[2]}, '\31')
end
return {string.match(call('INFO', 'server'), 'run_id:(%x+)'), now_ms(), users, active,
  call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'), records(call('SMEMBERS', KEYS[4]), 'agent'),
  workers, records(call('SMEMBERS', KEYS[6]), 'gpu'), fresh}
