-- One round, everything cached; prints tab-separated lines: work, system, unit, figure.
-- psql variable: wanted.
SELECT concat_ws(E'\t', 'join; warm', system, 'rows/s', round(rows_per_second::numeric)) FROM (VALUES
	('skyvault', 'near', 'Skyvault Batched Join', 'Hash Join', '{enable_hashjoin=off,enable_mergejoin=off,enable_nestloop=off}'),
	('plain; nested loop', 'plain', 'Nested Loop', 'Hash Join', '{enable_hashjoin=off,enable_mergejoin=off,enable_nestloop=on,enable_memoize=off}'),
	('plain; hash join', 'plain', 'Hash Join', 'Nested Loop', '{enable_hashjoin=on,enable_mergejoin=off,enable_nestloop=off}'),
	('skyvault; one lookup per row', 'near', 'Nested Loop', 'Batched', '{enable_hashjoin=off,enable_mergejoin=off,enable_nestloop=on,enable_memoize=off,skyvault.enable_batched_join=off}'),
	('skyvault; hash join', 'near', 'Hash Join', 'Batched', '{enable_hashjoin=on,enable_mergejoin=off,enable_nestloop=off,skyvault.enable_batched_join=off}'))
	AS f(system, rel, plan, not_plan, settings),
	LATERAL bench_join(rel::regclass, :wanted, plan, not_plan, settings::text[]);
