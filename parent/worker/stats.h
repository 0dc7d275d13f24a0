/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to the method "stats" of worker_msg.h. */
#ifndef WORKER_STATS_H
#define WORKER_STATS_H

#include <json-c/json.h>

#include "worker/machine.h"

/* Devices from the given one on, as many as fit into a packet. */
struct json_object *stats_answer(struct machine *machine, uint64_t from);

#endif
