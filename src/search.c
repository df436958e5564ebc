/*
 * search.c
 *		What an asset is found by: the terms of the search index, and what it is asked.
 *
 * A term is a byte that says what kind it is, and a text.  Of name@version there
 * is a piece of four characters from each character on, of each word of the
 * metadata from every second one on.  So the pieces of what is looked for, in a
 * name or at the beginning of a word, are all there where it is there: one
 * question for both, without an OR, which the index would answer slowly.  It
 * gives at least what matches; who asks looks at the name and the words
 * themselves.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "tsearch/ts_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/jsonb.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(assetreg_search_row);
PG_FUNCTION_INFO_V1(assetreg_search_query);
PG_FUNCTION_INFO_V1(assetreg_search_words_query);

/* the kinds of term; words have none, as they stand alone */
#define TERM_PIECE 'p'
#define TERM_STATUS 's'
#define TERM_TYPE 't'
#define TERM_VERSION 'v'
#define TERM_WORD '\0'

#define PIECE_CHARS 4			/* fewer at the end of a text */
#define WORD_STEP 2				/* from one piece of a word to the next, in characters */
#define MAX_QUERY_TERMS 16		/* that the index is asked for; the rows tell the rest */
#define MAX_WORD_BYTES 64		/* what a longer word begins with is found */
#define MAX_ATTRIBUTE_BYTES 2000	/* of a term, less than 2046 */
#define MAX_STRING_WORDS 250	/* of one string: tags by the thousand leave room for the others */
#define MAX_STRING_BYTES 16384
#define MAX_WORDS 1000			/* of one asset */
#define WORD_SLOTS 2048			/* a power of 2, larger than MAX_WORDS */

typedef struct Term
{
	char		kind;
	const char *text;
	int			len;
} Term;

typedef struct Terms
{
	Term	   *terms;
	int			nterms;
	int			size;
} Terms;

static void
add_term(Terms *terms, char kind, const char *text, int len)
{
	if (terms->nterms == terms->size)
	{
		terms->size *= 2;
		terms->terms = repalloc_array(terms->terms, Term, terms->size);
	}
	terms->terms[terms->nterms++] = (Term) {kind, text, len};
}

/* How many bytes the next n characters have. */
static int
chars_length(const char *text, const char *end, int n)
{
	const char *pos = text;

	while (n-- > 0 && pos < end)
		pos += pg_mblen(pos);
	return Min(pos, end) - text;
}

/*
 * A piece from each character on: what is looked for may begin anywhere.
 */
static void
add_name(Terms *terms, const char *name, int len)
{
	const char *end = name + len;

	for (const char *pos = name; pos < end; pos += chars_length(pos, end, 1))
		add_term(terms, TERM_PIECE, pos, chars_length(pos, end, PIECE_CHARS));
}

/*
 * The first piece, however short, and the whole ones from every second character
 * on.  The pieces of what begins so are among them.
 */
static void
add_beginning(Terms *terms, const char *text, int len)
{
	const char *end = text + len;
	int			nchars = pg_mbstrlen_with_len(text, len);

	add_term(terms, TERM_PIECE, text, chars_length(text, end, PIECE_CHARS));
	for (int i = WORD_STEP; i + PIECE_CHARS <= nchars; i += WORD_STEP)
	{
		text += chars_length(text, end, WORD_STEP);
		add_term(terms, TERM_PIECE, text, chars_length(text, end, PIECE_CHARS));
	}
}

/*
 * Letters and digits make words.  The locale is not asked, so that every
 * database has the same words: beyond ASCII all but the blocks of punctuation
 * counts as a letter.
 */
static bool
in_word(const char *pos)
{
	unsigned char c = (unsigned char) *pos;
	pg_wchar	code;

	if (c < 0x80)
		return isalnum(c);
	if (GetDatabaseEncoding() != PG_UTF8)
		return true;
	code = utf8_to_unicode((const unsigned char *) pos);
	return !((code < 0xc0 && code != 0xaa && code != 0xb5 && code != 0xba)	/* Latin-1 signs */
			 || (code >= 0x2000 && code <= 0x206f)	/* general punctuation */
			 || (code >= 0x3000 && code <= 0x3003) || (code >= 0x3008 && code <= 0x3020)	/* of Chinese and Japanese */
			 || (code >= 0xff01 && code <= 0xff0f) || (code >= 0xff1a && code <= 0xff20));	/* full width */
}

/*
 * The next word from *pos on, or NULL; *pos is moved behind it.
 */
static const char *
next_word(const char **pos, const char *end, int *len)
{
	const char *start;

	while (*pos < end && !in_word(*pos))
		*pos += pg_mblen(*pos);
	start = *pos;
	while (*pos < end && in_word(*pos))
		*pos += pg_mblen(*pos);
	*len = Min(*pos, end) - start;
	return *len > 0 ? start : NULL;
}

/* The distinct words of an asset's metadata, in the order in which they come. */
typedef struct Words
{
	Terms		terms;
	int16		slots[WORD_SLOTS];	/* hash table: number of the word from 1 on, 0 is none */
} Words;

/*
 * Whether the word is new.
 */
static bool
add_word(Words *words, const char *word, int len)
{
	uint32		slot = hash_bytes((const unsigned char *) word, len) % WORD_SLOTS;

	for (; words->slots[slot] != 0; slot = (slot + 1) % WORD_SLOTS)
	{
		Term	   *term = &words->terms.terms[words->slots[slot] - 1];

		if (term->len == len && memcmp(term->text, word, len) == 0)
			return false;
	}
	add_term(&words->terms, TERM_WORD, word, len);
	words->slots[slot] = words->terms.nterms;
	return true;
}

static void
add_words(Words *words, const char *string, int len)
{
	int			room = Min(MAX_STRING_WORDS, MAX_WORDS - words->terms.nterms);
	const char *pos;
	const char *end;
	const char *word;
	int			word_len;

	if (room <= 0)
		return;
	pos = str_tolower(string, pg_mbcliplen(string, len, MAX_STRING_BYTES), DEFAULT_COLLATION_OID);
	end = pos + strlen(pos);
	while (room > 0 && (word = next_word(&pos, end, &word_len)) != NULL)
		if (add_word(words, word, pg_mbcliplen(word, word_len, MAX_WORD_BYTES)))
			room--;
}

/*
 * The words of keys and strings: those of the top level, or those below it.
 */
static void
add_level(Words *words, Jsonb *metadata, bool top)
{
	JsonbIterator *it = JsonbIteratorInit(&metadata->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			depth = 0;

	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY)
			depth++;
		else if (token == WJB_END_OBJECT || token == WJB_END_ARRAY)
			depth--;
		else if (value.type == jbvString && (depth == 1) == top)
			add_words(words, value.val.string.val, value.val.string.len);
	}
}

/* As the server sorts the lexemes of a tsvector. */
static int
compare_terms(const void *a, const void *b)
{
	const Term *left = a;
	const Term *right = b;
	int			cmp;

	if (left->kind != right->kind)
		return (unsigned char) left->kind - (unsigned char) right->kind;
	cmp = memcmp(left->text, right->text, Min(left->len, right->len));
	return cmp != 0 ? cmp : left->len - right->len;
}

static int
term_size(const Term *term)
{
	return term->len + (term->kind != TERM_WORD);
}

static TSVector
make_tsvector(Terms *terms)
{
	int			n = 0;
	int			bytes = 0;
	int			size;
	TSVector	vector;
	char	   *strings;

	qsort(terms->terms, terms->nterms, sizeof(Term), compare_terms);
	for (int i = 0; i < terms->nterms; i++)
		if (n == 0 || compare_terms(&terms->terms[n - 1], &terms->terms[i]) != 0)
		{
			terms->terms[n++] = terms->terms[i];
			bytes += term_size(&terms->terms[i]);
		}

	size = CALCDATASIZE(n, bytes);
	vector = palloc0(size);
	SET_VARSIZE(vector, size);
	vector->size = n;
	strings = STRPTR(vector);
	bytes = 0;
	for (int i = 0; i < n; i++)
	{
		WordEntry  *entry = &ARRPTR(vector)[i];
		const Term *term = &terms->terms[i];

		entry->len = term_size(term);
		entry->pos = bytes;
		if (term->kind != TERM_WORD)
			strings[bytes++] = term->kind;
		memcpy(strings + bytes, term->text, term->len);
		bytes += term->len;
	}
	return vector;
}

/*
 * The words of keys and strings, in lower case.  What is near the top describes
 * the whole, so it comes first while there is room.  However much metadata there
 * is, MAX_WORDS words stay far below what a tsvector can hold.
 */
static TSVector
metadata_words(Jsonb *metadata)
{
	Words	   *words = palloc0(sizeof(Words));

	words->terms = (Terms) {palloc_array(Term, 64), 0, 64};
	add_level(words, metadata, true);
	add_level(words, metadata, false);
	return make_tsvector(&words->terms);
}

static void
add_attribute(Terms *terms, char kind, text *value)
{
	add_term(terms, kind, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/*
 * assetreg._search_row(type, name, version, status, metadata): name@version in
 * lower case, the words of the metadata, and the terms for the index.
 */
Datum
assetreg_search_row(PG_FUNCTION_ARGS)
{
	text	   *version = PG_GETARG_TEXT_PP(2);
	TSVector	words = metadata_words(PG_GETARG_JSONB_P(4));
	Terms		terms = {palloc_array(Term, 128), 0, 128};
	StringInfoData shown;
	char	   *name;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	initStringInfo(&shown);
	appendStringInfo(&shown, "%s@%s", text_to_cstring(PG_GETARG_TEXT_PP(1)), text_to_cstring(version));
	name = str_tolower(shown.data, shown.len, DEFAULT_COLLATION_OID);

	add_attribute(&terms, TERM_TYPE, PG_GETARG_TEXT_PP(0));
	add_attribute(&terms, TERM_VERSION, version);
	add_attribute(&terms, TERM_STATUS, PG_GETARG_TEXT_PP(3));
	add_name(&terms, name, strlen(name));
	for (int i = 0; i < words->size; i++)
		add_beginning(&terms, STRPTR(words) + ARRPTR(words)[i].pos, ARRPTR(words)[i].len);

	values[0] = CStringGetTextDatum(name);
	values[1] = TSVectorGetDatum(words);
	values[2] = TSVectorGetDatum(make_tsvector(&terms));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* Appends a term as tsqueryin() reads it; flags may be ":*" for what begins so. */
static void
append_term(StringInfo query, const Term *term, const char *flags)
{
	appendStringInfoString(query, query->len == 0 ? "'" : " & '");
	if (term->kind != TERM_WORD)
		appendStringInfoChar(query, term->kind);
	for (int i = 0; i < term->len; i++)
	{
		if (term->text[i] == '\'' || term->text[i] == '\\')
			appendStringInfoChar(query, term->text[i]);
		appendStringInfoChar(query, term->text[i]);
	}
	appendStringInfo(query, "'%s", flags);
}

static Datum
make_tsquery(StringInfo query)
{
	return DirectFunctionCall1(tsqueryin, CStringGetDatum(query->data));
}

/*
 * Whether a word of a query has separators and only short parts, as 1.3.7 has:
 * all over the metadata these would say little and be found in half of it, so
 * such a word is looked for in names alone, as it stands.
 */
static bool
is_for_names(const char *pos, const char *end)
{
	const char *part;
	int			len;
	int			nparts = 0;

	while ((part = next_word(&pos, end, &len)) != NULL)
	{
		if (pg_mbstrlen_with_len(part, len) >= PIECE_CHARS)
			return false;
		nparts++;
	}
	return nparts > 1;
}

/*
 * Splits a fragment into whole pieces; what is shorter is a beginning of some.
 */
static void
split_fragment(Terms *pieces, Terms *beginnings, const char *text, int len)
{
	Terms		all = {palloc_array(Term, 16), 0, 16};
	int			per_piece = PIECE_CHARS / WORD_STEP;

	if (pg_mbstrlen_with_len(text, len) < PIECE_CHARS)
	{
		add_term(beginnings, TERM_PIECE, text, len);
		return;
	}
	/* side by side, and the last, which may overlap */
	add_beginning(&all, text, len);
	for (int i = 0; i < all.nterms; i++)
		if (i % per_piece == 0 || i == all.nterms - 1)
			add_term(pieces, TERM_PIECE, all.terms[i].text, all.terms[i].len);
}

/*
 * Appends what is asked for words of a query.  Only their letters and digits
 * count, as in metadata all else separates words, except where there are none.
 */
static void
append_words(StringInfo query, Datum *words, int nwords)
{
	Terms		pieces = {palloc_array(Term, 16), 0, 16};
	Terms		beginnings = {palloc_array(Term, 16), 0, 16};
	int			step;

	for (int with_signs = 0; with_signs <= 1 && pieces.nterms + beginnings.nterms == 0; with_signs++)
		for (int i = 0; i < nwords; i++)
		{
			text	   *word = DatumGetTextPP(words[i]);
			const char *pos = VARDATA_ANY(word);
			const char *end = pos + VARSIZE_ANY_EXHDR(word);
			const char *part;
			int			len;

			if (with_signs || is_for_names(pos, end))
				split_fragment(&pieces, &beginnings, pos, end - pos);
			else
				while ((part = next_word(&pos, end, &len)) != NULL)
					split_fragment(&pieces, &beginnings, part, len);
		}

	/* spread over all there are: names often begin alike and end differently */
	step = pieces.nterms / MAX_QUERY_TERMS + 1;
	for (int i = 0; i < pieces.nterms; i += step)
		append_term(query, &pieces.terms[i], "");
	if (pieces.nterms > 0)
		return;
	/* single characters only where there is nothing else */
	for (int min_len = 2; query->len == 0 && min_len > 0; min_len--)
		for (int i = 0; i < Min(beginnings.nterms, MAX_QUERY_TERMS); i++)
			if (beginnings.terms[i].len >= min_len)
				append_term(query, &beginnings.terms[i], ":*");
}

/*
 * assetreg._search_query(words, type, version, status): what the index is asked
 * for the rows with all of these.  NULL: any.  The words are in lower case.
 */
Datum
assetreg_search_query(PG_FUNCTION_ARGS)
{
	static const char attributes[] = {TERM_TYPE, TERM_VERSION, TERM_STATUS};
	StringInfoData query;
	Datum	   *words = NULL;
	int			nwords = 0;

	initStringInfo(&query);
	if (!PG_ARGISNULL(0))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &words, NULL, &nwords);
	append_words(&query, words, nwords);
	for (int i = 0; i < lengthof(attributes); i++)
		if (!PG_ARGISNULL(i + 1))
		{
			text	   *value = PG_GETARG_TEXT_PP(i + 1);
			int			len = VARSIZE_ANY_EXHDR(value);
			/* no asset has one so long, and no tsquery takes it */
			Term		term = {attributes[i], VARDATA_ANY(value), pg_mbcliplen(VARDATA_ANY(value), len, MAX_ATTRIBUTE_BYTES)};

			append_term(&query, &term, "");
		}
	if (query.len == 0)
		PG_RETURN_NULL();
	return make_tsquery(&query);
}

/*
 * assetreg._search_words_query(word): what the words of an asset are whose
 * metadata has the word of a query; several where there are separators within.
 * NULL where none can be.
 */
Datum
assetreg_search_words_query(PG_FUNCTION_ARGS)
{
	text	   *word = PG_GETARG_TEXT_PP(0);
	const char *pos = VARDATA_ANY(word);
	const char *end = pos + VARSIZE_ANY_EXHDR(word);
	Term		part = {TERM_WORD};
	StringInfoData query;

	initStringInfo(&query);
	if (is_for_names(pos, end))
		PG_RETURN_NULL();
	while ((part.text = next_word(&pos, end, &part.len)) != NULL)
	{
		if (part.len > MAX_WORD_BYTES)
			PG_RETURN_NULL();
		append_term(&query, &part, ":*");
	}
	if (query.len == 0)
		PG_RETURN_NULL();
	return make_tsquery(&query);
}
