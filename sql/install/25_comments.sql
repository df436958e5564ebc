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
	COMMENT ON TABLE assetreg.asset_verifications IS 'what was last found of each asset''s file';
	COMMENT ON COLUMN assetreg.asset_verifications.asset_id IS 'whose file';
	COMMENT ON COLUMN assetreg.asset_verifications.result IS 'verified, mismatch, missing or unreadable';
	COMMENT ON COLUMN assetreg.asset_verifications.detail IS 'why, where it is not what was registered';
	COMMENT ON COLUMN assetreg.asset_verifications.file_size IS 'what was measured, in bytes';
	COMMENT ON COLUMN assetreg.asset_verifications.sha256 IS 'what was measured';
	COMMENT ON COLUMN assetreg.asset_verifications.checked_at IS 'when it was looked at';
	COMMENT ON COLUMN assetreg.asset_verifications.checked_by IS 'the actor';
	COMMENT ON TABLE assetreg.verification_runs IS 'the runs of verify_assets(); one without finished_at is going on, or is continued by the next call';
	COMMENT ON COLUMN assetreg.verification_runs.id IS 'in order of their beginning';
	COMMENT ON COLUMN assetreg.verification_runs.type IS 'assets of this type only; NULL: of all';
	COMMENT ON COLUMN assetreg.verification_runs.older_than IS 'assets not verified for so long only; NULL: all';
	COMMENT ON COLUMN assetreg.verification_runs.started_at IS 'when it began; what was looked at since is done';
	COMMENT ON COLUMN assetreg.verification_runs.finished_at IS 'when nothing was left to do';
	COMMENT ON COLUMN assetreg.verification_runs.total IS 'how many assets there were to look at when it began';
	COMMENT ON COLUMN assetreg.verification_runs.done IS 'how many it has looked at';
	COMMENT ON COLUMN assetreg.verification_runs.bytes IS 'how much it has read';
	COMMENT ON COLUMN assetreg.verification_runs.resumed_at IS 'when somebody last began to work on it';
	COMMENT ON COLUMN assetreg.verification_runs.resumed_done IS 'done at that time';
	COMMENT ON COLUMN assetreg.verification_runs.resumed_bytes IS 'bytes at that time';
	COMMENT ON SEQUENCE assetreg.verification_runs_id_seq IS 'gives verification_runs.id';
	COMMENT ON TABLE assetreg.tracked_tables IS 'the studio''s tables whose rows are entities, see track_table()';
	COMMENT ON COLUMN assetreg.tracked_tables.relation IS 'the table';
	COMMENT ON COLUMN assetreg.tracked_tables.kind IS 'the kind of its entities';
	COMMENT ON COLUMN assetreg.tracked_tables.key_columns IS 'whose text is the key of the entity; of several, the JSON array of their texts';
	COMMENT ON COLUMN assetreg.tracked_tables.label_column IS 'what people call it';
	COMMENT ON COLUMN assetreg.tracked_tables.active_when IS 'the rows that are in production now; NULL: all';
	COMMENT ON COLUMN assetreg.tracked_tables.asset_columns IS 'the columns that name assets';
	COMMENT ON COLUMN assetreg.tracked_tables.parent_columns IS 'the columns that name other entities, with their kinds';
	COMMENT ON COLUMN assetreg.tracked_tables.source IS 'the source of its edges: its name when it was tracked';
	COMMENT ON COLUMN assetreg.tracked_tables.assets_discovered IS 'asset_columns were read from the foreign keys';
	COMMENT ON COLUMN assetreg.tracked_tables.parents_discovered IS 'parent_columns were read from the foreign keys, and follow what is tracked later';
	COMMENT ON COLUMN assetreg.tracked_tables.column_numbers IS 'the numbers of these columns, by which a renamed one is found';
	COMMENT ON TABLE assetreg.tracked_links IS 'the studio''s join tables whose rows are edges, see track_link()';
	COMMENT ON COLUMN assetreg.tracked_links.relation IS 'the table';
	COMMENT ON COLUMN assetreg.tracked_links.dependent_column IS 'the column that names who needs';
	COMMENT ON COLUMN assetreg.tracked_links.dependency_column IS 'the column that names what is needed';
	COMMENT ON COLUMN assetreg.tracked_links.dependent_kind IS 'the kind of who needs; NULL: what is referenced is not tracked yet';
	COMMENT ON COLUMN assetreg.tracked_links.dependency_kind IS 'the kind of what is needed; NULL: an asset';
	COMMENT ON COLUMN assetreg.tracked_links.source IS 'the source of its edges';
	COMMENT ON COLUMN assetreg.tracked_links.column_numbers IS 'the numbers of its columns, by which a renamed one is found';
	COMMENT ON TABLE assetreg.unresolved_references IS 'what entities need that is not registered, or not by one name; becomes an edge when it is';
	COMMENT ON COLUMN assetreg.unresolved_references.dependent_id IS 'the entity that needs it';
	COMMENT ON COLUMN assetreg.unresolved_references.reference IS 'what it is called: type/name@version, algorithm:hash, or as a workflow names it: a file, a class of node';
	COMMENT ON COLUMN assetreg.unresolved_references.type IS 'the type of asset that is meant, where that is known';
	COMMENT ON COLUMN assetreg.unresolved_references.candidates IS 'the assets that it may mean; none: there is none yet';
	COMMENT ON COLUMN assetreg.unresolved_references.seen_at IS 'when it was found';
	COMMENT ON COLUMN assetreg.unresolved_references.source IS 'the source of the edge that it will be';
	COMMENT ON COLUMN assetreg.unresolved_references.relation IS 'how it is used';
	COMMENT ON COLUMN assetreg.unresolved_references.requires IS 'what of its interface the dependent needs';
	COMMENT ON COLUMN assetreg.unresolved_references.type_key IS 'the type for the primary key: empty where it is not known';
	COMMENT ON COLUMN assetreg.unresolved_references.names IS 'by what else it may be known, the surest first; none: by the reference alone';
END
$$;
COMMENT ON FUNCTION assetreg._comment_tables() IS 'comments the tables, once, when setup() has made them';

-- A view goes with the functions that it calls, and is made again by setup().
CREATE FUNCTION assetreg._comment_views() RETURNS void
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	COMMENT ON VIEW assetreg.verification_progress IS 'how far verify_assets() is: the runs that go on, and the last one';
	COMMENT ON COLUMN assetreg.verification_progress.started_at IS 'when it began';
	COMMENT ON COLUMN assetreg.verification_progress.done IS 'how many assets it has looked at';
	COMMENT ON COLUMN assetreg.verification_progress.total IS 'how many there were when it began';
	COMMENT ON COLUMN assetreg.verification_progress.bytes IS 'how much it has read';
	COMMENT ON COLUMN assetreg.verification_progress.bytes_per_second IS 'since somebody last began to work on it';
	COMMENT ON COLUMN assetreg.verification_progress.remaining IS 'how long it will take if it goes on like this; NULL before the first asset';
	COMMENT ON VIEW assetreg.asset_list IS 'the assets with what people choose by: is it the latest, who uses it, how is it rated, what is it warned of';
	COMMENT ON COLUMN assetreg.asset_list.id IS 'assets.id';
	COMMENT ON COLUMN assetreg.asset_list.type IS 'one of asset_types';
	COMMENT ON COLUMN assetreg.asset_list.name IS 'without type and version';
	COMMENT ON COLUMN assetreg.asset_list.version IS 'as it was registered or derived';
	COMMENT ON COLUMN assetreg.asset_list.status IS 'active, deprecated or removed';
	COMMENT ON COLUMN assetreg.asset_list.integrity IS 'declared, verified, mismatch or missing';
	COMMENT ON COLUMN assetreg.asset_list.file_path IS 'where the file is';
	COMMENT ON COLUMN assetreg.asset_list.file_size IS 'in bytes';
	COMMENT ON COLUMN assetreg.asset_list.sha256 IS 'of the whole file';
	COMMENT ON COLUMN assetreg.asset_list.preview_url IS 'a picture of what it does';
	COMMENT ON COLUMN assetreg.asset_list.rating_count IS 'how many have rated it';
	COMMENT ON COLUMN assetreg.asset_list.registered_by IS 'the actor who registered it';
	COMMENT ON COLUMN assetreg.asset_list.registered_at IS 'when';
	COMMENT ON COLUMN assetreg.asset_list.reference IS 'type/name@version';
	COMMENT ON COLUMN assetreg.asset_list.autov2 IS 'the first 10 digits of sha256';
	COMMENT ON COLUMN assetreg.asset_list.is_latest IS 'the first of versions()';
	COMMENT ON COLUMN assetreg.asset_list.dependents IS 'how many entities need it directly';
	COMMENT ON COLUMN assetreg.asset_list.rating_average IS 'of the stars; NULL without a rating';
	COMMENT ON COLUMN assetreg.asset_list.warnings IS 'how many notes of severity warning or blocker apply to it';
END
$$;
COMMENT ON FUNCTION assetreg._comment_views() IS 'comments the views, when setup() has made them';
