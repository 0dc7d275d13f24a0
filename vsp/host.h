/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A provider's whole world: guest memory, messages and events into the guest, doorbells out of it, timers, descriptors,
 * clocks. A worker implements it over the hypervisor, a test over plain memory. All calls come from, and all callbacks go
 * to, one thread: the one that drives the VMBus server. Only a device with lanes has more of them.
 */
#ifndef VSP_HOST_H
#define VSP_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef void (*vsp_callback)(void *context);

/* One shot; may be armed again, also from its own callback. The owner keeps it in place while it is armed. */
struct vsp_timer {
	vsp_callback expired;
	void *context;
	/* The host's own; host_data is NULL while the timer is not armed. */
	void *host_data;
	struct vsp_timer *host_next;
	uint64_t host_deadline_ns;
};

/* What a watch waits for. That the other end is gone altogether, or an error, is told with each of them. */
enum vsp_watch_for {
	VSP_WATCH_READ,
	VSP_WATCH_WRITE,
	VSP_WATCH_READ_WRITE,
	VSP_WATCH_HANGUP,			/* nothing else */
};

/* A descriptor to wait for: ready is called again and again as long as it is. The owner keeps it in place while it is
 * watched. */
struct vsp_watch {
	int fd;
	enum vsp_watch_for wait_for;		/* the owner's before watch_add, then changed by watch_change only */
	vsp_callback ready;
	void *context;
	void *host_data;
};

struct vsp_host_ops {
	/* Host address of guest RAM [gpa, gpa + bytes), or NULL when not all of it is RAM without a gap. Valid for the
	 * partition's life. What the guest may write there is copied once, checked, then used. */
	void *(*memory)(void *host, uint64_t gpa, uint64_t bytes);

	/* One VMBus message (type 1) of at most 240 bytes into a VP's SINT queue. 0; -EAGAIN queue full: try again later;
	 * -ENOENT no such VP; -EIO SynIC or message page off. */
	int (*post_message)(void *host, uint32_t vp, uint8_t sint, const void *payload, size_t bytes);
	/* Sets an event flag of a VP's SINT. 0; -ENOENT; -EIO. */
	int (*signal_event)(void *host, uint32_t vp, uint8_t sint, uint16_t flag);

	/* From now on the guest's HvSignalEvent on this connection calls rang (several signals may become one call).
	 * 0; -EEXIST id in use; -ENOMEM; -EIO. */
	int (*doorbell_open)(void *host, uint32_t connection_id, vsp_callback rang, void *context);
	void (*doorbell_close)(void *host, uint32_t connection_id);

	void (*timer_arm)(void *host, struct vsp_timer *timer, uint64_t after_ns);
	void (*timer_cancel)(void *host, struct vsp_timer *timer);	/* no callback afterwards; of an idle one: nothing */

	int (*watch_add)(void *host, struct vsp_watch *watch);		/* 0, -errno */
	void (*watch_change)(void *host, struct vsp_watch *watch, enum vsp_watch_for wait_for);	/* of one that is watched */
	void (*watch_remove)(void *host, struct vsp_watch *watch);

	uint64_t (*reference_time)(void *host);	/* 100 ns since the partition was made, as the guest reads it */
	uint64_t (*wall_time)(void *host);	/* 100 ns since 1601-01-01 UTC */
	uint64_t (*monotonic_ns)(void *host);	/* since any moment but never 0; cheap, to measure how long things take */
	void (*log)(void *host, const char *text);
	/* One record of vmbus/vmbus_trace.h, in pieces that are taken before this returns; of the bus' host, from any lane.
	 * NULL: nobody wants them. */
	void (*trace)(void *host, const struct iovec *pieces, unsigned count);
};

struct vsp_lanes;

struct vsp_host {
	const struct vsp_host_ops *ops;
	void *context;
	const struct vsp_lanes *lanes;		/* NULL: one thread does everything */
};

/* Called once by the thread that asked for it, however often it asked; may be asked for again from inside. The owner
 * keeps it in place until then. */
struct vsp_call {
	vsp_callback run;
	void *context;
	struct vsp_call *host_next;		/* the host's own; with host_asked */
	bool host_asked;
};

/*
 * The threads of one device, a lane each. Lane 0 is the bus' own thread, where the device comes, goes and is configured; each
 * of the others serves channels. All code of the device runs under one lock, whichever thread runs it; the threads wait
 * without it, and enter the kernel for I/O without it (`after`), so that this, which is most of the work, goes on side by
 * side. A lane calls the VMBus server for its channels only; whatever concerns the bus (devices that come and go, sub-
 * channels) is a matter of lane 0: a timer of host[0] brings it there.
 */
struct vsp_lanes {
	unsigned count;				/* at least 2 */
	const struct vsp_host *host;		/* [count]: callbacks of its doorbells, timers and watches come on that lane */
	unsigned (*current)(void *context);	/* the lane that the caller, who holds the lock, runs on */
	/* For the bus' thread, around its calls into the device; may nest. Callbacks of host[] hold the lock already. */
	void (*enter)(void *context);
	void (*leave)(void *context);
	/* Calls when the caller releases the lock, the first while it still holds it, the second when it does not any more. */
	void (*before)(void *context, struct vsp_call *call);
	void (*after)(void *context, struct vsp_call *call);
	void (*cancel)(void *context, struct vsp_call *call);	/* of `before`: not called any more */
	void *context;
};

/* What is not to happen inside of the call that causes it, but soon after, on the same thread. */
struct vsp_soon {
	struct vsp_timer timer;
	struct vsp_call call;
};

static inline struct vsp_soon vsp_soon_make(vsp_callback run, void *context)
{
	return (struct vsp_soon){ .timer = { .expired = run, .context = context }, .call = { .run = run, .context = context } };
}

/* Asked for several times it happens once. */
static inline void vsp_soon(const struct vsp_host *host, struct vsp_soon *soon)
{
	if (host->lanes)
		host->lanes->before(host->lanes->context, &soon->call);
	else if (!soon->timer.host_data)
		host->ops->timer_arm(host->context, &soon->timer, 0);
}

static inline void vsp_soon_cancel(const struct vsp_host *host, struct vsp_soon *soon)
{
	if (host->lanes)
		host->lanes->cancel(host->lanes->context, &soon->call);
	else
		host->ops->timer_cancel(host->context, &soon->timer);
}

#endif
