-- (none) → QUEUED, with its prompt.
-- KEYS  1-18 job keys, 19 prompt, 20 names, 21 everyone
-- ARGV  1 id, 2 user, 3 prompt_id, 4 idempotency key ('' none), 5 call, 6 max_queued (-1 none),
--       7 front (1/0), 8 need_bytes, 9 spec, 10 body, 11 group, 12 has client_id (1/0),
--       13 client_id, 14 deadline in ms from now ('' none), 15 batch (1/0)
-- Reply {'SUBMITTED', number, remaining} | {'OVERCAP', unfinished}
--       | {'DUPLICATE', job id, prompt_id, number, same key (1/0)} | {'MOVED', the user's group}
local K = job_keys()
local prompt, names = KEYS[19], KEYS[20]
local id, user_name, prompt_id, idem, call = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local known = load(K.job)
if known and known.born == call then
  return {'SUBMITTED', tonumber(known.number), remaining(K)}
end
if idem ~= '' then
  local first = redis.call('HGET', names, 'k:' .. idem)
  if first then
    local number, job_id, its_prompt = string.match(first, '^(%S+) (%S+) (.*)$')
    return {'DUPLICATE', job_id, its_prompt, tonumber(number), 1}
  end
end
if known then
  local own = known.user == user_name
  return {'DUPLICATE', id, own and known.prompt_id or prompt_id, own and tonumber(known.number) or 0, 0}
end
local taken = redis.call('HGET', names, 'p:' .. prompt_id)
if taken then
  local number, job_id = string.match(taken, '^(%S+) (%S+)$')
  return {'DUPLICATE', job_id, prompt_id, tonumber(number), 0}
end
local unfinished = remaining(K)
local limit = tonumber(ARGV[6])
if limit >= 0 and unfinished >= limit then return {'OVERCAP', unfinished} end
-- A user changes groups only when none of the user's jobs is unfinished: until then all of
-- them are charged to one group, whose turns they stand in.
if unfinished > 0 then
  local group = redis.call('HGET', K.user, 'group') or ''
  if group ~= ARGV[11] then return {'MOVED', group} end
end

-- ComfyUI's own way to the front: the negative count, so the last one in front goes first.
local number = redis.call('HINCRBY', K.user, 'number', 1)
if ARGV[7] == '1' then number = -number end
redis.call('HSET', K.user, 'group', ARGV[11])
local job = {
  id = id, user = user_name, prompt_id = prompt_id, state = 'QUEUED', rev = 1,
  number = number, need_bytes = ARGV[8], submitted_ms = now_ms(), born = call, spec = ARGV[9],
  group = ARGV[11],
}
if ARGV[12] == '1' then job.client_id = ARGV[13] end
if idem ~= '' then job.key = idem end
if ARGV[15] == '1' then job.batch = '1' end
if ARGV[14] ~= '' then job.deadline_ms = job.submitted_ms + ARGV[14] end
local flat = {}
for name, value in pairs(job) do
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end
redis.call('HSET', K.job, unpack(flat))
redis.call('SET', prompt, ARGV[10])
redis.call('HSET', names, 'p:' .. prompt_id, number .. ' ' .. id)
if idem ~= '' then
  redis.call('HSET', names, 'k:' .. idem, number .. ' ' .. id .. ' ' .. prompt_id)
end
enqueue(K, job, true)
redis.call('SADD', K.users, user_name)
redis.call('SADD', KEYS[21], user_name)
emit_job(K, 'submitted', job)
return {'SUBMITTED', number, unfinished + 1}
