# Of several databases that believe to own a vault exactly one writes; the
# others read, and say what to do.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultClones;
use SkyvaultTest;
use Test::More;

sub files { return join("\n", sort split(/\n/, `find $_[0] -type f ! -name OWNER`)); }

# A restart goes on by itself, and has a new epoch.
{
	my ($node, $store) = origin('restarted');
	my $epoch = $node->safe_psql('postgres', 'SELECT epoch FROM skyvault_vaults');

	foreach my $how ('stop', 'kill')
	{
		$how eq 'stop' ? $node->stop : kill_postmaster($node);
		$node->start;
		cmp_ok(write_and_flush($node, "after $how"), '>', 0, "$how and start: it goes on");
		cmp_ok($node->safe_psql('postgres', 'SELECT epoch FROM skyvault_vaults'), '>', $epoch++, "$how and start: in a new epoch");
	}
	same_content($node, ['kv'], 'restarted: nothing is lost');

	# Without a write a start makes no request.
	my $owner = (glob("$store/*/OWNER"))[0];
	my $before = slurp_file($owner);
	$node->restart;
	$node->safe_psql('postgres', "SELECT skyvault_get('kv', 'first'); SELECT skyvault_flush()");
	is(slurp_file($owner), $before, 'a start without a write leaves OWNER alone');

	# Two workers want it at once: one takes it, and the other waits for that.
	$node->append_conf('postgresql.conf', 'skyvault.wal_runs = 2');
	$node->safe_psql('postgres', 'SELECT skyvault_pause()');
	write_and_flush($node, "run $_") foreach 1 .. 2;
	$node->restart;
	$epoch = $node->safe_psql('postgres', 'SELECT epoch FROM skyvault_vaults');
	my $flusher = session($node);
	$node->safe_psql('postgres', "SELECT stop_point_arm('owner-announced', 'wait'), stop_point_arm('owner-waits', 'wait')");
	$node->safe_psql('postgres', 'SELECT skyvault_resume()');
	$node->safe_psql('postgres', "CALL stop_point_await('owner-announced')");
	$flusher->run("SELECT mirror_put('kv', 'waits', 'x')");
	$flusher->send("SELECT skyvault_flush('shared')");
	$node->safe_psql('postgres', "CALL stop_point_await('owner-waits')");
	$node->safe_psql('postgres', "SELECT stop_point_disarm('owner-announced'), stop_point_disarm('owner-waits')");
	is_deeply([ $flusher->receive ], [ 1, undef ], 'a flush waits for a compaction that takes the vault');
	$flusher->quit;
	is($node->safe_psql('postgres', 'SELECT epoch FROM skyvault_vaults'), $epoch + 1, 'which is taken once');
	ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM skyvault.job WHERE kind = 'compact' AND state = 'done'"),
		'and the compaction goes on');
	is($node->safe_psql('postgres', "SELECT count(*) FROM skyvault.job WHERE state = 'failed'"), 0, 'nothing has failed');
	$node->append_conf('postgresql.conf', 'skyvault.wal_runs = 1000');
	$node->reload;
	ok($node->poll_query_until('postgres', "SELECT current_setting('skyvault.wal_runs') = '1000' AND NOT EXISTS"
		. " (SELECT FROM pg_stat_activity WHERE backend_type = 'skyvault compaction')"), 'no more is merged by itself');

	# A copy file by file is another place: it does not take the vault from the living.
	$node->stop;
	my $copy = clone_server($node, 'copy', 0);
	my $before_files = files($store);
	$copy->start;
	is_fenced($copy, 'copied data directory');
	is(files($store), $before_files, 'copied data directory: it wrote nothing');
	$node->start;
	cmp_ok(write_and_flush($node, 'original'), '>', 0, 'the original goes on beside it');

	# The copy is told to; then the original finds out before it writes.
	$copy->safe_psql('postgres', "SELECT skyvault_adopt('shared')");
	cmp_ok(write_and_flush($copy, 'adopted'), '>', 0, 'adopted: the copy writes');
	$before_files = files($store);
	is_fenced($node, 'the original after the adoption');
	is(files($store), $before_files, 'the original after the adoption: it wrote nothing');
	same_content($copy, ['kv'], 'adopted: nothing is lost there');

	# And a restart of the one that was fenced changes nothing.
	$node->restart;
	is_fenced($node, 'the original after the adoption, restarted');
	$copy->restart;
	cmp_ok(write_and_flush($copy, 'restarted copy'), '>', 0, 'the adopter is recognized after a restart');
	$copy->stop;
	$node->stop;
}

# Copies that nothing on disk tells apart: one writes, whichever it is.
{
	my ($node, $store) = origin('volume');

	$node->stop;
	my $clone = clone_server($node, 'clone', 1);
	$node->start;
	$clone->start;
	cmp_ok(write_and_flush($node, 'one'), '>', 0, 'two clones: the first that writes takes the vault');
	is_fenced($clone, 'two clones: the other');
	write_and_flush($node, 'two');
	same_content($node, ['kv'], 'two clones: nothing is lost');
	$clone->stop;
	$node->stop('immediate');

	# A copy of a running one, started beside it: the last that takes the vault has it.
	$node->start;
	write_and_flush($node, 'three');
	my $second = clone_server($node, 'second', 1);
	$second->start;
	cmp_ok(write_and_flush($second, 'four'), '>', 0, 'a clone of a running server: takes the vault');
	is_fenced($node, 'a clone of a running server: the server finds out');
	$second->stop;
	$node->stop;
}

# Both want it at the same instant.
{
	my ($node, $store) = origin('race');

	$node->stop;
	my $clone = clone_server($node, 'racer', 1);
	$node->start;
	$clone->start;
	my @sessions = map { session($_) } ($node, $clone);
	foreach my $i (0, 1)
	{
		$sessions[$i]->run("SELECT skyvault_put('kv', 'race $i', 'x'); SELECT stop_point_arm('owner-announced', 'wait')");
		$sessions[$i]->send("SELECT skyvault_flush('shared')");
		($node, $clone)[$i]->safe_psql('postgres', "CALL stop_point_await('owner-announced')");
	}
	$_->safe_psql('postgres', "SELECT stop_point_disarm('owner-announced')") foreach ($node, $clone);
	my @errors = map { ($_->receive)[1] // '' } @sessions;
	is(scalar(grep { /takes the vault.*same time|does not own/s } @errors), 1, 'of two who take it at once one fails')
	  or diag(join("\n--\n", @errors));
	$_->psql('postgres', "SELECT skyvault_put('kv', 'again', 'x'); SELECT skyvault_flush('shared')") foreach ($node, $clone);
	my @owners = grep { $_->safe_psql('postgres', 'SELECT state FROM skyvault_vaults') eq 'owner' } ($node, $clone);
	is(scalar(@owners), 1, 'and one owns it');
	$_->quit foreach @sessions;
	$_->stop foreach ($node, $clone);
}

# CREATE DATABASE ... TEMPLATE.
{
	my ($node, $store) = origin('template', settings => "max_worker_processes = 20\n");

	$node->safe_psql('template1', 'CREATE DATABASE copied TEMPLATE postgres');
	my $before_files = files($store);
	is_fenced($node, 'copied database', 'copied');
	is(files($store), $before_files, 'copied database: it wrote nothing');
	cmp_ok(write_and_flush($node, 'original'), '>', 0, 'its template goes on');
	$node->safe_psql('copied', "SELECT skyvault_adopt('shared')");
	cmp_ok(write_and_flush($node, 'adopted', 'copied'), '>', 0, 'the copy is told to write');
	is_fenced($node, 'the template after the adoption');
	$node->stop;
}

# ... of a database that has never used its vault: both are vaults of their own.
{
	my ($node, $store) = origin('unused', unused => 1, settings => "max_worker_processes = 20\n");

	$node->safe_psql('template1', 'CREATE DATABASE copied TEMPLATE postgres');
	cmp_ok(write_and_flush($node, 'a'), '>', 0, 'a vault that was copied before its first use');
	cmp_ok(write_and_flush($node, 'b', 'copied'), '>', 0, 'and its copy');
	isnt($node->safe_psql('postgres', 'SELECT vault FROM skyvault_vaults'),
		$node->safe_psql('copied', 'SELECT vault FROM skyvault_vaults'), 'are two');
	$node->stop;
}

# A promoted standby, and the old primary alive.
{
	my ($node, $store) = origin('primary', streaming => 1);

	$node->backup('backup');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->start;
	write_and_flush($node, 'replicated');
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	$standby->promote;
	cmp_ok(write_and_flush($standby, 'promoted'), '>', 0, 'a promoted standby takes the vault');
	my $before_files = files($store);
	is_fenced($node, 'the old primary');
	is(files($store), $before_files, 'the old primary wrote nothing');
	same_content($standby, ['kv'], 'promoted: nothing is lost');
	$_->stop foreach ($node, $standby);
}

# The same with takeover_on_promotion off.
{
	my ($node, $store) = origin('careful', streaming => 1, settings => "skyvault.takeover_on_promotion = off\n");

	$node->backup('backup');
	my $standby = PostgreSQL::Test::Cluster->new('careful_standby');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	$standby->promote;
	is_fenced($standby, 'promoted, takeover_on_promotion off');
	cmp_ok(write_and_flush($node, 'still'), '>', 0, 'the old primary goes on');
	$_->stop foreach ($node, $standby);
}

# A store that lost its OWNER, or has a damaged one.
{
	my ($node, $store) = origin('lost');
	my $owner = (glob("$store/*/OWNER"))[0];
	my $content = slurp_file($owner);

	unlink($owner);
	append_to_file($owner, $content =~ s/"epoch":1/"epoch":7/r);
	fails_with($node, "SELECT skyvault_put('kv', 'a', 'b'); SELECT skyvault_flush('shared')", 'XX001', qr/OWNER" is cut or damaged/, 'a damaged OWNER');

	# Whoever wrote it: what is whole and lacks something is an error, and no process's end.
	foreach my $field (qw(version epoch incarnation system_identifier database taken history))
	{
		my ($line) = $content =~ /\A(.*)\n/;
		my $sealed = $node->safe_psql('postgres', "SELECT sealed((\$json\$$line\$json\$::jsonb - '$field')::text || E'\\n')");

		unlink($owner);
		append_to_file($owner, $sealed =~ s/\n*\z/\n/r);
		fails_with($node, "SELECT skyvault_flush('shared')", 'XX001', qr/OWNER" is not what it should be/, "an OWNER without $field");
	}
	unlink($owner);
	fails_with($node, "SELECT skyvault_flush('shared')", '55000', qr/OWNER" is missing/, 'no OWNER');
	$node->safe_psql('postgres', "SELECT skyvault_adopt('shared')");
	cmp_ok(write_and_flush($node, 'anew'), '>', 0, 'made anew when told to');
	$node->safe_psql('postgres', 'CREATE ROLE somebody');
	fails_with($node, "SET ROLE somebody; SELECT skyvault_adopt('shared')", '42501', qr/must be owner of foreign server/, 'only the owner of the server may adopt');
	$node->stop;
}

done_testing();
