\set n random(1, 1000)
SELECT cardinality(skyvault_get_array('kv', (SELECT keys FROM batch WHERE n = :n)));
