--
-- Prepared transactions.  kv_prepared_1.out is for max_prepared_transactions = 0.
--
\pset null '<null>'
SELECT skyvault_flush() >= 0 AS drained;
SELECT skyvault_create_table('kv');
SELECT skyvault_multi_put('kv', ARRAY['a', 'b'], ARRAY['1', '2']);

BEGIN;
SELECT skyvault_put('kv', 'a', 'prepared');
SELECT skyvault_delete('kv', 'b');
SELECT skyvault_put('kv', 'c', 'prepared');
PREPARE TRANSACTION 'regress_kv_1';
SELECT * FROM skyvault_scan('kv');
-- it holds up no flush, and its rows stay
SELECT skyvault_put('kv', 'd', '4');
SELECT skyvault_flush() > 0 AS flushed;
SELECT * FROM skyvault_scan('kv');
COMMIT PREPARED 'regress_kv_1';
SELECT * FROM skyvault_scan('kv');
SELECT skyvault_flush() > 0 AS flushed;
SELECT * FROM skyvault_scan('kv');

BEGIN;
SELECT skyvault_put('kv', 'a', 'never');
SELECT skyvault_delete('kv', 'd');
PREPARE TRANSACTION 'regress_kv_2';
SELECT skyvault_flush() >= 0 AS flushed;
ROLLBACK PREPARED 'regress_kv_2';
SELECT * FROM skyvault_scan('kv');
SELECT skyvault_flush() >= 0 AS flushed;
SELECT * FROM skyvault_scan('kv');

-- the first write to a table
SELECT skyvault_create_table('kv_first');
BEGIN;
SELECT skyvault_put('kv_first', 'a', '1');
PREPARE TRANSACTION 'regress_kv_3';
SELECT * FROM skyvault_scan('kv_first');
SELECT skyvault_flush() >= 0 AS flushed;
COMMIT PREPARED 'regress_kv_3';
SELECT * FROM skyvault_scan('kv_first');

DROP FOREIGN TABLE kv, kv_first;
