/* SPDX-License-Identifier: Apache-2.0 */
/* Made by mofc from schemas/mof. Do not edit. */
#ifndef CIM_SCHEMA_GEN_H
#define CIM_SCHEMA_GEN_H

#include "mof/cim_schema.h"

extern const struct cim_class cim_class_Base;
enum {
	Base_Name = 0,
	Base_State = 1,
};

extern const struct cim_class cim_class_Lamp;
enum {
	Lamp_Name = 0,
	Lamp_State = 1,
	Lamp_Brightness = 2,
	Lamp_Hours = 3,
	Lamp_Made = 4,
};
enum {
	Lamp_Switch_On = 0,
	Lamp_Switch_Next = 1,
	Lamp_Switch_Like = 2,
};

extern const struct cim_class cim_class_Wire;
enum {
	Wire_From = 0,
	Wire_To = 1,
};

#endif
