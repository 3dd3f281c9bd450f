# What the TAP tests of S3 share: the server of the run or one of the test's own,
# a proxy before it that does harm when told to, and foreign servers on it.
#
# The server of the run (SkyvaultS3->shared) is used by other tests at the same
# time and stays well.  One of the test's own (SkyvaultS3->private) may be killed.
# Proxies and own servers end with the test.
package SkyvaultS3;

use strict;
use warnings;

use Carp;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Socket::INET;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

my $programs = abs_path(dirname(__FILE__) . '/../s3');
my @private;
my $instances = 0;

# ------------------------------------------------------------------ the server
sub shared
{
	my ($class) = @_;

	croak 'SKYVAULT_S3_DIR is not set: run-tests.sh sets it' unless $ENV{SKYVAULT_S3_DIR};
	return $class->_at($ENV{SKYVAULT_S3_DIR});
}

sub private
{
	my ($class) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir_short() . '/s3-' . ++$instances;

	push @private, $dir;
	_run_server('start', $dir);
	return $class->_at($dir);
}

sub _at
{
	my ($class, $dir) = @_;
	my $self = bless { dir => $dir }, $class;

	foreach my $line (split(/\n/, _run_server('env', $dir)))
	{
		$self->{ lc $1 } = $2 if $line =~ /^export SKYVAULT_S3_(\w+)=(.*)$/;
	}
	return $self;
}

sub _run_server
{
	my (@arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(["$programs/s3-server", @arguments], '<', \undef, '>', \$out, '2>', \$err)
	  or croak "s3-server @arguments: $err$out";
	return $out;
}

END
{
	my $status = $?;

	foreach my $dir (@private)
	{
		eval { _run_server('remove', $dir); 1 } or warn $@;
	}
	$? = $status;
}

# endpoint, endpoint_tls, ca_file, bucket, region, access_key_id, secret_access_key, dir
sub setting
{
	my ($self, $name) = @_;

	return $self->{$name} // croak "the S3 server has no setting \"$name\"";
}

# Temporary credentials: (access_key_id, secret_access_key, session_token).
sub token
{
	my ($self) = @_;

	return _run_server('token', $self->{dir}) =~ /^export \w+=(.*)$/mg;
}

# A signed request past the proxy; croaks if the status is not that of success.
sub request
{
	my ($self, $method, $path, @curl) = @_;

	return _run_server('request', $self->{dir}, $method, $path, '-f', @curl);
}

# Names of the objects below a prefix, at most 1000.
sub objects
{
	my ($self, $prefix) = @_;

	$prefix =~ s{/}{%2F}g;
	return $self->request('GET', "/$self->{bucket}?list-type=2&prefix=$prefix") =~ m{<Key>([^<]*)</Key>}g;
}

# A signal to daemons of a private server: mon.a, osd.0, client.rgw; no names: all.
# After KILL, waits for their end.
sub signal
{
	my ($self, $signal, @names) = @_;
	my @pids;

	croak 'this server is not the test\'s own' unless grep { $_ eq $self->{dir} } @private;
	foreach my $name (@names ? @names : qw(client.rgw osd.0 mon.a))
	{
		my ($pid) = slurp_file("$self->{dir}/run/$name.pid") =~ /(\d+)/;

		kill($signal, $pid) == 1 or croak "$name: $!";
		push @pids, $pid;
	}
	return if $signal ne 'KILL';
	foreach my $pid (@pids)
	{
		usleep(10_000) while -e "/proc/$pid" && slurp_file("/proc/$pid/stat") !~ /\) Z /;
	}
}

# Starts what of a private server does not run, and waits until it serves.
sub start
{
	my ($self) = @_;

	_run_server('start', $self->{dir});
}

# ------------------------------------------------------------------- the proxy
# From here on endpoint is that of the proxy.
sub start_proxy
{
	my ($self) = @_;
	my ($upstream) = $self->{endpoint} =~ m{//(.*)};
	my ($in, $out) = ('', '');

	$self->{server_endpoint} = $self->{endpoint};
	$self->{proxy_in} = \$in;
	$self->{proxy} = IPC::Run::start([ $^X, "$programs/s3-proxy", $upstream ], '<pipe', $self->{proxy_stdin} = Symbol::gensym(), '>', \$out);
	$self->{proxy}->pump until $out =~ /\n/;
	(my $clients, $self->{commands}) = split(' ', $out);
	$self->{endpoint} = "http://127.0.0.1:$clients";
	return $self;
}

sub stop_proxy
{
	my ($self) = @_;

	close($self->{proxy_stdin});
	$self->{proxy}->finish;
	$self->{endpoint} = delete $self->{server_endpoint};
}

sub _command
{
	my ($self, %words) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{commands}") or croak "the proxy is gone: $@";

	s/([^A-Za-z0-9_.-])/sprintf('%%%02X', ord($1))/ge foreach values %words;
	print $socket join(' ', map { "$_=$words{$_}" } sort keys %words), "\n";
	return join('', readline($socket));
}

# A rule, as test/s3/s3-proxy has them: fault($kind, method => 'GET', path => '\.sst',
# first => 1, last => 2, code => 503, ...).  Returns its number, for fault_hits.
sub fault
{
	my ($self, $kind, %words) = @_;

	return $self->_command(do => 'add', fault => $kind, %words);
}

# How many requests had the fault.
sub fault_hits
{
	my ($self, $rule) = @_;

	return $self->_command(do => 'hits', rule => $rule);
}

# Waits until so many requests have had it; dies when poll_query_until would give up.
sub await_hits
{
	my ($self, $rule, $hits) = @_;

	foreach (1 .. 100 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $self->fault_hits($rule) >= $hits;
		usleep(10_000);
	}
	croak "rule $rule has " . $self->fault_hits($rule) . " hits, not $hits";
}

# How many clients that a fault keeps waiting have not given up.
sub kept_waiting
{
	my ($self) = @_;

	return $self->_command(do => 'waiting');
}

# Requests that the fault "hold" keeps waiting are passed on; its rule stays.
sub release
{
	my ($self) = @_;

	$self->_command(do => 'release');
}

# Ends all faults, and the waiting of who waits for an answer.
sub clear_faults
{
	my ($self) = @_;

	$self->_command(do => 'clear');
}

sub refuse_connections
{
	my ($self) = @_;

	$self->_command(do => 'refuse');
}

sub accept_connections
{
	my ($self) = @_;

	$self->_command(do => 'accept');
}

# What was asked since forget_requests: hashes of method, target, bytes, status,
# answer_bytes, fault and key, of the access ("-" for none).  Narrowed by regular
# expressions of these names.
sub requests
{
	my ($self, %which) = @_;
	my @requests;

	foreach my $line (split(/\n/, $self->_command(do => 'log')))
	{
		my %request;

		@request{qw(method target bytes status answer_bytes fault key)} = split(' ', $line);
		push @requests, \%request unless grep { $request{$_} !~ $which{$_} } keys %which;
	}
	return @requests;
}

sub forget_requests
{
	my ($self) = @_;

	$self->_command(do => 'forget');
}

# --------------------------------------------------------------------- SQL
sub _options
{
	my (%options) = @_;

	return join(', ',
		map { "$_ '" . ($options{$_} =~ s/'/''/gr) . "'" } grep { defined $options{$_} } sort keys %options);
}

# Statements that make a foreign server, its data below a prefix of the same name,
# with a user mapping for PUBLIC.  Options given replace those made up here, undef
# leaves one out: server => {...}, mapping => {...} (undef: no mapping).
sub create_server
{
	my ($self, $name, %more) = @_;
	my %server = (
		url => "s3://$self->{bucket}/" . ($more{prefix} // $name . '-' . int(rand(1e9))),
		endpoint => $self->{endpoint}, region => $self->{region}, %{ $more{server} // {} });
	my %mapping = (
		access_key_id => $self->{access_key_id}, secret_access_key => $self->{secret_access_key},
		%{ $more{mapping} // {} });
	my $sql = "CREATE SERVER $name FOREIGN DATA WRAPPER skyvault OPTIONS (" . _options(%server) . ");\n";

	$sql .= "CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS (" . _options(%mapping) . ");\n"
	  unless exists $more{mapping} && !defined $more{mapping};
	return $sql;
}

1;
