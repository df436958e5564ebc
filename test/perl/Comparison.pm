# Walks through memory against walks by the index and WITH RECURSIVE, all in one function, so under one snapshot.
package Comparison;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(prepare_comparisons start_readers finish_readers differences);

# compare(nearby) walks from the first entity there: true where memory answered, an error where answers differ.
# rewrite() and others change the tables as nobody should, but somebody may.
sub prepare_comparisons
{
	my ($node, $database) = @_;
	$node->safe_psql($database, <<'SQL');
CREATE EXTENSION pg_visibility;
CREATE SEQUENCE refused;
CREATE FUNCTION walks(start bigint) RETURNS bigint[] LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
	RETURN ARRAY(SELECT w.entity_id * 1000 + w.depth FROM assetreg.dependents(ARRAY[start]) w ORDER BY 1)
		|| ARRAY(SELECT -w.entity_id FROM assetreg.dependencies_of(start) w ORDER BY 1)
		|| assetreg.dependent_count(start);
END $$;
CREATE FUNCTION walks(source text, start bigint) RETURNS bigint[] LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM set_config('assetreg.graph_source', source, true);
	RETURN walks(start);
END $$;
CREATE FUNCTION without_depths(walks bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
	'SELECT ARRAY(SELECT CASE WHEN i = cardinality(walks) OR w < 0 THEN w ELSE w / 1000 END FROM unnest(walks) WITH ORDINALITY u (w, i) ORDER BY i)';
CREATE FUNCTION walks_by_sql(start bigint) RETURNS bigint[] LANGUAGE sql STABLE PARALLEL SAFE AS $$
	WITH RECURSIVE up AS (
		SELECT start AS id UNION SELECT d.dependent_id FROM up u JOIN assetreg.asset_dependencies d ON d.dependency_id = u.id
	), down AS (
		SELECT start AS id UNION SELECT d.dependency_id FROM down u JOIN assetreg.asset_dependencies d ON d.dependent_id = u.id
	)
	SELECT ARRAY(SELECT id FROM up WHERE id <> start ORDER BY 1) || ARRAY(SELECT -id FROM down WHERE id <> start ORDER BY 1)
		|| (SELECT count(DISTINCT d.dependent_id) FROM assetreg.asset_dependencies d WHERE d.dependency_id = start)
$$;
CREATE FUNCTION impact_by(source text, start bigint, depths boolean = false) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM set_config('assetreg.graph_source', source, true);
	RETURN (SELECT string_agg(concat_ws(' ', kind, affected, active, CASE WHEN depths THEN min_depth END, CASE WHEN depths THEN max_depth END), ', ' ORDER BY kind COLLATE "C")
			FROM assetreg.impact(start));
END $$;
CREATE FUNCTION impact_by_sql(start bigint) RETURNS text LANGUAGE sql STABLE AS $$
	WITH RECURSIVE up AS (
		SELECT start AS id UNION SELECT d.dependent_id FROM up u JOIN assetreg.asset_dependencies d ON d.dependency_id = u.id
	)
	SELECT string_agg(concat_ws(' ', kind, affected, active), ', ' ORDER BY kind COLLATE "C")
	FROM (SELECT kind, count(*) AS affected, count(*) FILTER (WHERE active) AS active FROM up JOIN assetreg.entities USING (id) WHERE id <> start GROUP BY kind) k
$$;
-- each row in full, in the order of ids within a depth; of one start, of several, and filtered
CREATE FUNCTION rows_by(source text, start bigint) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
	starts bigint[] := ARRAY(SELECT id FROM assetreg.entities WHERE id IN (start, start + 3, start + 50));
BEGIN
	PERFORM set_config('assetreg.graph_source', source, true);
	RETURN ARRAY(SELECT w::text FROM assetreg.where_used(start) w ORDER BY depth, entity_id)
		|| ARRAY(SELECT w::text FROM assetreg.dependencies_of(start, 3) w ORDER BY depth, entity_id)
		|| ARRAY(SELECT w::text FROM assetreg.where_used(start, kinds => '{scene}', active_only => true) w ORDER BY depth, entity_id)
		|| ARRAY(SELECT w::text FROM assetreg._impact_rows(starts, '{}', ARRAY[start]) w ORDER BY depth, entity_id)
		|| ARRAY(SELECT w::text FROM assetreg.dependents(starts) w ORDER BY depth, entity_id);
END $$;
CREATE FUNCTION rows_unlike_sql(start bigint) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT string_agg(w::text, ' ') FROM assetreg.where_used(start) w
	WHERE NOT EXISTS (SELECT FROM assetreg.entities e WHERE (e.id, e.kind, e.key, e.active) = (w.entity_id, w.kind, w.key, w.active)
					  AND e.label IS NOT DISTINCT FROM w.label)
$$;
CREATE FUNCTION compare(nearby bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
	start bigint := (SELECT min(id) FROM assetreg.entities WHERE id >= nearby);
	was text := current_setting('assetreg.graph_source');
	memory bigint[];
	index bigint[];
	by_sql bigint[];
	from_memory boolean;
BEGIN
	IF start IS NULL THEN
		RETURN NULL;
	END IF;
	memory := walks('memory', start);
	from_memory := used FROM assetreg.graph_cache_status;
	index := walks('index', start);
	by_sql := walks_by_sql(start);
	IF impact_by('memory', start, true) IS DISTINCT FROM impact_by('index', start, true) OR impact_by('memory', start) IS DISTINCT FROM impact_by_sql(start) THEN
		RAISE EXCEPTION 'impact walks from % differ: memory %, index %, SQL %', start, impact_by('memory', start, true), impact_by('index', start, true),
			impact_by_sql(start) USING ERRCODE = 'XX000';
	END IF;
	-- rows are the dearer ones
	IF start % 5 = 0 AND (rows_by('memory', start) IS DISTINCT FROM rows_by('index', start) OR rows_unlike_sql(start) IS NOT NULL) THEN
		RAISE EXCEPTION 'rows of walks from % differ: memory %, index %, SQL has not %', start, left(rows_by('memory', start)::text, 2000),
			left(rows_by('index', start)::text, 2000), left(rows_unlike_sql(start), 2000) USING ERRCODE = 'XX000';
	END IF;
	PERFORM set_config('assetreg.graph_source', was, true);
	IF memory <> index OR by_sql <> without_depths(memory) THEN
		RAISE EXCEPTION 'walks from % differ: memory %, index %, SQL %', start, memory, index, by_sql USING ERRCODE = 'XX000';
	END IF;
	RETURN from_memory;
END $$;
-- four walks from every entity at once, as sums of hashes; the last hash is one of depths, which SQL does not know
CREATE FUNCTION all_walks(source text) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
	sums text[];
BEGIN
	PERFORM set_config('assetreg.graph_source', source, true);
	SELECT ARRAY[up.sums, down.sums, counts.sums, impacts.sums, up.depths] INTO sums
	FROM (SELECT count(*) || ' ' || sum(hashint8extended(e.id, hashint8extended(w.entity_id, 0)))::numeric, sum(hashint8extended(e.id, hashint8extended(w.entity_id, w.depth)))::text
		  FROM assetreg.entities e CROSS JOIN LATERAL assetreg.dependents(ARRAY[e.id]) w) up (sums, depths),
		 (SELECT count(*) || ' ' || sum(hashint8extended(w.entity_id, hashint8extended(e.id, 0)))::numeric
		  FROM assetreg.entities e CROSS JOIN LATERAL assetreg.dependencies_of(e.id) w) down (sums),
		 (SELECT sum(hashint8extended(e.id, assetreg.dependent_count(e.id, true)))::text FROM assetreg.entities e) counts (sums),
		 (SELECT sum(hashtextextended(concat_ws(' ', e.id, w.kind, w.affected, w.active), 0))::text
		  FROM assetreg.entities e CROSS JOIN LATERAL assetreg.impact(e.id) w) impacts (sums);
	RETURN sums;
END $$;
-- whatever the statistics say amid all this, nothing is looked through for each row of something else
CREATE FUNCTION all_walks_by_sql() RETURNS text[] LANGUAGE sql STABLE SET enable_nestloop = off AS $$
	WITH RECURSIVE up AS (
		SELECT id AS start, id FROM assetreg.entities
		UNION SELECT u.start, d.dependent_id FROM up u JOIN assetreg.asset_dependencies d ON d.dependency_id = u.id
	), found AS MATERIALIZED (
		SELECT start, id FROM up WHERE id <> start
	), pairs (sums) AS (
		SELECT count(*) || ' ' || sum(hashint8extended(start, hashint8extended(id, 0)))::numeric FROM found
	), counts (sums) AS (
		SELECT sum(hashint8extended(e.id, coalesce(f.n, 0)))::text
		FROM assetreg.entities e LEFT JOIN (SELECT start, count(*) AS n FROM found GROUP BY start) f ON f.start = e.id
	), kinds AS (
		SELECT f.start, e.kind, count(*) AS affected, count(*) FILTER (WHERE e.active) AS active FROM found f JOIN assetreg.entities e USING (id) GROUP BY 1, 2
	)
	SELECT ARRAY[p.sums, p.sums, c.sums, (SELECT sum(hashtextextended(concat_ws(' ', start, kind, affected, active), 0))::text FROM kinds)] FROM pairs p, counts c
$$;
-- how many walks were compared
CREATE FUNCTION compare_all() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
	memory text[] := all_walks('memory');
	from_memory boolean := used FROM assetreg.graph_cache_status;
	index text[] := all_walks('index');
	by_sql text[] := all_walks_by_sql();
BEGIN
	IF memory IS DISTINCT FROM index OR memory[:4] IS DISTINCT FROM by_sql THEN
		RAISE EXCEPTION 'walks from all differ: memory %, index %, SQL %', memory, index, by_sql USING ERRCODE = 'XX000';
	END IF;
	RETURN CASE WHEN from_memory THEN (SELECT 4 * count(*) FROM assetreg.entities) ELSE 0 END;
END $$;
-- the same where no setting can be changed
CREATE FUNCTION compare_as_set(start bigint) RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
	walked bigint[] := walks(start);
BEGIN
	IF without_depths(walked) <> walks_by_sql(start) THEN
		RAISE EXCEPTION 'walks from % differ: %, SQL %', start, walked, walks_by_sql(start) USING ERRCODE = 'XX000';
	END IF;
	RETURN start;
END $$;
CREATE FUNCTION rewrite(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('lock_timeout', '200ms', true);
	EXECUTE what;
	PERFORM set_config('lock_timeout', '0', true);
EXCEPTION WHEN lock_not_available THEN
	NULL;
END $$;
-- no more than that, as it is SQL that takes the time
CREATE FUNCTION refill() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, added_by)
		SELECT greatest(a, b), least(a, b), 'somebody' FROM (SELECT DISTINCT any_entity(), any_entity() FROM generate_series(1, 700 - (SELECT count(*) FROM assetreg.asset_dependencies))) e (a, b) WHERE a <> b
		ON CONFLICT DO NOTHING;
EXCEPTION WHEN foreign_key_violation THEN
	NULL;
END $$;
CREATE FUNCTION without_triggers() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('lock_timeout', '200ms', true);
	ALTER TABLE assetreg.asset_dependencies DISABLE TRIGGER USER;
	DELETE FROM assetreg.asset_dependencies WHERE dependency_id = (SELECT any_entity());
	UPDATE assetreg.asset_dependencies SET relation = 'quiet' WHERE dependency_id = (SELECT any_entity());
	ALTER TABLE assetreg.asset_dependencies ENABLE TRIGGER USER;
EXCEPTION WHEN lock_not_available THEN
	NULL;
END $$;
CREATE FUNCTION many_subtransactions() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 80 LOOP
		BEGIN
			UPDATE assetreg.asset_dependencies SET relation = 'r' || i WHERE (dependency_id, dependent_id, source) =
				(SELECT dependency_id, dependent_id, source FROM assetreg.asset_dependencies WHERE dependency_id >= i ORDER BY 1, 2, 3 LIMIT 1);
			IF i % 7 = 0 THEN
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END $$;
SQL
	return;
}

my $nreaders = 0;

# Sessions that run statements again and again for so many seconds; each of the readers is
# [ name, connection string, statements ]. Where a session is thrown out the next one takes its place.
sub start_readers
{
	my ($seconds, @readers) = @_;
	for my $reader (@readers)
	{
		my ($name, $connstr, $statements) = @$reader;
		my $file = PostgreSQL::Test::Utils::tempdir . '/reader' . ++$nreaders;
		append_to_file($file, $statements x 5000);
		my $loop = q{end=$((SECONDS + $1)); while [ $SECONDS -lt $end ]; do timeout $((end - SECONDS + 1)) psql -XAtq -d "$2" -f "$3" >>"$3.out" 2>>"$3.err"; done};
		$reader = { name => $name, file => $file, run => IPC::Run::start([ 'bash', '-c', $loop, 'reader', $seconds, $connstr, $file ], '<', \undef, '>&', '/dev/null') };
	}
	return @readers;
}

# Waits for their end: how many comparisons memory has answered, and how many statements the server has cancelled.
sub finish_readers
{
	my ($used, $cancelled) = (0, 0);
	for my $reader (@_)
	{
		$reader->{run}->finish;
		my ($out, $error) = map { slurp_file("$reader->{file}.$_") } qw(out err);
		my ($yes, $no) = (scalar(() = $out =~ /^t$/mg), scalar(() = $out =~ /^f$/mg));
		my @cancelled = $error =~ /due to conflict with recovery/g;
		# what follows an error, a session that was thrown out, and the end of the time
		my @others = grep { /ERROR|FATAL/ && !/conflict with recovery|current transaction is aborted|server closed|terminating connection due to administrator|invalid snapshot identifier|could not import the requested snapshot/ } split /\n/, $error;
		cmp_ok($yes, '>', 9 * $no, "$reader->{name}: $yes comparisons, $no that memory did not answer, " . @cancelled . ' cancelled');
		is($others[0], undef, "$reader->{name}: no error");
		$used += $yes;
		$cancelled += @cancelled;
	}
	return ($used, $cancelled);
}

# The first difference that a server's log tells of, or a crash.
sub differences
{
	my ($node) = @_;
	my ($difference) = slurp_file($node->logfile) =~ /^(.*(?:walks from|PANIC|was terminated by signal).*)$/m;
	return $difference;
}

1;
