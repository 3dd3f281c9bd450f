# Whoever may make objects, set a search_path and take advisory locks gets nothing
# of his own called by Skyvault, and stops nobody.
#
# Schema "evil" has a function for each of pg_catalog's, and an operator for each,
# of the same name and types; they tell the log as whom they were called.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', bare => 1, settings => "skyvault.retention = 0\nskyvault.orphan_grace = 0\n");
my $hostile = 'SET search_path = evil, pg_catalog, public;';

# Of sessions that say nothing else; of workers it is what ALTER DATABASE says.
$ENV{PGOPTIONS} = '-c search_path=pg_catalog';

sub home { return $node->safe_psql('home', $_[0]); }

# Makes the shadows.  In schema public are operators for pairs of types of which
# pg_catalog has none: where public is searched they fit better than its own.
sub set_trap
{
	$node->safe_psql('trap', <<'SQL');
SET check_function_bodies = off;
CREATE SCHEMA evil;
GRANT ALL ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.body(what text, is_set boolean) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT format('BEGIN RAISE LOG ''evil %s as %%'', current_user; RETURN%s; END', replace(what, '%', '%%'),
		CASE WHEN is_set THEN '' ELSE ' NULL' END)
$$;
CREATE FUNCTION evil.make_operator(name text, l oid, r oid, result oid, schema text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	args text = format('%s, %s', format_type(l, NULL), format_type(r, NULL));
	function text = format('%I.%I', schema, 'op_' || md5(name || args));
BEGIN
	EXECUTE format('CREATE FUNCTION %s(%s) RETURNS %s LANGUAGE plpgsql AS %L', function, args, format_type(result, NULL),
		evil.body('operator ' || name, false));
	EXECUTE format('CREATE OPERATOR %I.%s (FUNCTION = %s, LEFTARG = %s, RIGHTARG = %s)', schema, name, function,
		format_type(l, NULL), format_type(r, NULL));
END $$;
SELECT evil.make_operator(oprname, oprleft, oprright, oprresult, 'evil') FROM pg_operator
WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprkind = 'b'
	AND NOT ARRAY[oprleft, oprright, oprresult] && ARRAY(SELECT oid FROM pg_type WHERE typtype = 'p');
WITH types AS (SELECT unnest('{integer,bigint,double precision,numeric,text,name,oid,xid8,text[],bigint[]}'::regtype[])::oid AS type)
SELECT evil.make_operator(name, l.type, r.type, CASE WHEN name ~ '[<=>]' THEN 'boolean'::regtype::oid ELSE l.type END, 'public')
FROM unnest('{=,<>,<,>,<=,>=,+,-,*,/,||}'::text[]) AS name, types AS l, types AS r
WHERE NOT EXISTS (SELECT FROM pg_operator WHERE oprname = name AND oprleft = l.type AND oprright = r.type
	AND oprnamespace = 'pg_catalog'::regnamespace);
DO $do$
DECLARE
	f record;
BEGIN
	FOR f IN SELECT proname::text AS name, oidvectortypes(proargtypes) AS args, proretset AS is_set, format_type(prorettype, NULL) AS result
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind <> 'p' AND provariadic = 0
			AND NOT (prorettype || proargtypes::oid[]) && ARRAY(SELECT oid FROM pg_type WHERE typtype = 'p')
		UNION ALL VALUES ('format', 'text, text', false, 'text'), ('format', 'text, name', false, 'text'),
			('unnest', 'text[]', true, 'text'), ('cardinality', 'text[]', false, 'integer'),
			('array_agg', 'text', false, 'text[]'), ('count', 'text', false, 'bigint'), ('jsonb_agg', 'jsonb', false, 'jsonb')
	LOOP
		EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s%s LANGUAGE plpgsql AS %L', f.name, f.args,
			CASE WHEN f.is_set THEN 'SETOF ' ELSE '' END, f.result, evil.body('function ' || f.name, f.is_set));
	END LOOP;
	EXECUTE format('CREATE FUNCTION evil.jsonb_each_text(jsonb, OUT key text, OUT value text) RETURNS SETOF record'
		' LANGUAGE plpgsql AS %L', evil.body('function jsonb_each_text', true));
	EXECUTE format('CREATE FUNCTION public.cardinality(text[]) RETURNS integer LANGUAGE plpgsql AS %L',
		evil.body('function cardinality', false));
END $do$;
SQL
}

# What was called since the last time, and as whom.
my $heard = 0;

sub evil_calls
{
	my $log = slurp_file($node->logfile, $heard);
	my %calls = map { $_ => 1 } $log =~ /LOG:  (evil .*)$/mg;

	$heard += length($log);
	return join('; ', sort keys %calls);
}

sub nothing_evil
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(evil_calls(), '', "$_[0]: nothing but Postgres's own is called");
}

# As her, with the hostile path; rows and errors.
sub as_mallory
{
	my (undef, $out, $errors) = $node->psql('home', "$hostile $_[0]", extra_params => [ '-U', 'mallory' ]);

	return ($out =~ s/\n+\z//r, $errors);
}

$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE DATABASE trap');
set_trap();
cmp_ok($node->safe_psql('trap', "SELECT count(*) FROM pg_proc WHERE pronamespace = 'evil'::regnamespace"), '>', 2000, 'the shadows are there');
foreach my $database ('home', 'other')
{
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE trap; ALTER DATABASE $database SET search_path = evil, pg_catalog");
}
as_mallory("SELECT 'a'::text = 'b'::text, now()");
is(evil_calls(), 'evil function now as mallory; evil operator = as mallory', 'they tell of calls');

# The extension, made by a superuser in a schema where others have made objects.
$node->safe_psql($_, 'CREATE EXTENSION skyvault SCHEMA public') foreach 'home', 'other';
is(home(<<'SQL'), '', 'views call nothing that was there before');
SELECT pg_describe_object(refclassid, refobjid, 0) FROM pg_depend
WHERE classid = 'pg_rewrite'::regclass AND (refclassid = 'pg_operator'::regclass
	OR refclassid = 'pg_proc'::regclass AND refobjid IN (SELECT oid FROM pg_proc WHERE prosrc LIKE 'BEGIN RAISE LOG%'))
SQL

# She owns a vault, and may do everything with it that needs no superuser.
home(<<'SQL');
CREATE SERVER hers FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:hers');
GRANT USAGE ON FOREIGN DATA WRAPPER skyvault TO mallory;
ALTER SERVER hers OWNER TO mallory;
SQL
is((as_mallory(<<'SQL'))[1], '', 'her tables');
CREATE FOREIGN TABLE evil.typed (id bigint, name text COLLATE pg_catalog."C", tags jsonb) SERVER hers OPTIONS (key 'id, name', ttl '1 day');
SELECT public.skyvault_create_table('evil.kv', server => 'hers');
SELECT public.skyvault_put('evil.kv', 'a', '1');
SELECT public.skyvault_multi_put('evil.kv', ARRAY['a', 'b', 'c'], ARRAY['1', '2', '3']);
INSERT INTO evil.typed VALUES (1, 'x', '{}'), (2, 'y', '[1]');
SQL
is(home("SELECT public.skyvault_flush('hers')"), 5, 'are flushed');
is(home("SELECT public.skyvault_snapshot('s', 'hers')"), 1, 'there is a snapshot');
my ($out, $errors) = as_mallory(<<'SQL');
SELECT public.skyvault_get('evil.kv', 'a');
SELECT public.skyvault_get('evil.kv', 'a', true);
SELECT public.skyvault_get_array('evil.kv', ARRAY['a', 'none']);
SELECT value FROM public.skyvault_multi_get('evil.kv', ARRAY['b', 'c']);
SELECT value FROM public.skyvault_scan('evil.kv', 'b');
SELECT public.skyvault_exists('evil.kv', 'b');
SELECT name FROM evil.typed ORDER BY id DESC;
UPDATE evil.typed SET tags = '{"a": 1}';
DELETE FROM evil.typed;
SELECT object FROM public.skyvault_verify('evil.kv', true);
SELECT object FROM public.skyvault_verify_vault('hers', true);
TRUNCATE evil.typed;
DROP FOREIGN TABLE evil.typed;
SELECT public.skyvault_delete('evil.kv', 'c');
SELECT public.skyvault_drop_snapshot('s', 'hers');
SELECT public.skyvault_adopt('hers');
SQL
is($errors, '', 'she does what an owner may');
is($out, "1\n1\n{1,NULL}\n2\n3\n2\n3\nt\ny\nx", 'and reads what is there');
nothing_evil('the owner of a vault');

# An object that is missing: who owns the vault is looked up for the message.
my ($object) = split(/\n/, home('SELECT object FROM skyvault.run ORDER BY id'));
my $store = $node->data_dir . '/hers';
rename("$store/$object", "$store.away") or die "rename: $!";
home('SELECT public.skyvault_clear_cache()');
like((as_mallory("SELECT public.skyvault_get('evil.kv', 'b')"))[1], qr/is missing from the store/, 'a missing object is told of');
is((as_mallory("SELECT problem FROM public.skyvault_verify('evil.kv')"))[0], 'missing', 'and found by verify');
nothing_evil('a missing object');
rename("$store.away", "$store/$object") or die "rename: $!";

# A superuser with such a path, and with temporary tables that are named like what Skyvault reads.
{
	my $session = session($node, 'home');

	$session->run($hostile . join('', map { "CREATE TEMP TABLE $_ (i int);" }
				qw(pg_stat_activity pg_database pg_stat_replication pg_prepared_xacts pg_replication_slots pg_class pg_foreign_table)));
	$session->run("SELECT public.skyvault_$_") foreach "put('evil.kv', 'd', '4')", 'flush()', "compact('evil.kv', true)", 'export()',
	  "snapshot('t')", "drop_snapshot('t', 'hers')", 'pause()', 'resume()', "verify_vault('hers', true)";
	$session->run("SELECT object, held_by FROM public.skyvault_gc($_)") foreach 'true, true', 'sweep => true';
	is(home('SELECT count(*) FROM skyvault.garbage'), 0, 'a superuser collects all garbage');
	is($session->run("SELECT public.skyvault_get('evil.kv', 'd')"), 4, 'and reads');

	$session->run('SET search_path = public');
	$session->run('CREATE TEMP TABLE kv (i int)');
	is($session->run("SELECT public.skyvault_create_table('kv', server => 'hers')"), 'public.kv',
		'a new table is not taken for a temporary one of the same name');
	$session->run('DROP FOREIGN TABLE public.kv');
	$session->quit;
}
nothing_evil('a superuser');

# A restore is done by the session that asks for it.
home('SELECT public.skyvault_export()');
$node->safe_psql('other',
	"$hostile CREATE SERVER copy FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:hers'); SELECT tables FROM public.skyvault_restore('copy')");
is($node->safe_psql('other', "$hostile SELECT value FROM public.skyvault_scan('evil.kv')"), "1\n2\n4", 'a vault is restored');
nothing_evil('restore');

# Workers, started in a database with that path.
is(home("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'skyvault scheduler' AND datname = 'home'"), 1, 'there is a scheduler');
reload_with($node, 'skyvault.wal_runs = 2', 'skyvault.export_interval = 1s', 'skyvault.gc_interval = 1s', 'skyvault.flush_interval = 1s');
foreach my $i (1 .. 3)
{
	home("SELECT public.skyvault_put('evil.kv', 'e$i', '5')");
	home("SELECT public.skyvault_flush('hers')");
}
as_mallory('TRUNCATE evil.kv');
ok($node->poll_query_until('home', "SELECT newest_id = exported_id AND garbage = 0 FROM public.skyvault_vaults WHERE server = 'hers'"),
	'workers go on by themselves');
nothing_evil('workers');

# Advisory locks of all keys that are likely; and of the catalogue she can lock nothing that would hold up a worker.
home('GRANT pg_monitor TO mallory');
my $locker = session($node, 'home');
my $classes = "(SELECT oid::int AS class FROM pg_class WHERE relnamespace = 'skyvault'::regnamespace AND relkind = 'r' UNION VALUES (0), (1)) AS c";
my @tables = split(/\n/, home("SELECT oid::regclass FROM pg_class WHERE relnamespace = 'skyvault'::regnamespace AND relkind = 'r'"));
$locker->run('SET ROLE mallory');
$locker->run('SELECT count(pg_advisory_lock(n)) FROM generate_series(0, 400) AS n');
$locker->run("SELECT count(pg_advisory_lock(class, n)) FROM $classes, generate_series(0, 100) AS n");
$locker->run("SELECT count(pg_advisory_lock((class::bigint << 32) | n)) FROM $classes, generate_series(0, 30) AS n");
is(scalar(grep { (($locker->try("BEGIN; LOCK TABLE $_ IN SHARE MODE; ROLLBACK"))[1] // '') =~ /^ERROR:  42501/m } @tables), scalar(@tables),
	'she cannot lock tables of the catalogue');
my $epoch = home("SELECT epoch FROM public.skyvault_vaults WHERE server = 'hers'");
foreach my $what ('flush()', "compact('evil.kv', true)", 'export()', "snapshot('u', 'hers')", "adopt('hers')", 'flush()', 'gc()', "drop_snapshot('u', 'hers')")
{
	home("SELECT public.skyvault_put('evil.kv', 'locked', '6'); SELECT public.skyvault_$what");
}
home('TRUNCATE evil.kv; SELECT public.skyvault_flush()');
cmp_ok(home("SELECT epoch FROM public.skyvault_vaults WHERE server = 'hers'"), '>', $epoch, 'advisory locks keep nobody from taking the vault');
is(home("SELECT count(*) FROM skyvault.job WHERE state = 'failed'"), 0, 'and no worker from anything');
$locker->quit;

done_testing();
