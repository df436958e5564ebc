-- Fills an empty registry with :assets assets as a studio might have collected them, each with its numbers.
--
--   psql -v assets=1000000 -f bench/lists.sql
--
-- One name has one to five versions.  Names, base models, tags and authors come from small vocabularies, the first words
-- of which are far more frequent; most is active; few have many dependents or ratings.  Equal :assets give equal lists:
-- chance is a hash of the row's number.
\set ON_ERROR_STOP on
SET client_min_messages = warning;

-- Uniform in [0, 1): the throw that row i makes for purpose salt.
CREATE FUNCTION pg_temp.dice(i bigint, salt bigint) RETURNS float8 LANGUAGE sql IMMUTABLE
RETURN (hashint8extended(i, salt) & 1073741823)::float8 / 1073741824;

-- One of the words, the first ones more often.
CREATE FUNCTION pg_temp.word(words text[], i bigint, salt bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN words[1 + floor(cardinality(words) * pg_temp.dice(i, salt) ^ 2)::int];

CREATE TEMP TABLE vocabulary AS SELECT
    '{film,cinematic,noir,anime,portrait,neon,vintage,grain,light,detail,motion,camera,snow,rain,night,street,texture,skin,
      colour,depth,lens,flare,smoke,fire,water,cloud,forest,city,robot,dragon,ink,pastel,oil,sketch,pixel,retro,gothic,
      cyberpunk,steampunk,fantasy,horror,macro,aerial,drone,slow,zoom,pan,dolly,orbit,morph}'::text[] AS nouns,
    '{style,enhancer,tuner,slider,pack,boost,look,mix,control,helper,fix,blend,realistic,ultra,lite,turbo,dream,magic}'::text[] AS kinds,
    '{wan2.1,wan2.2,flux1-dev,sdxl-1.0,hunyuan-video,ltx-video,sd-1.5,pony-v6,qwen-image,kolors}'::text[] AS bases,
    '{mit,apache-2.0,openrail,cc-by-4.0,proprietary}'::text[] AS licences;

CREATE TEMP VIEW collection AS
SELECT i, names.n,
       (CASE WHEN names.n % 20 < 12 THEN 'lora' WHEN names.n % 20 < 17 THEN 'model' ELSE 'custom_node' END)::text AS type,
       format('%s-%s-%s-%s', pg_temp.word(v.nouns, names.n, 1), pg_temp.word(v.nouns, names.n, 2), pg_temp.word(v.kinds, names.n, 3), names.n) AS name,
       CASE i % 5 WHEN 3 THEN 'v2.0-beta.' || i % 7 WHEN 4 THEN 'fp' || 8 * (1 + i % 4) ELSE format('1.%s.%s', i % 5, i % 11) END AS version,
       CASE WHEN pg_temp.dice(i, 4) < 0.92 THEN 'active' WHEN pg_temp.dice(i, 4) < 0.98 THEN 'deprecated' ELSE 'removed' END AS status,
       CASE WHEN pg_temp.dice(i, 5) < 0.97 THEN 1 + floor(exp(24 * pg_temp.dice(i, 6)))::bigint END AS file_size,
       encode(sha256(i::text::bytea), 'hex') AS sha256,
       jsonb_build_object('base_model', pg_temp.word(v.bases, names.n, 7), 'author', 'artist' || floor(20000 * pg_temp.dice(names.n, 8) ^ 2),
                          'licence', pg_temp.word(v.licences, names.n, 9), 'trigger', format('%s%s style', pg_temp.word(v.nouns, i, 10), i % 1000),
                          'tags', jsonb_build_array(pg_temp.word(v.nouns, i, 11), pg_temp.word(v.nouns, i, 12), pg_temp.word(v.kinds, i, 13)),
                          'description', format('Makes %s scenes look like %s, best with %s at strength 0.%s', pg_temp.word(v.nouns, i, 14),
                                                pg_temp.word(v.nouns, i, 15), pg_temp.word(v.bases, i, 16), i % 10)) AS metadata,
       timestamptz '2023-01-01 00:00+00' + i * interval '100 seconds' AS registered_at
FROM generate_series(1, :assets) i, LATERAL (SELECT i / 5 * 2 + (i % 5) / 3 AS n) names, vocabulary v;

-- Without the triggers, which is not what is measured here: the tables are filled one by one.
SET session_replication_role = replica;
SET maintenance_work_mem = '512MB';
INSERT INTO assetreg.assets (id, type, name, version, status, file_size, sha256, metadata, registered_by, registered_at)
SELECT i, type, name, version, status, file_size, sha256, metadata, 'importer', registered_at FROM collection;
INSERT INTO assetreg.entities (id, kind, key, active) SELECT a.id, a.type, a.name || '@' || a.version, a.status = 'active' FROM assetreg.assets a;
SELECT setval('assetreg.entities_id_seq', :assets);
INSERT INTO assetreg.asset_hashes SELECT a.id, 'autov3', substr(a.sha256, 20, 12), 'measured' FROM assetreg.assets a;
DELETE FROM assetreg.asset_stats;
INSERT INTO assetreg.asset_stats (asset_id, dependents, stars_1, stars_2, stars_3, stars_4, stars_5)
SELECT i, floor(exp(9 * pg_temp.dice(i, 20) ^ 4) - 1), floor(3 * pg_temp.dice(i, 21) ^ 8), floor(4 * pg_temp.dice(i, 22) ^ 8),
       floor(6 * pg_temp.dice(i, 23) ^ 6), floor(20 * pg_temp.dice(i, 24) ^ 8), floor(40 * pg_temp.dice(i, 25) ^ 8)
FROM generate_series(1, :assets) i;
RESET session_replication_role;
DROP INDEX assetreg.asset_search_terms_idx;
INSERT INTO assetreg.asset_search (asset_id, name, words, terms)
SELECT a.id, r.name, r.words, r.terms FROM assetreg.assets a CROSS JOIN LATERAL assetreg._search_row(a.type, a.name, a.version, a.status, a.metadata) r;
CREATE INDEX asset_search_terms_idx ON assetreg.asset_search USING gin (terms);
VACUUM (ANALYZE) assetreg.assets, assetreg.entities, assetreg.asset_hashes, assetreg.asset_stats, assetreg.asset_search;
