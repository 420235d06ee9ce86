-- Forget an agent, a worker or a GPU that has been silent for long and has no job.
-- KEYS  1 leader, 2 agents, workers or gpus, 3 its record, 4 fleet of its agent,
--       5 holds of its GPU (of an agent: its inbox)
-- ARGV  1 epoch, 2 id, 3 silent_ms, 4 its field in the fleet ('' for an agent),
--       5 agent, 6 gpu (as the caller believes; '' where it has none)
-- Reply 1, or 0 when it stays
if not is_leader(KEYS[1], ARGV[1]) then return 0 end
local id, field = ARGV[2], ARGV[4]
local record = load(KEYS[3])
if record then
  if now_ms() - (record.heartbeat_ms or 0) <= tonumber(ARGV[3]) or record.job then return 0 end
  if (record.agent or '') ~= ARGV[5] or (record.gpu or '') ~= ARGV[6] then return 0 end
end
if field == '' then
  for name in pairs(load(KEYS[4]) or {}) do
    if name ~= 'rev' then return 0 end
  end
  redis.call('DEL', KEYS[4], KEYS[5])
else
  redis.call('HDEL', KEYS[5], 'u:' .. id)
  -- A GPU stays as long as one of its workers does.
  if string.sub(field, 1, 2) == 'g:' and redis.call('EXISTS', KEYS[5]) == 1 then return 0 end
  if redis.call('HDEL', KEYS[4], field) == 1 then redis.call('HINCRBY', KEYS[4], 'rev', 1) end
end
redis.call('DEL', KEYS[3])
redis.call('SREM', KEYS[2], id)
return 1
