/*
 * model_file.h
 *		What the registry measures of a file or a directory of the server.
 */
#ifndef ASSETREG_MODEL_FILE_H
#define ASSETREG_MODEL_FILE_H

#include "checksum.h"

typedef struct Measurement
{
	ServerFileState state;		/* open or directory: measured */
	const char *detail;			/* why not, where there is more to say */
	int64		size;			/* of a directory: of its files together */
	int64		files;			/* of a directory */
	Checksums	sums;
	const char *format;			/* NULL: not known */
	Datum		metadata;		/* jsonb, where the format is known */
	Datum		tensors;		/* likewise */
} Measurement;

extern void model_file_measure(const char *path, bool strict, Measurement *measured);
extern const char *model_file_state(ServerFileState state);

#endif							/* ASSETREG_MODEL_FILE_H */
