/* SPDX-License-Identifier: Apache-2.0 */
/* Made by mofc from schemas/mof. Do not edit. */
#include "cim_schema.gen.h"

static const struct cim_label labels_Base_State[] = {
	{ INT64_C(0), INT64_C(0), "None" },
	{ INT64_C(2), INT64_C(5), "Some" },
	{ INT64_C(0), INT64_C(65535), "Others" },
};
static const char *const default_Base_State[] = { "2", };
static const struct cim_property properties_Base[] = {
	{ .name = "Name", .origin = "Base", .flags = 0, .value = { .type = CIM_TYPE_STRING, .is_array = false } },
	{ .name = "State", .origin = "Base", .flags = 0, .value = { .type = CIM_TYPE_UINT16, .is_array = false, .labels = labels_Base_State, .label_count = sizeof(labels_Base_State) / sizeof(labels_Base_State[0]) }, .defaults = default_Base_State, .default_count = sizeof(default_Base_State) / sizeof(char *) },
};
const struct cim_class cim_class_Base = { .name = "Base", .flags = 0x1, .properties = properties_Base, .property_count = 2 };

static const struct cim_label labels_Lamp_State[] = {
	{ INT64_C(0), INT64_C(0), "None" },
	{ INT64_C(2), INT64_C(5), "Some" },
	{ INT64_C(0), INT64_C(65535), "Others" },
};
static const char *const default_Lamp_State[] = { "2", };
static const char *const default_Lamp_Brightness[] = { "1", "2", };
static const char *const default_Lamp_Made[] = { "20260101000000.000000+000", };
static const struct cim_property properties_Lamp[] = {
	{ .name = "Name", .origin = "Base", .flags = 0x1, .value = { .type = CIM_TYPE_STRING, .is_array = false, .max_length = 64 } },
	{ .name = "State", .origin = "Base", .flags = 0, .value = { .type = CIM_TYPE_UINT16, .is_array = false, .labels = labels_Lamp_State, .label_count = sizeof(labels_Lamp_State) / sizeof(labels_Lamp_State[0]) }, .defaults = default_Lamp_State, .default_count = sizeof(default_Lamp_State) / sizeof(char *) },
	{ .name = "Brightness", .origin = "Lamp", .flags = 0x2, .value = { .type = CIM_TYPE_UINT8, .is_array = true, .units = "percent", .has_maximum = true, .maximum = INT64_C(100) }, .defaults = default_Lamp_Brightness, .default_count = sizeof(default_Lamp_Brightness) / sizeof(char *) },
	{ .name = "Hours", .origin = "Lamp", .flags = 0x4, .value = { .type = CIM_TYPE_UINT64, .is_array = false } },
	{ .name = "Made", .origin = "Lamp", .flags = 0, .value = { .type = CIM_TYPE_DATETIME, .is_array = false }, .defaults = default_Lamp_Made, .default_count = sizeof(default_Lamp_Made) / sizeof(char *) },
};
static const struct cim_label labels_Lamp_Switch_returns[] = {
	{ INT64_C(0), INT64_C(0), "Done" },
};
static const struct cim_parameter parameters_Lamp_Switch[] = {
	{ .name = "On", .flags = 0x5, .value = { .type = CIM_TYPE_BOOLEAN, .is_array = false } },
	{ .name = "Next", .flags = 0x2, .value = { .type = CIM_TYPE_REFERENCE, .is_array = false, .target = "Lamp" } },
	{ .name = "Like", .flags = 0x1, .value = { .type = CIM_TYPE_STRING, .is_array = true, .target = "Lamp" } },
};
static const struct cim_method methods_Lamp[] = {
	{ .name = "Switch", .origin = "Lamp", .flags = 0x1, .result = { .type = CIM_TYPE_UINT32, .is_array = false, .labels = labels_Lamp_Switch_returns, .label_count = sizeof(labels_Lamp_Switch_returns) / sizeof(labels_Lamp_Switch_returns[0]) }, .parameters = parameters_Lamp_Switch, .parameter_count = sizeof(parameters_Lamp_Switch) / sizeof(parameters_Lamp_Switch[0]) },
};
static const uint16_t keys_Lamp[] = { 0, };
const struct cim_class cim_class_Lamp = { .name = "Lamp", .flags = 0, .description = "A lamp, \"small\"", .superclass = &cim_class_Base, .properties = properties_Lamp, .property_count = 5, .methods = methods_Lamp, .method_count = 1, .keys = keys_Lamp, .key_count = 1 };

static const struct cim_property properties_Wire[] = {
	{ .name = "From", .origin = "Wire", .flags = 0x1, .value = { .type = CIM_TYPE_REFERENCE, .is_array = false, .target = "Lamp" } },
	{ .name = "To", .origin = "Wire", .flags = 0x1, .value = { .type = CIM_TYPE_REFERENCE, .is_array = false, .target = "Lamp" } },
};
static const uint16_t keys_Wire[] = { 0, 1, };
const struct cim_class cim_class_Wire = { .name = "Wire", .flags = 0x2, .properties = properties_Wire, .property_count = 2, .keys = keys_Wire, .key_count = 2 };

const struct cim_class *const cim_classes[] = {
	&cim_class_Base,
	&cim_class_Lamp,
	&cim_class_Wire,
};
const size_t cim_class_count = 3;
