-- Read profiles, and strike those that have expired from the list.
-- KEYS  1 fingerprints, then profiles
-- ARGV  fingerprints
-- Reply texts in the order asked, nil for what has expired
local texts = {}
for i = 2, #KEYS do
  texts[i - 1] = redis.call('GET', KEYS[i])
  if not texts[i - 1] then redis.call('SREM', KEYS[1], ARGV[i - 1]) end
end
return texts
