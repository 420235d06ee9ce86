-- What never changes of some jobs.
-- KEYS  jobs
-- Reply prompt_id ('' where there is no such job), client_id (nil: none), submitted_ms; for each
local heads = {}
for i, key in ipairs(KEYS) do
  local found = redis.call('HMGET', key, 'prompt_id', 'client_id', 'submitted_ms')
  heads[3 * i - 2], heads[3 * i - 1], heads[3 * i] = found[1] or '', found[2], found[3] or '0'
end
return heads
