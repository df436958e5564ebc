-- The comments on what setup() makes. A studio may change them: they are written once.
CREATE FUNCTION assetreg._comment_tables() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	COMMENT ON TABLE assetreg.entity_kinds IS 'the kinds of entity; every asset type is one of them, and a studio adds its own';
	COMMENT ON COLUMN assetreg.entity_kinds.name IS 'what entities.kind holds';
	COMMENT ON COLUMN assetreg.entity_kinds.description IS 'for people';
	COMMENT ON COLUMN assetreg.entity_kinds.url_template IS 'address of an entity''s page in the studio''s own screens';
	COMMENT ON TABLE assetreg.asset_types IS 'the types of asset; a studio adds its own';
	COMMENT ON COLUMN assetreg.asset_types.name IS 'what assets.type holds';
	COMMENT ON COLUMN assetreg.asset_types.description IS 'for people';
	COMMENT ON SEQUENCE assetreg.entities_id_seq IS 'gives the ids of all entities, assets among them';
	COMMENT ON TABLE assetreg.entities IS 'the nodes of the dependency graph: assets and everything that uses them';
	COMMENT ON COLUMN assetreg.entities.id IS 'for an asset: assets.id';
	COMMENT ON COLUMN assetreg.entities.kind IS 'for an asset: its type';
	COMMENT ON COLUMN assetreg.entities.key IS 'names the entity within its kind; for an asset: name@version';
	COMMENT ON COLUMN assetreg.entities.label IS 'what people call it';
	COMMENT ON COLUMN assetreg.entities.active IS 'in production now; for an asset: its status is active';
	COMMENT ON TABLE assetreg.assets IS 'the versions of models, LoRAs, custom nodes and a studio''s own types';
	COMMENT ON COLUMN assetreg.assets.id IS 'also the id of its entity';
	COMMENT ON COLUMN assetreg.assets.type IS 'one of asset_types';
	COMMENT ON COLUMN assetreg.assets.name IS 'may contain / and @';
	COMMENT ON COLUMN assetreg.assets.version IS 'contains neither / nor @';
	COMMENT ON COLUMN assetreg.assets.status IS 'active, deprecated or removed';
	COMMENT ON COLUMN assetreg.assets.replaced_by IS 'the asset to use in place of a deprecated or removed one';
	COMMENT ON COLUMN assetreg.assets.file_path IS 'where the file is; NULL where there is none';
	COMMENT ON COLUMN assetreg.assets.file_size IS 'in bytes';
	COMMENT ON COLUMN assetreg.assets.sha256 IS 'of the whole file, lower-case hex';
	COMMENT ON COLUMN assetreg.assets.integrity IS 'declared, verified, mismatch or missing';
	COMMENT ON COLUMN assetreg.assets.verified_at IS 'when integrity was last checked';
	COMMENT ON COLUMN assetreg.assets.metadata IS 'an object with whatever else is known';
	COMMENT ON COLUMN assetreg.assets.provides IS 'the interface: the class types of a custom node, for instance';
	COMMENT ON COLUMN assetreg.assets.supersedes IS 'the version that this one follows';
	COMMENT ON COLUMN assetreg.assets.preview_url IS 'a picture of what it does';
	COMMENT ON COLUMN assetreg.assets.registered_by IS 'the actor';
	COMMENT ON COLUMN assetreg.assets.registered_at IS 'when the row was made';
	COMMENT ON COLUMN assetreg.assets.updated_at IS 'when the row was last changed';
	COMMENT ON TABLE assetreg.asset_hashes IS 'further hashes of an asset''s file; the SHA-256 is assets.sha256';
	COMMENT ON COLUMN assetreg.asset_hashes.asset_id IS 'whose file';
	COMMENT ON COLUMN assetreg.asset_hashes.algorithm IS 'autov1, autov3, blake3 and so on';
	COMMENT ON COLUMN assetreg.asset_hashes.value IS 'lower-case hex';
	COMMENT ON COLUMN assetreg.asset_hashes.source IS 'measured by the server, or claimed by somebody or by the file itself';
	COMMENT ON TABLE assetreg.asset_dependencies IS 'the edges of the graph: the dependent needs the dependency';
	COMMENT ON COLUMN assetreg.asset_dependencies.dependent_id IS 'the entity that needs';
	COMMENT ON COLUMN assetreg.asset_dependencies.dependency_id IS 'the entity that is needed';
	COMMENT ON COLUMN assetreg.asset_dependencies.source IS 'declared by people, or what derived the edge';
	COMMENT ON COLUMN assetreg.asset_dependencies.relation IS 'how it is used';
	COMMENT ON COLUMN assetreg.asset_dependencies.requires IS 'what of the dependency''s interface the dependent needs';
	COMMENT ON COLUMN assetreg.asset_dependencies.added_by IS 'the actor';
	COMMENT ON COLUMN assetreg.asset_dependencies.added_at IS 'when the edge was added';
	COMMENT ON TABLE assetreg.version_ordinals IS 'the last ordinal that was derived as a version, so that none is used twice';
	COMMENT ON COLUMN assetreg.version_ordinals.type IS 'assets.type';
	COMMENT ON COLUMN assetreg.version_ordinals.name IS 'assets.name';
	COMMENT ON COLUMN assetreg.version_ordinals.last IS 'N of the last rN';
END
$$;
COMMENT ON FUNCTION assetreg._comment_tables() IS 'comments the tables, once, when setup() has made them';
