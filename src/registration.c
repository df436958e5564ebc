/*
 * registration.c
 *		Measures the files of assets as their rows are written.
 *
 * A row trigger, so that plain INSERT, UPDATE and COPY obey as the functions do.
 * It runs with the rights of who writes: whoever may not read files of the
 * server declares them, and learns nothing.  What a row has no column for, the
 * further hashes, is kept until the end of the transaction for the trigger that
 * writes them when the row is there.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/formatting.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "args.h"
#include "assetreg.h"
#include "compat.h"
#include "model_file.h"

PG_FUNCTION_INFO_V1(assetreg_measure_trigger);
PG_FUNCTION_INFO_V1(assetreg_measure_ahead);
PG_FUNCTION_INFO_V1(assetreg_measurement_of);

/* ---- what this transaction has measured ---- */

typedef struct MeasuredAsset
{
	int64		asset_id;		/* hash key; must be first */
	int64		size;
	Checksums	sums;			/* without AutoV1 and AutoV3 where the content was declared */
	MemoryContext ahead;		/* not NULL: measured before the row is written, with the following in it */
	const char *path;
	Measurement measured;
} MeasuredAsset;

/* By asset; NULL: nothing yet. Goes with the transaction. */
static HTAB *measured_assets = NULL;
static MemoryContext measured_context;

static void
forget_measured_assets(void *arg)
{
	measured_assets = NULL;
}

static void
make_measured_assets(void)
{
	HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(MeasuredAsset)};
	MemoryContextCallback *callback;

	measured_context = AllocSetContextCreate(TopTransactionContext, "assetreg measured assets", ALLOCSET_DEFAULT_SIZES);
	control.hcxt = measured_context;
	callback = MemoryContextAlloc(control.hcxt, sizeof(MemoryContextCallback));
	callback->func = forget_measured_assets;
	callback->arg = NULL;
	measured_assets = hash_create("assetreg measured assets", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	MemoryContextRegisterResetCallback(control.hcxt, callback);
}

static MeasuredAsset *
find_measured(int64 asset_id)
{
	return measured_assets == NULL ? NULL : hash_search(measured_assets, &asset_id, HASH_FIND, NULL);
}

static MeasuredAsset *
remember(int64 asset_id, int64 size, const Checksums *sums)
{
	MeasuredAsset *asset;
	bool		found;

	if (measured_assets == NULL)
		make_measured_assets();
	asset = hash_search(measured_assets, &asset_id, HASH_ENTER, &found);
	if (found && asset->ahead != NULL)
		MemoryContextDelete(asset->ahead);
	asset->ahead = NULL;
	asset->size = size;
	asset->sums = *sums;
	return asset;
}

/* Takes what was measured ahead for the row that is being written now; false: nothing was. */
static bool
take_ahead(int64 asset_id, const char *path, Measurement *measured)
{
	MeasuredAsset *asset = find_measured(asset_id);

	if (asset == NULL || asset->ahead == NULL || strcmp(asset->path, path) != 0)
		return false;
	*measured = asset->measured;
	if (measured->format != NULL)
		measured->metadata = datumCopy(measured->metadata, false, -1);
	return true;
}

/*
 * assetreg._measure_ahead(asset_id bigint, file_path text): measures a file for
 * the row of an asset that is about to be written, so that this is known before
 * and nobody waits meanwhile; the trigger does not measure it again.  No row
 * for NULL, and where the caller may not read it or it cannot be read.  Raises what
 * model_file_measure() does.
 */
Datum
assetreg_measure_ahead(PG_FUNCTION_ARGS)
{
	int64		asset_id = arg_id(fcinfo, 0, "asset_id");
	const char *path;
	Measurement measured;
	MeasuredAsset *asset;
	MemoryContext caller;
	Datum		values[3];
	bool		nulls[3] = {false};

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(1) || assetreg_asset_roots[0] == '\0' || !server_files_may_read())
		return (Datum) 0;
	path = arg_word(fcinfo, 1, "file_path");
	model_file_measure(path, true, &measured);
	if (measured.state != SERVER_FILE_OPEN && measured.state != SERVER_FILE_DIRECTORY)
		return (Datum) 0;

	asset = remember(asset_id, measured.size, &measured.sums);
	asset->ahead = AllocSetContextCreate(measured_context, "assetreg measured ahead", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(asset->ahead);
	asset->path = pstrdup(path);
	asset->measured = measured;
	if (measured.format != NULL)
		asset->measured.metadata = datumCopy(measured.metadata, false, -1);
	MemoryContextSwitchTo(caller);

	values[0] = Int64GetDatum(measured.size);
	values[1] = CStringGetTextDatum(measured.sums.sha256);
	values[2] = measured.metadata;
	nulls[2] = measured.format == NULL;
	put_row(fcinfo, values, nulls);
	return (Datum) 0;
}

/*
 * assetreg._measurement_of(asset_id bigint): the content that this transaction's
 * last attempt to write the row of an asset came to, whether or not the row was
 * written; no row where it wrote none, or none with a file.
 */
Datum
assetreg_measurement_of(PG_FUNCTION_ARGS)
{
	int64		asset_id = arg_id(fcinfo, 0, "asset_id");
	MeasuredAsset *asset = find_measured(asset_id);
	const char *texts[3];
	Datum		values[4];
	bool		nulls[4] = {false};

	InitMaterializedSRF(fcinfo, 0);
	if (asset == NULL)
		return (Datum) 0;
	texts[0] = asset->sums.sha256;
	texts[1] = asset->sums.autov1;
	texts[2] = asset->sums.autov3;
	values[0] = Int64GetDatum(asset->size);
	for (int i = 0; i < lengthof(texts); i++)
	{
		nulls[i + 1] = texts[i][0] == '\0';
		values[i + 1] = CStringGetTextDatum(texts[i]);
	}
	put_row(fcinfo, values, nulls);
	return (Datum) 0;
}

/* ---- the row ---- */

/* The columns of assets that the trigger reads and writes. */
enum
{
	ID, FILE_PATH, FILE_SIZE, SHA256, INTEGRITY, VERIFIED_AT, METADATA, NCOLUMNS
};

static const char *const column_names[NCOLUMNS] = {
	"id", "file_path", "file_size", "sha256", "integrity", "verified_at", "metadata"
};

typedef struct AssetRow
{
	Relation	table;
	bool		insert;
	bool		owner;			/* who writes may state what was checked elsewhere */
	int			columns[NCOLUMNS];
	Datum		values[NCOLUMNS];
	bool		nulls[NCOLUMNS];
	Datum		old_values[NCOLUMNS];	/* of an UPDATE */
	bool		old_nulls[NCOLUMNS];
} AssetRow;

static void
set_value(AssetRow *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

static void
set_integrity(AssetRow *row, const char *integrity, bool checked)
{
	set_value(row, INTEGRITY, CStringGetTextDatum(integrity));
	set_value(row, VERIFIED_AT, TimestampTzGetDatum(GetCurrentTimestamp()));
	row->nulls[VERIFIED_AT] = !checked;
}

static bool
is_integrity(const AssetRow *row, const char *integrity)
{
	return !row->nulls[INTEGRITY] && strcmp(TextDatumGetCString(row->values[INTEGRITY]), integrity) == 0;
}

static bool
value_changed(const AssetRow *row, int column)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(row->table), row->columns[column] - 1);

	if (row->nulls[column] || row->old_nulls[column])
		return row->nulls[column] != row->old_nulls[column];
	return !datum_image_eq(row->values[column], row->old_values[column], attribute->attbyval, attribute->attlen);
}

static void
read_row(AssetRow *row, HeapTuple tuple, Datum *values, bool *nulls)
{
	for (int i = 0; i < NCOLUMNS; i++)
		values[i] = heap_getattr(tuple, row->columns[i], RelationGetDescr(row->table), &nulls[i]);
}

static void
lower_sha256(AssetRow *row)
{
	if (!row->nulls[SHA256])
	{
		text	   *given = DatumGetTextPP(row->values[SHA256]);

		set_value(row, SHA256, CStringGetTextDatum(asc_tolower(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given))));
	}
}

/* ---- a file that was measured ---- */

static const char *
describe_content(int64 size, bool size_known, const char *sha256)
{
	return psprintf("size %s, SHA-256 %s", size_known ? psprintf(INT64_FORMAT, size) : "not given",
					sha256 != NULL ? sha256 : "not given");
}

static void
check_stated(const AssetRow *row, const Measurement *measured)
{
	int64		size = row->nulls[FILE_SIZE] ? 0 : DatumGetInt64(row->values[FILE_SIZE]);
	const char *sha256 = row->nulls[SHA256] ? NULL : TextDatumGetCString(row->values[SHA256]);

	if ((!row->nulls[FILE_SIZE] && size != measured->size) || (sha256 != NULL && strcmp(sha256, measured->sums.sha256) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("file \"%s\" is not what was stated", TextDatumGetCString(row->values[FILE_PATH])),
				 errdetail("Stated: %s. Measured: %s.", describe_content(size, !row->nulls[FILE_SIZE], sha256),
						   describe_content(measured->size, true, measured->sums.sha256)),
				 row->insert || value_changed(row, FILE_SIZE) || value_changed(row, SHA256)
				 ? errhint("Leave out what the server measures itself.")
				 : errhint("Where the file has changed, use assetreg.replace_file().")));
}

/* What files say of themselves is called so. */
static bool
is_from_file(const char *key, int length)
{
	static const char *const prefixes[] = {"modelspec.", "ss_", "sshs_", "general."};

	for (int i = 0; i < lengthof(prefixes); i++)
		if (length >= strlen(prefixes[i]) && strncmp(key, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* Metadata without what the file before said, unless somebody states it anew. */
static Datum
without_old_facts(const AssetRow *row)
{
	Datum		metadata = row->values[METADATA];
	JsonbIterator *iterator = JsonbIteratorInit(&DatumGetJsonbP(metadata)->root);
	Datum		result = metadata;
	JsonbIteratorToken token;
	JsonbValue	key;

	if (value_changed(row, METADATA))
		return metadata;
	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
		if (token == WJB_KEY && is_from_file(key.val.string.val, key.val.string.len))
			result = DirectFunctionCall2(jsonb_delete, result,
										 PointerGetDatum(cstring_to_text_with_len(key.val.string.val, key.val.string.len)));
	return result;
}

/* What people state goes before what the file says. */
static void
add_metadata(AssetRow *row, const Measurement *measured)
{
	Datum		stated = row->nulls[METADATA] ? DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")) : row->values[METADATA];

	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(stated)))
		return;					/* a constraint says so */
	if (!row->insert && !row->nulls[METADATA])
		stated = without_old_facts(row);
	if (measured->format != NULL)
		stated = DirectFunctionCall2(jsonb_concat, measured->metadata, stated);
	set_value(row, METADATA, stated);
}

static void
take_measured(AssetRow *row, const Measurement *measured)
{
	Datum		sha256 = CStringGetTextDatum(measured->sums.sha256);

	check_stated(row, measured);
	set_value(row, FILE_SIZE, Int64GetDatum(measured->size));
	set_value(row, SHA256, sha256);
	set_integrity(row, "verified", true);
	if (row->insert || value_changed(row, SHA256))
		add_metadata(row, measured);
	remember(DatumGetInt64(row->values[ID]), measured->size, &measured->sums);
}

/* ---- a file that was not ---- */

/* The state of a file that nobody measured; raises an error for one that nobody may register. */
static void
check_unmeasured(const AssetRow *row, const Measurement *measured)
{
	const char *path = TextDatumGetCString(row->values[FILE_PATH]);
	bool		stated = !row->nulls[FILE_SIZE] && !row->nulls[SHA256];

	if (measured->state == SERVER_FILE_IRREGULAR)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file or a directory", path)));
	if (measured->state == SERVER_FILE_MISSING && !stated)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("file \"%s\" does not exist", path),
				 errhint("To register it all the same, state file_size and sha256.")));
	if (!stated)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("file_size and sha256 of file \"%s\" must be stated", path),
				 measured->detail != NULL ? errdetail("The server cannot read it: %s.", measured->detail)
				 : errdetail("The server measures files below the directories in \"assetreg.asset_roots\" only, for roles that may read them.")));
}

/* A file that moved to where the server does not see it is declared to be the same. */
static void
keep_content_of_move(AssetRow *row, const Measurement *measured)
{
	if (row->insert || !value_changed(row, FILE_PATH) || !row->nulls[FILE_SIZE] || !row->nulls[SHA256]
		|| measured->state == SERVER_FILE_MISSING)
		return;
	row->values[FILE_SIZE] = row->old_values[FILE_SIZE];
	row->nulls[FILE_SIZE] = row->old_nulls[FILE_SIZE];
	row->values[SHA256] = row->old_values[SHA256];
	row->nulls[SHA256] = row->old_nulls[SHA256];
}

static void
take_unmeasured(AssetRow *row, const Measurement *measured)
{
	Checksums	sums = {""};
	bool		stated = row->owner && (row->insert || value_changed(row, INTEGRITY));

	if (!row->nulls[FILE_PATH])
	{
		keep_content_of_move(row, measured);
		check_unmeasured(row, measured);
	}
	if (measured->state == SERVER_FILE_MISSING)
		set_integrity(row, "missing", true);
	else if (!stated)
		set_integrity(row, "declared", false);
	if (row->insert || !value_changed(row, SHA256))
		return;
	if (!row->nulls[SHA256])
		strlcpy(sums.sha256, TextDatumGetCString(row->values[SHA256]), sizeof(sums.sha256));
	if (!row->nulls[METADATA] && JB_ROOT_IS_OBJECT(DatumGetJsonbP(row->values[METADATA])))
		set_value(row, METADATA, without_old_facts(row));
	remember(DatumGetInt64(row->values[ID]), row->nulls[FILE_SIZE] ? 0 : DatumGetInt64(row->values[FILE_SIZE]), &sums);
}

/* ---- the trigger ---- */

/* The owner, who loads what was checked elsewhere, says that the file is not what it was. */
static bool
is_known_to_differ(const AssetRow *row)
{
	return row->owner && row->insert && !row->nulls[FILE_SIZE] && !row->nulls[SHA256]
		&& (is_integrity(row, "mismatch") || is_integrity(row, "missing"));
}

static void
measure_row(AssetRow *row)
{
	Measurement measured = {.state = SERVER_FILE_OUTSIDE};

	if (!row->nulls[FILE_PATH] && assetreg_asset_roots[0] != '\0' && !is_known_to_differ(row) && server_files_may_read())
	{
		const char *path = TextDatumGetCString(row->values[FILE_PATH]);

		if (!take_ahead(DatumGetInt64(row->values[ID]), path, &measured))
			model_file_measure(path, true, &measured);
	}
	if (measured.state == SERVER_FILE_OPEN || measured.state == SERVER_FILE_DIRECTORY)
		take_measured(row, &measured);
	else
		take_unmeasured(row, &measured);
}

static void
check_called_right(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	if (!CALLED_AS_TRIGGER(fcinfo)
		|| !TRIGGER_FIRED_BEFORE(trigger->tg_event)
		|| !TRIGGER_FIRED_FOR_ROW(trigger->tg_event)
		|| TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("_measure_trigger must be fired for each row before INSERT or UPDATE")));
}

static void
start_row(AssetRow *row, TriggerData *trigger)
{
	row->table = trigger->tg_relation;
	row->insert = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
	row->owner = has_privs_of_role(GetUserId(), row->table->rd_rel->relowner);
	for (int i = 0; i < NCOLUMNS; i++)
	{
		row->columns[i] = SPI_fnumber(RelationGetDescr(row->table), column_names[i]);
		if (row->columns[i] <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of table \"%s\" does not exist", column_names[i], RelationGetRelationName(row->table))));
	}
	read_row(row, row->insert ? trigger->tg_trigtuple : trigger->tg_newtuple, row->values, row->nulls);
	if (!row->insert)
		read_row(row, trigger->tg_trigtuple, row->old_values, row->old_nulls);
	lower_sha256(row);
}

static void
keep_what_was_checked(AssetRow *row)
{
	for (int i = INTEGRITY; i <= VERIFIED_AT; i++)
	{
		row->values[i] = row->old_values[i];
		row->nulls[i] = row->old_nulls[i];
	}
}

/*
 * assetreg._measure_trigger(): where the writer may read files and the file is
 * below a root, measures it, refuses what was stated and is not so, and fills
 * file_size, sha256, integrity, verified_at and what the file says in metadata.
 * Else size and hash must be stated, and are declared.  On UPDATE all that only
 * where path, size or hash change; set to NULL, size and hash are measured anew.
 * Integrity is nobody's to state but the table's owner's.  Raises 22023 for what
 * differs and for files that nobody may register, 22004, 42809 and 58P01.
 */
Datum
assetreg_measure_trigger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	tuple;
	AssetRow	row;

	check_called_right(fcinfo, trigger);
	start_row(&row, trigger);
	tuple = row.insert ? trigger->tg_trigtuple : trigger->tg_newtuple;
	if (row.insert || value_changed(&row, FILE_PATH) || value_changed(&row, FILE_SIZE) || value_changed(&row, SHA256))
		measure_row(&row);
	else if (!row.owner)
		keep_what_was_checked(&row);
	return PointerGetDatum(heap_modify_tuple_by_cols(tuple, RelationGetDescr(row.table), NCOLUMNS,
													 row.columns, row.values, row.nulls));
}
