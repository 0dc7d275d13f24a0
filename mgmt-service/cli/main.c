/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hvsh: a PowerShell-like shell over the REST API.
 *
 *   hvsh [-Server URL] [-TokenFile FILE] [-Json]                 interactive, or commands from standard input
 *   hvsh [...] -c 'Get-VM | Where State -eq Running'             one line
 *   hvsh [...] Get-VM -Name web1                                 one command, words as the calling shell
 * split them
 *
 * Environment: UNDERCROFT_API, UNDERCROFT_TOKEN_FILE. Exit status 1 when a command failed.
 */
#include <readline/history.h>
#include <readline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/cli_schema.h"
#include "cli/shell.h"

#ifndef UC_VERSION
#define UC_VERSION "0.1"
#endif

/* Commands, then parameters of the line's last command, then class names after -ClassName. */
static char *complete(const char *text, int state)
{
	static size_t index;
	size_t size = strlen(text);

	if (!state)
		index = 0;
	for (; verbs[index].name; index++)
		if (strncasecmp(verbs[index].name, text, size) == 0)
			return strdup(verbs[index++].name);
	return NULL;
}

static char *complete_class(const char *text, int state)
{
	static size_t index;
	size_t size = strlen(text);

	if (!state)
		index = 0;
	for (; cli_classes[index].name; index++)
		if (strncasecmp(cli_classes[index].name, text, size) == 0)
			return strdup(cli_classes[index++].name);
	return NULL;
}

static const struct parameter *completed_table;

static char *complete_parameter(const char *text, int state)
{
	static size_t index;
	size_t size = strlen(text);
	char *name;

	if (!state)
		index = 0;
	while (completed_table[index].name) {
		const char *parameter = completed_table[index++].name;

		if (strncasecmp(parameter, text + 1, size - 1) == 0 && asprintf(&name, "-%s", parameter) >= 0)
			return name;
	}
	return NULL;
}

static char **attempt(const char *text, int start, int end)
{
	char head[1024], *pipe, *word, *save = NULL;
	const struct verb *verb;

	(void)end;
	rl_attempted_completion_over = 1;
	snprintf(head, sizeof(head), "%.*s", start, rl_line_buffer);
	pipe = strrchr(head, '|');
	word = strtok_r(pipe ? pipe + 1 : head, " ", &save);
	verb = word ? verb_find(word) : NULL;
	if (!word)
		return rl_completion_matches(text, complete);
	if (verb && text[0] == '-') {
		completed_table = verb->parameters;
		return rl_completion_matches(text, complete_parameter);
	}
	if (verb && verb->run == verb_get_cim_instance)
		return rl_completion_matches(text, complete_class);
	return NULL;
}

static int run_text(struct shell *shell, const char *text)
{
	struct line line;
	const char *problem = line_split(&line, text);
	int failed = 1;

	if (problem)
		cli_error("%s", problem);
	else
		failed = pipeline_run(shell, &line);
	line_free(&line);
	return failed;
}

static int interact(struct shell *shell)
{
	char *text;

	shell->interactive = true;
	rl_readline_name = "hvsh";
	rl_attempted_completion_function = attempt;
	rl_basic_word_break_characters = " \t\n|;";
	while ((text = readline("hvsh> "))) {
		if (strcasecmp(text, "exit") == 0 || strcasecmp(text, "quit") == 0) {
			free(text);
			break;
		}
		if (*text) {
			add_history(text);
			run_text(shell, text);
		}
		free(text);
	}
	return 0;
}

static int run_stdin(struct shell *shell)
{
	char *text = NULL;
	size_t room = 0;
	int failed = 0;

	while (getline(&text, &room, stdin) > 0)
		failed |= run_text(shell, text) != 0;
	free(text);
	return failed;
}

/* The words as they are, but for "|" alone. */
static int run_words(struct shell *shell, int count, char **words)
{
	struct line line = {0};
	int failed;

	if (count > LINE_WORDS_MAX) {
		cli_error("too many words");
		return 1;
	}
	for (int i = 0; i < count; i++) {
		struct word *word = &line.words[line.count++];

		word->kind = strcmp(words[i], "|") == 0 ? WORD_PIPE : WORD_TEXT;
		word->text = strdup(words[i]);
		if (!word->text)
			abort();
	}
	failed = pipeline_run(shell, &line);
	line_free(&line);
	return failed;
}

static int usage(void)
{
	fputs("usage: hvsh [-Server URL] [-TokenFile FILE] [-Json] [-c LINE | COMMAND [PARAMETER]...]\n"
	      "       hvsh Get-Command lists the commands\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *server = NULL, *token_file = NULL, *line = NULL;
	struct shell shell = {0};
	int i = 1, failed;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcasecmp(argv[i], "-Json") == 0)
			shell.json = true;
		else if (strcasecmp(argv[i], "-Server") == 0 && i + 1 < argc)
			server = argv[++i];
		else if (strcasecmp(argv[i], "-TokenFile") == 0 && i + 1 < argc)
			token_file = argv[++i];
		else if (strcmp(argv[i], "-c") == 0 && i + 2 == argc)
			line = argv[++i];
		else if (strcmp(argv[i], "--version") == 0) {
			puts("hvsh (Undercroft) " UC_VERSION);
			return 0;
		} else
			return usage();
	}
	if (client_open(&shell.client, server, token_file)) {
		client_close(&shell.client);
		return 1;
	}
	if (line)
		failed = run_text(&shell, line);
	else if (i < argc)
		failed = run_words(&shell, argc - i, argv + i);
	else
		failed = isatty(STDIN_FILENO) ? interact(&shell) : run_stdin(&shell);
	client_close(&shell.client);
	return failed ? 1 : 0;
}
