\set n random(1, 1000)
SELECT loop_skyvault(keys) FROM batch WHERE n = :n;
