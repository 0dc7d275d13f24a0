/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The setup header of an x86 Linux kernel file (Documentation/arch/x86/boot.rst of Linux, "The Real-Mode Kernel Header"),
 * untrusted until bzimage_parse has said yes. Offsets are those of the file, which are also those of the zero page.
 */
#ifndef WORKER_BZIMAGE_H
#define WORKER_BZIMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "worker/failure.h"

#define BZIMAGE_HEAD_BYTES    1024u		/* what bzimage_parse wants to see of the file */
#define BZIMAGE_ENTRY_64      0x200u		/* 64-bit entry, from the start of the protected-mode part */
#define BZIMAGE_HEADER_OFFSET 0x1f1u
#define BZIMAGE_HEADER_LIMIT  0x290u		/* the zero page holds the header up to here */

struct bzimage {
	uint16_t version;			/* boot protocol, 0x020c and later */
	uint32_t header_end;			/* the header is [BZIMAGE_HEADER_OFFSET, header_end) of the file */
	uint64_t code_offset;			/* protected-mode part in the file */
	uint64_t code_bytes;			/* >= BZIMAGE_ENTRY_64 + 1, all inside the file */
	uint64_t preferred_gpa;			/* where it wants to lie */
	uint64_t alignment;			/* power of two, when it lies elsewhere */
	uint64_t init_bytes;			/* memory it needs from its start on before it reads the memory map */
	uint64_t initrd_max;			/* highest address of the last byte of an initrd */
	uint32_t command_line_max;		/* bytes, without the terminating zero */
	uint8_t relocatable;			/* 0 or 1 */
};

/*
 * head        first bytes of the file, head_bytes long (shorter only if the file is)
 * file_bytes  size of the whole file
 * -ENOEXEC with the field that is wrong in `why`; *out is written only on success.
 */
int bzimage_parse(const uint8_t *head, size_t head_bytes, uint64_t file_bytes, struct bzimage *out,
		  struct failure *why) MUST_CHECK;

#endif
