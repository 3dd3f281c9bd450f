-- psql variables: keys, wanted.  The wanted keys are far apart, and in no order.
SELECT skyvault_flush();
SELECT bench_check('rows are in the delta', NOT EXISTS (SELECT FROM skyvault.delta));
ALTER TABLE plain ADD PRIMARY KEY (k);
INSERT INTO wanted SELECT n, hashint8extended(1 + (n::bigint * 7919 * 104729) % :keys, 42) FROM generate_series(1, :wanted) AS n;
SELECT bench_check('keys are wanted twice', (SELECT count(DISTINCT k) FROM wanted) > 0.99 * :wanted);
VACUUM ANALYZE plain, wanted;
ANALYZE near;
ANALYZE far;
