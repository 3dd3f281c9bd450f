\set n random(1, :keys / 1000)
SELECT skyvault_multi_put('kv', keys, "values") FROM batch WHERE n = :n;
