# What is wrong in the catalogue about one vault stops its own work, and nobody
# else's: the others are flushed, compacted, collected, exported and held back,
# all by themselves, and the scheduler lives on.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => <<'SETTINGS');
skyvault.retention = 0
skyvault.wal_runs = 2
SETTINGS

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub comes { return ok($node->poll_query_until('postgres', $_[0]), $_[1]); }

# Lines of the log behind an offset.
sub log_lines
{
	my ($pattern, $offset) = @_;

	return grep { /$pattern/ } split(/\n/, slurp_file($node->logfile, $offset));
}

# The vault with the trouble comes first in each list.
foreach my $name ('bad', 'good')
{
	sql("CREATE SERVER $name FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$name')");
	make_mirror($node, ["t_$name"], $name);
	sql("SELECT skyvault_pause('$name')");
	foreach my $i (1 .. 3)
	{
		sql("SELECT mirror_put('t_$name', 'key ' || n, 'first $i') FROM generate_series($i, 10) AS n");
		sql("SELECT skyvault_flush('$name')");
	}
}
my ($bad, $good) = map { sql("SELECT id FROM skyvault.vault WHERE server = '$_'") } 'bad', 'good';
sql('SELECT skyvault_export()');
my $scheduler = scheduler_pid($node);
reload_with($node, 'skyvault.gc_interval = 1s', 'skyvault.export_interval = 1s', 'skyvault.flush_interval = 1s');

# All that happens to a vault by itself.
sub good_goes_on
{
	my ($case) = @_;
	my $jobs = sql('SELECT coalesce(max(id), 0) FROM skyvault.job');

	sql("SELECT mirror_put('t_good', 'key $_', '$case')") foreach 1 .. 5;
	comes("SELECT NOT EXISTS (SELECT FROM skyvault.delta AS d JOIN skyvault.\"table\" AS t ON t.id = d.table_id WHERE t.vault_id = $good)",
		"$case: the other vault is flushed");
	sql("SELECT mirror_put('t_good', 'another', '$case'); SELECT skyvault_flush('good')");
	comes("SELECT wal_debt >= 1 FROM skyvault_stat_pressure WHERE server = 'good'", "$case: its debt is known");
	sql("SELECT skyvault_resume('good')");
	comes("SELECT count(*) < 2 FROM skyvault.run WHERE vault_id = $good AND tier = 'w'", "$case: it is compacted");
	comes("SELECT wal_debt < 1 FROM skyvault_stat_pressure WHERE server = 'good'", "$case: and its debt is less");
	comes("SELECT garbage = 0 AND exported_id = newest_id FROM skyvault_vaults WHERE server = 'good'", "$case: it is collected and exported");
	sql("SELECT skyvault_pause('good')");
	is(sql("SELECT string_agg(kind || ': ' || error, ', ') FROM skyvault.job WHERE vault_id = $good AND state = 'failed' AND id > $jobs"), '',
		"$case: none of its jobs failed");
	is(scheduler_pid($node), $scheduler, "$case: it is the scheduler that it was");
}

good_goes_on('before');

# A row of the registry whose columns do not fit together; one of a table that is not there; one of a job.
foreach my $breakage (
	[ 'a run', "UPDATE skyvault.run SET min_keys = '{}' WHERE vault_id = $bad",
		"UPDATE skyvault.run AS r SET min_keys = s.min_keys FROM saved AS s WHERE r.id = s.id", "skyvault_compact('t_bad')" ],
	[ 'a table', "UPDATE skyvault.\"table\" SET relid = 1 WHERE vault_id = $bad",
		"UPDATE skyvault.\"table\" SET relid = 't_bad'::regclass WHERE vault_id = $bad", undef ],
	[ 'a job', "INSERT INTO skyvault.job (id, vault_id, kind, state, started, pid, target_tables)"
			. " VALUES (nextval('skyvault.job_id_seq'), $bad, 'compact', 'failed', now(), 0, '{1}')",
		'DELETE FROM skyvault.job WHERE pid = 0', "skyvault_compact('t_bad')" ])
{
	my ($what, $break, $repair, $fails) = @$breakage;

	sql("CREATE TABLE saved AS SELECT id, min_keys FROM skyvault.run");
	sql("SELECT mirror_put('t_bad', '$what', 'x')");
	sql($break);
	sql("SELECT skyvault_resume('bad')");
	fails_with($node, "SELECT $fails", 'XX001', qr/row of (the registry|skyvault\.job)/, "$what is broken: who asks is told") if defined $fails;
	good_goes_on("$what is broken");
	sql("SELECT skyvault_pause('bad')");
	sql($repair);
	sql('DROP TABLE saved');
}
sql('SELECT skyvault_resume()');
sql("SELECT skyvault_compact('t_bad', true)");
same_content($node, [ 't_bad', 't_good' ], 'all is there, and what was repaired goes on');

# Changes that cannot be numbered: somebody has locked one by hand.
{
	my $locker = session($node);
	my $log = -s $node->logfile;

	sql('SELECT skyvault_pause()');
	reload_with($node, 'skyvault.flush_interval = 0');
	comes("SELECT sum(garbage) = 0 AND NOT EXISTS (SELECT FROM skyvault.job WHERE state = 'running') FROM skyvault_vaults", 'nothing goes on');
	sql("INSERT INTO skyvault.changelog (serial, vault_id, kind, table_ids, changes, at)"
		  . " VALUES (nextval('skyvault.serial_seq'), $bad, 'load', '{}', '{\"added\": [], \"removed\": []}', now())");
	$locker->run('BEGIN');
	$locker->run("SELECT FROM skyvault.changelog WHERE vault_id = $bad AND id IS NULL FOR UPDATE");
	sql('TRUNCATE t_good, m_t_good');
	comes("SELECT count(*) = 0 FROM skyvault.changelog WHERE vault_id = $good AND id IS NULL", 'a change of the other vault is numbered');
	is(sql("SELECT count(*) FROM skyvault.changelog WHERE vault_id = $bad AND id IS NULL"), 1, 'what is locked is not');

	# It is tried again when its pause is over, which doubles, and not whenever another has something.
	foreach my $n (1 .. 12)
	{
		sql('TRUNCATE t_good, m_t_good');
		$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM skyvault.changelog WHERE vault_id = $good AND id IS NULL") or die;
	}
	cmp_ok(log_lines(qr/ERROR:  canceling statement due to lock timeout/, $log), '<', 12, 'it is not tried for each change of the other');

	# Nor does what is overdue make the scheduler spin when it cannot even list the vaults.
	reload_with($node, 'skyvault.retry_max_interval = 1s');
	sql(q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no cleaning up'; END$$;}
		  . 'CREATE TRIGGER refuse BEFORE DELETE ON skyvault.pause FOR EACH STATEMENT EXECUTE FUNCTION refuse()');
	comes("SELECT regexp_count(pg_read_file('" . $node->logfile . "'), 'ERROR: +no cleaning up') >= 4", 'the vaults cannot be listed');
	my @times = map { /^\S+ (\d+):(\d+):([\d.]+) / ? $1 * 3600 + $2 * 60 + $3 : die $_ } log_lines(qr/ERROR:  no cleaning up/, $log);
	cmp_ok(($times[3] - $times[0]) % 86400, '>=', 2, 'which is tried again after a pause');
	sql('DROP FUNCTION refuse CASCADE');

	$locker->run('ROLLBACK');
	comes("SELECT count(*) = 0 FROM skyvault.changelog WHERE vault_id = $bad AND id IS NULL", 'it is numbered when it can be');
	is(scheduler_pid($node), $scheduler, 'by the scheduler that failed to');
	$locker->quit;
}

done_testing();
