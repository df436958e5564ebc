# What the TAP tests share: servers that find the extension, a registry with something in it, and its
# contents and answers as text, to be held against those of another server or another moment.
package Registry;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_server configure fill rows contents answers agrees_with_sql agrees_in_memory works_on same_lines same_registry);

our @tables = qw(entity_kinds asset_types entities assets asset_hashes asset_dependencies version_ordinals asset_verifications
	verification_runs unresolved_references asset_notes asset_note_history asset_ratings asset_stats asset_dependent_changes asset_search asset_outcomes);

# A server that is not started yet; what is given beyond the name goes to init().
sub new_server
{
	my ($name, %how) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(extra => ['--encoding=UTF8', '--locale=C.UTF-8'], %how);	# whatever the caller's environment says
	configure($node);
	return $node;
}

sub configure
{
	my ($node) = @_;
	# test/server says where the extension is; without it, it is installed with the server
	$node->append_conf('postgresql.conf', $ENV{ASSETREG_EXTENSION_CONF} // '');
	$node->append_conf('postgresql.conf', "timezone = 'UTC'\nautovacuum_naptime = 1\nmax_prepared_transactions = 10\nlog_statement = none\njit = off");
	return;
}

# A registry of some 400 entities and 1,500 edges, the same each time but for the times of day, and what a
# studio adds of its own: kinds and types, a column, an index, a trigger, comments, rights, tables, views.
sub fill
{
	my ($node, $database) = @_;
	$node->safe_psql($database, <<'SQL');
CREATE EXTENSION assetreg;
SET assetreg.actor = 'ana';
INSERT INTO assetreg.entity_kinds VALUES ('shot', 'a camera position', 'https://studio.example/shots/{key}');
INSERT INTO assetreg.asset_types VALUES ('embedding', 'a textual inversion');

INSERT INTO assetreg.assets (type, name, version, status, file_path, file_size, sha256, metadata, provides, registered_by, registered_at)
	SELECT (ARRAY['model', 'lora', 'custom_node', 'embedding'])[i % 4 + 1], 'asset ' || i % 37, format('%s.%s', i / 37, i % 5),
		   CASE WHEN i % 17 = 0 THEN 'deprecated' ELSE 'active' END,
		   '/models/' || i, i * 1000, encode(sha256(i::text::bytea), 'hex'), jsonb_build_object('base', 'b' || i % 3),
		   ARRAY['Node' || i], 'import', '2024-01-01'::timestamptz + i * interval '1 hour'
	FROM generate_series(1, 120) i;
SELECT assetreg.register_asset('lora', 'film-grain', NULL, '/models/film-grain.safetensors', i, encode(sha256('grain ' || i::text::bytea), 'hex'))
	FROM generate_series(1, 3) i;
UPDATE assetreg.assets SET replaced_by = id + 1, supersedes = id - 1 WHERE status = 'deprecated' AND id BETWEEN 2 AND 100;
INSERT INTO assetreg.asset_hashes SELECT id, 'autov3', substr(sha256, 5, 12), 'measured' FROM assetreg.assets;

INSERT INTO assetreg.entities (kind, key, label, active)
	SELECT (ARRAY['project', 'scene_type', 'template', 'workflow', 'scene', 'segment', 'job', 'shot'])[i % 8 + 1], 'key ' || i,
		   CASE WHEN i % 3 > 0 THEN 'Label "' || i || '"' END, i % 5 > 0
	FROM generate_series(1, 280) i;

-- two thirds lead upwards, the others close cycles
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source, relation, requires)
	SELECT DISTINCT ON (1, 2, 3) CASE WHEN i % 9 > 0 THEN greatest(a, b) ELSE least(a, b) END,
		   CASE WHEN i % 9 > 0 THEN least(a, b) ELSE greatest(a, b) END,
		   (ARRAY['declared', 'scanner', 'public.shots'])[i % 3 + 1], 'uses', CASE WHEN i % 4 = 0 THEN ARRAY['Node' || i] ELSE '{}' END
	FROM generate_series(1, 1500) i, LATERAL (SELECT i::bigint * 7919 % 397 + 1, i::bigint * i * 31 % 401 + 1) r (a, b)
	WHERE a <> b AND i % 23 > 0;
RESET assetreg.actor;

CREATE ROLE studio_reader;
GRANT USAGE ON SCHEMA assetreg TO studio_reader;
GRANT SELECT ON assetreg.assets TO studio_reader;
GRANT EXECUTE ON FUNCTION assetreg.where_used TO studio_reader;
CREATE TABLE public.asset_log (id bigint);
CREATE FUNCTION public.log_asset() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.asset_log VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER studio_log AFTER INSERT OR UPDATE ON assetreg.assets FOR EACH ROW EXECUTE FUNCTION public.log_asset();
ALTER TABLE assetreg.assets ADD COLUMN studio_code text DEFAULT 'none';
UPDATE assetreg.assets SET studio_code = 'code ' || id WHERE id % 2 = 0;
CREATE INDEX studio_base_idx ON assetreg.assets ((metadata ->> 'base'));
COMMENT ON COLUMN assetreg.assets.name IS 'the studio''s own words';
CREATE TABLE public.shots (id int PRIMARY KEY, lora bigint REFERENCES assetreg.assets (id));
INSERT INTO public.shots SELECT i, i FROM generate_series(1, 20) i;
CREATE VIEW public.users_of_first AS SELECT * FROM assetreg.where_used(1);
CREATE MATERIALIZED VIEW public.popular AS SELECT id, assetreg.dependent_count(id, true) AS dependents FROM assetreg.assets;
SQL
	return;
}

sub digests
{
	return join "\nUNION ALL\n", map {
		"SELECT '$_', count(*)::text, md5(string_agg(t::text, chr(10) ORDER BY t::text COLLATE \"C\")) FROM $_ t"
	} @_;
}

# A line for each of the registry's tables: how many rows, and a digest of them.
sub rows
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, digests(map { "assetreg.$_" } @tables));
}

# Lines that differ where two filled registries differ: rows, definitions, owners, rights, comments.
sub contents
{
	my ($node, $database) = @_;
	my @all = ((map { "assetreg.$_" } @tables), qw(asset_log shots popular users_of_first));
	return $node->safe_psql($database, digests(@all) . <<'SQL');

UNION ALL SELECT 'sequence', last_value::text, is_called::text FROM assetreg.entities_id_seq
UNION ALL SELECT 'column ' || attnum || ' of ' || c.oid::regclass, format('%I %s', attname, format_type(atttypid, atttypmod)),
		concat_ws(' ', attnotnull, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	WHERE relnamespace = 'assetreg'::regnamespace AND attnum > 0 AND relkind IN ('r', 'S', 'v')
UNION ALL SELECT 'relation', c.oid::regclass::text, concat_ws(' ', relkind, relowner::regrole, obj_description(c.oid, 'pg_class'),
		has_table_privilege('studio_reader', c.oid, 'SELECT')) FROM pg_class c WHERE relnamespace = 'assetreg'::regnamespace
UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid) || indisvalid
	FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'assetreg'::regnamespace AND relkind = 'r')
-- a dump brings back other parentheses
UNION ALL SELECT 'constraint', conname, conrelid::regclass || ' ' || translate(pg_get_constraintdef(oid), '()', '') || convalidated
	FROM pg_constraint WHERE connamespace = 'assetreg'::regnamespace
UNION ALL SELECT 'trigger', tgname, tgenabled::text || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', p.oid::regprocedure::text, has_function_privilege('studio_reader', p.oid, 'EXECUTE')::text
	FROM pg_proc p WHERE pronamespace = 'assetreg'::regnamespace
ORDER BY 1, 2, 3
SQL
}

# A line for each reading function, or for some: how many rows it gave for all entities, and a digest of them.
sub answers
{
	my ($node, $database, $which) = @_;
	my %of = (
		'where_used' => 'entities e, assetreg.where_used(e.id) a',
		'where_used, all versions' => 'assets e, assetreg.where_used(e.id, all_versions => true) a',
		'where_used, filtered' => q{entities e, assetreg.where_used(e.id, 3, '{scene,job}', true) a},
		'dependencies_of' => 'entities e, assetreg.dependencies_of(e.id) a',
		'dependents' => 'entities e JOIN assetreg.entities o ON o.id = e.id % 400 + 1, assetreg.dependents(ARRAY[e.id, o.id], 2) a',
		'dependent_count' => 'assets e, assetreg.dependent_count(e.id, true, true) a',
		'dependent_count, direct' => 'entities e, assetreg.dependent_count(e.id) a',
		'impact' => 'assets e, assetreg.impact(e.id, e.id % 2 = 0) a',
		'dependency_paths' => 'entities e JOIN assetreg.entities o ON o.id = e.id * 7 % 400 + 1, assetreg.dependency_paths(e.id, o.id, 3) a',
		'dependency_cycles' => 'entities e, assetreg.dependency_cycles() a WHERE e.id = 1',
		'dependency_graph' => q{assets e, unnest('{json,dot,mermaid}'::text[]) f, assetreg.dependency_graph(e.id, f, 'dependents', 2) a},
		'dependency_graph, dependencies' => q{assets e, assetreg.dependency_graph(e.id, 'json', 'dependencies', 2, 40) a},
		'dependency_tree' => q{assets e, assetreg.dependency_tree(e.id, 'dependents', 2) a},
		'asset_ref' => 'assets e, assetreg.asset_ref(e.id) a',
		'asset_id' => q{assets e, unnest(array_remove(ARRAY[assetreg.asset_ref(e.id), e.type || '/' || e.name, 'sha256:' || e.sha256], NULL)) r, assetreg.asset_id(r) a},
		'versions' => 'assets e, assetreg.versions(e.id) WITH ORDINALITY a',
		'entity_id' => 'entities e, assetreg.entity_id(e.kind, e.key) a',
		'check_registry' => 'entities e, assetreg.check_registry() a WHERE e.id = 1');
	return $node->safe_psql($database, join "\nUNION ALL\n", map {
		"SELECT '$_', count(*), md5(string_agg(concat_ws(' ', e.id, a), chr(10) ORDER BY concat_ws(' ', e.id, a) COLLATE \"C\")) FROM assetreg.$of{$_}"
	} grep { !$which || /$which/ } sort keys %of);
}

# Counts the rows that a walk from each entity gives otherwise than plain SQL does, in the same statement.
my $disagreements = <<'SQL';
WITH RECURSIVE closure AS (
	SELECT dependency_id AS start_id, dependent_id AS id FROM assetreg.asset_dependencies
	UNION
	SELECT c.start_id, d.dependent_id FROM closure c JOIN assetreg.asset_dependencies d ON d.dependency_id = c.id
), walked AS (
	SELECT e.id AS start_id, w.entity_id AS id FROM assetreg.entities e, assetreg.where_used(e.id) w
)
SELECT count(*)
FROM (SELECT * FROM closure WHERE id <> start_id) c FULL JOIN walked w USING (start_id, id)
WHERE c IS NULL OR w IS NULL;
SQL

sub agrees_with_sql
{
	my ($node, $database, $test) = @_;
	is($node->safe_psql($database, $disagreements), '0', $test);
	return;
}

# The same of walks through memory, which must have answered; in a session that may have asked before.
sub agrees_in_memory
{
	my ($asks, $test) = @_;
	is($asks->("SET assetreg.graph_source = memory;\n$disagreements SELECT coalesce(refused, 'used') FROM assetreg.graph_cache_status"), "0\nused", $test);
	return;
}

# The registry can be written as before: the next ids are new, and everything is in order afterwards.
sub works_on
{
	my ($node, $database, $test) = @_;
	is($node->safe_psql($database, <<'SQL'), 't|t|0', "$test: works on");
CREATE TEMP TABLE new AS SELECT max(id) AS last FROM assetreg.entities;
ALTER TABLE new ADD asset bigint, ADD scene bigint;
UPDATE new SET asset = assetreg.register_asset('lora', 'new one', '1.0');
UPDATE new SET scene = assetreg.put_entity('scene', 'a new one');
DO 'BEGIN PERFORM assetreg.add_dependency(scene, asset) FROM new; END';
SELECT asset > last AND scene = asset + 1,
	   (SELECT array_agg(entity_id) = ARRAY[scene] FROM assetreg.where_used(asset)),
	   (SELECT count(*) FROM assetreg.check_registry()) FROM new
SQL
	return;
}

# Shows only the lines in which two texts differ.
sub same_lines
{
	my ($got, $expected, $test) = @_;
	my %balance;
	$balance{$_}++ for split /\n/, $got;
	$balance{$_}-- for split /\n/, $expected;
	is(join("\n", map { ($balance{$_} > 0 ? '+ ' : '- ') . $_ } grep { $balance{$_} } sort keys %balance), '', $test);
	return;
}

# Everything is as in another registry, of which contents() and answers() were kept.
sub same_registry
{
	my ($node, $database, $contents, $answers, $test) = @_;
	same_lines(contents($node, $database), $contents, "$test: the same contents");
	same_lines(answers($node, $database), $answers, "$test: the same answers");
	return;
}

1;
