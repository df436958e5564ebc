/*
 * delete_token.c
 *		What a preview of a deletion showed, as a text that confirms no more than that.
 *
 * No table remembers tokens, so that a preview works on a standby: a token says
 * itself for which asset it is and which entities were shown.  It holds their
 * ids where these fit into 128 kB, at a byte or two each; they can then be held
 * against any later set.  Of more it holds a digest, which tells equal
 * from not equal and no more: there every difference counts as one too many.
 *
 * The checksum keeps a damaged token, or another database's, from being taken
 * for what it is not.  It is no secret: who may delete needs no token to do so.
 *
 * In hex digits: asset, number and digest of the entities, 8 bytes each; their
 * ids, each as the distance from the one before in groups of 7 bits; checksum.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "delete_token.h"

#define HEADER_SIZE (3 * sizeof(uint64))
#define MAX_IDS_SIZE (128 * 1024)

void
shown_add(ShownEntities *shown, int64 id)
{
	shown->n++;
	shown->digest += hash_bytes_extended((unsigned char *) &id, sizeof(id), 0);
}

static uint64
checksum(const char *data, Size size)
{
	return hash_bytes_extended((const unsigned char *) data, (int) size, GetSystemIdentifier() ^ MyDatabaseId);
}

/* False: they do not fit. */
static bool
write_ids(StringInfo data, KeySet *ids)
{
	int64		last = 0;
	int64		id;

	for (bool more = ids->seek(ids, PG_INT64_MIN, &id); more; more = keyset_after(ids, id, &id))
	{
		uint64		distance = (uint64) id - (uint64) last;

		for (; distance >= 0x80; distance >>= 7)
			appendStringInfoCharMacro(data, (char) (0x80 | (distance & 0x7f)));
		appendStringInfoCharMacro(data, (char) distance);
		if (data->len > HEADER_SIZE + MAX_IDS_SIZE)
			return false;
		last = id;
	}
	return true;
}

static IdSet *
read_ids(const char *data, const char *end)
{
	IdSet	   *ids = idset_create();
	uint64		id = 0;

	while (data < end)
	{
		uint64		distance = 0;
		int			shift = 0;

		for (; data < end && (*data & 0x80) && shift < 63; shift += 7)
			distance |= (uint64) (*data++ & 0x7f) << shift;
		if (data < end)
			distance |= (uint64) (*data++ & 0x7f) << shift;
		id += distance;
		idset_add(ids, NULL, (int64) id);
	}
	return ids;
}

/*
 * The token for an asset and the entities with these ids.
 */
char *
delete_token_write(int64 asset, const ShownEntities *shown, KeySet *ids)
{
	StringInfoData data;
	char	   *text;

	initStringInfo(&data);
	pq_sendint64(&data, asset);
	pq_sendint64(&data, shown->n);
	pq_sendint64(&data, shown->digest);
	if (!write_ids(&data, ids))
		data.len = HEADER_SIZE;
	pq_sendint64(&data, checksum(data.data, data.len));

	text = palloc(2 * data.len + 1);
	text[hex_encode(data.data, data.len, text)] = '\0';
	pfree(data.data);
	return text;
}

static uint64
read_number(const char *data)
{
	uint64		number;

	memcpy(&number, data, sizeof(number));
	return pg_ntoh64(number);
}

/*
 * Reads a token in the current memory context.  Raises 22023 where it is none,
 * none of this database's, or another asset's.
 */
DeleteToken *
delete_token_read(const char *text, int64 asset)
{
	DeleteToken *token = palloc0(sizeof(DeleteToken));
	Size		length = strlen(text);
	Size		size = length / 2;
	char	   *data = palloc(size + 1);

	if (length % 2 != 0 || size < HEADER_SIZE + sizeof(uint64) || size > HEADER_SIZE + MAX_IDS_SIZE + sizeof(uint64)
		|| strspn(text, "0123456789abcdef") < length
		|| hex_decode(text, length, data) != size
		|| checksum(data, size - sizeof(uint64)) != read_number(data + size - sizeof(uint64)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid delete token"),
				 errdetail("It is damaged, or was given by another database."),
				 errhint("assetreg.delete_preview() gives tokens.")));
	if ((int64) read_number(data) != asset)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("delete token is for another asset"),
				 errdetail("It was given for asset %lld.", (long long) read_number(data)),
				 errhint("Use the token that assetreg.delete_preview() gave for this asset.")));

	token->shown.n = (int64) read_number(data + sizeof(uint64));
	token->shown.digest = read_number(data + 2 * sizeof(uint64));
	if (size > HEADER_SIZE + sizeof(uint64) || token->shown.n == 0)
		token->ids = read_ids(data + HEADER_SIZE, data + size - sizeof(uint64));
	pfree(data);
	return token;
}
