-- Give outputs names in the user's space.
-- KEYS  1 files, 2 origins, 3 counters, 4 outputs of the job
-- ARGV  1 agent, 2 worker, 3 job ('' none), then for each file: type, worker_subfolder, worker_filename, subfolder
-- Reply file names, in the order asked
local now = now_ms()
local names = {}

local function free_name(folder, filename)
  local head, number, tail = split_counter(filename)
  local counter = folder .. head .. '*' .. tail
  local highest = tonumber(redis.call('HGET', KEYS[3], counter) or 0)
  local trimmed = tonumber(redis.call('HGET', KEYS[3], '!' .. counter) or -1)
  local name = filename
  -- A name whose record was trimmed still is that file's in the store.
  if number <= trimmed or redis.call('HEXISTS', KEYS[1], folder .. name) == 1 then
    number = math.max(highest, number, trimmed)
    repeat
      number = number + 1
      name = head .. string.format('%05d', number) .. tail
    until redis.call('HEXISTS', KEYS[1], folder .. name) == 0
  end
  if number > highest then redis.call('HSET', KEYS[3], counter, number) end
  return name
end

for i = 4, #ARGV, 4 do
  local type, sub, filename = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local folder = type .. '/' .. ARGV[i + 3] .. '/'
  local origin = file_origin(ARGV[1], ARGV[2], type, sub, filename)
  local name = redis.call('HGET', KEYS[2], origin)
  if not name then
    name = free_name(folder, filename)
    redis.call('HSET', KEYS[2], origin, name)
  end
  redis.call('HSET', KEYS[1], folder .. name, cjson.encode({
    agent = ARGV[1], worker = ARGV[2], subfolder = sub, filename = filename,
    at_ms = now, seq = (i - 4) / 4, job = ARGV[3],
  }))
  if ARGV[3] ~= '' then redis.call('SADD', KEYS[4], folder .. name) end
  names[#names + 1] = name
end
return names
