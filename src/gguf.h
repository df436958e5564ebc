/*
 * gguf.h
 *		The header of a GGUF file.
 */
#ifndef ASSETREG_GGUF_H
#define ASSETREG_GGUF_H

#include "header.h"

extern bool gguf_looks_like(const unsigned char *start, size_t size);
extern bool gguf_read(HeaderHost *host, uint64_t file_size, Header *header);

#endif							/* ASSETREG_GGUF_H */
