# Tracked tables under load: random statements by several clients, and then the graph says what the tables say, by
# check_tracking() and by a query of our own.  The same after a dump and restore, and after the extension was dropped and made again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Registry;
use Test::More;

my $clients = 8;
my $statements = $ENV{TRACKING_STATEMENTS} // 20_000;

my $node = new_server('main');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION assetreg;
CREATE SCHEMA studio;
INSERT INTO assetreg.assets (type, name, version) SELECT 'lora', 'l' || i, '1' FROM generate_series(1, 20) i;
CREATE TABLE studio.scene_types (id int PRIMARY KEY, title text);
CREATE TABLE studio.templates (id int PRIMARY KEY, base_id bigint REFERENCES assetreg.assets (id), loras text[]);
CREATE TABLE studio.type_templates (scene_type_id int REFERENCES studio.scene_types ON DELETE CASCADE ON UPDATE CASCADE,
	template_id int REFERENCES studio.templates ON DELETE CASCADE ON UPDATE CASCADE, note text);  -- not unique
CREATE TABLE studio.scenes (id int, part int, scene_type_id int REFERENCES studio.scene_types ON DELETE SET NULL ON UPDATE CASCADE, status text,
	PRIMARY KEY (id, part)) PARTITION BY RANGE (part);
CREATE TABLE studio.scenes_1 PARTITION OF studio.scenes FOR VALUES FROM (0) TO (2);
CREATE TABLE studio.scenes_2 PARTITION OF studio.scenes FOR VALUES FROM (2) TO (9);
CREATE TABLE studio.segments (scene_id int, part int, no int, PRIMARY KEY (scene_id, part, no),
	FOREIGN KEY (scene_id, part) REFERENCES studio.scenes ON DELETE CASCADE ON UPDATE CASCADE);
SELECT assetreg.track_table('studio.scene_types', 'scene_type', label_column => 'title');
SELECT assetreg.track_table('studio.templates', 'template', asset_columns => '{base_id,loras}');
SELECT assetreg.track_link('studio.type_templates', 'scene_type_id', 'template_id');
SELECT assetreg.track_table('studio.scenes', 'scene', active_when => $$status = 'open'$$);
SELECT assetreg.track_table('studio.segments', 'segment');
CREATE FUNCTION studio.r(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT floor(random() * n)::int';
CREATE FUNCTION studio.any_statement() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT (ARRAY[
		format('INSERT INTO studio.scene_types SELECT i, ''t'' || i FROM generate_series(%s, %1$s + %s) i ON CONFLICT DO NOTHING', studio.r(60), studio.r(4)),
		format('UPDATE studio.scene_types SET title = title || ''x'' WHERE id %% 7 = %s', studio.r(7)),
		format('UPDATE studio.scene_types SET id = %s WHERE id = %s', studio.r(60), studio.r(60)),
		format('DELETE FROM studio.scene_types WHERE id = %s', studio.r(60)),
		format('INSERT INTO studio.templates SELECT i, (SELECT id FROM assetreg.assets WHERE name = ''l'' || %s), ARRAY[''lora/l%s@1'', NULL, ''lora/none''] FROM generate_series(%s, %3$s + %s) i ON CONFLICT (id) DO UPDATE SET base_id = excluded.base_id, loras = excluded.loras',
			   studio.r(25), studio.r(25), studio.r(60), studio.r(4)),
		format('UPDATE studio.templates SET loras = ARRAY[''lora/l%s''] WHERE id = %s', studio.r(20), studio.r(60)),
		format('DELETE FROM studio.templates WHERE id = %s', studio.r(60)),
		format('INSERT INTO studio.type_templates SELECT s.id, t.id FROM studio.scene_types s, studio.templates t WHERE s.id = %s AND t.id %% 9 = %s', studio.r(60), studio.r(9)),
		format('DELETE FROM studio.type_templates WHERE ctid IN (SELECT ctid FROM studio.type_templates LIMIT %s)', studio.r(3)),
		format('UPDATE studio.type_templates SET template_id = %s WHERE scene_type_id = %s', studio.r(60), studio.r(60)),
		format('INSERT INTO studio.scenes SELECT %s, %s, %s, ''open'' ON CONFLICT DO NOTHING', studio.r(60), studio.r(4), studio.r(60)),
		format('UPDATE studio.scenes SET status = CASE status WHEN ''open'' THEN ''archived'' ELSE ''open'' END WHERE id = %s', studio.r(60)),
		format('UPDATE studio.scenes SET part = %s WHERE id = %s', studio.r(4), studio.r(60)),
		format('UPDATE studio.scenes_1 SET scene_type_id = NULL WHERE id = %s', studio.r(60)),
		format('DELETE FROM studio.scenes WHERE id = %s', studio.r(60)),
		format('INSERT INTO studio.segments SELECT id, part, %s FROM studio.scenes WHERE id = %s ON CONFLICT DO NOTHING', studio.r(9), studio.r(60)),
		format('DELETE FROM studio.segments WHERE no = %s AND scene_id %% 5 = %s', studio.r(9), studio.r(5)),
		format('MERGE INTO studio.scenes s USING (VALUES (%s, 1), (%s, 3)) v (id, part) ON s.id = v.id AND s.part = v.part WHEN MATCHED AND s.status = ''open'' THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.part, NULL, ''open'')',
			   studio.r(60), studio.r(60)),
		-- many rows at once
		format('INSERT INTO studio.segments SELECT id, part, n FROM studio.scenes, generate_series(0, 8) n WHERE id %% 4 = %s ON CONFLICT DO NOTHING', studio.r(4)),
		format('UPDATE studio.scenes SET scene_type_id = (SELECT max(id) FROM studio.scene_types WHERE id < %s) WHERE id %% 3 = %s', studio.r(60), studio.r(3)),
		format('UPDATE studio.templates SET base_id = (SELECT id FROM assetreg.assets WHERE name = ''l'' || %s) WHERE id %% 2 = %s', studio.r(25), studio.r(2)),
		format('DELETE FROM studio.templates WHERE id %% 4 = %s', studio.r(4)),
		CASE WHEN random() < 0.02 THEN 'TRUNCATE studio.segments' ELSE format('DELETE FROM studio.segments WHERE scene_id = %s', studio.r(60)) END
	])[1 + studio.r(23)] $$;
CREATE TABLE studio.errors (state text, message text);
-- what fails is rolled back to its savepoint; now and then all of it is
CREATE PROCEDURE studio.some_statements() LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	FOR i IN 1 .. 1 + studio.r(3) LOOP
		statement := studio.any_statement();
		BEGIN
			EXECUTE statement;
			IF random() < 0.1 THEN
				RAISE EXCEPTION 'not this one' USING ERRCODE = 'P0099';
			END IF;
		EXCEPTION
			WHEN SQLSTATE 'P0099' OR integrity_constraint_violation OR deadlock_detected OR serialization_failure THEN NULL;
			WHEN OTHERS THEN INSERT INTO studio.errors VALUES (SQLSTATE, SQLERRM || ': ' || statement);
		END;
	END LOOP;
	IF random() < 0.1 THEN
		ROLLBACK;
	END IF;
END $$;
SQL

# The graph as our own query of the tables has it.
sub differences
{
	my ($database) = @_;
	return $node->safe_psql($database, <<'SQL');
WITH stated (dependent, dependency) AS (
	SELECT 'scene_type/' || scene_type_id, 'template/' || template_id FROM studio.type_templates
	UNION SELECT 'template/' || t.id, 'lora/' || a.name FROM studio.templates t JOIN assetreg.assets a ON a.id = t.base_id
	UNION SELECT 'template/' || t.id, 'lora/' || a.name FROM studio.templates t, unnest(t.loras) l JOIN assetreg.assets a ON l IN ('lora/' || a.name, 'lora/' || a.name || '@1')
	UNION SELECT 'scene/["' || id || '", "' || part || '"]', 'scene_type/' || scene_type_id FROM studio.scenes WHERE scene_type_id IS NOT NULL
	UNION SELECT 'segment/["' || scene_id || '", "' || part || '", "' || no || '"]', 'scene/["' || scene_id || '", "' || part || '"]' FROM studio.segments
), kept AS (
	SELECT d.kind || '/' || d.key, e.kind || '/' || split_part(e.key, '@', 1)
	FROM assetreg.asset_dependencies a JOIN assetreg.entities d ON d.id = a.dependent_id JOIN assetreg.entities e ON e.id = a.dependency_id
	WHERE a.source <> 'metadata'
), rows (key, active) AS (
	SELECT 'scene_type/' || id, true FROM studio.scene_types UNION ALL SELECT 'template/' || id, true FROM studio.templates
	UNION ALL SELECT 'scene/["' || id || '", "' || part || '"]', status = 'open' FROM studio.scenes
	UNION ALL SELECT 'segment/["' || scene_id || '", "' || part || '", "' || no || '"]', true FROM studio.segments
), entities AS (SELECT kind || '/' || key, active FROM assetreg.entities WHERE kind <> 'lora')
SELECT (SELECT count(*) FROM (TABLE stated EXCEPT TABLE kept) a), (SELECT count(*) FROM (TABLE kept EXCEPT TABLE stated) b),
	(SELECT count(*) FROM (TABLE rows EXCEPT TABLE entities) c), (SELECT count(*) FROM (TABLE entities EXCEPT TABLE rows) d)
SQL
}

my $script = $node->basedir . '/some_statements.sql';
append_to_file($script, "CALL studio.some_statements();\n");
my $calls = int($statements / 2 / $clients);
$node->command_ok([ 'pgbench', '-n', '-f', $script, '-c', $clients, '-j', 2, '-t', $calls, '-h', $node->host, '-p', $node->port, 'postgres' ],
	"$clients clients run about $statements random statements");
is($node->safe_psql('postgres', 'SELECT * FROM studio.errors LIMIT 5'), '', 'no unexpected error');
is($node->safe_psql('postgres', 'SELECT * FROM assetreg.check_tracking()'), '', 'check_tracking(): no difference');
is(differences('postgres'), '0|0|0|0', 'nor by a query of our own');
is($node->safe_psql('postgres', 'SELECT * FROM assetreg.check_registry()'), '', 'the registry is whole');
note($node->safe_psql('postgres', 'SELECT count(*) FROM assetreg.asset_dependencies') . ' edges at the end');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM assetreg.asset_dependencies'), '>', 50, 'and not for want of edges');

# the comparison can fail
$node->safe_psql('postgres', q{SET session_replication_role = replica; INSERT INTO studio.scene_types VALUES (1000, 'unseen')});
is(differences('postgres'), '0|0|1|0', 'a row that no trigger saw is a difference');
is($node->safe_psql('postgres', 'SELECT * FROM assetreg.check_tracking()'), 'studio.scene_types|1|0', 'and check_tracking() tells');
is($node->safe_psql('postgres', 'SELECT * FROM assetreg.repair_tracking()'), 'studio.scene_types|1|0', 'repair_tracking() takes it in');
is(differences('postgres'), '0|0|0|0', 'as it should');

# Many rows at once are written in a subtransaction of their own: whatever ends that, at whatever moment, all of the statement
# is taken back, and the transaction goes on.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE studio.shots (id int PRIMARY KEY, scene_type_id int REFERENCES studio.scene_types, lora text);
SELECT assetreg.track_table('studio.shots', 'job', asset_columns => '{lora}');
CREATE TABLE studio.cancelled (at_ms int);
SQL
my ($took) = $node->safe_psql('postgres', <<'SQL') =~ /^(\d+)$/m;
\set shots 'SELECT i, (SELECT min(id) FROM studio.scene_types), ''lora/l1'' FROM generate_series(1, 4000) i'
BEGIN;
INSERT INTO studio.shots :shots;
SELECT ceil(extract(epoch FROM clock_timestamp() - now()) * 1000)::int;
ROLLBACK;
SQL
my ($moments, $after) = (40, '');
for my $i (1 .. $moments)
{
	my $ms = 1 + int($took * $i / $moments);
	my ($rc, $out, $error) = $node->psql('postgres', <<"SQL");
SET statement_timeout = $ms;
BEGIN;
DO \$\$
BEGIN
	INSERT INTO studio.shots SELECT i, (SELECT min(id) FROM studio.scene_types), 'lora/l1' FROM generate_series(1, 4000) i;
	RAISE EXCEPTION 'not cancelled' USING ERRCODE = 'P0099';
EXCEPTION
	WHEN query_canceled THEN INSERT INTO studio.cancelled VALUES ($ms);
	WHEN SQLSTATE 'P0099' THEN NULL;
END \$\$;
SET LOCAL statement_timeout = 0;
SELECT 'left' FROM studio.shots UNION ALL SELECT 'left' FROM assetreg.entities WHERE kind = 'job';
COMMIT;
SQL
	# the handler may be cancelled, too
	$after .= "$ms ms: $out $error\n" if $out ne '' || $error !~ /^(|psql:\S+ ERROR:  canceling statement due to statement timeout.*)$/s || $error =~ /WARNING/;
}
is($after, '', 'what is cancelled amid many rows leaves nothing');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM studio.cancelled'), '>', 3, 'and some were');
is($node->safe_psql('postgres', 'SELECT * FROM assetreg.check_tracking() UNION ALL SELECT object, NULL, NULL FROM assetreg.check_registry()'), '', 'graph and registry are whole');
$node->safe_psql('postgres', 'DROP TABLE studio.shots, studio.cancelled');

# a dump and its restore; a column that is dropped leaves its number to another there
$node->safe_psql('postgres', 'ALTER TABLE studio.scene_types ADD COLUMN early text'); $node->safe_psql('postgres', 'ALTER TABLE studio.scene_types DROP COLUMN early; ALTER TABLE studio.templates DROP COLUMN base_id');
$node->command_ok([ 'pg_dump', '-Fd', '-f', $node->basedir . '/dump', '-h', $node->host, '-p', $node->port, 'postgres' ], 'a dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-e', '-j', 2, '-d', 'restored', '-h', $node->host, '-p', $node->port, $node->basedir . '/dump' ], 'its restore');
is($node->safe_psql('restored', 'SELECT * FROM assetreg.check_tracking()'), '', 'restored, the graph agrees');
is($node->safe_psql('restored', 'SELECT * FROM assetreg.check_registry()'), '', 'and the registry is whole');
$node->safe_psql('restored', q{INSERT INTO studio.scenes VALUES (7000, 1, NULL, 'open'); });
my ($status, $out, $err) = $node->psql('restored', q{ALTER TABLE studio.templates RENAME loras TO adapters});
like($err, qr/columns of tracked table "studio.templates" cannot be followed yet/, 'a rename right after it is refused');
$node->safe_psql('restored', 'SELECT assetreg.setup()');
$node->safe_psql('restored', q{ALTER TABLE studio.templates RENAME loras TO adapters; UPDATE studio.templates SET adapters = '{lora/l1}'});
is($node->safe_psql('restored', 'SELECT * FROM assetreg.check_tracking()'), '', 'tracking goes on there');

# without the extension, and with it again
$node->safe_psql('restored', 'DROP EXTENSION assetreg CASCADE');
$node->safe_psql('restored', q{INSERT INTO studio.scenes VALUES (7001, 1, NULL, 'open')});
$node->safe_psql('restored', 'CREATE EXTENSION assetreg');
is($node->safe_psql('restored', 'SELECT * FROM assetreg.check_tracking()'), 'studio.scenes|1|0', 'what was written without the extension is missing');
is($node->safe_psql('restored', 'SELECT * FROM assetreg.repair_tracking()'), 'studio.scenes|1|0', 'until it is repaired');
$node->safe_psql('restored', q{INSERT INTO studio.scenes VALUES (7002, 1, NULL, 'open')});
is($node->safe_psql('restored', 'SELECT * FROM assetreg.check_tracking()'), '', 'the triggers are back');

done_testing();
