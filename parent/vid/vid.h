/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parent's door to the hypervisor: objects, and what the files of this module offer each other.
 *
 * Lifetime. A file on /dev/mshv holds nothing. A partition is counted: its own file, each VP's file and each message port's
 * hold it. An ioctl holds its file, a mapping of a VP's page too. So when the count drops to zero no ioctl is under way, no
 * VP exists, no VP page is mapped in user mode; what may still run are interrupt handlers (they look things up under RCU) and
 * eventfd wake-ups (the destructor unhooks them and waits).
 *
 * Lock order, outermost first:
 *
 *   vp->run_lock           mutex, only ever tried: one RUN_VP at a time
 *   partition->lock        mutex: state, VP table, regions, lists of irqfds, ioeventfds and ports, routes
 *   mm->mmap_lock          taken by pinning and by user copies; never hold it when taking the above
 *   eventfd's wait queue   spinlock, irqs off: we are called under it
 *   partition->irqfd_lock  spinlock, irqs off: which irqfds are alive
 *   port->lock             spinlock, irqs off: messages of a port; also in the SynIC's interrupt
 *   registry lock          spinlock: the table of all partitions
 *
 * Hypercalls need no lock: each is issued with interrupts off on this CPU's own pages, or on pages of the caller.
 * Marks beside fields: (c) constant once published, (p) partition->lock, (r) writer has partition->lock, readers RCU,
 * (a) atomic.
 */
#ifndef VID_H
#define VID_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "hv/hv_types.h"
#include "hv/hv_status.h"
#include "hv/hv_cpuid.h"
#include "hv/hv_hypercall.h"
#include "hv/hv_intercept.h"
#include "hv/hv_msr.h"
#include "hv/hv_register.h"
#include "hv/hv_stats.h"
#include "hv/hv_synic.h"
#include "vid/mshv.h"
#include "vid_arch.h"

#define VID_MAX_VPS 256u

struct dentry;
struct eventfd_ctx;
struct file;
struct mm_struct;
struct page;
struct workqueue_struct;

/* Pages given to the hypervisor on behalf of one partition. */
struct vid_pool {
	u64 partition_id;		/* (c) */
	atomic_long_t pages;		/* (a) */
};

enum vid_partition_state {
	VID_PARTITION_CREATED,		/* only properties and initialize */
	VID_PARTITION_ACTIVE,
};

/* A page of 64-bit counters that the hypervisor writes. */
struct vid_stats_page {
	u32 object_type;
	u8 identity[16];
	const u64 *counters;		/* NULL: not mapped */
};

struct vid_vp {
	struct vid_partition *partition;	/* (c) counted by the VP's file */
	u32 index;				/* (c) */
	struct hv_message *message;		/* (c) intercept message page, read-only */
	struct hv_register_page *registers;	/* (c) NULL if the hypervisor has none */
	u64 message_gpfn, registers_gpfn;	/* (c) */

	struct mutex run_lock;
	bool intercepted;		/* run_lock: next dispatch ends the intercept suspend */
	wait_queue_head_t wait;		/* the thread in RUN_VP, while the VP is blocked */
	unsigned long flags;		/* (a) VID_VP_* */
	int cpu;			/* where it is being dispatched, or -1; see vid_vp_kick() */

	u64 dispatches, blocks, intercepts, resolved;	/* written under run_lock only */
	struct vid_stats_page stats;
	struct dentry *debugfs;
	struct rcu_head rcu;
};
/* Bits of vid_vp.flags */
#define VID_VP_SIGNALED 0		/* the hypervisor says it can run again */
#define VID_VP_STOP     1		/* RUN_VP shall return -EINTR */

struct vid_region;
struct vid_routes;

struct vid_partition {
	struct kref refs;
	u64 id;				/* (c) */
	struct vid_pool pool;
	struct mutex lock;
	enum vid_partition_state state;	/* (p) */
	struct vid_vp __rcu *vps[VID_MAX_VPS];	/* (r) */
	struct list_head regions;	/* (p) sorted by nothing: a handful */
	atomic_long_t pinned_pages;	/* (a) */

	struct vid_routes __rcu *routes;	/* (r) */
	spinlock_t irqfd_lock;
	struct hlist_head irqfds;	/* irqfd_lock; readers RCU */
	struct hlist_head ioeventfds;	/* (r) */
	struct list_head ports;		/* (p) struct vid_port.node */

	struct hlist_node node;		/* registry */
	struct vid_stats_page stats;
	struct dentry *debugfs;
	struct rcu_head rcu;
};

/* File `live` of debugfs: what is held for partitions. All zero when there is none. */
struct vid_live {
	atomic_long_t partitions, vps, regions, pinned_pages, deposited_pages, irqfds, ioeventfds;
	atomic_long_t ports, messages_waiting;
	atomic_long_t leaked_pages;	/* given up because the hypervisor would not let go of them */
};
/* File `driver`: what has happened since the module was loaded. */
struct vid_events {
	atomic_long_t wake_messages, wake_overflows, strange_messages;
};
extern struct vid_events vid_events;
extern struct vid_live vid_live;
extern struct workqueue_struct *vid_cleanup_wq;

/*
 * vid_hvcall.c: every hypercall. All return 0 or -errno by hv_status_to_errno(). Unless "atomic" is said they may sleep,
 * and give memory to the partition and repeat when the hypervisor asks for it.
 */
int vid_hvcall_init(void);
void vid_hvcall_fini(void);
int hv_status_to_errno(u16 status);

int vid_hv_scheduler_type(u64 *ret_type);
int vid_hv_create_partition(u64 flags, u64 *ret_id);
int vid_hv_initialize_partition(struct vid_pool *pool);
int vid_hv_finalize_partition(struct vid_pool *pool);
int vid_hv_delete_partition(struct vid_pool *pool);
int vid_hv_get_property(struct vid_pool *pool, u32 code, u64 *ret_value);
/* Takes back all pages that the partition's pool still has. */
void vid_hv_withdraw(struct vid_pool *pool);

int vid_hv_create_vp(struct vid_pool *pool, u32 vp_index);
int vid_hv_delete_vp(struct vid_pool *pool, u32 vp_index);
int vid_hv_map_vp_page(struct vid_pool *pool, u32 vp_index, u32 type, u64 *ret_gpfn);
int vid_hv_unmap_vp_page(struct vid_pool *pool, u32 vp_index, u32 type);
int vid_hv_map_stats(struct vid_pool *pool, u32 object_type, const u8 identity[16], u64 *ret_gpfn);
int vid_hv_unmap_stats(u32 object_type, const u8 identity[16]);

/* reps elements of 4 KiB, or of 2 MiB if `large`; element i is pages[i], or pages[i * 512]. */
int vid_hv_map_pages(struct vid_pool *pool, u64 gpfn, u32 flags, bool large, struct page **pages, u32 reps);
int vid_hv_unmap_pages(struct vid_pool *pool, u64 gpfn, bool large, u32 reps);
#define VID_MAP_REPS_MAX ((HV_PAGE_BYTES - sizeof(struct hv_input_map_gpa_pages)) / sizeof(u64))
#define VID_LARGE_PAGES 512u

int vid_hv_get_register(struct vid_pool *pool, u32 vp_index, u32 name, u64 *ret_value);
int vid_hv_set_register(struct vid_pool *pool, u32 vp_index, u32 name, u64 value);
int vid_hv_get_vp_state(struct vid_pool *pool, u32 vp_index, u32 type, u64 xsave_states, void *buffer, size_t bytes);
int vid_hv_set_vp_state(struct vid_pool *pool, u32 vp_index, u32 type, u64 xsave_states, const void *buffer,
			size_t bytes);

/* Ports are the root's own, connections are a child's. */
int vid_hv_create_port(u32 port_id, u64 sender_id, const struct hv_port_info *info);
int vid_hv_delete_port(u32 port_id);
int vid_hv_connect_port(struct vid_pool *pool, u32 connection_id, u32 port_id, u32 type);
int vid_hv_disconnect_port(struct vid_pool *pool, u32 connection_id);

/* Atomic; any context. Returns the HV_STATUS. */
u16 vid_hv_hold_port(u32 port_id, bool hold);
u16 vid_hv_assert_interrupt(u64 partition_id, u64 control, u64 destination, u32 vector);
/* Caller has interrupts off. Returns the HV_STATUS; *ret is valid if that is 0. */
u16 vid_hv_dispatch_vp(u64 partition_id, u32 vp_index, u32 flags, struct hv_output_dispatch_vp *ret);
/* Gives the partition memory after HV_STATUS_INSUFFICIENT_MEMORY of a call that the caller repeats itself. */
int vid_hv_deposit(struct vid_pool *pool, unsigned int page_count);

enum vid_passthrough { VID_PASSTHROUGH_DEVICE, VID_PASSTHROUGH_PARTITION, VID_PASSTHROUGH_VP };
int vid_hv_passthrough(struct vid_pool *pool, enum vid_passthrough from, struct mshv_root_hvcall __user *user);
extern struct vid_pool vid_root_pool;

/* vid_partition.c */
int vid_partition_create(const struct mshv_create_partition *args);
void vid_partition_get(struct vid_partition *partition);
void vid_partition_put(struct vid_partition *partition);
struct vid_partition *vid_partition_find(u64 id);	/* under rcu_read_lock() */
void vid_partition_wake_all(void);

/* vid_vp.c */
int vid_vp_create(struct vid_partition *partition, u32 index);
void vid_vp_signal(struct vid_vp *vp);			/* any context */

/* vid_memory.c; all but the last under partition->lock */
int vid_memory_set(struct vid_partition *partition, const struct mshv_user_mem_region *args);
int vid_memory_pages(struct vid_partition *partition, const struct vid_guest_pages *args);
void vid_memory_release(struct vid_partition *partition, bool unmapped);

/* vid_synic.c */
#define VID_PORT_SINT 2			/* of all ports; wake-ups have SINT 0 for themselves */
int vid_synic_init(void);
void vid_synic_fini(void);

/* Payload of HV_MESSAGE_APIC_EOI, which has no intercept header. */
struct vid_eoi {
	u32 vp_index;
	u32 vector;
};

/* vid_eventfd.c */
int vid_irqfd(struct vid_partition *partition, const struct mshv_user_irqfd *args);
int vid_ioeventfd(struct vid_partition *partition, const struct mshv_user_ioeventfd *args);
int vid_set_routes(struct vid_partition *partition, struct mshv_user_irq_table __user *user);
void vid_eventfd_release(struct vid_partition *partition);
/* The guest ended a level-triggered interrupt. True if an irqfd was waiting for that. Any context. */
bool vid_irqfd_eoi(struct vid_partition *partition, u32 vector);
/* True if the intercept was a doorbell and is done with: the VP may be resumed. */
bool vid_ioeventfd_intercept(struct vid_vp *vp, const struct hv_message *message);

/* vid_port.c; all but the last two under partition->lock */
int vid_event_port(struct vid_partition *partition, const struct vid_event_port *args);
int vid_message_port_create(struct vid_partition *partition, const struct vid_message_port *args);
void vid_port_release(struct vid_partition *partition);
/* In interrupt context: what this CPU's SynIC pages say about ports. */
void vid_port_message(const struct hv_message *message);
void vid_port_event(unsigned int flag);

/* vid_state.c */
int vid_vp_get_state(struct vid_vp *vp, struct mshv_get_set_vp_state __user *user);
int vid_vp_set_state(struct vid_vp *vp, struct mshv_get_set_vp_state __user *user);

/* vid_stats.c; failure to show statistics fails nothing else */
void vid_stats_init(void);
void vid_stats_fini(void);
void vid_stats_add_partition(struct vid_partition *partition);
/* The hypervisor's counters of a partition can be had from when it is initialized. */
void vid_stats_activate_partition(struct vid_partition *partition);
void vid_stats_remove_partition(struct vid_partition *partition);
void vid_stats_add_vp(struct vid_vp *vp);
void vid_stats_remove_vp(struct vid_vp *vp);

#endif
