-- Forget ended jobs of one user, and the files that no later job has named.
-- KEYS  1 leader, 2 done or hidden, 3 names, 4 files, 5 origins, 6 counters, 7 user,
--       then for each job: job, prompt, result, outputs
-- ARGV  1 epoch, 2 highest score that the recorder has, then job ids
-- Reply how many were forgotten, or -1 when the caller leads no more
if not is_leader(KEYS[1], ARGV[1]) then return -1 end
local recorded = tonumber(ARGV[2])
local forgotten = 0

local function forget_file(id, field)
  local text = redis.call('HGET', KEYS[4], field)
  local where = text and cjson.decode(text)
  if not where or where.job ~= id then return end
  local type = string.match(field, '^[^/]*')
  redis.call('HDEL', KEYS[4], field)
  redis.call('HDEL', KEYS[5],
    file_origin(where.agent, where.worker, type, where.subfolder, where.filename))
  local folder, name = string.match(field, '^(.*/)([^/]*)$')
  local head, number, tail = split_counter(name)
  local trimmed = '!' .. folder .. head .. '*' .. tail
  if number > tonumber(redis.call('HGET', KEYS[6], trimmed) or -1) then
    redis.call('HSET', KEYS[6], trimmed, number)
  end
end

local function forget_name(id, job)
  -- A hidden job's prompt_id may be another job's by now.
  local named = job.prompt_id and redis.call('HGET', KEYS[3], 'p:' .. job.prompt_id)
  if named and string.match(named, ' (%S+)$') == id then
    redis.call('HDEL', KEYS[3], 'p:' .. job.prompt_id)
  end
  if job.key then redis.call('HDEL', KEYS[3], 'k:' .. job.key) end
end

for i = 3, #ARGV do
  local id = ARGV[i]
  local score = redis.call('ZSCORE', KEYS[2], id)
  if score and tonumber(score) <= recorded then
    local k = 4 * i - 4
    forget_name(id, load(KEYS[k]) or {})
    for _, field in ipairs(redis.call('SMEMBERS', KEYS[k + 3])) do forget_file(id, field) end
    redis.call('DEL', KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3])
    redis.call('ZREM', KEYS[2], id)
    forgotten = forgotten + 1
  end
end
if forgotten > 0 then stamp(KEYS[7]) end
return forgotten
