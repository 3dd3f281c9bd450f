# A vault in a store that knows only signature v2, by way of libs3, which takes
# answers that end early for good ones: what SQL says when the store misbehaves, and
# that nothing is lost by it, nor told to whom it does not concern.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->private->start_proxy;
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.store_timeout = 2s
skyvault.disk_cache_size = 0
skyvault.retry_max_interval = 1s
log_min_messages = debug1
log_error_verbosity = verbose
log_statement = none
SETTINGS
my $round = 0;
my $bad_secret = 'ThisSecretIsWrong0123456789';
my @secrets = ($bad_secret, $s3->setting('secret_access_key'));

sub sql { return $node->safe_psql('postgres', $_[0]); }

# How many of the secrets are in a text.
sub leaks
{
	my ($text) = @_;

	return scalar grep { index($text, $_) >= 0 } @secrets;
}

sub write_round
{
	$round++;
	return sql(qq{SELECT mirror_multi_put('kv', array_agg('k' || n), array_agg('$round ' || sha512(n::text::bytea)::text))
		FROM generate_series($round, 300 + $round) AS n});
}

sub is_well
{
	my ($case) = @_;

	write_round();
	cmp_ok(sql('SELECT skyvault_flush()'), '>', 0, "$case: a flush succeeds");
	is(delta_rows($node), 0, "$case: and empties the delta");
	sql('SELECT skyvault_clear_cache()');
	return same_content($node, ['kv'], "$case: what was flushed is read");
}

sub goes_wrong
{
	my ($case, $state, $pattern) = @_;

	sql('SELECT skyvault_clear_cache()');
	fails_with($node, q{SELECT count(*) FROM skyvault_scan('kv')}, $state, $pattern, "$case: a scan");
	write_round();
	my $rows = delta_rows($node);
	fails_with($node, q{SELECT skyvault_flush('vault')}, $state, $pattern, "$case: a flush");
	fails_with($node, q{SELECT skyvault_flush('vault')}, $state, qr/^HINT: /m, "$case: it says what to do");
	return is(delta_rows($node), $rows, "$case: the rows stay in the delta");
}

sql($s3->create_server('vault', server => { signature => 'v2' }));
make_mirror($node, ['kv'], 'vault');
is_well('a new vault');
$node->restart;
sql('SELECT skyvault_clear_cache()');
same_content($node, ['kv'], 'after a restart');

# A put is a look, the put, and another look.
$s3->forget_requests;
sql(q{SELECT mirror_put('kv', 'one', 'more'); SELECT skyvault_flush()});
is(join(' ', map { $_->{method} } $s3->requests(target => '\.sst')), 'HEAD PUT HEAD', 'a put is looked at');

# ------------------------------------------------------------------- what it cannot do, and refusals
my ($id, $secret, $token) = $s3->token;
push @secrets, $secret, $token;
my %good = map { $_ => $s3->setting($_) } qw(endpoint endpoint_tls access_key_id secret_access_key);
sql(qq{ALTER USER MAPPING FOR PUBLIC SERVER vault OPTIONS (SET access_key_id '$id', SET secret_access_key '$secret',
	ADD session_token '$token')});
goes_wrong('a session token', '0A000', qr/session token/);
sql(qq{ALTER USER MAPPING FOR PUBLIC SERVER vault OPTIONS (SET access_key_id '$good{access_key_id}',
	SET secret_access_key '$good{secret_access_key}', DROP session_token)});
sql(qq{ALTER USER MAPPING FOR PUBLIC SERVER vault OPTIONS (SET secret_access_key '$bad_secret')});
goes_wrong('a wrong secret', '42501', qr/SignatureDoesNotMatch|Forbidden/);
is(leaks(($node->psql('postgres', "\\set VERBOSITY verbose\nSELECT count(*) FROM skyvault_scan('kv')"))[2]), 0, 'its error does not tell it');
sql(qq{ALTER USER MAPPING FOR PUBLIC SERVER vault OPTIONS (SET secret_access_key '$good{secret_access_key}')});
sql("ALTER SERVER vault OPTIONS (SET endpoint '$good{endpoint_tls}')");
goes_wrong('https', '0A000', qr/https/);
sql("ALTER SERVER vault OPTIONS (SET endpoint '$good{endpoint}')");
is_well('back again');

# ------------------------------------------------------------------- what the store answers
foreach my $case (
	[ 'a refusal', [ 'status', status => 403, code => 'AccessDenied' ], '42501', qr/AccessDenied|Forbidden/ ],
	[ '500s', [ 'status', status => 500, code => 'InternalError' ], '58030', qr/InternalError/ ],
	[ '503s', [ 'status', status => 503, code => 'SlowDown' ], '58030', qr/SlowDown/ ],
	[ 'connections that are reset', ['reset'], '58030', qr/Connect|\.sst|OWNER/ ],
	[ 'no answer', ['hang'], '58030', qr/in time/ ],
	[ 'a web page', ['html'], '58030', qr/not what S3 sends/ ],
	[ 'a clock that is wrong', [ 'status', status => 403, code => 'RequestTimeTooSkewed' ], '42501',
		qr/RequestTimeTooSkewed|Forbidden/ ])
{
	my ($name, $fault, $state, $pattern) = @$case;

	$s3->fault(@$fault);
	goes_wrong($name, $state, $pattern);
	$s3->clear_faults;
	is_well("$name, over");
}

# Faults of answers, in each of which libs3 sees none.
sub reading
{
	my ($case, @fault) = @_;

	$s3->fault(@fault, method => '^GET$', path => 'sst');
	sql('SELECT skyvault_clear_cache()');
	fails_with($node, q{SELECT count(*) FROM skyvault_scan('kv')}, '58030', qr/\.sst.*/, "$case: a scan fails");
	$s3->clear_faults;
	my $rule = $s3->fault(@fault, method => '^GET$', path => 'sst', last => 1);
	same_content($node, ['kv'], "$case, once: nobody notices");
	cmp_ok($s3->fault_hits($rule), '==', 1, "$case: it was met");
	return $s3->clear_faults;
}
reading('a body that ends early', 'cut', keep => 10);
reading('a body that never came', 'cut', keep => 0);
reading('a body that stops', 'stall', keep => 10);

sub flushing
{
	my ($case, @fault) = @_;

	write_round();
	my $rule = $s3->fault(@fault);
	cmp_ok(sql('SELECT skyvault_flush()'), '>', 0, "$case: a flush succeeds");
	cmp_ok($s3->fault_hits($rule), '>', 0, "$case: it was met");
	$s3->clear_faults;
	sql('SELECT skyvault_clear_cache()');
	return same_content($node, ['kv'], "$case: what is there is right");
}
flushing('a put that was confirmed by somebody else', 'status', method => '^PUT$', path => 'sst', status => 200, last => 1);
flushing('a put whose answer is lost', 'lost', method => '^PUT$', path => 'sst', last => 1);
flushing('a put that is never answered', 'hang_after', method => '^PUT$', path => 'sst', last => 1);
flushing('a put that is cut off', 'reset', method => '^PUT$', path => 'sst', after => 100, last => 1);
flushing('a look whose answer is lost', 'lost', method => '^HEAD$', last => 1);

write_round();
$s3->fault('status', method => '^PUT$', path => 'sst', status => 200);
fails_with($node, q{SELECT skyvault_flush('vault')}, '58030', qr/confirmed.*^HINT: /ms, 'puts that somebody else confirms: the flush fails');
$s3->clear_faults;
is_well('puts that the store confirms');

# ------------------------------------------------------------------- OWNER
# Without conditional puts it is removed and put again: a death in between leaves
# none, and who announced that is the owner still.
foreach my $point ('owner-announced', 'owner-removed', 'owner-replaced')
{
	my $epoch = sql('SELECT epoch FROM skyvault_vaults');

	$node->restart;
	write_round();
	my $flusher = session($node);
	$flusher->run("SELECT stop_point_arm('$point', 'wait')");
	$flusher->send(q{SELECT skyvault_flush('vault')});
	sql("CALL stop_point_await('$point')");
	kill_postmaster($node);
	$flusher->await_lost;
	$flusher->quit;
	$node->start;
	is_well("a death at $point");
	cmp_ok(sql('SELECT epoch FROM skyvault_vaults'), '>', $epoch, "a death at $point: the vault is taken anew");
	is(sql('SELECT state FROM skyvault_vaults'), 'owner', "a death at $point: by its owner");
}

# Without such an announcement a missing OWNER is not made again unasked.
my $alter = q{ALTER SERVER vault OPTIONS (SET url '%s')};
my $url = sql(q{SELECT substr(o, 5) FROM pg_foreign_server, unnest(srvoptions) AS o WHERE srvname = 'vault' AND o LIKE 'url=%'});
sql(sprintf($alter, $url . 'elsewhere/'));
write_round();
fails_with($node, q{SELECT skyvault_flush('vault')}, '55000', qr/OWNER" is missing.*skyvault_adopt/s, 'another store');
sql(sprintf($alter, $url));
is_well('the right store again');

# ------------------------------------------------------------------- waiting
# Not even libs3 is in the way of a cancel.
$s3->fault('hang');
$node->append_conf('postgresql.conf', 'skyvault.store_timeout = 1h');
$node->reload;
sql('SELECT skyvault_clear_cache()');
my $session = session($node);
$session->run("SET statement_timeout = '200ms'");
like(($session->try(q{SELECT count(*) FROM skyvault_scan('kv')}))[1], qr/ERROR:  57014/, 'statement_timeout');
$session->run('RESET statement_timeout');
$session->send(q{SELECT skyvault_get('kv', 'k77')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM skyvault_store_waits WHERE caller = 'foreground'}),
	'a query waits for the store');
sql('CREATE DATABASE dropped');
sql('DROP DATABASE dropped');
pass('it takes part in barriers');
sql('SELECT pg_cancel_backend(' . $session->pid . ')');
like(($session->receive)[1], qr/ERROR:  57014/, 'and can be cancelled');
$s3->clear_faults;
is(($session->try(q{SELECT skyvault_get('kv', 'k77') = value FROM m_kv WHERE key = 'k77'}))[0], 't',
	'the same session reads when the store is well');
$session->quit;

# ------------------------------------------------------------------- deaths
$node->append_conf('postgresql.conf', "skyvault.store_timeout = 2s\nskyvault.flush_interval = 1s\n");
$node->reload;
$s3->signal('KILL');
write_round();
ok($node->poll_query_until('postgres', q{SELECT state = 'failed' FROM skyvault.job ORDER BY id DESC LIMIT 1}),
	'the server is dead: flushes fail');
$s3->start;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.delta'), 'it is back: flushed unasked');
sql('SELECT skyvault_clear_cache()');
same_content($node, ['kv'], 'nothing was lost');
my $log = slurp_file($node->logfile);
unlike($log, qr/terminated by signal|PANIC|TRAP/, 'no process died');
like($log, qr/Forbidden|SignatureDoesNotMatch/, 'the log tells of what went wrong');
is(leaks($log), 0, 'but no secret');

$node->stop;
done_testing();
