/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of input cut into statements, stages and words, as PowerShell would for the simple cases: blanks
 * separate,
 * '...' is literal, "..." too (with `` ` `` as escape), "|" ends a stage, ";" and a line end end a statement,
 * "#" begins a comment.
 */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_WORDS_MAX 128

enum word_kind { WORD_TEXT, WORD_PIPE, WORD_END };

struct word {
	enum word_kind kind;
	bool quoted; /* a quoted "-Name" is a value, no parameter */
	char *text;
};

struct line {
	struct word words[LINE_WORDS_MAX];
	size_t count;
};

/* NULL, or what is wrong. line_free() in both cases. */
const char *line_split(struct line *line, const char *text);
void line_free(struct line *line);

#endif
