-- One round, nothing cached but the tails of runs.  psql variables: wanted, sample (rows
-- that are looked up one by one), ms.
SET skyvault.enable_batched_join = on;
SELECT skyvault_clear_cache() \g /dev/null
SELECT count(*) FROM skyvault_index('far') \g /dev/null
SELECT rows_per_second AS batched, gets AS batched_gets FROM bench_join('far', :wanted, 'Skyvault Batched Join', 'Hash Join',
	'{enable_hashjoin=off,enable_mergejoin=off,enable_nestloop=off,work_mem=64MB}') \gset
SELECT skyvault_clear_cache() \g /dev/null
SELECT count(*) FROM skyvault_index('far') \g /dev/null
SELECT rows_per_second AS single, gets AS single_gets FROM bench_join('far', :sample, 'Nested Loop', 'Batched',
	'{enable_hashjoin=off,enable_mergejoin=off,enable_nestloop=on,enable_memoize=off,skyvault.enable_batched_join=off}') \gset

SELECT concat_ws(E'\t', work, system, unit, round(figure::numeric, 2)) FROM (VALUES
	('join; cold; ' || :ms || ' ms', 'skyvault', 'rows/s', :batched),
	('join; cold; ' || :ms || ' ms', 'skyvault; one lookup per row', 'rows/s', :single),
	('GETs a key; cold; ' || :ms || ' ms', 'skyvault', 'GETs per 1000 keys', 1000.0 * :batched_gets / :wanted),
	('GETs a key; cold; ' || :ms || ' ms', 'skyvault; one lookup per row', 'GETs per 1000 keys', 1000.0 * :single_gets / :sample))
	AS f(work, system, unit, figure);
