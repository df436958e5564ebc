/*
 * version.c
 *		A sort key for versions.
 *
 * Precedence is that of Semantic Versioning 2.0.0, item 11, with what people
 * write in the names of model files taken in: a leading v, and one or two
 * numbers in place of three.
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(assetreg_version_key);

typedef struct VersionText
{
	const char *pos;
	const char *end;
} VersionText;

#define is_digit(c) ((c) >= '0' && (c) <= '9')
#define is_letter(c) (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z') || (c) == '-')

static bool
skip(VersionText *text, char c)
{
	if (text->pos == text->end || *text->pos != c)
		return false;
	text->pos++;
	return true;
}

/*
 * A number of any length sorts by how many digits it has, then by the digits.
 */
static void
append_number(StringInfo key, const char *digits, int n)
{
	while (n > 1 && *digits == '0')
	{
		digits++;
		n--;
	}
	appendStringInfoChar(key, (char) n);
	appendBinaryStringInfo(key, digits, n);
}

static bool
take_number(VersionText *text, StringInfo key)
{
	const char *start = text->pos;

	while (text->pos < text->end && is_digit(*text->pos))
		text->pos++;
	if (text->pos == start || text->pos - start > 100)
		return false;
	append_number(key, start, text->pos - start);
	return true;
}

/*
 * One of the identifiers of a pre-release: numbers sort before words.
 */
static bool
take_identifier(VersionText *text, StringInfo key)
{
	const char *start = text->pos;
	bool		number = true;

	for (; text->pos < text->end && (is_digit(*text->pos) || is_letter(*text->pos)); text->pos++)
		number = number && is_digit(*text->pos);
	if (text->pos == start || text->pos - start > 100)
		return false;
	appendStringInfoChar(key, number ? 1 : 2);
	if (number)
		append_number(key, start, text->pos - start);
	else
	{
		appendBinaryStringInfo(key, start, text->pos - start);
		appendStringInfoChar(key, 0);
	}
	return true;
}

/*
 * Build metadata, which has the form of a pre-release, does not count.
 */
static bool
take_version(VersionText *text, StringInfo key)
{
	StringInfoData build;

	(void) (skip(text, 'v') || skip(text, 'V'));
	for (int i = 0; i < 3; i++)
	{
		if (i == 0 || skip(text, '.'))
		{
			if (!take_number(text, key))
				return false;
		}
		else
			append_number(key, "0", 1);
	}

	if (skip(text, '-'))
	{
		do
		{
			if (!take_identifier(text, key))
				return false;
		} while (skip(text, '.'));
		appendStringInfoChar(key, 0);	/* fewer identifiers sort first */
	}
	else
		appendStringInfoChar(key, 3);	/* a release sorts after its pre-releases */

	if (skip(text, '+'))
	{
		initStringInfo(&build);
		do
		{
			if (!take_identifier(text, &build))
				return false;
		} while (skip(text, '.'));
	}
	return text->pos == text->end;
}

/*
 * assetreg._version_key(version): bytes that compare as the versions do, NULL
 * where it is none.
 */
Datum
assetreg_version_key(PG_FUNCTION_ARGS)
{
	text	   *version = PG_GETARG_TEXT_PP(0);
	VersionText text = {VARDATA_ANY(version), VARDATA_ANY(version) + VARSIZE_ANY_EXHDR(version)};
	StringInfoData key;
	bytea	   *result;

	initStringInfo(&key);
	if (!take_version(&text, &key))
		PG_RETURN_NULL();
	result = palloc(VARHDRSZ + key.len);
	SET_VARSIZE(result, VARHDRSZ + key.len);
	memcpy(VARDATA(result), key.data, key.len);
	PG_RETURN_BYTEA_P(result);
}
