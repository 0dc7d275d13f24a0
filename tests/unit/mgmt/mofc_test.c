/* SPDX-License-Identifier: Apache-2.0 */
/* The MOF compiler from outside: every refusal with its place, and the golden output for one small class. */
#include "case.h"

#include <sys/wait.h>
#include <unistd.h>

static char directory[64];

static int make_directory(void **state)
{
	strcpy(directory, "/tmp/uc-mofc-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"t.mof", "h", "c", "j", "b", "l"};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

/* Exit status; what it printed on standard error goes to `output`. */
static int run(const char *arguments, char *output, size_t room)
{
	char command[1024];
	FILE *pipe;
	size_t size;
	int status;

	snprintf(command, sizeof(command), "cd %s && ASAN_OPTIONS=detect_leaks=0 %s %s 2>&1", directory, MOFC,
		 arguments);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	size = fread(output, 1, room - 1, pipe);
	output[size] = 0;
	status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void write_mof(const char *text)
{
	static const char qualifiers[] =
		"Qualifier Key : boolean = FALSE, Scope(property, reference);"
		"Qualifier Association : boolean = FALSE, Scope(association);"
		"Qualifier Override : string = NULL, Scope(property, reference, method);"
		"Qualifier ValueMap : string[], Scope(property, method, parameter);"
		"Qualifier Values : string[], Scope(property, method, parameter);"
		"Qualifier MaxLen : uint32 = NULL, Scope(property);"
		"Qualifier EmbeddedInstance : string = NULL, Scope(property, parameter);\n";
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/t.mof", directory);
	out = fopen(path, "w");
	assert_non_null(out);
	fprintf(out, "%s%s", qualifiers, text); /* the text begins on line 2 */
	fclose(out);
}

static void errors_name_file_and_line(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"class A { string X; };\n", NULL},
		{"/* a\n b */ class A { string X[]; uint8 M(string P, A REF Q[]); };\n", NULL},
		{"class A {\n string X\n};\n", "t.mof:4: error: syntax error, unexpected '}'"},
		{"class A {\n strong X;\n};\n", "t.mof:3: error: unknown type \"strong\""},
		{"class A : B { };\n", "t.mof:2: error: superclass B of A does not stand before it"},
		{"class A : A { };\n", "t.mof:2: error: superclass A of A does not stand before it"},
		{"class A { };\nclass a { };\n", "t.mof:3: error: class a stands already at t.mof:2"},
		{"class A {\n string X;\n uint8 x; };\n", "t.mof:4: error: x stands already at t.mof:3"},
		{"class A { string X; };\nclass B : A {\n string X; };\n",
		 "t.mof:4: error: X stands already at t.mof:2: say Override(\"X\")"},
		{"class A { string X; };\nclass B : A {\n [Override(\"X\")] uint8 X; };\n",
		 "t.mof:4: error: X overrides t.mof:2 with another type"},
		{"class A {\n [Override(\"X\")] uint8 X; };\n", "t.mof:3: error: X overrides nothing"},
		{"[Nope] class A { };\n", "t.mof:2: error: qualifier Nope is not declared"},
		{"[Key] class A { };\n", "t.mof:2: error: qualifier Key has no place here"},
		{"class A { [MaxLen] string X; };\n", "t.mof:2: error: qualifier MaxLen needs a value"},
		{"class A { [MaxLen(\"5\")] string X; };\n",
		 "t.mof:2: error: value of MaxLen does not fit its type uint32"},
		{"class A { [Key, Key] string X; };\n", "t.mof:2: error: qualifier Key is given twice"},
		{"class A { uint8 X = 256; };\n", "t.mof:2: error: value of X does not fit its type uint8"},
		{"class A { sint8 X = -129; };\n", "t.mof:2: error: value of X does not fit its type sint8"},
		{"class A { uint8 X[] = 2; };\n", "t.mof:2: error: value of X must be an array"},
		{"class A { datetime X = \"now\"; };\n",
		 "t.mof:2: error: value of X does not fit its type datetime"},
		{"class A { B REF X; };\n", "t.mof:2: error: X refers to the unknown class B"},
		{"class A { [EmbeddedInstance(\"B\")] string X; };\n",
		 "t.mof:2: error: X embeds the unknown class B"},
		{"class A { [EmbeddedInstance(\"A\")] uint8 X; };\n",
		 "t.mof:2: error: X: an embedded instance is carried in a string"},
		{"class A { [ValueMap {\"1\"}, Values {\"a\", \"b\"}] uint8 X; };\n",
		 "t.mof:2: error: X: ValueMap has 1 rows, Values has 2"},
		{"class A { [ValueMap {\"1\"}] uint8 X; };\n",
		 "t.mof:2: error: X: ValueMap and Values come together"},
		{"class A { [ValueMap {\"300\"}, Values {\"a\"}] uint8 X; };\n",
		 "t.mof:2: error: X: \"300\" is no value or range of uint8"},
		{"class A { [ValueMap {\"3..1\"}, Values {\"a\"}] uint8 X; };\n",
		 "t.mof:2: error: X: \"3..1\" is no value or range of uint8"},
		{"class A { [Key] string X[]; };\n", "t.mof:2: error: key X cannot be an array"},
		{"class A { [Key] uint8 X; };\n", "t.mof:2: error: key X must be a string or a reference"},
		{"[Association] class A { };\n",
		 "t.mof:2: error: association A has less than two references"},
		{"class A { uint8 M(string P,\n string p); };\n",
		 "t.mof:3: error: M has two parameters named P"},
		{"class A { string X = \"no end\n; };\n", "t.mof:2: error: string does not end on its line"},
		{"class A { string X = \"\\q\"; };\n", "t.mof:2: error: unknown escape in a string"},
		{"class A { };\n/* no end\n\n", "t.mof:3: error: comment does not end"},
		{"class A { uint64 X = 18446744073709551616; };\n",
		 "t.mof:2: error: number does not fit into 64 bits"},
		{"class A { uint8 X = 1.5; };\n",
		 "t.mof:2: error: real numbers have no place in this schema"},
		{"class A { uint8 X; } @\n", "t.mof:2: error: character has no place here"},
		{"#pragma include (\"x\")\n", "t.mof:2: error: pragmas are not taken"},
		{"instance of A { };\n", "t.mof:2: error: instances do not belong into the schema"},
		{"Qualifier Key : boolean, Scope(any);\n",
		 "t.mof:2: error: qualifier Key is declared already at t.mof:1"},
		{"Qualifier Q : boolean, Scope(everywhere);\n",
		 "t.mof:2: error: unknown scope \"everywhere\""},
	};
	char output[4096];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int status;

		write_mof(rows[i].text);
		status = run("--tables c t.mof", output, sizeof(output));
		if (status != (rows[i].error ? 1 : 0) || (rows[i].error && !strstr(output, rows[i].error)))
			fail_msg("%s-> %d %s", rows[i].text, status, output);
	}
}

static void a_failed_run_writes_nothing(void **state)
{
	char output[512], path[128];

	write_mof("class A : B { };\n");
	assert_int_equal(run("--tables c t.mof", output, sizeof(output)), 1);
	snprintf(path, sizeof(path), "%s/c", directory);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(run("nothere.mof", output, sizeof(output)), 1);
	assert_non_null(strstr(output, "nothere.mof: error: cannot be opened"));
	assert_int_equal(run("", output, sizeof(output)), 1);
	assert_int_equal(run("--nope t.mof", output, sizeof(output)), 1);
}

static char *read_file(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	if (!in)
		fail_msg("%s is missing", path);
	assert_true(fread(text, 1, (1 << 20) - 1, in) > 0);
	fclose(in);
	return text;
}

static void the_golden_class_stays_as_it_is(void **state)
{
	static const char *const pairs[][2] = {
		{"h", "small.gen.h"},          {"c", "small.gen.c"},     {"j", "small.openapi.json"},
		{"b", "small_bindings.gen.c"}, {"l", "small_cli.gen.c"},
	};
	char output[4096], path[1024], golden[1024];

	snprintf(path, sizeof(path), "--header h --tables c --openapi j --bindings b --cli l %s/small.mof",
		 GOLDEN);
	if (run(path, output, sizeof(output)))
		fail_msg("%s", output);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char *made, *kept;

		snprintf(path, sizeof(path), "%s/%s", directory, pairs[i][0]);
		snprintf(golden, sizeof(golden), "%s/%s", GOLDEN, pairs[i][1]);
		made = read_file(path);
		kept = read_file(golden);
		if (strcmp(made, kept) != 0)
			fail_msg("%s differs from what mofc writes now", golden);
		free(made);
		free(kept);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(errors_name_file_and_line), CASE(a_failed_run_writes_nothing),
					   CASE(the_golden_class_stays_as_it_is)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
