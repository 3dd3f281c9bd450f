# A psql process that stays connected, to hold transactions open and to wait
# for locks while others work.
package SkyvaultSession;

use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Utils ();
use Time::HiRes qw(usleep);

my $marker = 'end of answer';

sub new
{
	my ($class, $node, $database) = @_;
	my $self = bless { in => '', out => '', err => '', sent => 0 }, $class;

	$self->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=0', '-v', 'VERBOSITY=verbose', '-d', $node->connstr($database) ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$self->{pid} = $self->run('SELECT pg_backend_pid()');
	return $self;
}

# Of the server process.
sub pid
{
	my ($self) = @_;

	return $self->{pid};
}

# Sends statements and does not wait for their answer.
sub send
{
	my ($self, $sql) = @_;
	my $end = $marker . ' ' . ++$self->{sent};

	$self->{in} .= "$sql\n;\n\\echo '$end'\n\\warn '$end'\n";
	$self->{run}->pump_nb;
}

# The answer of what was sent last: its rows, and its errors or undef.  Dies if
# the connection is lost.
sub receive
{
	my ($self) = @_;
	my $end = "$marker $self->{sent}";

	until ($self->{out} =~ /^\Q$end\E$/m && $self->{err} =~ /^\Q$end\E$/m)
	{
		die "the session was lost: $self->{err}" unless $self->{run}->pumpable;
		$self->{run}->pump;
	}
	my ($rows, $errors) = map { s/\n?^\Q$end\E\n//mr } $self->{out}, $self->{err};

	$self->{out} = $self->{err} = '';
	return ($rows, $errors =~ /^ERROR: /m ? $errors : undef);
}

# Rows and errors.
sub try
{
	my ($self, $sql) = @_;

	$self->send($sql);
	return $self->receive;
}

# Rows; dies at an error.
sub run
{
	my ($self, $sql) = @_;
	my ($rows, $errors) = $self->try($sql);

	die "$sql: $errors" if defined $errors;
	return $rows;
}

# Waits until the server has closed the connection of the statement that was
# sent last, and its postmaster knows, or has answered it.  Returns whether it was closed, and what psql
# said.
sub await_lost
{
	my ($self) = @_;
	my $end = "$marker $self->{sent}";

	$self->{run}->pump while $self->{run}->pumpable && $self->{err} !~ /^\Q$end\E$/m;
	my $lost = $self->{err} =~ /server closed the connection|connection to server was lost|terminating connection/ ? 1 : 0;
	foreach (1 .. 1000 * $PostgreSQL::Test::Utils::timeout_default)
	{
		last unless $lost && $self->_has_postmaster;
		usleep(1_000);
	}
	return ($lost, $self->{err});
}

# Whether the server process is there, and the one that started it: a postmaster
# that has not seen yet that its child is gone still takes connections.
sub _has_postmaster
{
	my ($self) = @_;

	open(my $stat, '<', "/proc/$self->{pid}/stat") or return 0;
	return (readline($stat) // '') !~ /\) . 1 /;
}

# Its client dies, and says nothing to the server.
sub kill_client
{
	my ($self) = @_;

	$self->{run}->signal('KILL');
	$self->{run}->finish;
}

# The end, of a live session as of a lost one.
sub quit
{
	my ($self) = @_;

	$self->{run}->pump_nb if $self->{run}->pumpable;
	$self->{in} .= "\\q\n" if $self->{run}->pumpable;
	$self->{run}->finish;
}

1;
