# Nobody acts as somebody else without the right to: not by settings made before the library is there to check them, nor
# by those that a connection, a role or a database brings along. What a level gives comes back from a dump, and what a
# preview on a standby shows confirms a deletion on its primary.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $node = new_server('main', allows_streaming => 1);
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE mallory LOGIN CREATEDB CREATEROLE;
CREATE ROLE pool LOGIN;
CREATE ROLE victim LOGIN;
CREATE EXTENSION assetreg;
SELECT assetreg.grant_access('mallory', 'contributor'), assetreg.grant_access('pool', 'service'), assetreg.grant_access('victim', 'contributor');
SQL

# What a role's new session says at the end, and its complaints.
sub as
{
	my ($role, $statements, %how) = @_;
	local $ENV{PGOPTIONS} = $how{options} // '';
	local $ENV{PGUSER} = $role;
	my ($status, $out, $err) = $node->psql($how{database} // 'postgres', $statements, on_error_stop => 0);
	return wantarray ? ($out, $err) : $out;
}

my $n = 0;
# In one session: what comes before, a registration, and who is said to have done it.
sub registered_by
{
	my ($role, $before, %how) = @_;
	$n++;
	my ($out, $err) = as($role, "$before;\nINSERT INTO assetreg.assets (type, name, version) VALUES ('lora', 'by somebody', '$n');\n" . ($how{after} // ''), %how);
	my $who = $node->safe_psql('postgres', "SELECT registered_by FROM assetreg.assets WHERE name = 'by somebody' AND version = '$n'");
	return wantarray ? ($who, $err) : $who;
}

for my $preload ('', 'session_preload_libraries', 'shared_preload_libraries')
{
	my $when = $preload ? ", $preload" : ', loaded by the first statement that needs it';
	$node->append_conf('postgresql.conf', "$preload = assetreg") if $preload;
	$node->restart;
	is(as('mallory', q{SELECT count(*) FROM pg_settings WHERE name = 'assetreg.actor' AND context = 'superuser'}), $preload ? 1 : 0, "the library is there or not$when");

	is(registered_by('mallory', 'SELECT 1'), 'mallory', "a role is itself$when");
	is(registered_by('mallory', q{SET assetreg.actor = 'ana'}), 'mallory', "SET$when");
	is(registered_by('mallory', q{SELECT set_config('assetreg.actor', 'ana', false)}), 'mallory', "set_config$when");
	is(registered_by('mallory', q{BEGIN; SET LOCAL assetreg.actor = 'ana'}, after => 'COMMIT'), $preload ? '' : 'mallory', "SET LOCAL$when");
	is(registered_by('mallory', q{BEGIN; SET assetreg.actor = 'ana'; SAVEPOINT s; SET LOCAL assetreg.actor = 'bo'}, after => 'COMMIT'), $preload ? '' : 'mallory',
		"settings of several levels$when");
	is(registered_by('mallory', q{SET "AssetReg.Actor" = 'ana'}), 'mallory', "in other letters$when");
	isnt(registered_by('mallory', 'SELECT 1', options => '-c assetreg.actor=ana'), 'ana', "PGOPTIONS$when");
	isnt(registered_by('mallory', 'SELECT 1', options => '--assetreg.actor=ana'), 'ana', "PGOPTIONS, long$when");
	isnt(registered_by('mallory', 'RESET ALL', options => '-c assetreg.actor=ana'), 'ana', "PGOPTIONS and RESET ALL$when");
	for my $statement (q{ALTER ROLE mallory SET assetreg.actor = 'ana'}, q{ALTER ROLE mallory IN DATABASE postgres SET assetreg.actor = 'ana'},
		q{ALTER ROLE victim SET assetreg.actor = 'ana'}, q{ALTER ROLE ALL SET assetreg.actor = 'ana'})
	{
		my (undef, $err) = as('mallory', $statement);
		like($err, qr/permission denied|must be superuser/, "$statement$when");
	}
	is(registered_by($_, 'SELECT 1'), $_, "$_ is still $_$when") for 'mallory', 'victim';

	# A database that the role owns itself; its owner may not bring an actor along either.
	as('mallory', 'CREATE DATABASE own', database => 'template1');
	my (undef, $err) = as('mallory', q{ALTER DATABASE own SET assetreg.actor = 'ana'}, database => 'own');
	like($err, qr/permission denied/, "ALTER DATABASE of one's own$when");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_db_role_setting s, unnest(setconfig) c WHERE c LIKE 'assetreg.%'}), 0, "nothing of that stays$when");
	as('mallory', 'DROP DATABASE own', database => 'template1');

	# The service may, in the ways that PostgreSQL knows; act_as() is the one for a pool.
	is(registered_by('pool', q{SET assetreg.actor = 'ana'}), 'ana', "a service sets the actor$when");
	is(registered_by('pool', 'SELECT 1', options => '-c assetreg.actor=ana'), 'ana', "or connects with it$when");
	is(registered_by('pool', q{BEGIN; SELECT assetreg.act_as('bo')}, after => 'COMMIT'), 'bo', "or acts as somebody$when");
	is(registered_by('pool', q{BEGIN; SELECT assetreg.act_as('bo'); COMMIT}), 'pool', "for a transaction$when");
	is(registered_by('pool', q{BEGIN; SELECT assetreg.act_as('bo'); ROLLBACK}, options => '-c assetreg.actor=ana'), 'ana', "and is then what it was$when");
	is(registered_by('pool', q{BEGIN; SELECT assetreg.act_as('bo'); COMMIT; DISCARD ALL}), 'pool', "a pooler cleans up$when");
	is(registered_by('pool', q{SELECT assetreg.act_as('bo') \; SELECT 1}), 'pool', "several statements at once are a transaction$when");
	is(as('pool', qq{SELECT assetreg.act_as('bo') \\; SELECT current_setting('assetreg.actor')}), "\nbo", "that one can act in$when");
	# two clients of one connection, one after the other
	my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'pool' ]);
	my @who;
	for my $client (qw(ana bo), '', 'cy')
	{
		$session->query($client ? "BEGIN; SELECT assetreg.act_as('$client')" : 'BEGIN');
		push @who, scalar $session->query(q{SELECT coalesce(nullif(current_setting('assetreg.actor', true), ''), session_user)});
		$session->query($client eq 'bo' ? 'ROLLBACK' : 'COMMIT');
	}
	$session->quit;
	is("@who", 'ana bo pool cy', "each client of a pool is itself$when");
}

# --- for all: the server's own setting ---------------------------------------------------------------

$node->append_conf('postgresql.conf', "assetreg.actor = 'night shift'");
$node->reload;
is(registered_by('mallory', 'SELECT 1'), 'night shift', 'the server may name an actor for everybody');
is(registered_by('mallory', q{RESET assetreg.actor; SET assetreg.actor = ''}), 'night shift', 'whom nobody takes away');
$node->append_conf('postgresql.conf', q{assetreg.actor = 'bad\nname'});
$node->reload;
is(registered_by('mallory', 'SELECT 1'), 'night shift', 'no name, no change');
$node->append_conf('postgresql.conf', "assetreg.actor = ''");
$node->restart;

# --- levels survive a dump, the one on a setting as part of the server's -----------------------------

my $rights = <<'SQL';
SELECT r.role, a.kind, a.object,
	   CASE a.kind WHEN 'table' THEN concat(has_table_privilege(r.role, 'assetreg.' || a.object, 'SELECT'), has_table_privilege(r.role, 'assetreg.' || a.object, 'INSERT'),
											has_table_privilege(r.role, 'assetreg.' || a.object, 'UPDATE'), has_table_privilege(r.role, 'assetreg.' || a.object, 'DELETE'))
				   WHEN 'column' THEN has_column_privilege(r.role, 'assetreg.assets', 'id', 'REFERENCES')::text
				   WHEN 'sequence' THEN has_sequence_privilege(r.role, 'assetreg.' || a.object, 'USAGE')::text
				   WHEN 'function' THEN (SELECT string_agg(has_function_privilege(r.role, p.oid, 'EXECUTE')::text, ' ') FROM pg_proc p
										 WHERE p.pronamespace = 'assetreg'::regnamespace AND p.proname = a.object)
				   WHEN 'schema' THEN has_schema_privilege(r.role, 'assetreg', 'USAGE')::text
				   ELSE has_parameter_privilege(r.role, a.object, 'SET')::text END
FROM assetreg._access() a, unnest('{mallory,pool,victim}'::text[]) r (role) ORDER BY 1, 2, 3
SQL
$node->safe_psql('postgres', q{SELECT assetreg.grant_access('victim', 'admin')});
my $before = $node->safe_psql('postgres', $rights);
my $dump = "$PostgreSQL::Test::Utils::tmp_check/access.sql";
command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'comes back');
same_lines($node->safe_psql('restored', $rights), $before, 'with the rights of each level');
is($node->safe_psql('restored', 'SELECT count(*) FROM assetreg.check_registry()'), 0, 'and whole');
my $globals = "$PostgreSQL::Test::Utils::tmp_check/globals.sql";
command_ok([ 'pg_dumpall', '--globals-only', '-d', $node->connstr('postgres'), '-f', $globals ], 'the globals');
like(slurp_file($globals), qr/GRANT SET ON PARAMETER "?assetreg\.actor"? TO pool/, 'hold the right to act');

# --- a preview on a standby ---------------------------------------------------------------------------

$node->safe_psql('postgres', <<'SQL');
INSERT INTO assetreg.assets (id, type, name, version) VALUES (100001, 'model', 'Wan2.1', '1.0');
INSERT INTO assetreg.entities (id, kind, key) SELECT 100001 + i, 'scene', i FROM generate_series(1, 20) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT 100001 + i, 100001 + i / 2 FROM generate_series(1, 20) i;
SQL
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $preview = 'SELECT token, active_dependents, dependents FROM assetreg.delete_preview(100001)';
is($standby->safe_psql('postgres', $preview), $node->safe_psql('postgres', $preview), 'a standby shows what its primary does');
my ($token) = split /\|/, $standby->safe_psql('postgres', $preview);
my ($status, undef, $err) = $standby->psql('postgres', "SELECT assetreg.delete_asset(100001, token => '$token')");
like($err, qr/cannot execute .* in a read-only transaction/, 'and deletes nothing');
is($standby->safe_psql('postgres', q{BEGIN; SELECT assetreg.act_as('ana'); SELECT current_setting('assetreg.actor'); COMMIT}), "\nana", 'one can act there, too');
$node->safe_psql('postgres', q{INSERT INTO assetreg.entities (id, kind, key) VALUES (100050, 'scene', 'new');
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (100050, 100021)});
(undef, undef, $err) = $node->psql('postgres', "SELECT assetreg.delete_asset(100001, token => '$token')");
like($err, qr/ERROR: .*not those of its preview.*DETAIL:  New since then: scene "new"/s, 'its token is held against what is there now');
$node->safe_psql('postgres', 'DELETE FROM assetreg.entities WHERE id = 100050');
$node->safe_psql('postgres', "SELECT assetreg.delete_asset(100001, token => '$token')");
is($node->safe_psql('postgres', 'SELECT count(*) FROM assetreg.unresolved_references WHERE reference = \'model/Wan2.1@1.0\''), 1, 'and confirms it');

$standby->stop;
$node->stop;
done_testing();
