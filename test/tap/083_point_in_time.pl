# A base backup is recovered to a point in time, beside the server that has gone on
# from there with the same vault: one of them writes, the other reads what it should
# or says why not, nobody deletes what the other has, and a restore from the store
# follows the one that writes.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultClones;
use SkyvaultTest;
use Test::More;

my $archive = PostgreSQL::Test::Utils::tempdir();
my ($node, $store) = origin('origin', unused => 1, streaming => 1, settings => <<"SETTINGS");
max_connections = 20
max_worker_processes = 20
archive_mode = on
archive_command = 'cp "%p" "$archive/%f"'
SETTINGS

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Keys of a table, in a run.
sub write_run
{
	my ($server, $table, $round, $from, $to) = @_;

	$server->safe_psql('postgres', "SELECT mirror_multi_put('$table', array_agg('key' || n), array_agg('round $round of ' || n))"
		. " FROM generate_series($from, $to) AS n; SELECT skyvault_flush('shared')");
}

sub owner { return slurp_file((glob("$store/*/OWNER"))[0]); }

# The backup, recovered with archive recovery to the named point.
sub recovered
{
	my ($name, $point, $settings) = @_;
	my $recovered = PostgreSQL::Test::Cluster->new($name);

	$recovered->init_from_backup($node, 'backup');
	$recovered->append_conf('postgresql.conf', <<"SETTINGS" . ($settings // ''));
archive_mode = off
restore_command = 'cp "$archive/%f" "%p"'
recovery_target_name = '$point'
recovery_target_action = 'promote'
SETTINGS
	$recovered->set_recovery_mode;
	$recovered->start;
	$recovered->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die "$name is not recovered";
	return $recovered;
}

make_mirror($node, ['other'], 'shared');
sql("SELECT mirror_put('kv', 'before', 'the first flush')");
$node->backup('backup');
sql("SELECT pg_create_restore_point('unused')");
write_run($node, 'kv', 1, 1, 200);
write_run($node, 'other', 1, 1, 50);
sql("SELECT skyvault_export('shared')");
sql("SELECT skyvault_snapshot(NULL, 'shared')");
write_run($node, 'kv', 2, 100, 300);
my ($removed) = reverse(run_objects($node));
sql("SELECT mirror_put('kv', 'unflushed', 'value'); SELECT mirror_delete('kv', 'key150')");
sql("SELECT pg_create_restore_point('fork')");

# What is beyond: all runs of then are merged, a table is emptied, and there is a
# snapshot of changes that the log does not have yet.
write_run($node, 'kv', 3, 50, 250);
sql("TRUNCATE other, m_other; SELECT mirror_put('other', 'beyond', 'the fork')");
sql("SELECT skyvault_compact('kv', full => true)");
sql("SELECT skyvault_snapshot('of the origin', 'shared')");
my $of_origin = sql(content_of('kv'));
is(sql("SELECT count(DISTINCT log_number), max(changelog_id) > max(o.exported_id) FROM skyvault.snapshot, skyvault.owner AS o"), '1|t',
	'the origin has two snapshots with the same number of objects of the log, the second of changes that are not there');
is(sql("SELECT count(*) FROM skyvault_gc(vault => 'shared') WHERE held_by IS NULL"), 0, 'within skyvault.retention it deletes nothing');
my $file = sql('SELECT pg_walfile_name(pg_switch_wal())');
$node->poll_query_until('postgres', "SELECT last_archived_wal >= '$file' FROM pg_stat_archiver") or die 'nothing is archived';
my $epoch = sql('SELECT epoch FROM skyvault_vaults');

# To a point at which the vault was not in use: it becomes another one.
{
	my $before = stored_objects($store);
	my $owner_before = owner();
	my $apart = recovered('apart', 'unused');

	same_content($apart, [ 'kv', 'other' ], 'before the first flush: it has what was committed then');
	is($apart->safe_psql('postgres', 'SELECT key FROM kv'), 'before', 'before the first flush: which is one key');
	cmp_ok(write_and_flush($apart, 'apart'), '>', 0, 'before the first flush: it writes');
	isnt($apart->safe_psql('postgres', 'SELECT vault FROM skyvault_vaults'), sql('SELECT vault FROM skyvault_vaults'),
		'before the first flush: to a vault of its own');
	$apart->safe_psql('postgres', "SELECT skyvault_compact('kv', true); SELECT skyvault_snapshot(NULL, 'shared');"
		. "SELECT count(*) FROM skyvault_gc(sweep => true)");
	same_content($apart, [ 'kv', 'other' ], 'before the first flush: and reads it');
	is(harmed_objects($before, stored_objects($store)), '', 'before the first flush: nothing of the other vault is harmed');
	is(scalar(grep { slurp_file($_) eq $owner_before } glob("$store/*/OWNER")), 1, 'before the first flush: nor taken');
	cmp_ok(write_and_flush($node, 'beside'), '>', 0, 'the origin goes on beside it');
	$apart->stop;
	PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', map { s{/OWNER$}{}r } grep { slurp_file($_) ne owner_of_origin() } glob("$store/*/OWNER"));
}

sub owner_of_origin { return slurp_file("$store/" . sql('SELECT vault FROM skyvault_vaults') . '/OWNER'); }

# To the point at which the ways part, to look at what there was: it does not take the vault.
{
	my $before = stored_objects($store);
	my $owner_before = owner();
	my $careful = recovered('careful', 'fork', "skyvault.takeover_on_promotion = off\n");

	is_fenced($careful, 'takeover_on_promotion off');
	same_content($careful, ['other'], 'takeover_on_promotion off: it reads all that there was');
	$careful->stop;
	is_deeply([ owner(), stored_objects($store) ], [ $owner_before, $before ], 'takeover_on_promotion off: the store is as it was');
	cmp_ok(write_and_flush($node, 'not fenced'), '>', 0, 'takeover_on_promotion off: the origin goes on');
}

# To the same point, to go on from there.  It takes the vault with its first write.
my $recovered = recovered('recovered', 'fork', "skyvault.retention = 0\n");
{
	my $owner_before = owner();

	same_content($recovered, [ 'kv', 'other' ], 'recovered: it reads what was there, though the origin has merged it since');
	is(owner(), $owner_before, 'recovered: as long as it only reads, it does not take the vault');
	my $before = stored_objects($store);
	cmp_ok(write_and_flush($recovered, 'recovered'), '>', 0, 'recovered: it writes');
	is($recovered->safe_psql('postgres', 'SELECT state, epoch FROM skyvault_vaults'), 'owner|' . ($epoch + 1), 'recovered: as the owner');
	is_fenced($node, 'the origin');
	write_run($recovered, 'other', 4, 20, 80);
	$recovered->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
	same_content($recovered, [ 'kv', 'other' ], 'recovered: it reads what it wrote, and what was there');
	is(harmed_objects($before, stored_objects($store)), '', 'recovered: it harms nothing');

	# It merges and collects, and what the origin has made since stays: none of its own.
	my @of_origin = run_objects($node);
	$recovered->safe_psql('postgres', "SELECT skyvault_compact('kv', full => true); SELECT skyvault_export('shared')");
	cmp_ok($recovered->safe_psql('postgres', "SELECT count(*) FROM skyvault_gc(sweep => true, vault => 'shared') WHERE held_by IS NULL"), '>', 0,
		'recovered: it collects what it has merged');
	ok(!-e "$store/$removed", 'recovered: which has gone');
	is(scalar(grep { !-e "$store/$_" } @of_origin), 0, 'recovered: nothing of what the origin has written since');
	sql('SELECT skyvault_clear_cache()');
	same_content($node, [ 'kv', 'other' ], 'the origin reads on');
	$recovered->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
	same_content($recovered, [ 'kv', 'other' ], 'recovered: it has merged what it had');
	is($recovered->safe_psql('postgres', "SELECT object, problem FROM skyvault_verify_vault('shared', true)"), '', 'recovered: nothing is missing');
	is(restored_content($recovered, $store), $recovered->safe_psql('postgres', content_of('kv')), 'a restore follows the one that was recovered');
	like(restored_content($recovered, $store, ", 'of the origin'"), qr/there is no snapshot "of the origin"/,
		'and knows no snapshot of the other');
}

# The origin is told to go on, and does so from where it is.
{
	$recovered->stop;
	sql("SELECT skyvault_adopt('shared')");
	cmp_ok(write_and_flush($node, 'adopted'), '>', 0, 'the origin takes the vault back');
	is(sql('SELECT state, epoch FROM skyvault_vaults'), 'owner|' . ($epoch + 2), 'in an epoch of its own');
	sql("SELECT skyvault_export('shared'); SELECT skyvault_clear_cache()");
	same_content($node, [ 'kv', 'other' ], 'the origin has what it had');
	is(restored_content($node, $store), sql(content_of('kv')), 'a restore follows the origin then');
	unlike(restored_content($node, $store, ", 'of the origin'"), qr/ERROR/, 'and its snapshot is there again');
	my $before = stored_objects($store);
	$recovered->start;
	is_fenced($recovered, 'the recovered one after that');
	is(harmed_objects($before, stored_objects($store)), '', 'the recovered one after that: it harms nothing');
	$recovered->stop;
}

# Once more, when what it needs has gone, and who has the vault has it in another epoch.
{
	my $late = recovered('late', 'fork');
	my $missing = qr/object "\Q$removed\E"/;

	same_content($late, ['other'], 'late: it reads what is there');
	fails_with($late, "SELECT skyvault_get('kv', 'key280')", 'XX001', qr/$missing is missing from the store/, 'late: what has gone is an error');
	is($late->safe_psql('postgres', "SELECT object FROM skyvault_verify_vault('shared') WHERE problem = 'missing'"), $removed, 'late: verify names it');
	$late->safe_psql('postgres', "SELECT mirror_put('other', 'late', 'value')");
	my $before = stored_objects($store);
	foreach my $what ("flush('shared')", "export('shared')", "gc(sweep => true, vault => 'shared')", "compact('kv', full => true)")
	{
		fails_with($late, "SELECT skyvault_$what", '55000', qr/does not own the vault.*took it over at.*skyvault_adopt\('shared'\)/s,
			"late: the origin was started or adopted since, so skyvault_$what is refused");
	}
	is_deeply(stored_objects($store), $before, 'late: it changes nothing');
	fails_with($late, "SELECT skyvault_get('kv', 'key280')", '55000', qr/$missing is no longer in the store.*does not own the vault.*skyvault_restore/s,
		'late: and what has gone is an error that says why');
	same_content($late, ['other'], 'late: it reads on what is there');
	cmp_ok(write_and_flush($node, 'goes on'), '>', 0, 'the origin goes on beside it');
	$late->safe_psql('postgres', "SELECT skyvault_adopt('shared')");
	cmp_ok($late->safe_psql('postgres', "SELECT skyvault_flush('shared')"), '>', 0, 'late: it writes when told to');
	is($late->safe_psql('postgres', 'SELECT state FROM skyvault_vaults'), 'owner', 'late: and owns the vault');
	is_fenced($node, 'the origin in the end');
	same_content($late, ['other'], 'late: what is there is right');

	# Others may have deleted what it knows of the log: so a snapshot is due.
	reload_with($late, 'skyvault.snapshot_changes = 5000');
	ok($late->poll_query_until('postgres', 'SELECT count(*) = 1 FROM skyvault.snapshot AS s JOIN skyvault.owner AS o ON o.epoch = s.epoch'),
		'late: it takes a snapshot');
	is(restored_content($late, $store, '', 'other'), $late->safe_psql('postgres', content_of('other')), 'late: a restore follows it');
	$late->stop;
}

# That one knew less of an epoch that had ended for the origin before.
sql("SELECT skyvault_adopt('shared')");
cmp_ok(write_and_flush($node, 'once more'), '>', 0, 'the origin takes the vault back once more');
is(restored_content($node, $store, ", 'of the origin'"), $of_origin, 'its snapshot of an earlier epoch is there again');
$node->stop;

done_testing();
