-- Store what a closed attempt taught. Each attempt counts once.
-- KEYS  1 leader, 2 job, 3 fingerprints, then profiles
-- ARGV  1 epoch, 2 seconds that they are kept for, then for each profile: fingerprint, text
-- Reply 1 when it is stored by now, 0 when the caller leads no more or there is nothing to learn from
if not is_leader(KEYS[1], ARGV[1]) then return 0 end
local closed, learned = unpack(redis.call('HMGET', KEYS[2], 'closed', 'learned'))
if not closed then return 0 end
if learned == closed then return 1 end
for i = 4, #KEYS do
  redis.call('SADD', KEYS[3], ARGV[2 * i - 5])
  redis.call('SET', KEYS[i], ARGV[2 * i - 4], 'EX', ARGV[2])
end
redis.call('HSET', KEYS[2], 'learned', closed)
return 1
