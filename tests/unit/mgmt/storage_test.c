/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of controllers, drives and images; object paths. */
#include "case.h"

#include "cim/path.h"
#include "cim_schema.gen.h"
#include "vmms/storage.h"

#define C0 "00000000-0000-4000-8000-0000000000C0"
#define C1 "00000000-0000-4000-8000-0000000000C1"
#define C2 "00000000-0000-4000-8000-0000000000C2"

static void put_controllers(struct store_storage *storage)
{
	memset(storage, 0, sizeof(*storage));
	strcpy(storage->controllers[0], C0);
	strcpy(storage->controllers[1], C1);
	strcpy(storage->controllers[2], C2);
	storage->controller_count = 3;
}

/* Controller and LUN of each drive, in their order. */
static void check_places(const struct store_storage *storage, const char *expected)
{
	char text[1024] = "";
	size_t used = 0;

	for (unsigned i = 0; i < storage->drive_count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u:%u", i ? " " : "",
					 storage->drives[i].controller, storage->drives[i].lun);
	assert_string_equal(text, expected);
}

static void drives_are_kept_in_order(void **state)
{
	struct store_storage storage;

	put_controllers(&storage);
	storage_insert_drive(&storage, 1, 5);
	storage_insert_drive(&storage, 0, 63);
	storage_insert_drive(&storage, 1, 0);
	storage_insert_drive(&storage, 2, 1);
	storage_insert_drive(&storage, 0, 0);
	check_places(&storage, "0:0 0:63 1:0 1:5 2:1");
	assert_int_equal(storage_free_lun(&storage, 0), 1);
	assert_int_equal(storage_free_lun(&storage, 1), 1);
	assert_int_equal(storage_free_lun(&storage, 2), 0);
	assert_int_equal(storage_drive_at(&storage, 1, 5)->lun, 5);
	assert_null(storage_drive_at(&storage, 1, 1));
	for (unsigned lun = 1; lun < 63; lun++)
		storage_insert_drive(&storage, 0, lun);
	assert_int_equal(storage_free_lun(&storage, 0), -1);
}

static void a_removal_takes_what_hangs_on_it(void **state)
{
	struct store_storage storage;

	put_controllers(&storage);
	storage_insert_drive(&storage, 0, 0)->path = (char *)"/a";
	storage_insert_drive(&storage, 0, 1);
	storage_insert_drive(&storage, 1, 3);
	storage_insert_drive(&storage, 2, 4);
	storage_remove(&storage, &(struct storage_item){STORAGE_IMAGE, 0, 0});
	assert_null(storage.drives[0].path);
	storage_remove(&storage, &(struct storage_item){STORAGE_DRIVE, 0, 0});
	check_places(&storage, "0:1 1:3 2:4");
	storage_remove(&storage, &(struct storage_item){STORAGE_CONTROLLER, 1, 0});
	check_places(&storage, "0:1 1:4");
	assert_int_equal(storage.controller_count, 2);
	assert_string_equal(storage.controllers[1], C2);
	storage_remove(&storage, &(struct storage_item){STORAGE_CONTROLLER, 1, 0});
	storage_remove(&storage, &(struct storage_item){STORAGE_CONTROLLER, 0, 0});
	assert_int_equal(storage.controller_count + storage.drive_count, 0);
}

static void items_are_found_by_their_names(void **state)
{
	static const char *const names[] = {C0 "\\0",       C1 "\\0",       C2 "\\0",
					    C1 "\\0\\7\\D", C1 "\\0\\7\\L", C2 "\\0\\63\\D"};
	static const char *const wrong[] = {"",
					    C0,
					    C0 "\\",
					    C0 "\\1",
					    C1 "\\0\\7",
					    C1 "\\0\\7\\X",
					    C1 "\\0\\07\\D",
					    C1 "\\0\\8\\D",
					    C2 "\\0\\63\\L",
					    C1 "\\0\\7\\D\\"};
	struct storage_item items[STORAGE_ITEMS_MAX], found;
	struct store_storage storage;
	char suffix[STORAGE_SUFFIX_SIZE], lower[STORAGE_SUFFIX_SIZE];

	put_controllers(&storage);
	storage_insert_drive(&storage, 1, 7)->path = (char *)"/a";
	storage_insert_drive(&storage, 2, 63);
	assert_int_equal(storage_items(&storage, items), sizeof(names) / sizeof(names[0]));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		storage_item_suffix(&storage, &items[i], suffix);
		assert_string_equal(suffix, names[i]);
		for (size_t c = 0; c < sizeof(lower); c++)
			lower[c] = (char)(suffix[c] >= 'A' && suffix[c] <= 'Z' ? suffix[c] + 32 : suffix[c]);
		assert_true(storage_item_find(&storage, lower, &found));
		assert_memory_equal(&found, &items[i], sizeof(found));
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (storage_item_find(&storage, wrong[i], &found))
			fail_msg("%s", wrong[i]);
}

static void a_full_machine_has_room(void **state)
{
	static struct store_storage storage, copy;
	static struct storage_item items[STORAGE_ITEMS_MAX];

	put_controllers(&storage);
	strcpy(storage.controllers[3], "00000000-0000-4000-8000-0000000000C3");
	storage.controller_count = 4;
	for (unsigned i = 0; i < STORE_DRIVES_MAX; i++)
		storage_insert_drive(&storage, 3 - i / STORE_LUNS_MAX, i % STORE_LUNS_MAX)->path =
			(char *)"/p";
	assert_int_equal(storage_items(&storage, items), STORAGE_ITEMS_MAX);
	assert_true(storage_copy(&copy, &storage));
	assert_ptr_not_equal(copy.drives[255].path, storage.drives[255].path);
	assert_string_equal(copy.drives[255].path, "/p");
	store_storage_clear(&copy);
	storage_remove(&storage, &(struct storage_item){STORAGE_CONTROLLER, 3, 0});
	assert_int_equal(storage.drive_count, 192);
}

static void object_paths_go_both_ways(void **state)
{
	static const char *const id[] = {"Microsoft:A\\B\\0\\1\\D \"x\""};
	static const char *const keys[] = {"Msvm_ComputerSystem", "N,=.\""};
	static const char text[] =
		"\\\\h\\Root\\Virtualization\\V2:Msvm_ResourceAllocationSettingData.InstanceID="
		"\"Microsoft:A\\\\B\\\\0\\\\1\\\\D \\\"x\\\"\"";
	struct cim_reference *made, *read;
	struct arena arena;

	arena_init(&arena);
	made = cim_reference_make(&arena, &cim_class_Msvm_ResourceAllocationSettingData, 1, id);
	assert_string_equal(cim_path_of(&arena, "h", made), text);
	read = cim_path_parse(&arena, text);
	assert_non_null(read);
	assert_string_equal(read->keys[0].string, id[0]);
	assert_true(cim_reference_equal(read, made));
	made = cim_reference_make(&arena, &cim_class_Msvm_ComputerSystem, 2, keys);
	read = cim_path_parse(&arena, cim_path_of(&arena, "h", made));
	assert_true(read && cim_reference_equal(read, made));
	read = cim_path_parse(&arena, "msvm_computersystem.name=\"b\",CREATIONCLASSNAME=\"a\"");
	assert_non_null(read);
	assert_string_equal(cim_reference_key(read, "Name"), "b");
	/* Keys that are references have no such form. */
	made = cim_reference_make(&arena, &cim_class_Msvm_SettingsDefineState, 2, keys);
	assert_null(cim_path_of(&arena, "h", made));
	arena_fini(&arena);
}

static void what_is_no_object_path_is_refused(void **state)
{
	static const char *const rows[] = {"",
					   "\\",
					   "\\\\h",
					   "\\\\h\\Root",
					   ".",
					   "Nope.Name=\"a\"",
					   "Msvm_ConcreteJob",
					   "Msvm_ConcreteJob.",
					   "Msvm_ConcreteJob.InstanceID",
					   "Msvm_ConcreteJob.InstanceID=",
					   "Msvm_ConcreteJob.InstanceID=\"a",
					   "Msvm_ConcreteJob.InstanceID=\"a\\",
					   "Msvm_ConcreteJob.InstanceID=\"a\\\"",
					   "Msvm_ConcreteJob.InstanceID=\"a\"x",
					   "Msvm_ConcreteJob.InstanceID=\"a\",InstanceID=\"b\"",
					   "Msvm_ConcreteJob.Name=\"a\"",
					   "Msvm_ComputerSystem.Name=\"a\"",
					   "Msvm_ComputerSystem.Name=\"a\",Name=\"b\"",
					   "Msvm_ComputerSystem.Name=\"a\";CreationClassName=\"b\"",
					   "Msvm_SettingsDefineState.ManagedElement=\"a\",SettingData=\"b\"",
					   "CIM_ManagedElement.InstanceID=\"a\"",
					   "Microsoft:0A000000-0000-4000-8000-00000000000A\\X\\0"};
	struct arena arena;

	arena_init(&arena);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* Exactly the bytes, so that a reader that looks past them is found by the sanitizer. */
		char *exact = strdup(rows[i]);

		if (cim_path_parse(&arena, exact))
			fail_msg("%s", rows[i]);
		free(exact);
	}
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drives_are_kept_in_order),
		cmocka_unit_test(a_removal_takes_what_hangs_on_it),
		cmocka_unit_test(items_are_found_by_their_names),
		cmocka_unit_test(a_full_machine_has_room),
		cmocka_unit_test(object_paths_go_both_ways),
		cmocka_unit_test(what_is_no_object_path_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
