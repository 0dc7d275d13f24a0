/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual hard disks: what vhdtool says of them, where parents lie; storage of a running machine in steps. */
#include "case.h"

#include <json-c/json.h>

#include "vmms/device_stats.h"
#include "vmms/image_chain.h"
#include "vmms/storage_plan.h"
#include "vmms/storage_wire.h"

#define C0 "00000000-0000-4000-8000-0000000000C0"
#define C1 "00000000-0000-4000-8000-0000000000C1"
#define C2 "00000000-0000-4000-8000-0000000000C2"

#define NUMBERS                                                                                              \
	"\"virtual_bytes\":1024,\"file_bytes\":512,\"block_bytes\":0,\"logical_bytes\":512,\"physical_"      \
	"bytes\":4096"

static void what_vhdtool_says_is_checked(void **state)
{
	static const struct {
		const char *text;
		int result;
	} rows[] = {
		{"{\"format\":\"vhdx\",\"type\":\"fixed\"," NUMBERS ",\"id\":null,\"parent\":null}\n", 0},
		{"{\"format\":\"raw\",\"type\":\"dynamic\"," NUMBERS "}", 0},
		{"", -1},
		{"[]", -1},
		{"{", -1},
		{"{\"format\":\"qcow2\",\"type\":\"fixed\"," NUMBERS "}", -1},
		{"{\"format\":\"vhdx\",\"type\":\"sparse\"," NUMBERS "}", -1},
		{"{\"format\":3,\"type\":\"fixed\"," NUMBERS "}", -1},
		{"{\"format\":\"vhdx\",\"type\":\"fixed\"}", -1},
		{"{\"format\":\"vhdx\",\"type\":\"fixed\"," NUMBERS ",\"id\":7}", -1},
		{"{\"format\":\"vhdx\",\"type\":\"fixed\"," NUMBERS
		 ",\"id\":\"0123456789012345678901234567890123456789\"}",
		 -1},
		{"{\"format\":\"vhdx\",\"type\":\"differencing\"," NUMBERS "}", -1},
		{"{\"format\":\"vhdx\",\"type\":\"differencing\"," NUMBERS ",\"parent\":{\"paths\":\"x\"}}",
		 -1},
		{"{\"format\":\"vhdx\",\"type\":\"fixed\",\"virtual_bytes\":-1}", -1},
	};
	struct image_info *info = malloc(sizeof(*info));

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (image_wire_read(rows[i].text, strlen(rows[i].text), info) != rows[i].result)
			fail_msg("%s", rows[i].text);
	free(info);
}

static void parents_are_taken_as_far_as_they_are_paths(void **state)
{
	static const char text[] =
		"{\"format\":\"vhdx\",\"type\":\"differencing\"," NUMBERS ",\"id\":\"A\",\"disk_id\":\"D\","
		"\"parent\":{\"id\":\"B\",\"paths\":[\"one\",7,\"a\\u0000b\",\"a\\nb\",\"two\"]}}";
	struct image_info *info = malloc(sizeof(*info));

	assert_int_equal(image_wire_read(text, sizeof(text) - 1, info), 0);
	assert_int_equal(info->type, IMAGE_DIFFERENCING);
	assert_int_equal(info->format, IMAGE_VHDX);
	assert_string_equal(info->id, "A");
	assert_string_equal(info->disk_id, "D");
	assert_string_equal(info->parent_id, "B");
	assert_int_equal(info->parent_path_count, 2);
	assert_string_equal(info->parent_paths[0], "one");
	assert_string_equal(info->parent_paths[1], "two");
	assert_int_equal(info->virtual_bytes, 1024);
	assert_int_equal(info->physical_bytes, 4096);
	free(info);
}

static void the_name_says_the_format(void **state)
{
	assert_int_equal(image_format_of("/a/b.vhdx"), IMAGE_VHDX);
	assert_int_equal(image_format_of("/a/b.AVHDX"), IMAGE_VHDX);
	assert_int_equal(image_format_of("/a/b.Vhd"), IMAGE_VHD);
	assert_int_equal(image_format_of("/a/b.vhd/c"), IMAGE_RAW);
	assert_int_equal(image_format_of("/a/vhdx"), IMAGE_RAW);
	assert_int_equal(image_format_of("/dev/sda"), IMAGE_RAW);
}

static void where_a_parent_lies(void **state)
{
	static const struct {
		const char *path, *expected; /* NULL: nowhere */
	} rows[] = {
		{"base.vhdx", "/disks/vm/base.vhdx"},
		{"./base.vhdx", "/disks/vm/base.vhdx"},
		{"../base.vhdx", "/disks/base.vhdx"},
		{"..\\bases\\.\\b.vhdx", "/disks/bases/b.vhdx"},
		{"a/../../../b.vhdx", "/b.vhdx"},
		{"../../../b.vhdx", NULL},
		{"/x//y/./z.vhdx", "/x/y/z.vhdx"},
		{"/x/../../z.vhdx", NULL},
		{"C:\\base.vhdx", NULL},
		{"c:/base.vhdx", NULL},
		{"\\\\host\\share\\b.vhdx", NULL},
		{"\\b.vhdx", NULL},
		{"", NULL},
		{"..", "/disks"},
		{"../..", NULL},
		{"name with \\ and /in.vhdx", "/disks/vm/name with \\ and /in.vhdx"},
	};
	char out[STORE_PATH_MAX + 1], *much = malloc(2 * STORE_PATH_MAX);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool found = image_parent_path("/disks/vm/child.vhdx", rows[i].path, out);

		if (found != (rows[i].expected != NULL) || (found && strcmp(out, rows[i].expected) != 0))
			fail_msg("%s: %s", rows[i].path, found ? out : "nowhere");
	}
	memset(much, 'a', 2 * STORE_PATH_MAX);
	much[STORE_PATH_MAX] = 0;
	assert_false(image_parent_path("/disks/vm/child.vhdx", much, out));
	free(much);
}

static void add(struct store_storage *storage, unsigned controller, unsigned lun, const char *path,
		const char *id)
{
	struct store_drive *drive = storage_insert_drive(storage, controller, lun);

	drive->path = (char *)path;
	strcpy(drive->disk_id, id);
}

/* Each step as a word: what, the controller's last digit, LUN. */
static void check_plan(const struct store_storage *from, const struct store_storage *to, const char *expected)
{
	static const char *const kinds[] = {"-c", "-", "+c", "+"};
	struct storage_step steps[STORAGE_STEPS_MAX], again[STORAGE_STEPS_MAX];
	struct store_storage at = *from;
	size_t count = storage_plan(from, to, steps), used = 0;
	char text[1024] = "";

	for (size_t i = 0; i < count; i++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s%c.%u", i ? " " : "",
					 kinds[steps[i].kind], steps[i].controller[35], steps[i].lun);
		storage_step_apply(&at, to, &steps[i]);
	}
	assert_string_equal(text, expected);
	/* All steps together lead there. */
	assert_int_equal(storage_plan(&at, to, again), 0);
	assert_int_equal(at.drive_count, to->drive_count);
}

static void changes_go_in_steps(void **state)
{
	static struct store_storage from, to;
	struct storage_step steps[STORAGE_STEPS_MAX];

	memset(&from, 0, sizeof(from));
	from.controller_count = 2;
	strcpy(from.controllers[0], C0);
	strcpy(from.controllers[1], C1);
	add(&from, 0, 1, "/a", "A");
	add(&from, 0, 2, "/b", "B");
	add(&from, 1, 0, "/iso", "D");
	storage_drive_at(&from, 1, 0)->kind = STORE_DVD_DRIVE;
	to = from;
	check_plan(&from, &to, "");
	/* The same medium is put into a drive that the guest may have emptied. */
	storage_drive_at(&to, 1, 0)->again = true;
	assert_int_equal(storage_plan(&from, &to, steps), 1);
	assert_int_equal(steps[0].kind, STEP_PUT_DRIVE);
	to = from;
	/* Another image in the place of a disk; another medium. */
	storage_drive_at(&to, 0, 1)->path = (char *)"/c";
	strcpy(storage_drive_at(&to, 0, 1)->disk_id, "C");
	storage_drive_at(&to, 1, 0)->path = NULL;
	check_plan(&from, &to, "-0.1 +0.1 +1.0");
	/* The first controller goes, the second moves up, a third comes with a disk. */
	to = from;
	storage_remove(&to, &(struct storage_item){STORAGE_CONTROLLER, 0, 0});
	strcpy(to.controllers[to.controller_count++], C2);
	add(&to, 1, 9, "/a", "A");
	check_plan(&from, &to, "-c0.0 +c2.0 +2.9");
	check_plan(&to, &from, "-c2.0 +c0.0 +0.1 +0.2");
	/* A DVD drive becomes a hard drive; a flag makes it another disk to the worker. */
	to = from;
	storage_drive_at(&to, 1, 0)->kind = STORE_DISK_DRIVE;
	storage_drive_at(&to, 0, 2)->direct = true;
	check_plan(&from, &to, "-0.2 -1.0 +0.2 +1.0");
	/* Everything goes. */
	to = (struct store_storage){0};
	check_plan(&from, &to, "-c0.0 -c1.0");
}

static void check_json(struct json_object *o, const char *expected)
{
	assert_string_equal(
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
		expected);
	json_object_put(o);
}

static void calls_have_the_contract_s_form(void **state)
{
	static const struct image_chain chain = {.count = 2,
						 .layers = {{.format = IMAGE_VHD}, {.format = IMAGE_VHD}}};
	const struct store_drive drive = {.lun = 3, .disk_id = "D", .path = (char *)"/a", .read_only = true};

	check_json(storage_wire_add_controller("C"),
		   "{\"device\":{\"type\":\"scsi\",\"instance\":\"C\",\"luns\":[]}}");
	check_json(storage_wire_remove_device("C"), "{\"instance\":\"C\"}");
	check_json(storage_wire_add_lun("C", &drive, &chain),
		   "{\"instance\":\"C\",\"call\":\"add_lun\",\"lun\":{\"lun\":3,\"kind\":\"disk\",\"fd\":0,"
		   "\"format\":\"vhd\",\"parents\":[{\"fd\":1,\"format\":\"vhd\"}],\"id\":\"D\",\"read_"
		   "only\":true,"
		   "\"direct\":false}}");
	check_json(storage_wire_remove_lun("C", 3), "{\"instance\":\"C\",\"call\":\"remove_lun\",\"lun\":3}");
	check_json(storage_wire_set_medium("C", 3, NULL),
		   "{\"instance\":\"C\",\"call\":\"set_medium\",\"lun\":3,\"medium\":null}");
	check_json(storage_wire_refresh("C", 3), "{\"instance\":\"C\",\"call\":\"refresh\",\"lun\":3}");
}

static void statistics_are_taken_with_care(void **state)
{
	static const char text[] =
		"{\"devices\":[7,{\"name\":\"a b\",\"counters\":{}},{\"name\":\"x\"},{\"name\":\"scsi0:1\","
		"\"counters\":{\"reads\":18446744073709551615,\"bad\":\"7\",\"a b\":1,\"writes\":2}}]}";
	struct json_object *o = json_tokener_parse(text), *none = json_tokener_parse("{\"devices\":3}");
	struct device_stats stats = {0};

	device_stats_read(&stats, o);
	assert_int_equal(stats.count, 1);
	assert_string_equal(stats.devices[0].device, "scsi0:1");
	assert_int_equal(stats.devices[0].count, 2);
	assert_true(stats.devices[0].counters[0].value == UINT64_MAX);
	assert_string_equal(stats.devices[0].counters[1].name, "writes");
	device_stats_read(&stats, none);
	assert_int_equal(stats.count, 0);
	device_stats_forget(&stats);
	json_object_put(o);
	json_object_put(none);
}

static bool read_text(struct device_stats *stats, const char *text)
{
	struct json_object *o = json_tokener_parse(text);
	bool whole = device_stats_read(stats, o);

	json_object_put(o);
	return whole;
}

static void statistics_say_whose_they_are(void **state)
{
	struct device_stats stats = {0};

	assert_true(read_text(
		&stats, "{\"devices\":[{\"name\":\"scsi1:2\",\"instance\":\"G\",\"unit\":2,\"counters\":{},"
			"\"histograms\":{\"read_latency_us_log2\":[1,\"2\",3],\"write_latency_us_log2\":7,\"x\":[9]}},"
			"{\"name\":\"a\",\"instance\":null,\"unit\":2,\"counters\":{},\"histograms\":[]},"
			"{\"name\":\"b\",\"instance\":\"G\",\"unit\":-3,\"counters\":{},\"histograms\":{}},"
			"{\"name\":\"c\",\"counters\":{},\"histograms\":{\"write_latency_us_log2\":[1,1,1,1,1,1,1,1,1,"
			"1,1,1,1,1,1,1,1,1,1,1,1,1,1,18446744073709551615,7]}}]}"));
	assert_int_equal(stats.count, 4);
	assert_string_equal(stats.devices[0].instance, "G");
	assert_int_equal(stats.devices[0].unit, 2);
	assert_int_equal(stats.devices[0].latency->reads[0], 1);
	assert_int_equal(stats.devices[0].latency->reads[1], 0);
	assert_int_equal(stats.devices[0].latency->reads[2], 3);
	assert_string_equal(stats.devices[1].instance, "");
	assert_int_equal(stats.devices[1].unit, DEVICE_STATS_NO_UNIT);
	assert_null(stats.devices[1].latency);
	assert_int_equal(stats.devices[2].unit, DEVICE_STATS_NO_UNIT);
	assert_true(stats.devices[3].latency->writes[DEVICE_STATS_BUCKETS - 1] == UINT64_MAX);
	device_stats_forget(&stats);
}

static void statistics_come_in_parts(void **state)
{
	static const char *const wrong[] = {"0", "1", "3", "-1", "\"2\"", "null", "18446744073709551615"};
	struct device_stats stats = {0};
	char text[160];

	for (unsigned round = 0; round < 2; round++) {
		assert_false(read_text(&stats, "{\"devices\":[{\"name\":\"a\",\"counters\":{}},3],\"next\":2}"));
		assert_int_equal(stats.from, 2);
		assert_int_equal(stats.count, round ? 2 : 0);
		assert_true(read_text(&stats, "{\"devices\":[{\"name\":\"b\",\"counters\":{\"n\":1}}]}"));
		assert_int_equal(stats.from, 0);
		assert_int_equal(stats.count, 2);
		assert_string_equal(stats.devices[1].device, "b");
	}
	/* A worker that goes in circles, or nowhere. */
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "{\"devices\":[{\"name\":\"a\",\"counters\":{}},3],\"next\":%s}", wrong[i]);
		assert_true(read_text(&stats, text));
		assert_int_equal(stats.count, 1);
	}
	assert_true(read_text(&stats, "{\"devices\":[],\"next\":0}"));
	for (unsigned i = 1; i < DEVICE_STATS_DEVICES_MAX; i++) {
		snprintf(text, sizeof(text), "{\"devices\":[{\"name\":\"a\",\"counters\":{}}],\"next\":%u}", i);
		assert_false(read_text(&stats, text));
	}
	snprintf(text, sizeof(text), "{\"devices\":[{\"name\":\"a\",\"counters\":{}}],\"next\":%u}",
		 DEVICE_STATS_DEVICES_MAX);
	assert_true(read_text(&stats, text));
	assert_int_equal(stats.count, DEVICE_STATS_DEVICES_MAX);
	/* Given up half way. */
	assert_false(read_text(&stats, "{\"devices\":[{\"name\":\"a\",\"counters\":{}},3],\"next\":2}"));
	device_stats_forget(&stats);
	assert_int_equal(stats.from, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_vhdtool_says_is_checked),
		cmocka_unit_test(parents_are_taken_as_far_as_they_are_paths),
		cmocka_unit_test(the_name_says_the_format),
		cmocka_unit_test(where_a_parent_lies),
		cmocka_unit_test(changes_go_in_steps),
		cmocka_unit_test(calls_have_the_contract_s_form),
		cmocka_unit_test(statistics_are_taken_with_care),
		cmocka_unit_test(statistics_say_whose_they_are),
		cmocka_unit_test(statistics_come_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
