# The changelog goes to the store, in order and whole, whatever dies meanwhile,
# and then from the catalogue.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('export');
my $store = $node->data_dir . '/skyvault';

sub sql { return $node->safe_psql('postgres', $_[0]); }

# The objects of the log: header and lines of each, in the order of their making.
sub log_objects
{
	my @objects;
	foreach my $name (split(/\n/, sql('SELECT object FROM skyvault.log_object ORDER BY epoch, number')))
	{
		my @lines = split(/\n/, slurp_file("$store/$name"));
		push @objects, { name => $name, header => shift @lines, end => pop @lines, lines => \@lines };
	}
	return @objects;
}

# Ids of the exported changes, epoch by epoch as they count: "1 2 3".
sub exported_ids
{
	my ($upto, @ids) = 0;
	foreach my $object (log_objects())
	{
		push @ids, map { /"change": \{.*?"id": (\d+)/ ? $1 : () } @{ $object->{lines} };
	}
	return join(' ', @ids);
}

sub flush_one
{
	sql("SELECT skyvault_put('kv', 'key $_[0]', 'value $_[0]')");
	sql('SELECT skyvault_flush()');
}

sql("SELECT skyvault_create_table('kv')");
is(sql('SELECT skyvault_export()'), 0, 'there is nothing to export at first');
ok(!-e $store, 'and a vault that nothing was written to has nothing in the store');

flush_one(1);
is(sql('SELECT state, epoch FROM skyvault_vaults'), 'owner|1', 'the first flush takes the vault');
is(sql('SELECT count(*) FROM skyvault.changelog'), 1, 'a change');
is(sql('SELECT skyvault_export()'), 1, 'it is exported');
is(exported_ids(), '1', 'the log has it');
is(sql('SELECT count(*) FROM skyvault.changelog'), 1, 'the newest row stays');
like(join("\n", @{ (log_objects())[0]{lines} }), qr/"table": \{.*"name": "kv"/, 'the log has the table');
flush_one($_) foreach (2 .. 4);
is(sql('SELECT skyvault_export()'), 3, 'three more');
is(exported_ids(), '1 2 3 4', 'are in the log in order');
is(sql('SELECT string_agg(id::text, $$ $$) FROM skyvault.changelog'), '4', 'and gone from the catalogue but for the newest');
unlike(join("\n", @{ (log_objects())[1]{lines} }), qr/"table":/, 'definitions that have not changed are not written again');
is(sql('SELECT skyvault_export()'), 0, 'then there is nothing to export');
is(scalar(log_objects()), 2, 'and no object is made');

# What changes a definition.
my %ddl = (
	'a column' => 'ALTER FOREIGN TABLE kv ADD COLUMN more text; ALTER FOREIGN TABLE kv DROP COLUMN more',
	'an option' => "ALTER FOREIGN TABLE kv OPTIONS (ADD ttl '1 day')",
	'the name' => 'ALTER FOREIGN TABLE kv RENAME TO "k v"; ALTER FOREIGN TABLE "k v" RENAME COLUMN value TO "välue"',
	'the schema' => 'CREATE SCHEMA s; ALTER FOREIGN TABLE "k v" SET SCHEMA s; ALTER SCHEMA s RENAME TO "S 2"');
my %expected = (
	'an option' => qr/"ttl": "1 day"/,
	'the name' => qr/"name": "k v"/,
	'the schema' => qr/"schema": "S 2"/);
foreach my $what ('an option', 'the name', 'the schema')
{
	sql($ddl{$what});
	is(sql('SELECT skyvault_export()'), 0, "$what changes: no change of the forest");
	like((log_objects())[-1]{lines}[0], $expected{$what}, "$what changes: the log has the new definition");
}
sql('ALTER FOREIGN TABLE "S 2"."k v" RENAME TO kv; ALTER FOREIGN TABLE "S 2".kv SET SCHEMA public;'
	. 'ALTER FOREIGN TABLE kv RENAME COLUMN "välue" TO value');
sql('SELECT skyvault_export()');

# TRUNCATE is exported with its floor, a run that has gone meanwhile with all that it was.
flush_one(5);
sql('TRUNCATE kv');
flush_one(6);
sql('SELECT skyvault_export()');
like(join("\n", @{ (log_objects())[-1]{lines} }), qr/"kind": "truncate".*"floor_seq": \d+|"floor_seq": \d+.*"kind": "truncate"/,
	'a floor is in the log');

# More changes than fit an object: those that are left for the next stay in the catalogue.
sql('DO $$ BEGIN FOR i IN 1 .. 1003 LOOP TRUNCATE kv; COMMIT; END LOOP; END $$');
flush_one(61);
cmp_ok(sql('SELECT skyvault_export()'), '>', 1000, 'more changes than fit an object');
is(exported_ids(), join(' ', 1 .. sql('SELECT newest_id FROM skyvault_vaults')), 'are all exported, in order');

# By itself, after a while.
$node->append_conf('postgresql.conf', "skyvault.export_interval = 1s\n");
$node->reload;
flush_one(7);
ok($node->poll_query_until('postgres', 'SELECT exported_id = newest_id FROM skyvault_vaults'), 'the worker exports by itself');
$node->append_conf('postgresql.conf', "skyvault.export_interval = 0\n");
$node->reload;

# A death at each step, of the worker and of the server.
my $key = 100;
foreach my $point ('export-before-upload', 'export-uploaded', 'export-before-commit', 'export-committed')
{
	foreach my $who ('worker', 'server')
	{
		my $newest = sql('SELECT newest_id FROM skyvault_vaults') + 3;
		my $asker = session($node);

		flush_one($key++);
		flush_one($key++);
		$asker->run("SELECT stop_point_arm('$point', 'wait')");
		$asker->send('SELECT skyvault_export()');
		sql("CALL stop_point_await('$point')");
		if ($who eq 'worker')
		{
			my $pid = scheduler_pid($node);
			kill('KILL', $pid);
			$asker->await_lost;
			$asker->quit;
			$node->poll_query_until('postgres', 'SELECT 1', '1');
		}
		else
		{
			kill_postmaster($node);
			$asker->await_lost;
			$asker->quit;
			$node->start;
		}
		ok(await_new_process($node, 'skyvault scheduler', 0, 'postgres'), "$who dies at $point: there is a scheduler again");

		# What is there already has less in it than what is to be exported now.
		flush_one($key++);
		sql('SELECT skyvault_export()');
		my @ids = split(/ /, exported_ids());
		my %last;
		is($ids[-1], $newest, "$who dies at $point: everything is exported in the end");
		is(join(' ', sort { $a <=> $b } grep { !$last{$_}++ } @ids), join(' ', 1 .. $newest), "$who dies at $point: and nothing left out");
		is(sql('SELECT count(*) FROM skyvault.changelog'), 1, "$who dies at $point: the catalogue is pruned");
	}
}

# An object of that name that is not its own.
flush_one($key++);
my ($epoch, $number, $uuid) = split(/\|/, sql('SELECT o.epoch, o.log_objects + 1, v.uuid FROM skyvault.owner AS o, skyvault.vault AS v'));
my $name = sprintf('%s/%s/log/%016x.log', $uuid, $epoch, $number);
mkdir("$store/$uuid/$epoch");
mkdir("$store/$uuid/$epoch/log");
append_to_file("$store/$name", 'not a log');
fails_with($node, 'SELECT skyvault_export()', 'XX001', qr/cut or damaged/, 'a damaged object in the way is reported');
like(job_rows($node, 1), qr/^\|?done|failed/, 'the jobs say so');
unlink("$store/$name");
is(sql('SELECT skyvault_export()'), 1, 'and when it has gone, the export goes on');

done_testing();
