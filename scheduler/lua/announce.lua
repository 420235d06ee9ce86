-- Say where a gateway answers, and forget those that have stopped saying so.
-- KEYS  1 gateways
-- ARGV  1 gateway, 2 url, 3 ttl_ms
-- Reply 1
local now = now_ms()
for id, entry in pairs(load(KEYS[1]) or {}) do
  if tonumber(string.match(entry, '^%d+')) < now then redis.call('HDEL', KEYS[1], id) end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + ARGV[3]) .. ' ' .. ARGV[2])
return 1
