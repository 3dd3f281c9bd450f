#!/usr/bin/perl
# Runs TAP programs and pgTAP scripts, as prove does, and counts their tests.
#
#   run-tap.pl COUNTS [-I DIR ...] [--database NAME] FILE ...
#
# Files that end in .pl run under perl, in .sql through psql in the database
# NAME as pgTAP, others as programs.  COUNTS receives "PASSED FAILED"; a file
# that dies, breaks its plan or runs nothing without saying why is one more
# failure.
#
# TEST_JOBS in the environment is how many files run at once (1).  Those that use
# the S3 server, which is one for all and is stopped and killed by some, still do
# one after the other.
use strict;
use warnings;
use Getopt::Long;
use TAP::Harness;

my $counts = shift @ARGV;
my (@libs, $database);
GetOptions('I=s' => \@libs, 'database=s' => \$database) or exit 2;

sub uses_s3
{
	my ($file) = @_;

	open(my $in, '<', $file) or return 0;
	return scalar grep { /\bSkyvaultS3\b/ } <$in>;
}

my @in_turn = grep { uses_s3($_) } @ARGV;
my @others = grep { !uses_s3($_) } @ARGV;
my $harness = TAP::Harness->new(
	{
		jobs => $ENV{TEST_JOBS} || 1,
		rules => { par => [ { seq => \@in_turn }, { par => \@others } ] },
		lib => \@libs,
		timer => 1,
		merge => 0,
		failures => 1,
		sources => {
			Perl => { extensions => ['.pl'] },
			Executable => {},
			defined $database
			? (pgTAP => { dbname => $database, suffix => '.sql', set => { client_min_messages => 'warning' } })
			: (),
		},
	});
my $aggregate = $harness->runtests(@ARGV);

my ($passed, $failed) = (0, 0);
foreach my $parser ($aggregate->parsers)
{
	my $program_failed = $parser->failed;

	$passed += $parser->passed;
	$program_failed = 1 if $program_failed == 0 && $parser->has_problems;
	$program_failed = 1 if $parser->tests_run == 0 && !$parser->skip_all;
	$failed += $program_failed;
}

open(my $out, '>', $counts) or die "$counts: $!\n";
print $out "$passed $failed\n";
close($out) or die "$counts: $!\n";
exit($failed == 0 ? 0 : 1);
