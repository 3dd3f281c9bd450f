\set n random(1, 1000)
SELECT loop_plain(keys) FROM batch WHERE n = :n;
