-- Take or keep the leadership.
-- KEYS  1 leader
-- ARGV  1 owner, 2 ttl_ms, 3 protocol that it understands
-- Reply epoch, or nil while another leads
local leader = load(KEYS[1]) or {}
local now = now_ms()
if leader.owner ~= ARGV[1] then
  if leader.owner and now < tonumber(leader['until']) then return nil end
  leader.epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', now + ARGV[2],
  'protocol', ARGV[3])
return tonumber(leader.epoch)
