/* SPDX-License-Identifier: Apache-2.0 */
/* Router, addresses, token, JSON: everything between the socket and the object layer that is pure. */
#include "case.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cim/query.h"
#include "cim_schema.gen.h"
#include "http/auth.h"
#include "http/json.h"
#include "http/router.h"
#include "http/uri.h"
#include "vmms/model.h"

static struct arena arena;

static int begin(void **state)
{
	arena_init(&arena);
	return 0;
}

static int end(void **state)
{
	arena_fini(&arena);
	return 0;
}

static void each_path_has_its_operation(void **state)
{
	static const struct {
		const char *method, *path;
		enum operation operation;
	} rows[] = {
		{"GET", "/api/v2/openapi.json", OPERATION_OPENAPI},
		{"GET", "/api/v2/classes", OPERATION_CLASSES},
		{"HEAD", "/api/v2/classes", OPERATION_CLASSES},
		{"GET", "/cimrs/root%2Fvirtualization%2Fv2/classes", OPERATION_CLASSES},
		{"GET", "/cimrs/root%2fvirtualization%2fv2/classes", OPERATION_CLASSES},
		{"GET", "/api/v2/classes/X", OPERATION_CLASS},
		{"GET", "/api/v2/classes/X/instances", OPERATION_LIST},
		{"GET", "/api/v2/classes/X/instances/k", OPERATION_GET},
		{"PATCH", "/api/v2/classes/X/instances/k", OPERATION_PATCH},
		{"DELETE", "/api/v2/classes/X/instances/k", OPERATION_DELETE},
		{"GET", "/api/v2/classes/X/instances/k/associators", OPERATION_ASSOCIATORS},
		{"GET", "/api/v2/classes/X/instances/k/references", OPERATION_REFERENCES},
		{"POST", "/api/v2/classes/X/instances/k/methods/M", OPERATION_INVOKE},
		{"GET", "/api/v2/classes/X/instances/k/console", OPERATION_CONSOLE},
		{"GET", "/api/v2/classes/X/instances/k/console/log", OPERATION_CONSOLE_LOG},
		{"HEAD", "/api/v2/classes/X/instances/k/console", OPERATION_WRONG_METHOD},
		{"POST", "/api/v2/classes", OPERATION_WRONG_METHOD},
		{"PUT", "/api/v2/classes/X/instances/k", OPERATION_WRONG_METHOD},
		{"GET", "/api/v2/classes/X/instances/k/methods/M", OPERATION_WRONG_METHOD},
		{"GET", "/", OPERATION_NONE},
		{"GET", "/api/v2", OPERATION_NONE},
		{"GET", "/api/v2/", OPERATION_NONE},
		{"GET", "/api/v2x/classes", OPERATION_NONE},
		{"GET", "/api/v2/classes/", OPERATION_NONE},
		{"GET", "/api/v2//classes", OPERATION_NONE},
		{"GET", "/api/v2/classes/X/instances/k/methods", OPERATION_NONE},
		{"GET", "/api/v2/classes/X/instances/k/console/log/more", OPERATION_NONE},
		{"GET", "/api/v2/classes/X/instances/k/console/log/more/and/more/parts/than/any",
		 OPERATION_NONE},
		{"GET", "/cimrs/root/virtualization/v2/classes", OPERATION_NONE},
	};
	struct route route;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		router_match(&arena, rows[i].method, rows[i].path, &route);
		if (route.operation != rows[i].operation)
			fail_msg("%s %s: %d", rows[i].method, rows[i].path, route.operation);
	}
}

static void a_route_keeps_its_parts(void **state)
{
	struct route route;

	router_match(&arena, "POST", "/api/v2/classes/C/instances/a%2Fb,c=%25/methods/M", &route);
	assert_string_equal(route.class_name, "C");
	assert_string_equal(route.key, "a%2Fb,c=%25");
	assert_string_equal(route.method_name, "M");
	router_match(&arena, "PUT", "/api/v2/classes/C/instances/k", &route);
	assert_string_equal(route.allow, "GET, PATCH, DELETE");
}

static void escapes_decode_once(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"plain", "plain"}, {"%41%2f", "A/"}, {"%255C", "%5C"},    {"%c3%a4", "\xc3\xa4"},
		{"%", NULL},        {"%4", NULL},     {"%4g", NULL},       {"%00", NULL},
		{"%ff", NULL},      {"%c0%80", NULL}, {"%ed%a0%80", NULL}, {"", ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *out = uri_decode(&arena, rows[i].in, strlen(rows[i].in));

		if (!rows[i].out)
			assert_null(out);
		else
			assert_string_equal(out, rows[i].out);
	}
	assert_string_equal(uri_encode(&arena, "Microsoft:A\\b c,d=e/%"),
			    "Microsoft:A%5Cb%20c%2Cd%3De%2F%25");
}

static struct cim_context context_of(void)
{
	return (struct cim_context){.arena = &arena};
}

static void an_address_names_the_same_instance_again(void **state)
{
	const char *system[] = {"Msvm_ComputerSystem", "0A, =/%"}, *setting[] = {"Microsoft:X\\Y"};
	struct cim_reference *a = cim_reference_make(&arena, &cim_class_Msvm_ComputerSystem, 2, system);
	struct cim_reference *b =
		cim_reference_make(&arena, &cim_class_Msvm_VirtualSystemSettingData, 1, setting);
	struct cim_instance *link = cim_instance_create(&arena, &cim_class_Msvm_SettingsDefineState);
	struct cim_context context = context_of();
	struct cim_reference *again;
	const char *uri;

	cim_set_reference(link, Msvm_SettingsDefineState_ManagedElement, a);
	cim_set_reference(link, Msvm_SettingsDefineState_SettingData, b);
	uri = uri_of(&arena, cim_reference_of(link));
	assert_null(strchr(uri, '\\'));
	again = uri_parse_reference(&context, uri, "field");
	assert_non_null(again);
	assert_true(cim_reference_equal(again, cim_reference_of(link)));
	assert_string_equal(again->keys[0].reference->keys[1].string, "0A, =/%");
}

static void a_broken_address_names_its_field(void **state)
{
	static const char *const texts[] = {
		"",
		"x",
		"/api/v2",
		"/api/v2/classes/Msvm_ComputerSystem",
		"/api/v2/classes/Nope/instances/k",
		"/api/v2/classes/Msvm_ComputerSystem/instances/Name=a",
		"http://h/api/v2/classes/Msvm_ConcreteJob/instances/a",
		"/api/v2/classes/Msvm_ComputerSystem/instances/Name=a,Name=b",
		"/api/v2/classes/Msvm_ComputerSystem/instances/Name=a,Other=b",
		"/api/v2/classes/Msvm_ConcreteJob/instances/%zz",
		"/api/v2/classes/Msvm_ConcreteJob/instances/a/b",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct cim_context context = context_of();

		if (uri_parse_reference(&context, texts[i], "Field"))
			fail_msg("taken: %s", texts[i]);
		assert_int_not_equal(context.error.status, CIM_OK);
	}
}

static const struct cim_method *method(const struct cim_class *class, const char *name)
{
	return &class->methods[cim_method_find(class, name)];
}

static void arguments_are_typed(void **state)
{
	const struct cim_method *m = method(&cim_class_Msvm_ComputerSystem, "RequestStateChange");
	static const struct {
		const char *body, *field; /* NULL: it is taken */
	} rows[] = {
		{"{\"RequestedState\": 2}", NULL},
		{" {\"requestedstate\": \"2\"} \n", NULL},
		{"", NULL},
		{"{\"RequestedState\": null}", NULL},
		{"{\"RequestedState\": 65535}", NULL},
		{"{\"RequestedState\": 65536}", "RequestedState"},
		{"{\"RequestedState\": -1}", "RequestedState"},
		{"{\"RequestedState\": 2.0}", "RequestedState"},
		{"{\"RequestedState\": \"two\"}", "RequestedState"},
		{"{\"RequestedState\": \"\"}", "RequestedState"},
		{"{\"RequestedState\": true}", "RequestedState"},
		{"{\"RequestedState\": [2]}", "RequestedState"},
		{"{\"RequestedState\": {}}", "RequestedState"},
		{"{\"RequestedState\": 99999999999999999999999}", "RequestedState"},
		{"{\"TimeoutPeriod\": \"00000000000500.000000:000\"}", NULL},
		{"{\"TimeoutPeriod\": \"00000000000500.000000:00\"}", "TimeoutPeriod"},
		{"{\"TimeoutPeriod\": \"0000000000050x.000000:000\"}", "TimeoutPeriod"},
		{"{\"Nope\": 1}", "Nope"},
		{"{\"Job\": null}", "Job"},
		{"{\"RequestedState\": 2", "body"},
		{"{\"RequestedState\": 2} x", "body"},
		{"{\"RequestedState\": '2'}", "body"},
		{"[]", "body"},
		{"null", "body"},
		{"2", "body"},
		{"{\"a\":\"\xff\"}", "body"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cim_arguments *arguments = cim_arguments_create(&arena, m);
		struct cim_context context = context_of();
		bool taken = json_read_arguments(&context, rows[i].body, strlen(rows[i].body), arguments);

		if (taken != !rows[i].field ||
		    (rows[i].field && strcmp(rows[i].field, context.error.field) != 0))
			fail_msg("%s: taken %d, field %s", rows[i].body, taken, context.error.field);
	}
}

static void embedded_instances_name_the_path_of_the_field(void **state)
{
	const struct cim_method *m = method(&cim_class_Msvm_VirtualSystemManagementService, "DefineSystem");
	static const struct {
		const char *body, *field;
	} rows[] = {
		{"{\"SystemSettings\":{\"properties\":{\"ElementName\":\"a\",\"Notes\":[\"x\"]}}}", NULL},
		{"{\"SystemSettings\":{\"class\":\"msvm_virtualsystemsettingdata\",\"properties\":{}}}",
		 NULL},
		{"{\"ResourceSettings\":[{\"class\":\"Msvm_MemorySettingData\",\"properties\":{"
		 "\"VirtualQuantity\":\"512\"}}]}",
		 NULL},
		{"{\"ResourceSettings\":[]}", NULL},
		{"{\"SystemSettings\":\"<INSTANCE/>\"}", "SystemSettings"},
		{"{\"SystemSettings\":{}}", "SystemSettings.properties"},
		{"{\"SystemSettings\":{\"properties\":{\"ElementName\":1}}}", "SystemSettings.ElementName"},
		{"{\"SystemSettings\":{\"properties\":{\"Nope\":1}}}", "SystemSettings.Nope"},
		{"{\"SystemSettings\":{\"properties\":{\"Notes\":\"x\"}}}", "SystemSettings.Notes"},
		{"{\"SystemSettings\":{\"properties\":{\"Notes\":[null]}}}", "SystemSettings.Notes[0]"},
		{"{\"SystemSettings\":{\"class\":\"Msvm_Error\",\"properties\":{}}}", "SystemSettings.class"},
		{"{\"ResourceSettings\":[{\"properties\":{}}]}", "ResourceSettings[0].class"},
		{"{\"ResourceSettings\":[{\"class\":\"Msvm_MemorySettingData\",\"properties\":{"
		 "\"VirtualQuantity\":-1}}]}",
		 "ResourceSettings[0].VirtualQuantity"},
		{"{\"ResourceSettings\":{}}", "ResourceSettings"},
		{"{\"SystemSettings\":{\"properties\":{\"ElementName\":\"a\\u0000b\"}}}",
		 "SystemSettings.ElementName"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cim_arguments *arguments = cim_arguments_create(&arena, m);
		struct cim_context context = context_of();
		bool taken = json_read_arguments(&context, rows[i].body, strlen(rows[i].body), arguments);

		if (taken != !rows[i].field ||
		    (rows[i].field && strcmp(rows[i].field, context.error.field) != 0))
			fail_msg("%s: taken %d, field %s", rows[i].body, taken, context.error.field);
	}
}

static void what_is_too_large_is_refused(void **state)
{
	const struct cim_method *m = method(&cim_class_Msvm_VirtualSystemManagementService, "DefineSystem");
	static const char reference[] =
		"{\"ReferenceConfiguration\":\"/api/v2/classes/Msvm_ConcreteJob/instances/";
	char long_reference[12000], many[2000] = "{\"ResourceSettings\":[1";
	size_t used = strlen(many);

	for (int i = 0; i < 256; i++)
		used += (size_t)snprintf(many + used, sizeof(many) - used, ",1");
	snprintf(many + used, sizeof(many) - used, "]}");
	memset(long_reference, 'x', sizeof(long_reference));
	memcpy(long_reference, reference, sizeof(reference) - 1);
	strcpy(long_reference + 11000, "\"}");
	for (int i = 0; i < 2; i++) {
		struct cim_arguments *arguments = cim_arguments_create(&arena, m);
		struct cim_context context = context_of();
		const char *body = i ? long_reference : many;

		assert_false(json_read_arguments(&context, body, strlen(body), arguments));
		assert_string_equal(context.error.field, i ? "ReferenceConfiguration" : "ResourceSettings");
	}
}

static void deep_nesting_is_refused(void **state)
{
	const struct cim_method *m = method(&cim_class_Msvm_VirtualSystemManagementService, "DefineSystem");
	struct cim_arguments *arguments = cim_arguments_create(&arena, m);
	struct cim_context context = context_of();
	char body[1000];

	memset(body, '[', sizeof(body));
	memcpy(body, "{\"a\":", 5);
	assert_false(json_read_arguments(&context, body, sizeof(body), arguments));
	assert_string_equal(context.error.field, "body");
}

static void sixty_four_bits_are_strings(void **state)
{
	struct cim_instance *i = cim_instance_create(&arena, &cim_class_Msvm_MemorySettingData);
	const char *text;

	cim_set_string(i, Msvm_MemorySettingData_InstanceID, "Microsoft:X\\Memory");
	cim_set_uint(i, Msvm_MemorySettingData_VirtualQuantity, UINT64_MAX);
	cim_set_uint(i, Msvm_MemorySettingData_Weight, 5);
	text = json_instance(&arena, i, NULL);
	assert_non_null(strstr(text, "\"VirtualQuantity\":\"18446744073709551615\""));
	assert_non_null(strstr(text, "\"Weight\":5"));
	assert_non_null(strstr(text, "\"Parent\":null"));
	assert_non_null(strstr(text, "\"DynamicMemoryEnabled\":null"));
	assert_non_null(strstr(
		text, "\"self\":\"/api/v2/classes/Msvm_MemorySettingData/instances/Microsoft:X%5CMemory\""));
}

static void the_tag_ignores_what_changes_by_itself(void **state)
{
	struct cim_instance *i = cim_instance_create(&arena, &cim_class_Msvm_ComputerSystem);
	uint64_t before = json_instance_hash(&arena, i);

	cim_set_uint(i, Msvm_ComputerSystem_OnTimeInMilliseconds, 77);
	assert_true(json_instance_hash(&arena, i) == before);
	cim_set_uint(i, Msvm_ComputerSystem_EnabledState, 9);
	assert_false(json_instance_hash(&arena, i) == before);
}

static void filters_say_what_they_mean(void **state)
{
	struct cim_instance *i = cim_instance_create(&arena, &cim_class_Msvm_ComputerSystem);
	const uint16_t status[] = {2, 32768};
	static const struct {
		const char *text;
		int matches; /* -1: refused */
	} rows[] = {
		{"Name eq 'ABC'", 1},
		{"name = 'abc'", 1},
		{"Name ne 'abc'", 0},
		{"Name='a' or EnabledState=2", 1},
		{"EnabledState gt 1 and EnabledState < 3", 1},
		{"EnabledState ge 3", 0},
		{"not (EnabledState eq 2)", 0},
		{"not EnabledState eq 3", 1},
		{"Description eq null", 1},
		{"Name eq null", 0},
		{"Name ne null", 1},
		{"OperationalStatus eq 32768", 1},
		{"OperationalStatus eq 3", 0},
		{"ElementName eq 'it''s'", 1},
		{"ElementName eq \"it's\"", 1},
		{"OnTimeInMilliseconds eq 18446744073709551615", 1},
		{"Description ne 'x'", 1},
		{"EnabledState eq -2", 0},
		{"Nope eq 1", -1},
		{"Name", -1},
		{"Name eq", -1},
		{"Name eq abc", -1},
		{"Name eq 'abc", -1},
		{"Name eq 1", -1},
		{"EnabledState eq 'x'", -1},
		{"EnabledState eq 2 and", -1},
		{"(EnabledState eq 2", -1},
		{"EnabledState eq 2)", -1},
		{"EnabledState like 2", -1},
		{"", -1},
		{"EnabledState eq 99999999999999999999", -1},
		{"((((((((((((((((((((((((((((((((((((((((EnabledState eq 2", -1},
	};

	cim_set_string(i, Msvm_ComputerSystem_Name, "ABC");
	cim_set_string(i, Msvm_ComputerSystem_ElementName, "it's");
	cim_set_uint(i, Msvm_ComputerSystem_OnTimeInMilliseconds, UINT64_MAX);
	cim_set_uints(i, Msvm_ComputerSystem_OperationalStatus, status, 2);
	for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		struct cim_context context = context_of();
		struct cim_filter *filter = cim_filter_parse(&context, i->class, rows[n].text);
		int matches = filter ? cim_filter_matches(filter, i) : -1;

		if (matches != rows[n].matches)
			fail_msg("%s: %d", rows[n].text, matches);
		if (!filter)
			assert_string_equal(context.error.field, "$filter");
	}
}

static void the_token_is_made_once_and_kept_secret(void **state)
{
	char directory[] = "/tmp/uc-auth-XXXXXX", path[64], header[300], reason[256];
	struct auth first = {0}, second = {0};
	struct stat st;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/token", directory);
	assert_int_equal(auth_load(&first, path, reason, sizeof(reason)), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(strlen(first.token), 64);
	assert_int_equal(auth_load(&second, path, reason, sizeof(reason)), 0);
	assert_string_equal(first.token, second.token);

	snprintf(header, sizeof(header), "Bearer %s", first.token);
	assert_true(auth_check(&first, header));
	snprintf(header, sizeof(header), "bearer %s", first.token);
	assert_true(auth_check(&first, header));
	snprintf(header, sizeof(header), "Bearer %sx", first.token);
	assert_false(auth_check(&first, header));
	snprintf(header, sizeof(header), "Bearer %.63s", first.token);
	assert_false(auth_check(&first, header));
	assert_false(auth_check(&first, "Bearer "));
	assert_false(auth_check(&first, first.token));
	assert_false(auth_check(&first, NULL));

	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(auth_load(&second, path, reason, sizeof(reason)), -1);
	assert_non_null(strstr(reason, "0600"));
	unlink(path);
	rmdir(directory);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_path_has_its_operation),
		CASE(a_route_keeps_its_parts),
		CASE(escapes_decode_once),
		CASE(an_address_names_the_same_instance_again),
		CASE(a_broken_address_names_its_field),
		CASE(arguments_are_typed),
		CASE(embedded_instances_name_the_path_of_the_field),
		CASE(what_is_too_large_is_refused),
		CASE(deep_nesting_is_refused),
		CASE(sixty_four_bits_are_strings),
		CASE(the_tag_ignores_what_changes_by_itself),
		CASE(filters_say_what_they_mean),
		CASE(the_token_is_made_once_and_kept_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
