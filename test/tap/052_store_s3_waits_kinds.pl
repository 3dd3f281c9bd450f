# Whatever a session waits for at a store, by either signature: an answer, the pause
# before the next try, a service that has its keys, a connection, a TLS handshake.  It
# can be cancelled and ended, is in no barrier's way, ends when its client has gone,
# and with the server, also with one that dies.
use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Socket qw(PF_INET SOCK_STREAM inet_aton pack_sockaddr_in);
use Test::More;
use Time::HiRes qw(usleep);

my $patience = $PostgreSQL::Test::Utils::timeout_default;

sub listen_for
{
	my ($clients) = @_;

	return IO::Socket::INET->new(
		LocalAddr => '127.0.0.1', Listen => $clients, Timeout => $patience) // die "listen: $@";
}

# Clients of these are connected by the kernel, and hear nothing.
my ($services, $stores) = map { listen_for(128) } 1 .. 2;

# The queue of this one is full: the kernel ignores who wants to connect.
my $full = listen_for(1);
listen($full, 0) or die "listen: $!";
my @queue = map {
	socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
	IO::Handle::blocking($socket, 0);
	connect($socket, pack_sockaddr_in($full->sockport, inet_aton('127.0.0.1')));
	$socket;
} 1 .. 2;

delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
$ENV{AWS_CONTAINER_CREDENTIALS_FULL_URI} = 'http://127.0.0.1:' . $services->sockport . '/keys';

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.store_timeout = 1h
skyvault.store_connect_timeout = 10min
skyvault.store_retries = 100
skyvault.disk_cache_size = 0
SETTINGS

# One session for all that the test asks, until the server ends.
my $control;

sub sql
{
	$control //= session($node);
	return $control->run($_[0]);
}

sub polled
{
	my ($query) = @_;

	foreach (1 .. 100 * $patience)
	{
		return 1 if sql($query) eq 't';
		usleep(10_000);
	}
	return 0;
}

# ------------------------------------------------------------------- what there is to wait for
# To be told to a server, and what makes, before a wait begins, what waits until it has begun.
my @accepted;

# The next client that says this; those from before do not count.
sub hears
{
	my ($listener, $pattern) = @_;
	my $select = IO::Select->new($listener);

	push @accepted, $listener->accept while $select->can_read(0);
	return sub {
		while (my $client = $listener->accept)
		{
			my $said = '';

			push @accepted, $client;
			while (sysread($client, $said, 4096, length($said)))
			{
				return if $said =~ $pattern;
			}
		}
		die 'nobody came';
	};
}

# One more than now that the kernel ignores.
sub connects
{
	my $to = sprintf('0100007F:%04X', $full->sockport);
	my $count = sub { return scalar(() = slurp_file('/proc/net/tcp') =~ /^ *\d+: [0-9A-F:]+ $to 02 /mg); };
	my $before = $count->();

	return sub {
		foreach (1 .. 100 * $patience)
		{
			return if $count->() > $before;
			usleep(10_000);
		}
		die 'nobody waits to be connected';
	};
}

# So many more requests that are answered with 503.
sub pauses
{
	my ($rule, $tries) = @_;
	my $hits = $s3->fault_hits($rule);

	return sub { $s3->await_hits($rule, $hits + $tries); };
}

# With signature v4 the store says how long to pause; with v2 pauses grow.
sub wait_kinds
{
	my $endpoint = sub { my ($scheme, $listener) = @_; return "SET endpoint '$scheme://127.0.0.1:" . $listener->sockport . q{'}; };
	my @refusal = (status => 503, code => 'SlowDown');
	my %rules = (
		v4 => $s3->fault('status', path => '/pause_v4-', retry_after => 20, @refusal),
		v2 => $s3->fault('status', path => '/pause_v2-', @refusal));

	return (
		handshake_v4 => [ $endpoint->('https', $stores), sub { return hears($stores, qr/\A\x16/); } ],
		map {
			my $v = $_;
			(
				"answer_$v" => [ $endpoint->('http', $stores), sub { return hears($stores, qr/\AGET /); } ],
				"connection_$v" => [ $endpoint->('http', $full), \&connects ],
				"keys_$v" => [ q{ADD credentials 'metadata'}, sub { return hears($services, qr{\AGET /keys}); } ],
				"pause_$v" => [ undef, sub { return pauses($rules{$v}, $v eq 'v4' ? 1 : 4); } ])
		} qw(v4 v2));
}

my @names = ('handshake_v4', map { my $kind = $_; map { "${kind}_$_" } qw(v4 v2) } qw(answer connection keys pause));
foreach my $name (@names)
{
	sql($s3->create_server($name, server => { signature => $name =~ /v2/ ? 'v2' : undef }));
	sql("SELECT skyvault_create_table('$name', server => '$name'); SELECT skyvault_put('$name', 'k', 'of $name')");
}
sql('SELECT skyvault_flush()');
my %kinds = wait_kinds();
foreach my $name (@names)
{
	sql("ALTER SERVER $name OPTIONS ($kinds{$name}[0])") if defined $kinds{$name}[0];
}
sql('SELECT skyvault_clear_cache()');

# ------------------------------------------------------------------- waiting
# A service that has keys is given up after a time that no setting changes; then it waits anew.
sub waiting
{
	my ($name) = @_;

	return <<~SQL;
		DO \$\$ BEGIN LOOP
			BEGIN
				PERFORM skyvault_get('$name', 'k');
				EXIT;
			EXCEPTION WHEN io_error THEN
			END;
		END LOOP; END \$\$
		SQL
}

sub wait_for
{
	my ($session, $name) = @_;
	my $begun = $kinds{$name}[1]->();

	$session->send(waiting($name));
	$begun->();
	polled('SELECT count(*) = 1 FROM skyvault_store_waits WHERE pid = ' . $session->pid) or die "$name: it does not wait";
	return $session;
}

sub all_wait
{
	my ($case) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(polled('SELECT count(DISTINCT server) = ' . @names . ' FROM skyvault_store_waits'), $case);
}

sub is_gone
{
	my ($session, $case) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(polled('SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ' . $session->pid), $case);
}

my %sessions = map { $_ => wait_for(session($node), $_) } @names;
all_wait('sessions wait for all of it');
sql('CREATE DATABASE dropped');
sql('DROP DATABASE dropped');
all_wait('they take part in barriers, and wait on');

foreach my $name (@names)
{
	my $session = $sessions{$name};

	sql('SELECT pg_cancel_backend(' . $session->pid . ')');
	like(($session->receive)[1], qr/ERROR:  57014: canceling statement due to user request/, "$name: a cancel");
	$session->run("SET statement_timeout = '300ms'");
	like(($session->try("SELECT skyvault_get('$name', 'k')"))[1], qr/ERROR:  57014: canceling statement due to statement timeout/,
		"$name: statement_timeout");
	$session->run('RESET statement_timeout');
}
is(sql('SELECT count(*) FROM skyvault_store_waits'), 0, 'nobody waits then');

# libs3 and libcurl are for sessions and workers: the postmaster has not even loaded the one, and has no thread.
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /\A(\d+)/;
like(slurp_file('/proc/' . $sessions{answer_v2}->pid . '/maps'), qr/libs3\.so/, 'a session has loaded libs3');
unlike(slurp_file("/proc/$postmaster/maps"), qr/libs3\.so/, 'the postmaster has not');
is(scalar(() = glob("/proc/$postmaster/task/*")), 1, 'nor a thread');

# ------------------------------------------------------------------- ends
foreach my $name (@names)
{
	my $session = wait_for($sessions{$name}, $name);

	sql('SELECT pg_terminate_backend(' . $session->pid . ')');
	like(($session->await_lost)[1], qr/FATAL:  57P01: /, "$name: pg_terminate_backend");
	is_gone($session, "$name: the process is gone");
	$session->quit;
}

foreach my $name (qw(answer_v4 answer_v2 keys_v4))
{
	my $session = session($node);

	$session->run("SET client_connection_check_interval = '100ms'");
	wait_for($session, $name);
	$session->kill_client;
	is_gone($session, "$name: the process ends when its client is gone");
}

SKIP:
{
	skip 'there is no transaction_timeout', 1 if $node->pg_version < 17;
	my $session = session($node);

	$session->run("SET transaction_timeout = '300ms'");
	$session->send(waiting('answer_v4'));
	like(($session->await_lost)[1], qr/FATAL:  25P04: /, 'transaction_timeout');
	$session->quit;
}

sub ends_with_server
{
	my ($case, $end) = @_;
	my @waiting = map { wait_for(session($node), $_) } @names;

	all_wait("$case: sessions wait");
	$control->quit;
	$control = undef;
	$end->();
	is(scalar(grep { ($_->await_lost)[0] } @waiting), scalar(@names), "$case: all of them end");
	$_->quit foreach @waiting;
	return $node->start;
}

ends_with_server('a fast stop', sub { $node->stop('fast'); });
ends_with_server('the death of the postmaster', sub { kill_postmaster($node); });

# ------------------------------------------------------------------- all is well
foreach my $name (@names)
{
	my $session = $sessions{$name} = wait_for(session($node), $name);

	sql('SELECT pg_cancel_backend(' . $session->pid . ')');
	like(($session->receive)[1], qr/ERROR:  57014/, "$name: a cancel once more");
	sql("ALTER SERVER $name OPTIONS ("
		. ($name =~ /keys/ ? 'DROP credentials' : q{SET endpoint '} . $s3->setting('endpoint') . q{'}) . ')');
}
$s3->clear_faults;
foreach my $name (@names)
{
	is(($sessions{$name}->try("SELECT skyvault_get('$name', 'k')"))[0], "of $name", "$name: when all is well, the same session reads");
	$sessions{$name}->quit;
}
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process died of it');

$control->quit;
$node->stop;
done_testing();
