-- Store profiles as they are.
-- KEYS  1 fingerprints, then profiles
-- ARGV  1 seconds that they are kept for, then for each profile: fingerprint, text
-- Reply how many
for i = 2, #KEYS do
  redis.call('SADD', KEYS[1], ARGV[2 * i - 2])
  redis.call('SET', KEYS[i], ARGV[2 * i - 1], 'EX', ARGV[1])
end
return #KEYS - 1
