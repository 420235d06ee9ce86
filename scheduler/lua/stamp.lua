-- Tell readers who keep answers about a user's jobs that these have changed elsewhere.
-- KEYS  1 user
-- Reply 1, or 0 where there is no such user
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
stamp(KEYS[1])
return 1
