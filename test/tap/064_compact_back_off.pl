# Compactions that fail are tried again after pauses that grow, and that start anew
# after a success: those of a run, and those of a vault whose store fails.  And the
# list of jobs, which has what they go by, stays short.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

# One worker: so jobs come one after the other.
my $node = new_server('main', settings => "skyvault.retry_max_interval = 1h\nskyvault.max_workers = 1\n");
my $directory = PostgreSQL::Test::Utils::tempdir() . '/store';

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub settings { reload_with($node, @_) }

# Two runs of these tables of the server's vault, which become one buffer run of each.
sub write_run
{
	my ($server, @tables) = @_;

	settings('skyvault.wal_runs = 2');
	foreach (1 .. 2)
	{
		sql("SELECT skyvault_multi_put('$_', array_agg('key' || n), array_agg('value'::text)) FROM generate_series(1, 50) AS n")
		  foreach @tables;
		sql("SELECT skyvault_flush('$server')");
	}
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.run AS r JOIN skyvault.vault AS v ON v.id = r.vault_id"
		. " WHERE r.tier = 'w' AND v.server = '$server'") or die "WAL runs of $server are not compacted";
	settings('skyvault.wal_runs = 1000');
}

# What is due once buffers_are_due.
sub write_buffers
{
	my ($server, @tables) = @_;

	settings('skyvault.buffer_runs = 1000');
	write_run($server, @tables) foreach 1 .. 2;
}

sub buffers_are_due { settings('skyvault.buffer_runs = 2') }

# Objects of the table's runs, the oldest first; tiers of those of each table.
sub objects_of
{
	my ($table) = @_;

	return split(/\n/, sql("SELECT object FROM skyvault.run AS r JOIN skyvault.\"table\" AS t ON t.id = ANY (r.table_ids)"
		. " WHERE t.relid = '$table'::regclass ORDER BY r.id"));
}

sub tiers
{
	return "SELECT string_agg(rel || tiers, ' ' ORDER BY rel) FROM (SELECT t.relid::regclass::text AS rel,"
	  . " string_agg(tier::text, '' ORDER BY tier) AS tiers FROM skyvault.run AS r JOIN skyvault.\"table\" AS t"
	  . " ON t.id = ANY (r.table_ids) WHERE t.relid::regclass::text IN ('a', 'b', 'c', 'd') GROUP BY 1) AS tiers_of";
}

sub newest_job { return sql('SELECT coalesce(max(id), 0) FROM skyvault.job') }

sub failed_compactions
{
	my ($server, $after) = @_;

	return "FROM skyvault.job AS j JOIN skyvault.vault AS v ON v.id = j.vault_id"
	  . " WHERE v.server = '$server' AND j.kind = 'compact' AND j.state = 'failed' AND j.id > $after";
}

# Waits for so many failures after that job; attempts and pause of the first three at most.
sub failures
{
	my ($server, $n, $after) = @_;
	my $failed = failed_compactions($server, $after);

	$node->poll_query_until('postgres', "SELECT count(*) >= $n $failed") or die "compaction has not failed $n times";
	return sql("SELECT string_agg(attempts || ': ' || (retry_at - ended), ', ' ORDER BY id)"
		. " FROM (SELECT j.* $failed ORDER BY j.id LIMIT least($n, 3)) AS j");
}

# Whether the nth failure and those after it came after pauses of 1, 2, 4... seconds.
sub came_after_pauses
{
	my ($server, $n, $after) = @_;
	my $failed = failed_compactions($server, $after);

	return sql("SELECT bool_and(started >= previous + make_interval(secs => 2 ^ (n - $n)))"
		. " FROM (SELECT started, lag(ended) OVER (ORDER BY j.id) AS previous, row_number() OVER (ORDER BY j.id) AS n $failed) AS j"
		. " WHERE n >= $n");
}

sub compact { return $node->psql('postgres', "SELECT skyvault_compact('$_[0]')") }

mkdir($directory) or die $!;
sql("CREATE SERVER far FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$directory')");
sql("SELECT skyvault_create_table('kv')");
sql("SELECT skyvault_create_table('$_', server => 'far')") foreach qw(a b c d);

#
# A run that is lost.
#
write_buffers('skyvault', 'kv');
my ($lost) = map { $node->data_dir . "/skyvault/$_" } objects_of('kv');
rename($lost, "$lost.lost") or die $!;
my $before = newest_job();
buffers_are_due();
is(failures('skyvault', 3, $before), '1: 00:00:01, 2: 00:00:02, 3: 00:00:04', 'a lost input: the pauses grow');
is(came_after_pauses('skyvault', 2, $before), 't', 'a lost input: and are kept');
rename("$lost.lost", $lost) or die $!;
compact('kv');
is(sql("SELECT attempts = (SELECT count(*) + 1 " . failed_compactions('skyvault', $before) . ')'
	. " FROM skyvault.job WHERE kind = 'compact' AND state = 'done' ORDER BY id DESC LIMIT 1"), 't', 'the input is back: compacted');

write_buffers('skyvault', 'kv');
($lost) = map { $node->data_dir . "/skyvault/$_" } objects_of('kv');
rename($lost, "$lost.lost") or die $!;
$before = newest_job();
buffers_are_due();
is(failures('skyvault', 1, $before), '1: 00:00:01', 'another lost input of the same table: the pauses start anew');
rename("$lost.lost", $lost) or die $!;
is(compact('kv'), 0, 'it is back as well: compacted');

#
# A store that is gone.
#
write_buffers('far', qw(a b c d));
rename($directory, "$directory.away") or die $!;
$before = newest_job();
buffers_are_due();
is(failures('far', 5, $before), '1: 00:00:01, 1: 00:00:01, 1: 00:00:01', 'a store that is gone: the first three jobs fail');
is(came_after_pauses('far', 4, $before), 't', 'a store that is gone: then the whole vault waits, longer each time');
is(sql('SELECT count(DISTINCT inputs), bool_and(sqlstate LIKE $$58%$$) ' . failed_compactions('far', $before)), '3|t',
	'a store that is gone: other runs are left alone');

# A request waits for no pause, and fails: then the vault's pause is an hour, and that of one table.
compact('a') foreach 1 .. 14;
my $last = newest_job();
write_run('skyvault', 'kv');
is(sql('SELECT count(*) ' . failed_compactions('far', $last)), 0, 'another vault is compacted meanwhile, and this one is left alone');
rename("$directory.away", $directory) or die $!;
is(compact('b'), 0, 'the store is back: a request is done');
ok($node->poll_query_until('postgres', tiers(), 'abb bl cl dl'), 'and whatever was not tried in vain too often follows at once')
  or diag(sql(tiers()));

write_buffers('far', qw(b c d));
my $owner = "$directory/" . sql("SELECT uuid FROM skyvault.vault WHERE server = 'far'") . '/OWNER';
rename($owner, "$owner.away") or die $!;
$before = newest_job();
buffers_are_due();
is(failures('far', 5, $before), '1: 00:00:01, 1: 00:00:01, 1: 00:00:01', 'a store that is not the vault\'s: all pauses start anew');
is(came_after_pauses('far', 4, $before), 't', 'a store that is not the vault\'s: and that of the vault begins with the third failure');
is(sql('SELECT string_agg(DISTINCT sqlstate, $$ $$) ' . failed_compactions('far', $before)), '55000', 'a store that is not the vault\'s: says so');
rename("$owner.away", $owner) or die $!;
is(compact('b'), 0, 'the store is back again');
ok($node->poll_query_until('postgres', tiers(), 'abb bl cl dl'), 'and everything is compacted but what is in its pause');

#
# Old jobs go, but for what compactions go by.
#
my $in_pause = 'SELECT string_agg(j.id::text, $$ $$ ORDER BY j.id) ' . failed_compactions('far', 0) . " AND j.retry_at > now() + interval '5 min'";
my $kept = sql($in_pause);
like($kept, qr/^\d+( \d+)+$/, 'there are failures in their pause');
sql("INSERT INTO skyvault.job (id, vault_id, kind, state, started, ended, pid)"
	. " SELECT nextval('skyvault.job_id_seq'), v.id, 'flush', 'done', now(), now(), 1 FROM skyvault.vault AS v, generate_series(1, 3000)"
	. " WHERE v.server = 'skyvault'");
my $newest = newest_job();
sql("SELECT skyvault_put('kv', 'key', 'value'); SELECT skyvault_flush('skyvault')");
cmp_ok(sql("SELECT count(*) FROM skyvault.job WHERE id <= $newest"), '<=', 1050, 'old jobs go');
cmp_ok(sql("SELECT count(*) FROM skyvault.job WHERE id <= $newest"), '>=', 990, 'the newest thousand stay');
is(sql($in_pause), $kept, 'and failures in their pause');
write_buffers('far', 'c');
buffers_are_due();
ok($node->poll_query_until('postgres', tiers(), 'abb bl cl dl'), 'that the store works again is not forgotten');
is(sql('SELECT count(*) ' . failed_compactions('far', $newest)), 0, 'nor is anything tried before its time');
is(compact('a'), 0, 'a request for it is done');
is(sql('SELECT attempts > 14 FROM skyvault.job WHERE kind = $$compact$$ AND state = $$done$$ ORDER BY id DESC LIMIT 1'), 't',
	'as the next try of the same');

done_testing();
