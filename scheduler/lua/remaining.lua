-- How many unfinished jobs a user has at one instant.
-- KEYS  1 active, 2 queue, 3 held
-- Reply count
return remaining({active = KEYS[1], queue = KEYS[2], held = KEYS[3]})
