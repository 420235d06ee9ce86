-- Which life of the server this is.
-- KEYS  1 leader (so that a cluster asks the node that holds the pool)
-- ARGV  none
-- Reply run_id
return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
