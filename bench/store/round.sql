-- One round of measurements in one session; prints tab-separated lines: work,
-- unit, figure.  psql variables: rows, round, bytes_1k and bytes_100 (of the tables'
-- runs).  Keys of one round are far apart, and
-- others than those of the round before.
SELECT array_agg(bench_key(first + i * 300 % (:rows - 1000))) AS far_keys, array_agg(bench_key(first + i)) AS near_keys
FROM generate_series(0, 99) AS i, (SELECT 300 + :round * 53) AS f(first) \gset

SELECT bench_cold(true, :rows) \g /dev/null
SELECT us AS each_us, gets AS each_gets FROM bench_each('kv1k', :'far_keys') \gset
SELECT bench_cold(false, :rows) \g /dev/null
SELECT us AS disk_us, gets AS disk_gets FROM bench_each('kv1k', :'far_keys') \gset
SELECT bench_check('the disk cache was not used', :disk_gets = 0) \g /dev/null
SELECT us AS memory_us FROM bench_each('kv1k', :'far_keys') \gset
SELECT bench_cold(true, :rows) \g /dev/null
SELECT us AS far_us, gets AS far_gets FROM bench_batch('kv1k', :'far_keys') \gset
SELECT bench_cold(true, :rows) \g /dev/null
SELECT us AS near_us, gets AS near_gets FROM bench_batch('kv1k', :'near_keys') \gset
SELECT skyvault_clear_cache(), skyvault_clear_disk_cache() \g /dev/null
SELECT us AS scan_1k_us FROM bench_scan('kv1k', :rows) \gset
SELECT skyvault_clear_cache(), skyvault_clear_disk_cache() \g /dev/null
SELECT us AS scan_100_us FROM bench_scan('kv100', 10 * :rows) \gset

SELECT concat_ws(E'\t', work, unit, round(figure::numeric, 2)) FROM (VALUES
	('cold get', 'us', :each_us),
	('GETs per 100 cold gets', 'GETs', :each_gets),
	('disk cache hit', 'us', :disk_us),
	('memory hit', 'us', :memory_us),
	('100 distant keys at once', 'us', :far_us),
	('100 distant keys at once; GETs', 'GETs', :far_gets),
	('100 neighbours at once', 'us', :near_us),
	('100 neighbours at once; GETs', 'GETs', :near_gets),
	('cold scan; 1 KiB values', 'stored bytes/s', :bytes_1k / :scan_1k_us * 1e6),
	('cold scan; 100-byte values', 'stored bytes/s', :bytes_100 / :scan_100_us * 1e6),
	('cold scan; 1 KiB values; raw', 'key and value bytes/s', :rows * 1034 / :scan_1k_us * 1e6),
	('cold scan; 100-byte values; raw', 'key and value bytes/s', :rows * 1100 / :scan_100_us * 1e6))
	AS f(work, unit, figure);
