-- Ratings: one to five stars, by each person once.
CREATE FUNCTION assetreg._setup_ratings() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.asset_ratings') IS NULL THEN
		CREATE TABLE assetreg.asset_ratings (
			asset_id bigint NOT NULL CONSTRAINT asset_ratings_asset_id_fkey REFERENCES assetreg.assets (id) ON DELETE CASCADE,
			rater text NOT NULL,
			stars int NOT NULL CONSTRAINT asset_ratings_stars_check CHECK (stars BETWEEN 1 AND 5),
			comment text CONSTRAINT asset_ratings_comment_check CHECK (octet_length(comment) <= 10000 AND comment ~ '[^[:space:]]'
				AND comment !~ E'[\\u0001-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]'),
			rated_at timestamptz NOT NULL DEFAULT now(),
			CONSTRAINT asset_ratings_pkey PRIMARY KEY (asset_id, rater)
		);
		COMMENT ON TABLE assetreg.asset_ratings IS 'what people think of assets; counted in asset_stats';
		COMMENT ON COLUMN assetreg.asset_ratings.asset_id IS 'what is rated';
		COMMENT ON COLUMN assetreg.asset_ratings.rater IS 'the actor';
		COMMENT ON COLUMN assetreg.asset_ratings.stars IS 'one to five';
		COMMENT ON COLUMN assetreg.asset_ratings.comment IS 'why';
		COMMENT ON COLUMN assetreg.asset_ratings.rated_at IS 'when it was last changed';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_ratings() IS 'makes the table of ratings where it is missing';

CREATE FUNCTION assetreg.rate_asset(asset_id bigint, stars int, comment text = NULL) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	PERFORM assetreg._require_tables();
	PERFORM assetreg._check_asset($1);
	IF $2 IS NULL THEN
		RAISE EXCEPTION 'stars must not be null' USING ERRCODE = 'null_value_not_allowed', HINT = 'unrate_asset() takes a rating back.';
	ELSIF $2 NOT BETWEEN 1 AND 5 THEN
		RAISE EXCEPTION 'stars must be from 1 to 5' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM assetreg._check_text('comment', $3, 10000);
	INSERT INTO assetreg.asset_ratings AS r (asset_id, stars, comment) VALUES ($1, $2, $3)
		ON CONFLICT ON CONSTRAINT asset_ratings_pkey
		DO UPDATE SET stars = excluded.stars, comment = excluded.comment
		WHERE (r.stars, r.comment) IS DISTINCT FROM (excluded.stars, excluded.comment);
END
$$;
COMMENT ON FUNCTION assetreg.rate_asset(bigint, int, text) IS 'the actor''s rating of an asset; again: changes stars and comment';

CREATE FUNCTION assetreg.unrate_asset(asset_id bigint) RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
#variable_conflict use_column
BEGIN
	PERFORM assetreg._require_tables();
	DELETE FROM assetreg.asset_ratings r WHERE r.asset_id = $1 AND r.rater = assetreg._actor();
	IF NOT FOUND THEN
		PERFORM assetreg._check_asset($1);
		RAISE EXCEPTION 'asset % has no rating by "%"', $1, assetreg._actor() USING ERRCODE = 'undefined_object';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg.unrate_asset(bigint) IS 'takes the actor''s rating of an asset back';
