// SPDX-License-Identifier: Apache-2.0
/* The configuration document: what is right is taken, what is wrong is named. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "kernel_image.h"
#include "worker/config.h"

#define ID "\"id\": \"01234567-89ab-cdef-0123-456789ABCDEF\""
#define REST \
	"\"name\": \"web 1\", \"processors\": {\"count\": 2}, \"memory\": {\"startup_mib\": 512}, " \
	"\"boot\": {\"kind\": \"linux\", \"command_line\": \"console=ttyS0 x=\\u00e4\"}, " \
	"\"devices\": [" SCSI ", " HEARTBEAT ", {\"type\": \"com\", \"port\": 1}]"
#define CONTROLLER "11111111-2222-3333-4444-555555555555"
#define DISK "{\"lun\": 3, \"kind\": \"disk\", \"fd\": 9, \"format\": \"raw\", \"id\": \"" CONTROLLER "\", \"read_only\": true}"
#define DVD "{\"lun\": 5, \"kind\": \"dvd\", \"fd\": -1, \"format\": \"raw\", \"id\": \"" CONTROLLER "\"}"
#define SCSI "{\"type\": \"scsi\", \"instance\": \"" CONTROLLER "\", \"luns\": [" DISK ", " DVD "]}"
#define EMPTY_SCSI(digit) "{\"type\": \"scsi\", \"instance\": \"" digit "1111111-2222-3333-4444-555555555555\", \"luns\": []}"
#define COMPONENT "66666666-2222-3333-4444-555555555555"
#define HEARTBEAT "{\"type\": \"heartbeat\", \"instance\": \"" COMPONENT "\"}"
#define GOOD "{\"version\": 1, " ID ", " REST "}"

static void a_good_document_is_taken_whole(void **state)
{
	struct failure why = { "" };
	struct config config;

	if (config_parse(GOOD, strlen(GOOD), &config, &why))
		fail_msg("%s", why.text);
	assert_string_equal(config.id, "01234567-89ab-cdef-0123-456789ABCDEF");
	assert_string_equal(config.name, "web 1");
	assert_int_equal(config.vp_count, 2);
	assert_int_equal(config.memory_mib, 512);
	assert_string_equal(config.command_line, "console=ttyS0 x=\xc3\xa4");
	assert_true(config.has_com1);
	assert_non_null(config.nodes);
	assert_string_equal(config.nodes->kind->type, "scsi");
	assert_string_equal(config.nodes->instance, CONTROLLER);
	assert_non_null(config.nodes->next);
	assert_string_equal(config.nodes->next->kind->type, "heartbeat");
	assert_string_equal(config.nodes->next->instance, COMPONENT);
	assert_null(config.nodes->next->next);
	config_fini(&config);
}

/* `from` in the good document becomes `to`; the error must contain `text`. */
static const struct {
	const char *from, *to, *text;
} faults[] = {
	{ "\"version\": 1, ", "", "version: missing" },
	{ "\"version\": 1", "\"version\": 2", "version: 2 is unknown" },
	{ "\"version\": 1", "\"version\": 2, \"novelty\": 1", "version: 2 is unknown" },
	{ "\"version\": 1", "\"version\": \"1\"", "version: must be a whole number" },
	{ ID ", ", "", "id: missing" },
	{ "01234567-89ab", "01234567x89ab", "is no GUID" },
	{ "456789ABCDEF", "456789ABCDEF0", "is no GUID" },
	{ "456789ABCDEF", "456789ABCDEG", "is no GUID" },
	{ "\"name\": \"web 1\"", "\"name\": \"\"", "name: 0 bytes" },
	{ "\"name\": \"web 1\"", "\"name\": \"a\\u0000b\"", "name: contains a zero character" },
	{ "\"name\": \"web 1\"", "\"name\": 7", "name: must be a text" },
	{ "\"name\": \"web 1\", ", "", "name: missing" },
	{ "\"count\": 2", "\"count\": 0", "processors.count: 0 is not in 1..64" },
	{ "\"count\": 2", "\"count\": 65", "processors.count: 65 is not in 1..64" },
	{ "\"count\": 2", "\"count\": -1", "processors.count: -1" },
	{ "\"count\": 2", "\"count\": 4294967297", "processors.count: 4294967297" },
	{ "\"count\": 2", "\"count\": 2.0", "processors.count: must be a whole number" },
	{ "\"count\": 2", "\"count\": 2, \"sockets\": 1", "processors.sockets: unknown member" },
	{ "\"count\": 2", "", "processors.count: missing" },
	{ "{\"count\": 2}", "[]", "processors: must be an object" },
	{ "512", "8", "memory.startup_mib: 8 is not in 16..1048576" },
	{ "512", "1048578", "memory.startup_mib: 1048578" },
	{ "512", "513", "memory.startup_mib: 513 is no multiple of 2" },
	{ "512", "null", "memory.startup_mib: must be a whole number" },
	{ "startup_mib", "startup_mb", "memory.startup_mb: unknown member" },
	{ "\"linux\"", "\"windows\"", "boot.kind: \"windows\" is unknown" },
	{ ", \"command_line\": \"console=ttyS0 x=\\u00e4\"", "", "boot.command_line: missing" },
	{ "console=ttyS0", "a\\u0000b", "boot.command_line: contains a zero character" },
	{ "\"com\"", "\"lpt\"", "devices[].type: \"lpt\" is unknown" },
	{ "\"port\": 1", "\"port\": 3", "devices[].port: 3 is not in 1..1" },
	{ "\"port\": 1}", "\"port\": 1}, {\"type\": \"com\", \"port\": 1}", "COM1 is there twice" },
	{ "\"port\": 1}", "\"port\": 1, \"irq\": 4}", "devices[].irq: unknown member" },
	{ "\"port\": 1}", "\"port\": 1}, 5", "devices[3]: must be an object" },
	{ "\"devices\": [", "\"devices\": 1, \"y\": [", "y: unknown member" },
	{ "{\"type\": \"scsi\", ", "{", "devices[].type: must be a text" },
	{ "\"type\": \"scsi\"", "\"type\": 3", "devices[].type: must be a text" },
	{ "\"instance\": \"1111", "\"instance\": \"x111", "devices[].instance: \"x111" },
	{ "\"luns\"", "\"units\"", "devices[].units: unknown member" },
	{ "\"lun\": 3", "\"lun\": 64", "devices[].luns[].lun: 64 is not in 0..63" },
	{ "\"lun\": 3", "\"lun\": 5", "devices[].luns[].lun: 5 is there twice" },
	{ "\"disk\"", "\"tape\"", "devices[].luns[].kind: \"tape\" is unknown" },
	{ "\"dvd\"", "\"disk\"", "devices[].luns[].fd: a disk needs one" },
	{ "\"fd\": 9", "\"fd\": -2", "devices[].luns[].fd: -2" },
	{ "\"fd\": 9, ", "", "devices[].luns[].fd: missing" },
	{ "\"raw\"", "\"qcow\"", "devices[].luns[].format: \"qcow\" is unknown" },
	{ "\"id\": \"1111", "\"id\": \"", "devices[].luns[].id: " },
	{ "true", "1", "devices[].luns[].read_only: must be true or false" },
	{ "\"luns\": [", "\"luns\": [7, ", "devices[].luns[0]: must be an object" },
	{ HEARTBEAT, HEARTBEAT ", " HEARTBEAT, "devices: \"heartbeat\" is there twice" },
	{ HEARTBEAT, "{\"type\": \"heartbeat\"}", "devices[].instance: missing" },
	{ HEARTBEAT, "{\"type\": \"heartbeat\", \"port\": 1}", "devices[].port: unknown member" },
	{ SCSI, EMPTY_SCSI("1") ", " EMPTY_SCSI("2") ", " EMPTY_SCSI("3") ", " EMPTY_SCSI("4") ", " EMPTY_SCSI("5"),
	  "devices: more than 4 of type \"scsi\"" },
	{ SCSI, "{\"type\": \"memory\", \"instance\": \"" CONTROLLER "\", \"minimum_mib\": 16, \"maximum_mib\": 256}",
	  "memory.startup_mib: 512 is not between minimum and maximum of dynamic memory, 16..256" },
	{ SCSI, EMPTY_SCSI("a") ", " EMPTY_SCSI("A"), "is there twice" },
	{ "\"devices\"", "\"device\"", "device: unknown member" },
	{ "\"port\": 1}]}", "\"port\": 1}]} x", "no JSON: unexpected" },
	{ "\"port\": 1}]}", "\"port\": 1}]", "no JSON" },
	{ "web 1", "web \xff", "no JSON" },
	{ GOOD, "", "no JSON" },
	{ GOOD, "[1]", "no JSON object" },
	{ GOOD, "null", "no JSON" },
	{ GOOD, "[[[[[[[[[[[[1]]]]]]]]]]]]", "no JSON" },
};

static void each_fault_is_named(void **state)
{
	for (unsigned i = 0; i < COUNT(faults); i++) {
		const char *place = strstr(GOOD, faults[i].from);
		struct failure why = { "" };
		struct config config;
		char text[8192];
		int r;

		assert_non_null(place);
		(void)snprintf(text, sizeof text, "%.*s%s%s", (int)(place - GOOD), GOOD, faults[i].to, place + strlen(faults[i].from));
		r = config_parse(text, strlen(text), &config, &why);
		if (r != -EINVAL || !strstr(why.text, faults[i].text))
			fail_msg("%s -> %s: result %d, \"%s\"", faults[i].from, faults[i].to, r, why.text);
	}
}

static void every_cut_off_document_is_refused(void **state)
{
	for (size_t bytes = 0; bytes < strlen(GOOD); bytes++) {
		char *copy = malloc(bytes + 1);
		struct config config;

		memcpy(copy, GOOD, bytes);
		assert_int_equal(config_parse(copy, bytes, &config, NULL), -EINVAL);
		free(copy);
	}
}

static void no_devices_is_a_machine_without_console(void **state)
{
	static const char text[] = "{\"version\": 1, " ID ", \"name\": \"n\", \"processors\": {\"count\": 1}, "
				   "\"memory\": {\"startup_mib\": 64}, \"boot\": {\"kind\": \"linux\", \"command_line\": \"\"}, "
				   "\"devices\": []}\n ";
	struct failure why = { "" };
	struct config config;

	if (config_parse(text, strlen(text), &config, &why))
		fail_msg("%s", why.text);
	assert_false(config.has_com1);
	config_fini(&config);
}

static void a_descriptor_is_read_to_its_end(void **state)
{
	struct failure why = { "" };
	struct config config;
	int pipe_fds[2];

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(write(pipe_fds[1], GOOD, strlen(GOOD)), (ssize_t)strlen(GOOD));
	(void)close(pipe_fds[1]);
	assert_int_equal(config_read(pipe_fds[0], &config, &why), 0);
	config_fini(&config);
	(void)close(pipe_fds[0]);
	assert_int_equal(config_read(-1, &config, &why), -EIO);
	assert_non_null(strstr(why.text, "cannot be read"));
}

static void a_document_without_end_is_refused(void **state)
{
	char *text = malloc(CONFIG_DOCUMENT_BYTES_MAX + 2);
	struct failure why = { "" };
	struct config config;
	int fd;

	memset(text, ' ', CONFIG_DOCUMENT_BYTES_MAX + 2);
	fd = file_of(text, CONFIG_DOCUMENT_BYTES_MAX + 2);
	(void)lseek(fd, 0, SEEK_SET);
	assert_int_equal(config_read(fd, &config, &why), -EINVAL);
	assert_non_null(strstr(why.text, "longer than"));
	(void)close(fd);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_document_is_taken_whole),
		cmocka_unit_test(each_fault_is_named),
		cmocka_unit_test(every_cut_off_document_is_refused),
		cmocka_unit_test(no_devices_is_a_machine_without_console),
		cmocka_unit_test(a_descriptor_is_read_to_its_end),
		cmocka_unit_test(a_document_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
