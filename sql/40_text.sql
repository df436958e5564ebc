-- Pictures: json, dot, mermaid, tree; labels with everything in them, and what was cut short.
\set SHOW_CONTEXT never
SELECT empty_registry();
INSERT INTO assetreg.entities (id, kind, key, label, active) VALUES
	(11, 'template', 'noir', E'say "noir" \\ twice', true), (12, 'template', 'dawn', E'two\nlines\tand a tab', false), (21, 'scene_type', 'alley', '🎬 <b>&amp; #1; `x`', true),
	(22, 'scene_type', 'dream', NULL, true), (31, 'scene', '1', '影 | ] --> n1', true);
INSERT INTO assetreg.assets (id, type, name, version) VALUES (1, 'model', 'Wan2.1', '1.0'), (2, 'lora', 'film-grain', '1.0');
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2, 1), (11, 2), (12, 1), (21, 11), (22, 11), (22, 12), (31, 21), (31, 22);
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id, source) VALUES (11, 2, 'scan');
\pset format unaligned
\pset tuples_only on

SELECT jsonb_pretty(assetreg.dependency_graph(2)::jsonb);
SELECT assetreg.dependency_graph(2);
SELECT assetreg.dependency_graph(2, 'dot');
SELECT assetreg.dependency_graph(2, 'mermaid');
SELECT assetreg.dependency_graph(31, 'json', 'dependencies', NULL);
SELECT assetreg.dependency_graph(31, 'dot', 'dependencies', 1);
SELECT assetreg.dependency_graph(12, 'dot', 'dependencies');
SELECT assetreg.dependency_graph(12, 'mermaid', 'dependencies');
-- a row of the tree is a line
SELECT count(*) FROM assetreg.dependency_tree(1) t WHERE t ~ E'\n';
UPDATE assetreg.entities SET label = 'two lines' WHERE id = 12;
SELECT * FROM assetreg.dependency_tree(1);
SELECT * FROM assetreg.dependency_tree(31, 'dependencies');

-- What the json says is the label, byte for byte.
SELECT n ->> 'label' IS NOT DISTINCT FROM e.label AS same
FROM jsonb_array_elements(assetreg.dependency_graph(1, max_depth => NULL)::jsonb -> 'nodes') n JOIN assetreg.entities e ON e.id = (n ->> 'id')::bigint;
-- control characters
UPDATE assetreg.entities SET label = E'\x01\x08\x0b\x0c\x0d\x1b[31m\x7f' || U&'\0085\2028\202E\FEFF' WHERE id = 22;
SELECT n ->> 'label' IS NOT DISTINCT FROM e.label AS same
FROM jsonb_array_elements(assetreg.dependency_graph(22)::jsonb -> 'nodes') n JOIN assetreg.entities e ON e.id = (n ->> 'id')::bigint;
SELECT f.format, regexp_count(assetreg.dependency_graph(22, f.format), E'\n') AS lines,
	   assetreg.dependency_graph(22, f.format) ~ E'[\x01-\x08\x0b-\x1f]' AS raw_control_characters
FROM unnest('{json,dot,mermaid}'::text[]) f (format);
SELECT count(*) AS lines, bool_or(t ~ E'[\x01-\x08\x0b-\x1f]') AS raw_control_characters FROM assetreg.dependency_tree(22) t;
UPDATE assetreg.entities SET label = NULL WHERE id = 22;

-- Cut short by depth, by nodes, by both; whole where the limit is just enough.
SELECT max_depth, max_nodes, g -> 'truncated' AS truncated, g ->> 'truncated_by' AS by, jsonb_path_query_array(g, '$.nodes[*].id') AS nodes,
	   jsonb_array_length(g -> 'edges') AS edges
FROM (VALUES (0, 500), (1, 500), (2, 500), (3, 500), (4, 500), (NULL, 500), (NULL, 1), (NULL, 3), (NULL, 6), (NULL, 7), (2, 4), (2147483647, 2147483647)) l (max_depth, max_nodes),
	 LATERAL (SELECT assetreg.dependency_graph(1, 'json', 'dependents', max_depth, max_nodes)::jsonb AS g) x;
SELECT assetreg.dependency_graph(1, 'dot', max_depth => 1);
SELECT assetreg.dependency_graph(1, 'mermaid', max_nodes => 2);
SELECT regexp_replace(t, ' *….*', '') FROM assetreg.dependency_tree(1, max_depth => 0) t WHERE t ~ '[a-z]';
SELECT regexp_replace(t, ' *….*', '') FROM assetreg.dependency_tree(1, max_depth => 2) t WHERE t ~ '[a-z]';
-- the other way round
SELECT * FROM assetreg.dependency_tree(2, 'dependencies', NULL);
-- a tree that is cut short says so, and one that is whole does not
SELECT max_depth, string_agg(t, E'\n') ~ '…' AS says_so
FROM (VALUES (0), (1), (2), (3), (4), (NULL)) d (max_depth), LATERAL assetreg.dependency_tree(1, max_depth => d.max_depth) t
GROUP BY 1 ORDER BY 1;

-- Circles end.
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) VALUES (2, 31), (1, 22);
SELECT * FROM assetreg.dependency_tree(1, max_depth => NULL);
SELECT g -> 'truncated', jsonb_array_length(g -> 'nodes'), jsonb_array_length(g -> 'edges')
FROM (SELECT assetreg.dependency_graph(1, max_depth => NULL)::jsonb AS g) x;

-- A crowd: the tree shows a hundred children and counts the rest, in order of kind and title.
INSERT INTO assetreg.entities (kind, key, label) SELECT 'job', i::text, 'job ' || lpad(i::text, 3, '0') FROM generate_series(1, 150) i;
INSERT INTO assetreg.asset_dependencies (dependent_id, dependency_id) SELECT e.id, 11 FROM assetreg.entities e WHERE e.kind = 'job' ORDER BY e.key DESC;
SELECT count(*), max(t) FILTER (WHERE n = 2) AS first, max(t) FILTER (WHERE n = 101) AS hundredth, max(t) FILTER (WHERE n = 102) AS last
FROM assetreg.dependency_tree(11, max_depth => 1) WITH ORDINALITY x (t, n);
SELECT g ->> 'truncated_by', jsonb_array_length(g -> 'nodes'), jsonb_array_length(g -> 'edges')
FROM (SELECT assetreg.dependency_graph(11, max_depth => 1, max_nodes => 100)::jsonb AS g) x;
-- the longest labels
UPDATE assetreg.entities SET label = repeat('x', 100000) WHERE kind = 'job';
SELECT length(assetreg.dependency_graph(11, max_depth => 1)) > 15000000 AS long, assetreg.dependency_graph(11, max_depth => 1)::jsonb -> 'truncated' AS truncated;
\pset format aligned
\pset tuples_only off
SELECT empty_registry();
