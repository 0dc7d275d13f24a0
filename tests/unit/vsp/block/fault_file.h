/* SPDX-License-Identifier: Apache-2.0 */
/* A layer over a file that fails, shortens, or delays requests by a list of rules; of the first that fits. */
#ifndef TESTS_FAULT_FILE_H
#define TESTS_FAULT_FILE_H

#include "block/file.h"

#define FAULT_RULES 8
#define FAULT_HELD  256
#define FAULT_OP(op) (1u << (op))
#define FAULT_ANY_OP 0x3fu

struct fault_rule {
	unsigned ops;			/* FAULT_OP(...) | ...; 0: no rule */
	uint64_t from, to;		/* touches [from, to); a flush touches every range */
	unsigned skip;			/* so many that fit pass first */
	unsigned times;			/* then so many are hit; 0: all */
	int error;			/* 0: a delay alone */
	bool at_range;			/* what lies before `from` is done, then the error; else nothing is done */
	uint64_t delay_ns;
	bool hold;			/* until fault_release */
	unsigned hits;			/* so far */
};

struct fault_file {
	struct block_file file;		/* first */
	struct block_file *below;
	struct fault_rule rules[FAULT_RULES];
	struct fault_request *held[FAULT_HELD];
	unsigned held_count;
};

/* `below` is the layer's. */
struct fault_file *fault_file_new(struct block_file *below);
/* Submits what was held. */
void fault_release(struct fault_file *file);

#endif
