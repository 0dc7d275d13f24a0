/* SPDX-License-Identifier: Apache-2.0 */
/* The shell's parser, parameters and formats. */
#include "case.h"

#include "cli/format.h"
#include "cli/parameters.h"
#include "cli/shell.h"

static void check_words(const char *text, size_t count, const char *const *expected)
{
	struct line line;

	assert_null(line_split(&line, text));
	assert_int_equal(line.count, count);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(expected[i], "|") == 0)
			assert_int_equal(line.words[i].kind, WORD_PIPE);
		else if (strcmp(expected[i], ";") == 0)
			assert_int_equal(line.words[i].kind, WORD_END);
		else
			assert_string_equal(line.words[i].text, expected[i]);
	}
	line_free(&line);
}

#define WORDS(text, ...)                                                                                     \
	check_words(text, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),                            \
		    (const char *[]){__VA_ARGS__})

static void lines_are_cut_into_words(void **state)
{
	struct line line;

	WORDS("Get-VM  -Name\tweb1", "Get-VM", "-Name", "web1");
	WORDS("Get-VM|Stop-VM;x", "Get-VM", "|", "Stop-VM", ";", "x");
	WORDS("a 'b c' \"d | e\" # rest", "a", "b c", "d | e");
	WORDS("a\nb", "a", ";", "b");
	WORDS("'it''s' \"say \"\"x\"\"\"", "it's", "say \"x\"");
	WORDS("a`|b \"x`\"y\" 'z`'", "a|b", "x\"y", "z`");
	WORDS("''", "");
	assert_null(line_split(&line, ""));
	assert_int_equal(line.count, 0);
	assert_non_null(line_split(&line, "a 'b"));
	line_free(&line);
}

static void sizes_have_units(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t bytes;
	} rows[] = {
		{"512MB", true, UINT64_C(512) << 20},
		{"4gb", true, UINT64_C(4) << 30},
		{"1.5GB", true, UINT64_C(3) << 29},
		{"1048576", true, 1048576},
		{"1KB", true, 1024},
		{"2TB", true, UINT64_C(2) << 40},
		{"0", true, 0},
		{"", false, 0},
		{"MB", false, 0},
		{"-1MB", false, 0},
		{"1XB", false, 0},
		{"1e3", false, 0},
		{"0x10", false, 0},
		{"99999999999TB", false, 0},
		{"1.5", false, 0},
		{" 1", false, 0},
		{"nan", false, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t bytes = 0;

		if (parameters_bytes(rows[i].text, &bytes) != rows[i].good || bytes != rows[i].bytes)
			fail_msg("%s: %llu", rows[i].text, (unsigned long long)bytes);
	}
}

/* The command's own table reads the line; the error, or NULL. */
static const char *read_command(struct line *line, struct parameters *parameters, const char *text)
{
	const struct verb *verb;

	assert_null(line_split(line, text));
	verb = verb_find(line->words[0].text);
	assert_non_null(verb);
	return parameters_read(parameters, verb->parameters, line->words + 1, line->count - 1);
}

static void parameters_go_to_their_places(void **state)
{
	struct parameters p;
	struct line line;

	assert_null(read_command(&line, &p, "new-vm web1 512MB -kern /boot/k -Proc 2"));
	assert_string_equal(parameters_string(&p, "Name"), "web1");
	assert_int_equal(parameters_get(&p, "MemoryStartupBytes")->number, 512 << 20);
	assert_string_equal(parameters_string(&p, "KernelPath"), "/boot/k");
	assert_int_equal(parameters_get(&p, "ProcessorCount")->number, 2);
	line_free(&line);

	assert_null(read_command(&line, &p, "New-VM -Name web1 256MB"));
	assert_int_equal(parameters_get(&p, "MemoryStartupBytes")->number, 256 << 20);
	line_free(&line);

	assert_null(read_command(&line, &p, "STOP-VM -VMName a,b -TurnOff"));
	assert_int_equal(parameters_get(&p, "Name")->count, 2);
	assert_string_equal(parameters_get(&p, "Name")->items[1], "b");
	assert_true(parameters_switch(&p, "TurnOff"));
	assert_false(parameters_switch(&p, "Force"));
	assert_null(parameters_missing(&p));
	line_free(&line);

	assert_null(read_command(&line, &p, "Start-VM '-odd'"));
	assert_string_equal(parameters_string(&p, "Name"), "-odd");
	line_free(&line);

	assert_null(read_command(&line, &p, "Start-VM"));
	assert_string_equal(parameters_missing(&p), "Name");
	line_free(&line);
}

static void wrong_parameters_are_named(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{"Get-VM -Nope", "There is no parameter -Nope."},
		{"Get-VM a b", "\"b\" has no place here."},
		{"Get-VM -Name", "-Name needs a value."},
		{"Get-VM -Name a -Name b", "-Name is given twice."},
		{"Set-VM a -N b", "The parameter -N is ambiguous."},
		{"New-VM a -MemoryStartupBytes lots",
		 "-MemoryStartupBytes: \"lots\" is no size (512MB, 4GB, or bytes)."},
		{"Set-VMProcessor a -Count two", "-Count: \"two\" is no number."},
		{"Set-VMProcessor a -Count -1", "-Count: \"-1\" is no number."},
		{"Get-VM -Name ,", "-Name needs a value."},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct parameters p;
		struct line line;
		const char *error = read_command(&line, &p, rows[i].text);

		if (!error || strcmp(error, rows[i].error) != 0)
			fail_msg("%s: %s", rows[i].text, error);
		line_free(&line);
	}
}

static void commands_are_found_without_case(void **state)
{
	assert_non_null(verb_find("get-vm"));
	assert_ptr_equal(verb_find("GVM"), verb_find("Get-VM"));
	assert_null(verb_find("Get-V"));
	for (const struct verb *v = verbs; v->name; v++) {
		size_t count = 0;

		assert_non_null(v->run);
		assert_ptr_equal(verb_find(v->name), v);
		while (v->parameters[count].name)
			count++;
		assert_true(count <= PARAMETERS_MAX);
	}
}

static void check_output(void (*print)(FILE *out, json_object *objects), const char *json,
			 const char *expected)
{
	json_object *objects = json_tokener_parse(json);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(objects);
	print(out, objects);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
	json_object_put(objects);
}

static void print_vms(FILE *out, json_object *objects)
{
	format_table(out, objects, verb_find("Get-VM")->columns);
}

static void print_list(FILE *out, json_object *objects)
{
	format_list(out, objects, NULL);
}

static void tables_fit_their_content(void **state)
{
	check_output(
		print_vms,
		"[{\"Name\":\"a-rather-long-name\",\"State\":\"Off\",\"CPUUsage\":0,\"MemoryAssigned\":0,"
		"\"Uptime\":\"00:00:00\",\"Status\":\"Operating normally\",\"Heartbeat\":\"\","
		"\"IPAddresses\":[],\"Version\":\"1.0\"},"
		"{\"Name\":\"b\\u00e4r\",\"State\":\"Running\",\"CPUUsage\":12,\"MemoryAssigned\":536870912,"
		"\"Uptime\":\"4.04:16:36\",\"Status\":\"Operating\\u001b[2J\","
		"\"Heartbeat\":\"OkApplicationsUnknown\",\"IPAddresses\":[\"10.0.0.7\",\"fe80::1\"],"
		"\"Version\":\"1.0\"}]",
		"\n"
		"Name               State   CPUUsage(%) MemoryAssigned(M) Uptime     Status             "
		"Heartbeat             IPAddresses         Version\n"
		"----               -----   ----------- ----------------- ------     ------             "
		"---------             -----------         -------\n"
		"a-rather-long-name Off     0           0                 00:00:00   Operating normally "
		"                      {}                  1.0\n"
		"b\xc3\xa4r                Running 12          512               4.04:16:36 Operating?[2J    "
		"  OkApplicationsUnknown {10.0.0.7, fe80::1} 1.0\n"
		"\n");
	check_output(print_vms, "[]", "");
}

static void lists_align_their_names(void **state)
{
	check_output(print_list, "[{\"A\":1,\"LongName\":[\"x\",2],\"Flag\":true,\"Nothing\":null}]",
		     "\nA        : 1\nLongName : {x, 2}\nFlag     : True\nNothing  : \n\n");
}

static void json_is_one_object_a_line(void **state)
{
	check_output(format_json, "[{\"a\":\"/x\"},{\"b\":[1]}]", "{\"a\":\"/x\"}\n{\"b\":[1]}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_cut_into_words),
		cmocka_unit_test(sizes_have_units),
		cmocka_unit_test(parameters_go_to_their_places),
		cmocka_unit_test(wrong_parameters_are_named),
		cmocka_unit_test(commands_are_found_without_case),
		cmocka_unit_test(tables_fit_their_content),
		cmocka_unit_test(lists_align_their_names),
		cmocka_unit_test(json_is_one_object_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
