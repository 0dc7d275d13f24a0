/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/line.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool add(struct line *line, enum word_kind kind, bool quoted, char *text)
{
	if (line->count == LINE_WORDS_MAX) {
		free(text);
		return false;
	}
	line->words[line->count++] = (struct word){kind, quoted, text};
	return true;
}

/* One word from *at on; NULL and *problem when a quote does not end. */
static char *read_word(const char **at, bool *quoted, const char **problem)
{
	char *out = malloc(strlen(*at) + 1);
	size_t used = 0;
	char quote = 0;

	*quoted = **at == '\'' || **at == '"';
	for (; out && **at; (*at)++) {
		char c = **at;

		if (!quote && (isspace((unsigned char)c) || c == '|' || c == ';'))
			break;
		if (!quote && (c == '\'' || c == '"')) {
			quote = c;
		} else if (c == quote) {
			/* A doubled quote inside stands for itself. */
			if ((*at)[1] == quote)
				out[used++] = *++*at;
			else
				quote = 0;
		} else if (c == '`' && quote != '\'' && (*at)[1]) {
			out[used++] = *++*at;
		} else {
			out[used++] = c;
		}
	}
	if (!out || quote) {
		*problem = quote ? "a quote does not end" : "out of memory";
		free(out);
		return NULL;
	}
	out[used] = 0;
	return out;
}

const char *line_split(struct line *line, const char *text)
{
	const char *problem = NULL;

	line->count = 0;
	while (*text) {
		enum word_kind kind = WORD_TEXT;
		bool quoted = false;
		char *word = NULL;

		if (*text == '#') {
			text += strcspn(text, "\n");
			continue;
		}
		if (*text == '\n' || *text == ';' || *text == '|') {
			kind = *text++ == '|' ? WORD_PIPE : WORD_END;
		} else if (isspace((unsigned char)*text)) {
			text++;
			continue;
		} else {
			word = read_word(&text, &quoted, &problem);
			if (!word)
				return problem;
		}
		if (!add(line, kind, quoted, word))
			return "too many words";
	}
	return NULL;
}

void line_free(struct line *line)
{
	for (size_t i = 0; i < line->count; i++)
		free(line->words[i].text);
	line->count = 0;
}
