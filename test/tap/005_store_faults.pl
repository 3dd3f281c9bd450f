# A store that is missing, read-only or full: writes go on, the job says what
# is wrong, another vault is not held up, and once the cause is gone the
# workers carry on by themselves and nothing is lost.
use strict;
use warnings;

use File::Find qw(find);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', segment_mb => 1, settings => "skyvault.compression_level = 0\n");
my $directory = PostgreSQL::Test::Utils::tempdir() . '/store';
my @tables = qw(far near);

$node->safe_psql('postgres',
	"CREATE SERVER far FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$directory')");
make_mirror($node, ['far'], 'far');
make_mirror($node, ['near']);

my $round = 0;

# So many keys of about 1 kB in "far", and a few in "near".
sub write_round
{
	my ($keys) = @_;

	$round++;
	$node->safe_psql('postgres', <<~SQL);
		BEGIN;
		SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('$round' || repeat(sha512(n::text::bytea)::text, 7)))
			FROM (VALUES ('far', $keys), ('near', 20)) AS u(t, keys), generate_series(1, keys) AS n GROUP BY t;
		SELECT mirror_delete(t, 'key3') FROM unnest('{far,near}'::text[]) AS t;
		COMMIT;
		SQL
}

sub store_files
{
	my @files;

	find({ wanted => sub { push @files, $_ if -f $_ }, no_chdir => 1 }, $directory) if -d $directory;
	return @files;
}

sub rows_of
{
	my ($table) = @_;

	return $node->safe_psql('postgres', <<~SQL);
		SELECT count(*) FROM skyvault.delta AS d JOIN skyvault."table" AS t ON t.id = d.table_id
			WHERE t.relid = '$table'::regclass
		SQL
}

# What holds while the store of "far" has a fault that psql's account of a flush matches.
sub store_is_faulty
{
	my ($case, $sqlstate, $pattern) = @_;
	my @files = store_files();
	my @runs = run_objects($node);

	fails_with($node, "SELECT skyvault_flush('far')", $sqlstate, $pattern, "$case: a flush fails and says why");
	fails_with($node, "SELECT skyvault_flush('far')", $sqlstate, qr/^HINT: /m, "$case: it says what to do");
	is($node->safe_psql('postgres',
			'SELECT state, error IS NOT NULL, hint IS NOT NULL FROM skyvault.job ORDER BY id DESC LIMIT 1'),
		'failed|t|t', "$case: so does the job");
	is(join(' ', store_files()), join(' ', @files), "$case: nothing half-written is left in the store");
	is(join(' ', run_objects($node)), join(' ', @runs), "$case: and nothing is registered");
	same_content($node, \@tables, "$case: tables agree with their mirrors");

	write_round(20);
	same_content($node, \@tables, "$case: writes go on");
	cmp_ok($node->safe_psql('postgres', "SELECT skyvault_flush('skyvault')"), '>', 0,
		"$case: another vault can be flushed");
	is(rows_of('near'), 0, "$case: and its delta is empty then");
	isnt(rows_of('far'), 0, "$case: the rows of this one stay in the delta");
	ok(scheduler_pid($node), "$case: the scheduler runs");
}

# The workers try again every second, from here to the next store_is_faulty.
sub store_recovers
{
	my ($case) = @_;

	$node->append_conf('postgresql.conf', 'skyvault.flush_interval = 1s');
	$node->reload;
	ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.delta'),
		"$case: once the cause is gone, the workers flush unasked");
	$node->append_conf('postgresql.conf', 'skyvault.flush_interval = 0');
	$node->reload;
	same_content($node, \@tables, "$case: nothing was lost");
	is(job_rows($node, 1), 'done|', "$case: the newest job is done");
}

# In its pauses the scheduler is not asked: it finds out alone.
sub workers_keep_trying
{
	my ($case) = @_;
	my $last_job = $node->safe_psql('postgres', 'SELECT max(id) FROM skyvault.job');
	my $scheduler = scheduler_pid($node);

	$node->append_conf('postgresql.conf', 'skyvault.flush_interval = 1s');
	$node->reload;
	ok($node->poll_query_until('postgres',
			"SELECT count(*) >= 2 FROM skyvault.job WHERE state = 'failed' AND id > $last_job"),
		"$case: the workers try again, and again");
	is(scheduler_pid($node), $scheduler, "$case: in one and the same process");
}

write_round(50);
store_is_faulty('directory missing', '58030', qr/\Q$directory\E/);
workers_keep_trying('directory missing');
mkdir($directory) or die $!;
store_recovers('directory missing');

write_round(60);
my @paths = ($directory);
find({ wanted => sub { push @paths, $_ if -d $_ && $_ ne $directory }, no_chdir => 1 }, $directory);
chmod(0555, @paths) or die $!;
store_is_faulty('read-only directory', '42501', qr/Permission denied.*\Q$directory\E|\Q$directory\E.*Permission denied/s);
workers_keep_trying('read-only directory');
chmod(0755, @paths) or die $!;
store_recovers('read-only directory');

# Full for files above 1.2 MB, which is more than a WAL segment has: a limit of
# the scheduler's process stands for a limit of the store.  A page of the delta
# has several rows of about 1 kB, so no file of the database that the scheduler
# extends comes near.
my $limit = 1_200_000;
write_round(1500);
system_or_bail('prlimit', '--pid', scheduler_pid($node), "--fsize=$limit:");
store_is_faulty('full store', '53100', qr/File too large|No space left/);
system_or_bail('prlimit', '--pid', scheduler_pid($node), '--fsize=unlimited:');
store_recovers('full store');
cmp_ok((sort { $b <=> $a } map { -s $_ } store_files())[0], '>', $limit, 'full store: the object would not have fit');

# A store that vanishes is no reason to forget what it holds.
rename($directory, "$directory.away") or die $!;
$node->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
fails_with($node, "SELECT count(*) FROM skyvault_scan('far')", '58030', qr/\Q$directory\E/,
	'directory gone: reading fails, and not as if data were corrupt');
is($node->safe_psql('postgres', "SELECT count(*) FROM differences('near')"), 0,
	'directory gone: another vault is readable');
rename("$directory.away", $directory) or die $!;
same_content($node, \@tables, 'directory back: nothing was lost');

$node->stop('immediate');
$node->start;
same_content($node, \@tables, 'nothing was lost after all of that and a crash');

done_testing();
