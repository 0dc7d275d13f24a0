/* SPDX-License-Identifier: Apache-2.0 */
/* The devices of a guest that every machine has one of, by the identifiers under which tools look for them.
 */
#ifndef VMMS_INTEGRATION_H
#define VMMS_INTEGRATION_H

#include "mof/cim_schema.h"
#include "store/store.h"

struct integration_component {
	const struct cim_class *class; /* of its setting */
	const char *type;              /* DEVICE of schemas/worker/worker_msg.h */
	const char *instance;          /* its VMBus instance, the same in every machine */
};

extern const struct integration_component integration_components[STORE_COMPONENT_COUNT];

/* How the InstanceIDs of the settings end; scripts know the components by them, whatever the language. */
#define INTEGRATION_HEARTBEAT_SETTING "84EAAE65-2F2E-45F5-9BB5-0E857DC8EB47"
#define INTEGRATION_SHUTDOWN_SETTING  "9F8233AC-BE49-4C79-8EE3-E7E1985B2077"
#define INTEGRATION_TIMESYNC_SETTING  "2497F4DE-E9FA-4204-80E4-4B75C46419C0"
#define INTEGRATION_KVP_SETTING       "2A34B1C2-FD73-4043-8A5B-DD2159BC743F"

#define INTEGRATION_VSS_SETTING   "5CED1297-4598-4915-A5FC-AD21BB4D02A4"
#define INTEGRATION_FCOPY_SETTING "6C09BB55-D683-4DA0-8931-C9BF705F6480"

#define INTEGRATION_MEMORY_INSTANCE   "1ECCFD72-4B41-45EF-B73A-4A6E44C12924"
#define INTEGRATION_HVSOCK_INSTANCE   "A5201C21-2770-4C11-A68E-F182EDB29220"
#define INTEGRATION_KEYBOARD_INSTANCE "D34B2567-B9B6-42B9-8778-0A4EC0B955BF"

/* The component that the class is of. It must be one. */
enum store_component integration_component_of(const struct cim_class *class);

#endif
