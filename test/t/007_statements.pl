# A walk gives what a query in its place would, whatever statement it stands in: parallel plans, generic plans,
# cursors, functions, triggers, subtransactions, prepared transactions, imported snapshots, and plans of a
# session that outlive the tables they were made for.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $node = new_server('main');
$node->start;
fill($node, 'postgres');
my $parallel_safe = qr/^(?!check_registry)/;
my $answers = answers($node, 'postgres', $parallel_safe);

# --- parallel plans ---------------------------------------------------------------------------------

my $forced = $node->safe_psql('postgres', q{SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')});
$node->safe_psql('postgres', "ALTER DATABASE postgres SET $forced = on");
for my $source ('auto', 'memory', 'sql')
{
	$node->safe_psql('postgres', "ALTER DATABASE postgres SET assetreg.graph_source = $source");
	same_lines(answers($node, 'postgres', $parallel_safe), $answers, "in parallel workers, $source");
}
my ($status, $out, $error) = $node->psql('postgres', "\\set SHOW_CONTEXT always\nSET client_min_messages = debug1; SET assetreg.graph_source = memory; SELECT assetreg.dependent_count(1, true)");
like($error, qr/dependency walk uses memory.*\n.*CONTEXT:  parallel worker/, 'by the memory of a worker');
my $sum = 'SELECT sum(assetreg.dependent_count(id, true)) FROM assetreg.entities';
$node->safe_psql('postgres', "ALTER DATABASE postgres SET $_")
	for 'parallel_setup_cost = 0', 'parallel_tuple_cost = 0', 'min_parallel_table_scan_size = 0', 'parallel_leader_participation = off';
like($node->safe_psql('postgres', "EXPLAIN $sum"), qr/Gather/, 'a walk can run in parallel workers');
is($node->safe_psql('postgres', <<"SQL"), "t\nt", 'and sees there what its own transaction changed');
BEGIN;
$sum \\gset before_
SAVEPOINT a;
DELETE FROM assetreg.asset_dependencies WHERE dependency_id % 2 = 0;
$sum \\gset parallel_
RESET $forced;
SET assetreg.graph_source = memory;
$sum \\gset memory_
RESET assetreg.graph_source;
SET max_parallel_workers_per_gather = 0;
$sum \\gset serial_
SELECT :parallel_sum < :before_sum;
SELECT :parallel_sum = :serial_sum AND :memory_sum = :serial_sum;
ROLLBACK;
SQL
$node->safe_psql('postgres', "ALTER DATABASE postgres RESET ALL");

# --- a small graph, of which every answer is known ----------------------------------------------------

# 1 <- 2 <- 3 ... <- 10, and a user's walk in many places
$node->safe_psql('postgres', 'CREATE DATABASE small');
$node->safe_psql('small', <<'SQL');
CREATE EXTENSION assetreg;
INSERT INTO assetreg.entities (kind, key) SELECT 'scene', i FROM generate_series(1, 20) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT i + 1, i FROM generate_series(1, 9) i;
CREATE FUNCTION users_of(id bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM assetreg.where_used($1)';
CREATE FUNCTION add_and_count(id bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	steps int := 0;
	before bigint := users_of(1);
BEGIN
	-- the loop goes on with what it began with
	FOR r IN SELECT * FROM assetreg.where_used(1) LOOP
		INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (id, r.entity_id) ON CONFLICT DO NOTHING;
		steps := steps + 1;
	END LOOP;
	BEGIN
		DELETE FROM assetreg.asset_dependencies WHERE dependency_id = 1;
		steps := steps + 100 * users_of(1);
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		NULL;
	END;
	RETURN before || ' ' || steps || ' ' || users_of(1);
END $$;
CREATE FUNCTION stable_count() RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM assetreg.where_used(1)); END';
CREATE FUNCTION add_one(id bigint) RETURNS bigint LANGUAGE sql VOLATILE AS
	'INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES ($1, 1) RETURNING dependent_id';
CREATE TABLE seen (at text, n bigint);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN INSERT INTO seen VALUES (TG_WHEN || '' '' || TG_LEVEL, users_of(1)); RETURN NEW; END';
SQL

# What a session says, a transaction that is rolled back.
sub says
{
	my ($statements, $expected, $test) = @_;
	for my $source ('auto', 'memory', 'sql')
	{
		is($node->safe_psql('small', "SET assetreg.graph_source = $source; BEGIN;\n$statements;\nROLLBACK"), $expected, "$test, $source");
	}
	return;
}

says('SELECT add_and_count(15)', '9 9 10', 'PL/pgSQL sees its own changes from one command to the next, and not those rolled back');
says('SELECT stable_count(), add_one(15), stable_count() FROM generate_series(1, 1)', '9|15|9', 'a stable function sees what its statement sees');
says('SELECT add_one(i), users_of(1) FROM generate_series(15, 17) i', "15|9\n16|9\n17|9", 'row after row of one statement');
says(<<'SQL', "9\n10", 'a statement does not see what it writes, the next one does');
WITH new AS (INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (15, 10) RETURNING 1)
SELECT users_of(1) FROM new;
SELECT users_of(1);
SQL
says(<<'SQL', "BEFORE ROW|9\nBEFORE ROW|10\nAFTER STATEMENT|11", 'triggers on the edges themselves');
CREATE TRIGGER a BEFORE INSERT ON assetreg.asset_dependencies FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER b AFTER INSERT ON assetreg.asset_dependencies FOR EACH STATEMENT EXECUTE FUNCTION see();
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (15, 10), (16, 10);
TABLE seen;
SQL
says(<<'SQL', "2\n3\n4\n5\n6\n7\n8\n9\n10\n2\n0", 'a cursor gives what was there when it was opened');
DECLARE c CURSOR FOR SELECT entity_id FROM assetreg.where_used(1) ORDER BY depth;
DECLARE s SCROLL CURSOR FOR SELECT entity_id FROM assetreg.where_used(1);
DELETE FROM assetreg.asset_dependencies;
FETCH ALL FROM c;
FETCH 1 FROM s;
SELECT users_of(1);
SQL
says(<<'SQL', "2\n9\n2\n1\n0", 'a walk that nobody reads to its end');
SELECT entity_id FROM assetreg.where_used(1) LIMIT 1;
SELECT count(*) FROM (SELECT assetreg.where_used(1)) w;
SELECT (SELECT entity_id FROM assetreg.where_used(1) LIMIT 1);
SELECT (assetreg.where_used(9)).depth LIMIT 1;
SELECT count(*) FROM assetreg.where_used(1, 0);
SQL
says(<<'SQL', "9\n10\n9\n0\n9", 'savepoints');
SELECT users_of(1);
SAVEPOINT a;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (15, 10);
SAVEPOINT b;
SELECT users_of(1);
DELETE FROM assetreg.asset_dependencies WHERE dependent_id = 15;
RELEASE b;
SELECT users_of(1);
DELETE FROM assetreg.asset_dependencies;
SELECT users_of(1);
ROLLBACK TO a;
SELECT users_of(1);
SQL
says(<<'SQL', "9\n5\n8", 'an entity that is gone');
SELECT users_of(1);
DELETE FROM assetreg.entities WHERE id = 7;
SELECT users_of(1);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (8, 6);
SELECT users_of(1);
SQL

says(<<'SQL', "9\nt", 'memory is what is asked');
SELECT users_of(1);
SELECT CASE current_setting('assetreg.graph_source') WHEN 'memory' THEN used WHEN 'sql' THEN NOT used ELSE true END FROM assetreg.graph_cache_status;
SQL
# The guard amid a cascade of somebody else's foreign key: it sees what the same transaction has done to the edges.
says(<<'SQL', "refused\ndeleted\n0", 'the guard in the midst of a cascade');
CREATE TABLE packs (id int PRIMARY KEY);
INSERT INTO packs VALUES (1), (2);
ALTER TABLE assetreg.assets ADD COLUMN pack int REFERENCES packs ON DELETE CASCADE;
SELECT assetreg.register_asset('lora', 'packed', '1') AS packed \gset
UPDATE assetreg.assets SET pack = 1 WHERE id = :packed;
CREATE FUNCTION pg_temp.delete_pack() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM users_of(1);
	DELETE FROM packs WHERE id = 1;
	RETURN 'deleted';
EXCEPTION WHEN dependent_objects_still_exist THEN
	RETURN 'refused';
END $$;
SET LOCAL assetreg.actor = 'ana';
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT 1, id FROM assetreg.assets WHERE pack = 1;
SELECT pg_temp.delete_pack();
DELETE FROM assetreg.asset_dependencies WHERE dependent_id = 1;
SELECT pg_temp.delete_pack();
SELECT count(*) FROM assetreg.assets;
SQL

# --- plans that are kept ----------------------------------------------------------------------------

for my $mode ('force_generic_plan', 'force_custom_plan')
{
	says(<<"SQL", "9\n5\n9\n5\n5\n0", "a prepared statement, $mode");
SET LOCAL plan_cache_mode = $mode;
PREPARE walk (bigint) AS SELECT count(*) FROM assetreg.where_used(\$1);
EXECUTE walk (1);
EXECUTE walk (5);
DROP INDEX assetreg.asset_dependencies_dependent_idx;
ALTER TABLE assetreg.asset_dependencies DROP CONSTRAINT asset_dependencies_pkey;
EXECUTE walk (1);
CREATE INDEX ON assetreg.asset_dependencies (dependency_id);
EXECUTE walk (5);
ALTER TABLE assetreg.asset_dependencies ADD COLUMN extra int, ALTER COLUMN source TYPE varchar(50);
EXECUTE walk (5);
TRUNCATE assetreg.asset_dependencies;
EXECUTE walk (1);
SQL
}

# Without the tables a walk says so, with new ones it goes on: in sessions that have plans of the old ones.
for my $source ('auto', 'memory', 'sql')
{
	my $session = $node->background_psql('small', on_error_stop => 0);
	$session->query("SET assetreg.graph_source = $source");
	is($session->query('SELECT users_of(1)'), '9', "a session with plans, $source");
	$session->query('BEGIN');
	$session->query('DROP TABLE assetreg.asset_dependencies');
	$session->query('SELECT users_of(1)');
	like($session->{stderr}, qr/ERROR:  table "assetreg.asset_dependencies" does not exist/, "the table is dropped, $source");
	$session->{stderr} = '';
	$session->query('ROLLBACK');
	is($session->query('SELECT users_of(1)'), '9', "the table is back, $source");
	$session->query('ALTER TABLE assetreg.asset_dependencies SET SCHEMA public');
	$session->query('SELECT assetreg.setup()');
	is($session->query('SELECT users_of(1)'), '0', "another table in its place, $source");
	$session->query('DROP TABLE assetreg.asset_dependencies; ALTER TABLE public.asset_dependencies SET SCHEMA assetreg');
	is($session->query('SELECT users_of(1)'), '9', "and the first one again, $source");
	$session->quit;
}

# --- snapshots from elsewhere -----------------------------------------------------------------------

for my $source ('auto', 'memory', 'sql')
{
	my $first = $node->background_psql('small');
	my $second = $node->background_psql('small');
	$_->query_safe("SET assetreg.graph_source = $source") for $first, $second;
	$first->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	my $snapshot = $first->query_safe('SELECT pg_export_snapshot()');

	$second->query_safe('SET assetreg.notify = off; BEGIN; INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (15, 10)');
	is($second->query_safe('SELECT users_of(1)'), '10', "before a transaction is prepared, $source");
	$second->query_safe(q{PREPARE TRANSACTION 'edge'});
	is($second->query_safe('SELECT users_of(1)'), '9', "prepared, not committed, $source");
	$second->query_safe(q{COMMIT PREPARED 'edge'});
	is($second->query_safe('SELECT users_of(1)'), '10', "committed, $source");
	is($first->query_safe('SELECT users_of(1)'), '9', "an older snapshot, $source");

	$second->query_safe(qq{BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$snapshot'});
	is($second->query_safe('SELECT users_of(1)'), '9', "an imported snapshot, $source");
	$second->query_safe('COMMIT');
	$first->query_safe('COMMIT; DELETE FROM assetreg.asset_dependencies WHERE dependent_id = 15');
	$_->quit for $first, $second;
}

# A prepared transaction outlives the server.
$node->safe_psql('small', q{SET assetreg.notify = off; BEGIN; INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (15, 10); PREPARE TRANSACTION 'edge'});
$node->restart;
is($node->safe_psql('small', 'SELECT users_of(1)'), '9', 'prepared, after a restart');
$node->safe_psql('small', q{COMMIT PREPARED 'edge'});
is($node->safe_psql('small', 'SELECT users_of(1)'), '10', 'and committed');

$node->stop;
unlike(slurp_file($node->logfile), qr/WARNING|PANIC|was terminated/, 'the server has nothing to complain of');
done_testing();
