/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that go into guests, parameters and events of device calls, items of key-value exchange. */
#include "case.h"

#include <json-c/json.h>

#include "vmms/device_wire.h"
#include "vmms/dynamic_memory.h"
#include "vmms/guest.h"
#include "vmms/guest_text.h"
#include "vmms/worker_wire.h"

static void texts_are_measured_as_guests_hold_them(void **state)
{
	assert_int_equal(guest_text_units(""), 0);
	assert_int_equal(guest_text_units("abc"), 3);
	assert_int_equal(guest_text_units("\xc3\xa4\xe2\x82\xac"), 2);
	assert_int_equal(guest_text_units("\xf0\x9f\x98\x80"), 2);
	assert_true(guest_text_fits("abc", 3));
	assert_false(guest_text_fits("abcd", 3));
}

static void addresses_are_told_from_other_words(void **state)
{
	static const char *const good[] = {"10.0.0.1", "255.255.255.0", "fe80::1", "::", "64", "0"},
				 *const bad[] = {"",     "10.0.0",      "10.0.0.1;", "10.0.0.256",
						 "host", "10.0.0.1\nx", "1234",      "6 4",
						 "-1",   "fe80::1%eth0"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(guest_text_is_address(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(guest_text_is_address(bad[i]));
	assert_true(guest_text_is_guid("a0000000-0000-4000-8000-00000000000B"));
	assert_false(guest_text_is_guid("a0000000-0000-4000-8000-00000000000g"));
	assert_false(guest_text_is_guid("a0000000-0000-4000-8000-00000000000"));
	assert_false(guest_text_is_guid("{0000000-0000-4000-8000-00000000000}"));
}

static void paths_fall_into_folder_and_name(void **state)
{
	static const struct {
		const char *destination, *directory, *name;
	} rows[] = {
		{"/tmp/x", "/tmp", "x"},
		{"/tmp/", "/tmp", "source.txt"},
		{"/x", "/", "x"},
		{"/", "/", "source.txt"},
		{"/a/b\\c", "/a", "b\\c"},
		{"C:\\a\\b", "C:\\a", "b"},
		{"C:\\b", "C:\\", "b"},
		{"C:/b/", "C:/b", "source.txt"},
		{"\\\\host\\s\\f", "\\\\host\\s", "f"},
	};
	static const char *const bad[] = {"",          "x",  "a/b", "/tmp/..", "/tmp/.",
					  "/tmp/\x01", "C:", "C:b", "1:\\x"};
	char text[2048];
	struct guest_path path;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(guest_path_split(rows[i].destination, "/var/source.txt", &path));
		assert_string_equal(path.directory, rows[i].directory);
		assert_string_equal(path.name, rows[i].name);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (guest_path_split(bad[i], "/var/source.txt", &path))
			fail_msg("\"%s\" was taken", bad[i]);
	/* The longest, and one more. */
	for (size_t length = GUEST_PATH_UNITS_MAX; length <= GUEST_PATH_UNITS_MAX + 1; length++) {
		memset(text, 'x', sizeof(text));
		memcpy(text, "/d/", 3);
		text[3 + length] = 0;
		assert_int_equal(guest_path_split(text, "s", &path), length <= GUEST_PATH_UNITS_MAX);
		text[0] = '/';
		memset(text + 1, 'd', length - 1);
		memcpy(text + length, "/f", 3);
		assert_int_equal(guest_path_split(text, "s", &path), length <= GUEST_PATH_UNITS_MAX);
	}
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[sizeof(text) - 1] = 0;
	assert_false(guest_path_split(text, "s", &path));
}

static void addresses_of_an_adapter_come_in_lists(void **state)
{
	struct guest_adapter adapter = {.dhcp = false};
	char many[4096] = "";

	guest_adapter_add(&adapter, NULL, NULL);
	guest_adapter_add(&adapter, "", ";;");
	assert_int_equal(adapter.addresses.count, 0);
	guest_adapter_add(&adapter, "10.0.0.1;;x; FE80:0::1 ;10.0.0.1;fe80::1%eth0", "255.0.0.0;1;2; /64;3;4");
	assert_int_equal(adapter.addresses.count, 2);
	assert_string_equal(adapter.addresses.items[0], "10.0.0.1");
	assert_string_equal(adapter.addresses.items[1], "fe80::1");
	assert_int_equal(adapter.subnets.count, 2);
	assert_string_equal(adapter.subnets.items[0], "255.0.0.0");
	assert_string_equal(adapter.subnets.items[1], "/64");
	/* A subnet that is none is no reason to give the next address a wrong one. */
	guest_adapter_add(&adapter, "10.0.0.2;10.0.0.3", "reboot;255.0.0.0");
	assert_int_equal(adapter.addresses.count, 4);
	assert_int_equal(adapter.subnets.count, 2);
	for (int i = 0; i < 2 * GUEST_ADDRESSES_MAX; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "10.1.0.%d;", i);
	guest_adapter_add(&adapter, many, many);
	guest_list_add(&adapter.gateways, many);
	assert_int_equal(adapter.addresses.count, GUEST_ADDRESSES_MAX);
	assert_int_equal(adapter.gateways.count, GUEST_ADDRESSES_MAX);
	memset(many, '1', sizeof(many) - 1);
	guest_list_add(&adapter.dns_servers, many);
	assert_int_equal(adapter.dns_servers.count, 0);
}

static void members_are_read_with_care(void **state)
{
	struct json_object *o = json_tokener_parse("{\"t\":\"x\",\"n\":-1,\"big\":4294967296,\"f\":true,"
						   "\"s\":1,\"items\":[[\"k\",\"v\"],[\"k\"],"
						   "\"k\",null,[1,\"v\"],[\"k\",\"v\",\"w\"]]}");
	const char *name, *value;

	assert_string_equal(device_wire_text(o, "t"), "x");
	assert_null(device_wire_text(o, "n"));
	assert_null(device_wire_text(o, "missing"));
	assert_null(device_wire_text(NULL, "t"));
	assert_int_equal(device_wire_number(o, "n"), 0);
	assert_int_equal(device_wire_number(o, "t"), 0);
	assert_true(device_wire_number(o, "big") == UINT64_C(4294967296));
	assert_true(device_wire_flag(o, "f"));
	assert_false(device_wire_flag(o, "s"));
	assert_int_equal(device_wire_item_count(o), 6);
	assert_true(device_wire_item(o, 0, &name, &value));
	assert_string_equal(name, "k");
	assert_string_equal(value, "v");
	for (size_t i = 1; i < 7; i++)
		assert_false(device_wire_item(o, i, &name, &value));
	json_object_put(o);
	o = json_tokener_parse("[{\"items\":3}]");
	assert_int_equal(device_wire_item_count(o), 0);
	json_object_put(o);
}

static void calls_have_the_contract_s_form(void **state)
{
	struct json_object *params = device_wire_call("G", "request");
	char *text;

	device_wire_put_text(params, "text", "a\"b");
	device_wire_put_number(params, "timeout_s", 5);
	device_wire_put_flag(params, "force", true);
	text = worker_wire_call(7, "device", params);
	assert_string_equal(text, "{\"id\":7,\"method\":\"device\",\"params\":{\"instance\":\"G\",\"call\":"
				  "\"request\",\"text\":\"a\\\"b\",\"timeout_s\":5,\"force\":true}}");
	free(text);
}

static void guest_devices_have_the_contract_s_form(void **state)
{
	static const struct worker_hvsock hvsock = {9, 10};
	static const struct store_storage nothing;
	struct store_vm vm = {.id = "I",
			      .components = {[STORE_VSS] = true, [STORE_FCOPY] = true},
			      .dynamic_memory = {.enabled = true, .minimum_mib = 128, .maximum_mib = 1024}};
	char *text = worker_wire_config(&vm, &nothing, NULL, 0, &hvsock, NULL);

	assert_non_null(strstr(text,
			       "{\"type\":\"vss\",\"instance\":\"2450EE40-33BF-4FBD-892E-9FB06E9214CF\"},"
			       "{\"type\":\"fcopy\",\"instance\":\"EB765408-105F-49B6-B4AA-C123B64D17D4\"},"
			       "{\"type\":\"memory\",\"instance\":\"1ECCFD72-4B41-45EF-B73A-4A6E44C12924\","
			       "\"minimum_mib\":128,\"maximum_mib\":1024},"
			       "{\"type\":\"hvsock\",\"instance\":\"A5201C21-2770-4C11-A68E-F182EDB29220\","
			       "\"listen_fd\":9,\"directory_fd\":10}]}"));
	free(text);
	vm.dynamic_memory.enabled = false;
	text = worker_wire_config(&vm, &nothing, NULL, 0, NULL, NULL);
	assert_null(strstr(text, "\"memory\",\"instance\""));
	assert_null(strstr(text, "hvsock"));
	free(text);
}

static void items_are_found_put_and_removed(void **state)
{
	struct guest_items items = {0};

	assert_null(guest_items_find(&items, "a"));
	assert_true(guest_items_put(&items, "a", "1", false));
	assert_true(guest_items_put(&items, "b", "2", true));
	assert_true(guest_items_put(&items, "c", "3", false));
	assert_true(guest_items_put(&items, "a", "4", true));
	assert_int_equal(items.count, 3);
	assert_string_equal(guest_items_find(&items, "a")->value, "4");
	assert_true(guest_items_find(&items, "a")->host_only);
	guest_items_remove(&items, "none");
	guest_items_remove(&items, "b");
	assert_null(guest_items_find(&items, "b"));
	assert_string_equal(guest_items_find(&items, "c")->value, "3");
	guest_items_remove(&items, "c");
	guest_items_remove(&items, "a");
	assert_int_equal(items.count, 0);
	guest_items_clear(&items);
}

static void failures_are_sentences(void **state)
{
	static const struct {
		struct guest_failure failure;
		const char *text;
	} rows[] = {
		{{"refused", 0x80070050}, "X: the guest refused (0x80070050)"},
		{{"not_ready", 0}, "X: the guest's integration component does not answer"},
		{{"something new", 0}, "X: something new"},
	};
	char text[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		guest_failure_text(&rows[i].failure, "X", text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
	guest_failure_text(&rows[0].failure, "X", text, 8);
	assert_string_equal(text, "X: the ");
}

static void the_host_s_memory_is_read(void **state)
{
	assert_int_equal(dynamic_memory_available("MemTotal:  8 kB\nMemAvailable:   2097152 kB\nx"), 2048);
	assert_int_equal(dynamic_memory_available("MemTotal: 5 kB\n"), 0);
	assert_int_equal(dynamic_memory_available("MemAvailable:"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_measured_as_guests_hold_them),
		cmocka_unit_test(addresses_are_told_from_other_words),
		cmocka_unit_test(paths_fall_into_folder_and_name),
		cmocka_unit_test(addresses_of_an_adapter_come_in_lists),
		cmocka_unit_test(members_are_read_with_care),
		cmocka_unit_test(calls_have_the_contract_s_form),
		cmocka_unit_test(guest_devices_have_the_contract_s_form),
		cmocka_unit_test(items_are_found_put_and_removed),
		cmocka_unit_test(failures_are_sentences),
		cmocka_unit_test(the_host_s_memory_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
