# Writers that change a registry at random, and readers that hold each walk against plain SQL within one
# statement, so under one snapshot. A difference is a division by zero, which ends a reader and fails the test.
package Torture;

use strict;
use warnings;
use Exporter 'import';
use File::Spec;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(prepare_torture torture gated pause compare_sql);

my $folder = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir);

# What the writers do, in functions, as they must live with what other writers have done meanwhile.
sub prepare_torture
{
	my ($node, $database) = @_;
	my $edges = "$folder/edges";
	append_to_file($edges, join '', map { join("\t", 100 + $_ * 7 % 100, $_ % 90 + 1, 'copied') . "\n" } 1 .. 150);
	$node->safe_psql($database, <<"SQL");
CREATE SEQUENCE compared;
CREATE TABLE gate ();
CREATE FUNCTION cut_off() RETURNS void LANGUAGE sql AS \$\$
	DELETE FROM assetreg.asset_dependencies
	WHERE ctid > format('(%s,0)', pg_relation_size('assetreg.asset_dependencies') / 8192 * 3 / 4)::tid
\$\$;
CREATE FUNCTION any_entity(lowest bigint = 1) RETURNS bigint LANGUAGE sql AS
	'SELECT id FROM assetreg.entities WHERE id >= (SELECT lowest + random() * 400) ORDER BY id LIMIT 1';
CREATE FUNCTION change_edges() RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	DELETE FROM assetreg.asset_dependencies WHERE (dependency_id, dependent_id, source) IN
		(SELECT dependency_id, dependent_id, source FROM assetreg.asset_dependencies ORDER BY random() LIMIT 12);
	UPDATE assetreg.asset_dependencies SET relation = random()::text WHERE dependency_id = (SELECT any_entity());
	UPDATE assetreg.asset_dependencies SET source = random()::text WHERE dependency_id = (SELECT any_entity()) AND source <> 'copied';
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id)
		SELECT a, b FROM (SELECT DISTINCT any_entity(), any_entity() FROM generate_series(1, 12)) e (a, b) WHERE a <> b
		ON CONFLICT DO NOTHING;
EXCEPTION WHEN foreign_key_violation OR unique_violation THEN
	NULL;
END \$\$;
CREATE FUNCTION change_entities() RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	new bigint;
BEGIN
	new := assetreg.put_entity('scene', 'key ' || random());
	UPDATE assetreg.entities SET active = NOT active, label = CASE WHEN random() < 0.7 THEN random()::text WHEN random() < 0.3 THEN repeat(random()::text, 500)
		WHEN random() < 0.3 THEN (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 200)) END WHERE id = (SELECT any_entity(200)) AND kind NOT IN (SELECT name FROM assetreg.asset_types);
	INSERT INTO assetreg.entity_kinds SELECT 'kind ' || new % 40 ON CONFLICT DO NOTHING;
	UPDATE assetreg.entities SET kind = (ARRAY['scene', 'job', 'kind ' || new % 40])[1 + floor(random() * 3)]
		WHERE id = (SELECT any_entity(200)) AND kind NOT IN (SELECT name FROM assetreg.asset_types);
	PERFORM assetreg.add_dependency(new, d) FROM (SELECT any_entity()) e (d) WHERE d <> new;
	PERFORM assetreg.add_dependency(d, new) FROM (SELECT any_entity()) e (d) WHERE d <> new;
	DELETE FROM assetreg.entities WHERE id = (SELECT any_entity(200)) AND kind NOT IN (SELECT name FROM assetreg.asset_types);
	PERFORM assetreg.add_dependency(new, assetreg.register_asset('lora', 'lora ' || random(), '1'));
	PERFORM set_config('assetreg.confirm_delete', 'on', true);
	DELETE FROM assetreg.assets WHERE id = (SELECT id FROM assetreg.assets WHERE id > 200 AND random() < 0.5 LIMIT 1);
EXCEPTION
	WHEN foreign_key_violation OR undefined_object OR integrity_constraint_violation OR dependent_objects_still_exist THEN
		NULL;
	WHEN invalid_column_reference THEN
		NULL;  -- while REINDEX CONCURRENTLY exchanges two indexes, PostgreSQL finds neither for ON CONFLICT
END \$\$;
CREATE FUNCTION copy_edges() RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	DELETE FROM assetreg.asset_dependencies WHERE source = 'copied';
	COPY assetreg.asset_dependencies (dependent_id, dependency_id, source) FROM '$edges';
EXCEPTION WHEN foreign_key_violation OR unique_violation THEN
	NULL;
END \$\$;
SQL
	return;
}

# A comparison of everything a walk says of one entity: what is found, how deep, and each column.
sub compare_sql
{
	my ($id) = @_;
	return <<"SQL";
WITH RECURSIVE start AS MATERIALIZED (
	SELECT id FROM assetreg.entities WHERE id >= $id ORDER BY id LIMIT 1
), up AS (
	SELECT id, 0 AS depth FROM start
	UNION SELECT d.dependent_id, u.depth + 1 FROM up u JOIN assetreg.asset_dependencies d ON d.dependency_id = u.id WHERE u.depth < 5
), down AS (
	SELECT id, 0 AS depth FROM start
	UNION SELECT d.dependency_id, u.depth + 1 FROM down u JOIN assetreg.asset_dependencies d ON d.dependent_id = u.id WHERE u.depth < 5
), closure AS (
	SELECT d.dependent_id AS id FROM start s JOIN assetreg.asset_dependencies d ON d.dependency_id = s.id
	UNION SELECT d.dependent_id FROM closure c JOIN assetreg.asset_dependencies d ON d.dependency_id = c.id
), expected AS (
	SELECT 'up' AS way, e.*, min(u.depth) FROM up u JOIN assetreg.entities e ON e.id = u.id GROUP BY e.id HAVING min(u.depth) > 0
	UNION ALL
	SELECT 'down', e.*, min(u.depth) FROM down u JOIN assetreg.entities e ON e.id = u.id GROUP BY e.id HAVING min(u.depth) > 0
	UNION ALL
	SELECT 'count', NULL, NULL, NULL, NULL, NULL, (SELECT count(*) FROM closure WHERE id NOT IN (SELECT id FROM start))
	UNION ALL
	SELECT 'cycle', NULL, NULL, NULL, NULL, NULL, (SELECT count(*) FROM closure c JOIN start s ON s.id = c.id)
), walked AS (
	SELECT 'up', w.entity_id, w.kind, w.key, w.label, w.active, w.depth FROM start s, assetreg.where_used(s.id, 5) w
	UNION ALL
	SELECT 'down', w.entity_id, w.kind, w.key, w.label, w.active, w.depth FROM start s, assetreg.dependencies_of(s.id, 5) w
	UNION ALL
	SELECT 'count', NULL, NULL, NULL, NULL, NULL, assetreg.dependent_count(s.id, true) FROM start s
	UNION ALL
	SELECT 'cycle', NULL, NULL, NULL, NULL, NULL, (SELECT count(*) FROM start s JOIN assetreg.dependency_cycles() c ON c.entity_id = s.id)
), differences AS (
	(TABLE expected EXCEPT ALL TABLE walked) UNION ALL (TABLE walked EXCEPT ALL TABLE expected)
)
SELECT 1 / CASE WHEN count(*) = 0 THEN 1 ELSE 0 END FROM differences WHERE EXISTS (SELECT FROM start);
SQL
}

# Scripts whose transactions stop during a pause, before they have a snapshot; and a script that makes one, so that what
# vacuums finds all pages to be visible to all. A memory copied then is full, and goes out of date bit by bit.
sub gated
{
	return map { /^BEGIN/m ? s/^(BEGIN[^\n]*;\n)/$1LOCK TABLE gate IN ROW SHARE MODE;\n/mgr : "BEGIN;\nLOCK TABLE gate IN ROW SHARE MODE;\n$_\nCOMMIT;\n" } @_;
}

sub pause
{
	return "\\sleep 1000 ms\nBEGIN;\nLOCK TABLE gate IN EXCLUSIVE MODE;\n\\sleep 200 ms\nCOMMIT;\n";
}

my $nscripts = 0;

sub script
{
	my ($text) = @_;
	my $file = "$folder/script" . ++$nscripts;
	append_to_file($file, $text);
	return $file;
}

# Runs pgbench scripts at the same time for so many seconds; each of the runs is
# [ name, connection string, [ pgbench options ], script text... ]. All of them must come to their end.
sub torture
{
	my ($seconds, @runs) = @_;
	for my $run (@runs)
	{
		my ($name, $connstr, $options, @scripts) = @$run;
		my @command = ('pgbench', '-n', '-T', $seconds, '--max-tries=0', @$options, (map { ('-f', script($_)) } @scripts), $connstr);
		@$run = ($name, '', '', undef);
		$run->[3] = IPC::Run::start(\@command, '<', \undef, '>', \$run->[1], '2>', \$run->[2]);
	}
	for my $run (@runs)
	{
		my ($name, $out, $error, $pgbench) = @$run;
		my $ok = $pgbench->finish;
		my ($n) = $run->[1] =~ /number of transactions actually processed: (\d+)/;
		ok($ok && $n, "$name: " . ($n // 0) . ' transactions') or diag($run->[1] . $run->[2]);
	}
	return;
}

1;
