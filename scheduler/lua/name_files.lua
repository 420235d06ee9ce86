-- Give outputs names in the user's space.
-- KEYS  1 files, 2 origins, 3 counters
-- ARGV  1 agent, 2 worker, then for each file: type, worker_subfolder, worker_filename, subfolder
-- Reply file names, in the order asked
local now = now_ms()
local names = {}

-- x_00001_.png → 'x_', 1, '_.png'; a name without a counter gets one, as ComfyUI writes them.
local function split(filename)
  local head, digits, tail = string.match(filename, '^(.*_)(%d+)(_?%.[^.]*)$')
  if head then return head, tonumber(digits), tail end
  local stem, extension = string.match(filename, '^(.+)(%.[^.]*)$')
  return (stem or filename) .. '_', 0, '_' .. (extension or '')
end

local function free_name(folder, filename)
  local head, number, tail = split(filename)
  local counter = folder .. head .. '*' .. tail
  local highest = tonumber(redis.call('HGET', KEYS[3], counter) or 0)
  local name = filename
  if redis.call('HEXISTS', KEYS[1], folder .. name) == 1 then
    number = math.max(highest, number)
    repeat
      number = number + 1
      name = head .. string.format('%05d', number) .. tail
    until redis.call('HEXISTS', KEYS[1], folder .. name) == 0
  end
  if number > highest then redis.call('HSET', KEYS[3], counter, number) end
  return name
end

for i = 3, #ARGV, 4 do
  local type, sub, filename = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local folder = type .. '/' .. ARGV[i + 3] .. '/'
  local origin = table.concat({ARGV[1], ARGV[2], type, sub, filename}, '\n')
  local name = redis.call('HGET', KEYS[2], origin)
  if not name then
    name = free_name(folder, filename)
    redis.call('HSET', KEYS[2], origin, name)
  end
  redis.call('HSET', KEYS[1], folder .. name, cjson.encode({
    agent = ARGV[1], worker = ARGV[2], subfolder = sub, filename = filename,
    at_ms = now, seq = (i - 3) / 4,
  }))
  names[#names + 1] = name
end
return names
