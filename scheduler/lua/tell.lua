-- Keep a batch of a probe's records until the recorder has stored it.
-- KEYS  1 records
-- ARGV  1 most bytes that may wait, 2 agent, 3 worker, 4 gpu, 5 boot, 6 records
-- Reply {'TOLD'} | {'FULL'}
local stream, most, size = KEYS[1], tonumber(ARGV[1]), #ARGV[6]

-- `sum` counts all bytes up to and with an entry, so that the first and the last tell what waits.
local function sum_of(entries)
  local entry = entries[1]
  if not entry then return nil end
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'sum' then return tonumber(entry[2][i + 1]) end
  end
end

local last = sum_of(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)) or 0
local first = sum_of(redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)) or 0
if last - first + size > most then
  if #redis.call('XINFO', 'GROUPS', stream) > 0 then return {'FULL'} end
  -- Nobody has ever recorded here: what is new is worth more than what is old.
  redis.call('XTRIM', stream, 'MAXLEN', math.floor(redis.call('XLEN', stream) / 2))
end
redis.call('XADD', stream, '*', 'agent', ARGV[2], 'worker', ARGV[3], 'gpu', ARGV[4],
  'boot', ARGV[5], 'sum', string.format('%.0f', last + size), 'records', ARGV[6])
return {'TOLD'}
