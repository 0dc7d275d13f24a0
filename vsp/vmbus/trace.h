/* SPDX-License-Identifier: Apache-2.0 */
/* What happens on the bus as records of schemas/vmbus/vmbus_trace.h, for a host that wants them. */
#ifndef VSP_VMBUS_TRACE_H
#define VSP_VMBUS_TRACE_H

#include "vmbus/server_state.h"

static inline bool trace_is_on(const struct vmbus_server *server)
{
	return server->host->ops->trace;
}

/* All of them only while it is on. */
void trace_start(const struct vmbus_server *server);
void trace_message(const struct vmbus_server *server, bool from_guest, const void *payload, size_t bytes);
void trace_open(const struct vmbus_channel *channel);
void trace_close(const struct vmbus_channel *channel);
/* The one in the channel's private copy. */
void trace_packet_in(const struct vmbus_channel *channel, size_t bytes, const struct vmbus_gpa_range *range);
void trace_packet_out(const struct vmbus_channel *channel, const struct iovec *head, unsigned head_count,
		      const struct iovec *parts, unsigned part_count);

#endif
