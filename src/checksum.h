/*
 * checksum.h
 *		Hashes of an open file, all in one pass.
 */
#ifndef ASSETREG_CHECKSUM_H
#define ASSETREG_CHECKSUM_H

#include "server_files.h"

#define SHA256_HEX_SIZE 64
#define AUTOV1_HEX_SIZE 8
#define AUTOV3_HEX_SIZE 12

/* Lower-case hex; empty where the file has no such hash. */
typedef struct Checksums
{
	char		sha256[SHA256_HEX_SIZE + 1];
	char		autov1[AUTOV1_HEX_SIZE + 1];
	char		autov3[AUTOV3_HEX_SIZE + 1];
} Checksums;

extern void checksum_file(ServerFile *file, int64 tensors_start, Checksums *sums);
extern void checksum_bytes(const void *bytes, Size size, char *hex);
extern void checksum_read(ServerFile *file, int64 offset, void *to, Size size);

#endif							/* ASSETREG_CHECKSUM_H */
