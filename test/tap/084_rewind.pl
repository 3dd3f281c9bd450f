# An old primary that went on for a while after its standby was promoted, and is then
# rewound to follow it: it reads what the new one has, from its own caches too, and what
# it had written beyond is collected by the new one.  In the end it is promoted again.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultClones;
use SkyvaultTest;
use Test::More;

my @tables = qw(kv other);
my ($old, $store) = origin('old', streaming => 1, settings => <<'SETTINGS');
max_connections = 20
max_worker_processes = 20
wal_keep_size = 256MB
SETTINGS

make_mirror($old, ['other'], 'shared');
$old->backup('backup');
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init_from_backup($old, 'backup', has_streaming => 1);
$new->start;

# Keys of both tables, some of which are deleted again, in a run.
sub write_round
{
	my ($node, $round) = @_;

	$node->safe_psql('postgres', <<~SQL);
		SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('round $round of ' || n))
			FROM unnest('{kv,other}'::text[]) AS t, generate_series($round * 30, $round * 50 + 100) AS n GROUP BY t;
		SELECT mirror_delete(t, 'key' || n) FROM unnest('{kv,other}'::text[]) AS t, generate_series($round * 35, $round * 35 + 9) AS n;
		SQL
	return $node->safe_psql('postgres', "SELECT skyvault_flush('shared')");
}

sub compact { $_[0]->safe_psql('postgres', "SELECT skyvault_compact('$_', full => true)") foreach @tables; }

sub clear { $_->safe_psql('postgres', 'SELECT skyvault_clear_cache()') foreach @_; }

# What gets, a batch, scans and joins answer.
my %planned = planned_reads(@tables);
my $digest = join(';', (map { $planned{$_} } sort keys %planned), map { content_of($_) } @tables);

sub follows
{
	my ($case) = @_;

	$new->wait_for_catchup($old, 'replay', $new->lsn('insert'));
	is($old->safe_psql('postgres', $digest), $new->safe_psql('postgres', $digest), "$case: it answers as the new primary does");
	same_content($old, \@tables, "$case: tables agree with their mirrors there");
}

write_round($old, 1);
write_round($old, 2);
$old->wait_for_catchup($new, 'replay', $old->lsn('insert'));
$new->promote;
$new->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'not promoted';

# The new one has not written yet, so that the old one goes on: in the delta, in runs, and
# with what it merges.
$old->safe_psql('postgres', "SELECT mirror_put('kv', 'key60', 'of the old one'); SELECT mirror_put('kv', 'lost', 'x')");
cmp_ok(write_round($old, 3), '>', 0, 'as long as the new primary writes nothing the old one does');
compact($old);
$old->safe_psql('postgres', "SELECT mirror_put('other', 'lost', 'in the delta'); SELECT mirror_delete('kv', 'key90')");
my @beyond = run_objects($old);
$old->safe_psql('postgres', "SELECT skyvault_export('shared'); SELECT skyvault_snapshot(NULL, 'shared')");

clear($new);
same_content($new, \@tables, 'the new primary reads what it had, which the old one has merged since');
my $before = stored_objects($store);
cmp_ok(write_round($new, 4), '>', 0, 'it writes');
is_fenced($old, 'the old primary');
is(harmed_objects($before, stored_objects($store)), '', 'and nothing that is there is harmed');
same_content($new, \@tables, 'the new primary has what it wrote');
$new->safe_psql('postgres', "SELECT skyvault_export('shared')");
is(restored_content($new, $store), $new->safe_psql('postgres', content_of('kv')), 'a restore follows the new primary');

#
# The old one is rewound.
#
$before = stored_objects($store);
$old->stop;
$new->safe_psql('postgres', 'CHECKPOINT');
my $conf = slurp_file($old->data_dir . '/postgresql.conf');
command_ok([ 'pg_rewind', '--no-sync', '--source-server', $new->connstr('postgres'), '--target-pgdata', $old->data_dir ], 'pg_rewind');
unlink($old->data_dir . '/postgresql.conf');
$old->append_conf('postgresql.conf', $conf);
$old->enable_streaming($new);
$old->start;
follows('rewound');
is($old->safe_psql('postgres', "SELECT skyvault_get('kv', 'lost'), skyvault_get('other', 'lost'), skyvault_get('kv', 'key90') IS NULL"),
	$new->safe_psql('postgres', "SELECT NULL, NULL, skyvault_get('kv', 'key90') IS NULL"), 'rewound: what it had written beyond is not there');
is($old->safe_psql('postgres', $_), $new->safe_psql('postgres', $_), 'rewound: it knows the owner') foreach 'SELECT state, epoch, incarnation FROM skyvault_vaults';
is(harmed_objects($before, stored_objects($store)), '', 'rewound: nothing in the store is harmed');
is(scalar(grep { !-e "$store/$_" } @beyond), 0, 'rewound: what the old primary wrote beyond is still there');

# The new one goes on, and collects what nobody knows any more.
write_round($new, 5);
follows('written');
compact($new);
follows('merged');
reload_with($new, 'skyvault.retention = 0', 'skyvault.orphan_grace = 0');
ok($new->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM skyvault_gc(sweep => true, vault => 'shared') WHERE held_by IS NOT NULL AND held_by <> 'the latest automatic snapshot'"),
	'the new primary collects all that it need not keep');
is(scalar(grep { -e "$store/$_" } @beyond), 0, 'what the old one wrote beyond has gone');
clear($old, $new);
follows('collected');
same_content($new, \@tables, 'collected: and so does the new primary');
is($new->safe_psql('postgres', "SELECT object, problem FROM skyvault_verify_vault('shared', true)"), '', 'collected: nothing is missing in the store, or too much');

#
# And back, while the other one lives.
#
my $epoch = $new->safe_psql('postgres', 'SELECT epoch FROM skyvault_vaults');
$new->safe_psql('postgres', "SELECT mirror_put('kv', 'replicated', 'in the delta')");
follows('before it is promoted');
$old->promote;
$old->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'not promoted';
cmp_ok(write_round($old, 6), '>', 0, 'promoted again: it writes');
is($old->safe_psql('postgres', 'SELECT state, epoch FROM skyvault_vaults'), 'owner|' . ($epoch + 1), 'promoted again: as the owner');
$before = stored_objects($store);
is_fenced($new, 'the second old primary');
is_deeply(stored_objects($store), $before, 'the second old primary changes nothing in the store');
compact($old);
$old->safe_psql('postgres', "SELECT skyvault_export('shared')");
clear($old);
same_content($old, \@tables, 'promoted again: nothing is lost');
is(restored_content($old, $store), $old->safe_psql('postgres', content_of('kv')), 'promoted again: a restore follows it');
is($old->safe_psql('postgres', "SELECT object, problem FROM skyvault_verify_vault('shared', true)"), '', 'promoted again: nothing is missing');
reload_with($old, 'skyvault.snapshot_changes = 5000');
ok($old->poll_query_until('postgres', 'SELECT count(*) = 1 FROM skyvault.snapshot AS s JOIN skyvault.owner AS o ON o.epoch = s.epoch'),
	'promoted again: it takes a snapshot');
$_->stop foreach $old, $new;

done_testing();
