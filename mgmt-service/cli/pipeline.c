/* SPDX-License-Identifier: Apache-2.0 */
/* Statements, stages, and the commands that work on any objects. */
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/shell.h"

typedef struct json_object json;

void stage_error(struct stage *stage, const char *format, ...)
{
	va_list arguments;
	char text[1024];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	cli_error("%s", text);
	stage->shell->errors++;
}

/* Members are found without case, as in PowerShell. */
static json *find_member(json *object, const char *name)
{
	if (!json_object_is_type(object, json_type_object))
		return NULL;
	json_object_object_foreach(object, key, value)
	{
		if (strcasecmp(key, name) == 0)
			return value;
	}
	return NULL;
}

static const char *as_text(json *value)
{
	if (!value)
		return "";
	if (json_object_is_type(value, json_type_boolean))
		return json_object_get_boolean(value) ? "True" : "False";
	return json_object_get_string(value);
}

static int compare(json *value, const char *text)
{
	char *end;
	double number;

	if (json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double)) {
		uint64_t bytes;

		number = strtod(text, &end);
		if (*end && parameters_bytes(text, &bytes))
			number = (double)bytes;
		return json_object_get_double(value) < number ? -1 : json_object_get_double(value) > number;
	}
	return strcasecmp(as_text(value), text);
}

static bool where_matches(struct stage *stage, json *value)
{
	const char *text = parameters_string(&stage->parameters, "Value");
	int order = compare(value, text);
	bool like = fnmatch(text, as_text(value), FNM_CASEFOLD) == 0;

#define GIVEN(name) parameters_switch(&stage->parameters, name)
	return GIVEN("NE")        ? order != 0
	       : GIVEN("GT")      ? order > 0
	       : GIVEN("GE")      ? order >= 0
	       : GIVEN("LT")      ? order < 0
	       : GIVEN("LE")      ? order <= 0
	       : GIVEN("Like")    ? like
	       : GIVEN("NotLike") ? !like
				  : order == 0;
#undef GIVEN
}

/* "Where State -eq Running", and "Where Flag": what is there and not false. */
void verb_where_object(struct stage *stage)
{
	const char *property = parameters_string(&stage->parameters, "Property");
	bool compared = parameters_get(&stage->parameters, "Value")->given;

	for (size_t i = 0; stage->input && i < json_object_array_length(stage->input); i++) {
		json *object = json_object_array_get_idx(stage->input, i),
		     *value = find_member(object, property);

		if (compared ? where_matches(stage, value) : value && json_object_get_boolean(value))
			json_object_array_add(stage->output, json_object_get(object));
	}
}

/* Objects with just the wanted members, under the names the user wrote. */
static json *selected(json *input, const struct parameter_value *wanted)
{
	json *out = json_object_new_array();

	for (size_t i = 0; input && i < json_object_array_length(input); i++) {
		json *object = json_object_array_get_idx(input, i), *part = json_object_new_object();

		for (size_t p = 0; p < wanted->count; p++)
			json_object_object_add(part, wanted->items[p],
					       json_object_get(find_member(object, wanted->items[p])));
		json_object_array_add(out, part);
	}
	return out;
}

void verb_select_object(struct stage *stage)
{
	const struct parameter_value *wanted = parameters_get(&stage->parameters, "Property");

	json_object_put(stage->output);
	if (wanted->given)
		stage->output = selected(stage->input, wanted);
	else
		stage->output = stage->input ? json_object_get(stage->input) : json_object_new_array();
}

static void table_of(json *objects, const struct parameter_value *wanted)
{
	struct column columns[FORMAT_COLUMNS_MAX + 1] = {0};
	size_t count = 0;

	for (; wanted->given && count < wanted->count && count < FORMAT_COLUMNS_MAX; count++)
		columns[count] = (struct column){wanted->items[count], wanted->items[count], CELL_PLAIN};
	if (!wanted->given && json_object_array_length(objects)) {
		json_object_object_foreach(json_object_array_get_idx(objects, 0), name, value)
		{
			(void)value;
			if (count < FORMAT_COLUMNS_MAX)
				columns[count++] = (struct column){name, name, CELL_PLAIN};
		}
	}
	format_table(stdout, objects, columns);
}

void verb_format_table(struct stage *stage)
{
	const struct parameter_value *wanted = parameters_get(&stage->parameters, "Property");
	json *objects = wanted->given ? selected(stage->input, wanted) : json_object_get(stage->input);

	if (objects)
		table_of(objects, wanted);
	json_object_put(objects);
}

void verb_format_list(struct stage *stage)
{
	const struct parameter_value *wanted = parameters_get(&stage->parameters, "Property");
	bool all = !wanted->given || (wanted->count == 1 && strcmp(wanted->items[0], "*") == 0);
	json *objects = all ? json_object_get(stage->input) : selected(stage->input, wanted);

	if (objects)
		format_list(stdout, objects, NULL);
	json_object_put(objects);
}

void verb_get_command(struct stage *stage)
{
	for (const struct verb *v = verbs; v->name; v++) {
		json *o = json_object_new_object();
		char text[512] = "";

		for (const struct parameter *p = v->parameters; p->name; p++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s-%s",
				 p == v->parameters ? "" : " ", p->name);
		json_object_object_add(o, "Name", json_object_new_string(v->name));
		json_object_object_add(o, "Parameters", json_object_new_string(text));
		json_object_array_add(stage->output, o);
	}
}

static void print_output(struct shell *shell, const struct verb *verb, json *output)
{
	if (shell->json)
		format_json(stdout, output);
	else if (verb->columns)
		format_table(stdout, output, verb->columns);
	else
		format_list(stdout, output, NULL);
}

/* -Json may stand at any command: it says how the last stage prints. */
static size_t take_json(struct shell *shell, struct word *words, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (words[i].kind == WORD_TEXT && !words[i].quoted && strcasecmp(words[i].text, "-Json") == 0)
			shell->json = true;
		else
			words[kept++] = words[i];
	}
	return kept;
}

static bool run_stage(struct shell *shell, struct word *words, size_t count, json **flow,
		      const struct verb **view)
{
	struct stage stage = {.shell = shell, .input = *flow};
	const char *problem;

	stage.verb = verb_find(words[0].text);
	if (!stage.verb) {
		stage_error(&stage, "There is no command \"%s\"; Get-Command lists them.", words[0].text);
		return false;
	}
	problem = parameters_read(&stage.parameters, stage.verb->parameters, words + 1, count - 1);
	if (problem) {
		stage_error(&stage, "%s: %s", stage.verb->name, problem);
		return false;
	}
	problem = parameters_missing(&stage.parameters);
	if (problem && !(stage.input && strstr(problem, "Name") && strcmp(problem, "NewName") != 0)) {
		stage_error(&stage, "%s: -%s is missing.", stage.verb->name, problem);
		return false;
	}
	stage.output = json_object_new_array();
	stage.verb->run(&stage);
	json_object_put(*flow);
	*flow = stage.output;
	/* What passes a filter keeps the table of the command it came from. */
	if (stage.verb->run != verb_where_object || !*view)
		*view = stage.verb;
	return true;
}

static int run_statement(struct shell *shell, struct word *words, size_t count)
{
	const struct verb *view = NULL;
	bool json_before = shell->json;
	json *flow = NULL;
	size_t start = 0;
	bool good = true;
	int errors;

	shell->errors = 0;
	count = take_json(shell, words, count);
	while (good && start <= count && count) {
		size_t end = start;

		while (end < count && words[end].kind != WORD_PIPE)
			end++;
		if (end == start) {
			cli_error("A command is missing beside \"|\".");
			shell->errors++;
			break;
		}
		good = run_stage(shell, words + start, end - start, &flow, &view);
		start = end + 1;
	}
	if (flow && good && !view->prints)
		print_output(shell, view, flow);
	json_object_put(flow);
	fflush(stdout);
	errors = shell->errors;
	shell->json = json_before;
	return errors != 0;
}

int pipeline_run(struct shell *shell, struct line *line)
{
	size_t start = 0;
	int failed = 0;

	for (size_t i = 0; i <= line->count; i++) {
		if (i < line->count && line->words[i].kind != WORD_END)
			continue;
		if (i > start) {
			struct word words[LINE_WORDS_MAX];

			/* A copy: the stages move words about, the line keeps what it has to free. */
			memcpy(words, line->words + start, (i - start) * sizeof(*words));
			failed += run_statement(shell, words, i - start);
		}
		start = i + 1;
	}
	return failed;
}
