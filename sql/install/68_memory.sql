-- The graph in a connection's memory.

CREATE FUNCTION assetreg._graph_cache_status(OUT used boolean, OUT bytes bigint, OUT edges bigint, OUT pages bigint, OUT dirty_pages bigint,
		OUT built_at timestamptz, OUT builds bigint, OUT walks bigint, OUT refused text, OUT shared boolean)
	LANGUAGE c VOLATILE PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'assetreg_graph_cache_status';
COMMENT ON FUNCTION assetreg._graph_cache_status() IS 'the graph in this connection''s memory';

CREATE FUNCTION assetreg._setup_memory() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	IF to_regclass('assetreg.graph_cache_status') IS NULL THEN
		CREATE VIEW assetreg.graph_cache_status WITH (security_invoker = true) AS
			SELECT s.used, s.bytes, s.edges, s.pages, s.dirty_pages, clock_timestamp() - s.built_at AS age, s.builds, s.walks, s.refused, s.shared
			FROM assetreg._graph_cache_status() s;
		COMMENT ON VIEW assetreg.graph_cache_status IS 'the dependency graph in this connection''s memory, one row';
		COMMENT ON COLUMN assetreg.graph_cache_status.used IS 'whether the last walk read it';
		COMMENT ON COLUMN assetreg.graph_cache_status.bytes IS 'how much memory it takes, with what is shared; 0: there is none';
		COMMENT ON COLUMN assetreg.graph_cache_status.edges IS 'how many dependencies it has';
		COMMENT ON COLUMN assetreg.graph_cache_status.pages IS 'of how many pages of the table it was made';
		COMMENT ON COLUMN assetreg.graph_cache_status.dirty_pages IS 'how many pages the last walk had to read again';
		COMMENT ON COLUMN assetreg.graph_cache_status.age IS 'how long ago it was made';
		COMMENT ON COLUMN assetreg.graph_cache_status.builds IS 'how often this connection has made one';
		COMMENT ON COLUMN assetreg.graph_cache_status.walks IS 'how many walks of this connection have read it';
		COMMENT ON COLUMN assetreg.graph_cache_status.refused IS 'why the last walk did not; NULL: it did, or there was none';
		COMMENT ON COLUMN assetreg.graph_cache_status.shared IS 'whether all connections that share have this one copy';
	END IF;
END
$$;
COMMENT ON FUNCTION assetreg._setup_memory() IS 'makes the view of the graph in memory where it is missing';
