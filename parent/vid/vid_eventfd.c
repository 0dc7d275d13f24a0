// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eventfds on both ends of a partition: irqfds turn a write to an eventfd into an interrupt of the guest, ioeventfds turn
 * a write of the guest into a signalled eventfd. Both without a way through user mode.
 *
 * An irqfd hangs on its eventfd's wait queue and is called there in any context, with that queue's lock held. It dies in
 * three ways (deassigned, its eventfd closed, its partition gone); irqfd_lock decides which of them it is, and the one that
 * wins queues the only piece of work that unhooks and frees it.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "vid.h"
#include "vid_insn.h"

/* An MSI as the hypervisor's interrupt call takes it. */
struct vid_route {
	bool valid;
	u32 vector;
	u64 control;
	u64 destination;
};

struct vid_routes {
	struct rcu_head rcu;
	u32 count;			/* 1 + largest GSI */
	struct vid_route route[];
};

struct vid_irqfd {
	struct vid_partition *partition;
	u32 gsi;
	bool alive;			/* partition->irqfd_lock */
	struct hlist_node node;		/* partition->irqfds */
	struct eventfd_ctx *event;
	struct eventfd_ctx *resample;	/* NULL: edge-triggered */
	wait_queue_entry_t wait;
	poll_table poll;
	struct work_struct release;
	struct rcu_head rcu;
};

struct vid_ioeventfd {
	struct hlist_node node;		/* partition->ioeventfds */
	struct eventfd_ctx *event;
	u64 address;
	u64 match;
	u32 bytes;			/* 0: any */
	bool is_port;
	bool has_match;
	struct rcu_head rcu;
};

/* ---- routes ---- */

#define MSI_DELIVERY(data)    ((data) >> 8 & 7)
#define MSI_LEVEL             BIT(15)
#define MSI_VECTOR(data)      ((data) & 0xff)
#define MSI_DESTINATION(addr) ((addr) >> 12 & 0xff)
#define MSI_LOGICAL           BIT(2)

static int vid_decode_route(const struct mshv_user_irq_entry *entry, struct vid_route *out)
{
	if (entry->gsi >= MSHV_MAX_GUEST_IRQS || entry->address_hi != 0)
		return -EINVAL;
	if (out->valid || MSI_DELIVERY(entry->data) == HV_INTERRUPT_REMOTE_READ)
		return -EINVAL;
	out->valid = true;
	out->vector = MSI_VECTOR(entry->data);
	out->control = MSI_DELIVERY(entry->data);
	if (entry->data & MSI_LEVEL)
		out->control |= HV_INTERRUPT_CONTROL_LEVEL;
	if (entry->address_lo & MSI_LOGICAL)
		out->control |= HV_INTERRUPT_CONTROL_LOGICAL;
	out->destination = MSI_DESTINATION(entry->address_lo);
	return 0;
}

static struct vid_routes *vid_build_routes(const struct mshv_user_irq_entry *entries, u32 entry_count)
{
	struct vid_routes *routes;
	u32 i, count = 0;
	int error;

	for (i = 0; i < entry_count; i++) {
		if (entries[i].gsi >= MSHV_MAX_GUEST_IRQS)
			return ERR_PTR(-EINVAL);
		count = max(count, entries[i].gsi + 1);
	}
	routes = kvzalloc(struct_size(routes, route, count), GFP_KERNEL_ACCOUNT);
	if (!routes)
		return ERR_PTR(-ENOMEM);
	routes->count = count;
	for (i = 0; i < entry_count; i++) {
		error = vid_decode_route(&entries[i], &routes->route[entries[i].gsi]);
		if (error) {
			kvfree(routes);
			return ERR_PTR(error);
		}
	}
	return routes;
}

int vid_set_routes(struct vid_partition *partition, struct mshv_user_irq_table __user *user)
{
	struct mshv_user_irq_entry *entries;
	struct mshv_user_irq_table head;
	struct vid_routes *routes, *old;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.rsvd != 0 || head.nr > MSHV_MAX_GUEST_IRQS)
		return -EINVAL;
	entries = vmemdup_user(user->entries, head.nr * sizeof(*entries));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	routes = vid_build_routes(entries, head.nr);
	kvfree(entries);
	if (IS_ERR(routes))
		return PTR_ERR(routes);
	old = rcu_replace_pointer(partition->routes, routes, lockdep_is_held(&partition->lock));
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

/* Under rcu_read_lock(). */
static const struct vid_route *vid_find_route(struct vid_partition *partition, u32 gsi)
{
	const struct vid_routes *routes = rcu_dereference(partition->routes);

	return routes && gsi < routes->count && routes->route[gsi].valid ? &routes->route[gsi] : NULL;
}

/* ---- irqfd ---- */

/* Any context. An eventfd without a route is not an error: the guest may not have set it up yet. */
static void vid_irqfd_inject(struct vid_irqfd *irqfd)
{
	struct vid_partition *partition = irqfd->partition;
	const struct vid_route *route;
	u16 status;

	rcu_read_lock();
	route = vid_find_route(partition, irqfd->gsi);
	if (route) {
		status = vid_hv_assert_interrupt(partition->id, route->control, route->destination, route->vector);
		if (status != HV_STATUS_SUCCESS)
			pr_warn_ratelimited("vid: partition %llu: interrupt of GSI %u refused with status 0x%x\n",
					    partition->id, irqfd->gsi, status);
	}
	rcu_read_unlock();
}

bool vid_irqfd_eoi(struct vid_partition *partition, u32 vector)
{
	const struct vid_route *route;
	struct vid_irqfd *irqfd;
	bool found = false;

	rcu_read_lock();
	hlist_for_each_entry_rcu(irqfd, &partition->irqfds, node) {
		if (!irqfd->resample)
			continue;
		route = vid_find_route(partition, irqfd->gsi);
		if (route && route->vector == vector) {
			eventfd_signal(irqfd->resample, 1);
			found = true;
		}
	}
	rcu_read_unlock();
	return found;
}

static void vid_irqfd_release(struct work_struct *work)
{
	struct vid_irqfd *irqfd = container_of(work, struct vid_irqfd, release);
	u64 count;

	/* After this no wake-up is under way; after the grace period no walker of the list is. */
	eventfd_ctx_remove_wait_queue(irqfd->event, &irqfd->wait, &count);
	synchronize_rcu();
	eventfd_ctx_put(irqfd->event);
	if (irqfd->resample)
		eventfd_ctx_put(irqfd->resample);
	atomic_long_dec(&vid_live.irqfds);
	kfree(irqfd);
}

/* partition->irqfd_lock held. Only the first caller has an effect. */
static void vid_irqfd_kill(struct vid_irqfd *irqfd)
{
	if (!irqfd->alive)
		return;
	irqfd->alive = false;
	hlist_del_rcu(&irqfd->node);
	queue_work(vid_cleanup_wq, &irqfd->release);
}

/* Called with the eventfd's wait queue locked and interrupts off. */
static int vid_irqfd_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct vid_irqfd *irqfd = container_of(wait, struct vid_irqfd, wait);
	__poll_t events = key_to_poll(key);
	unsigned long irq_flags;
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->event, &count);
		vid_irqfd_inject(irqfd);
	}
	if (events & EPOLLHUP) {
		spin_lock_irqsave(&irqfd->partition->irqfd_lock, irq_flags);
		vid_irqfd_kill(irqfd);
		spin_unlock_irqrestore(&irqfd->partition->irqfd_lock, irq_flags);
	}
	return 0;
}

static void vid_irqfd_hook(struct file *file, wait_queue_head_t *queue, poll_table *poll)
{
	struct vid_irqfd *irqfd = container_of(poll, struct vid_irqfd, poll);

	add_wait_queue_priority(queue, &irqfd->wait);
}

static struct vid_irqfd *vid_irqfd_alloc(struct vid_partition *partition, const struct mshv_user_irqfd *args,
					 struct file *file)
{
	struct vid_irqfd *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	struct eventfd_ctx *event;

	if (!irqfd)
		return ERR_PTR(-ENOMEM);
	event = eventfd_ctx_fileget(file);
	if (IS_ERR(event)) {
		kfree(irqfd);
		return ERR_CAST(event);
	}
	if (args->flags & BIT(MSHV_IRQFD_BIT_RESAMPLE)) {
		struct eventfd_ctx *resample = eventfd_ctx_fdget(args->resamplefd);

		if (IS_ERR(resample)) {
			eventfd_ctx_put(event);
			kfree(irqfd);
			return ERR_CAST(resample);
		}
		irqfd->resample = resample;
	}
	irqfd->event = event;
	irqfd->partition = partition;
	irqfd->gsi = args->gsi;
	INIT_WORK(&irqfd->release, vid_irqfd_release);
	init_waitqueue_func_entry(&irqfd->wait, vid_irqfd_wakeup);
	init_poll_funcptr(&irqfd->poll, vid_irqfd_hook);
	return irqfd;
}

/* One eventfd raises one GSI. */
static bool vid_irqfd_publish(struct vid_irqfd *irqfd)
{
	struct vid_partition *partition = irqfd->partition;
	struct vid_irqfd *other;
	bool taken = false;

	spin_lock_irq(&partition->irqfd_lock);
	hlist_for_each_entry(other, &partition->irqfds, node)
		taken |= other->event == irqfd->event;
	if (!taken) {
		irqfd->alive = true;
		hlist_add_head_rcu(&irqfd->node, &partition->irqfds);
	}
	spin_unlock_irq(&partition->irqfd_lock);
	return !taken;
}

/*
 * partition->lock keeps assign and deassign apart. The file is held until the irqfd is hooked, so its EPOLLHUP cannot come
 * before; and the irqfd may be gone as soon as the file is put.
 */
static int vid_irqfd_assign(struct vid_partition *partition, const struct mshv_user_irqfd *args)
{
	struct vid_irqfd *irqfd;
	struct file *file;
	int error = 0;

	file = eventfd_fget(args->fd);
	if (IS_ERR(file))
		return PTR_ERR(file);
	irqfd = vid_irqfd_alloc(partition, args, file);
	if (IS_ERR(irqfd)) {
		error = PTR_ERR(irqfd);
	} else if (!vid_irqfd_publish(irqfd)) {
		eventfd_ctx_put(irqfd->event);
		if (irqfd->resample)
			eventfd_ctx_put(irqfd->resample);
		kfree(irqfd);
		error = -EBUSY;
	} else {
		atomic_long_inc(&vid_live.irqfds);
		if (vfs_poll(file, &irqfd->poll) & EPOLLIN)
			vid_irqfd_inject(irqfd);
	}
	fput(file);
	return error;
}

static int vid_irqfd_deassign(struct vid_partition *partition, const struct mshv_user_irqfd *args)
{
	struct eventfd_ctx *event = eventfd_ctx_fdget(args->fd);
	struct vid_irqfd *irqfd;
	struct hlist_node *next;
	int error = -ENOENT;

	if (IS_ERR(event))
		return PTR_ERR(event);
	spin_lock_irq(&partition->irqfd_lock);
	hlist_for_each_entry_safe(irqfd, next, &partition->irqfds, node) {
		if (irqfd->event == event && irqfd->gsi == args->gsi) {
			vid_irqfd_kill(irqfd);
			error = 0;
		}
	}
	spin_unlock_irq(&partition->irqfd_lock);
	eventfd_ctx_put(event);
	/* When we return, no interrupt comes from this eventfd any more. */
	flush_workqueue(vid_cleanup_wq);
	return error;
}

int vid_irqfd(struct vid_partition *partition, const struct mshv_user_irqfd *args)
{
	const u32 deassign = BIT(MSHV_IRQFD_BIT_DEASSIGN);

	if (args->flags & ~(deassign | BIT(MSHV_IRQFD_BIT_RESAMPLE)) || args->gsi >= MSHV_MAX_GUEST_IRQS)
		return -EINVAL;
	return args->flags & deassign ? vid_irqfd_deassign(partition, args) : vid_irqfd_assign(partition, args);
}

/* ---- ioeventfd ---- */

static bool vid_ioeventfd_clashes(const struct vid_ioeventfd *a, const struct vid_ioeventfd *b)
{
	return a->is_port == b->is_port && a->address == b->address &&
	       (a->bytes == 0 || b->bytes == 0 || a->bytes == b->bytes) &&
	       (!a->has_match || !b->has_match || a->match == b->match);
}

static int vid_ioeventfd_check(const struct mshv_user_ioeventfd *args)
{
	const u32 known = BIT(MSHV_IOEVENTFD_BIT_DATAMATCH) | BIT(MSHV_IOEVENTFD_BIT_PIO) | BIT(MSHV_IOEVENTFD_BIT_DEASSIGN);
	bool is_port = args->flags & BIT(MSHV_IOEVENTFD_BIT_PIO);

	if (args->flags & ~known || memchr_inv(args->rsvd, 0, sizeof(args->rsvd)))
		return -EINVAL;
	switch (args->len) {
	case 0: case 1: case 2: case 4:
		break;
	case 8:
		if (!is_port)
			break;
		fallthrough;
	default:
		return -EINVAL;
	}
	if (args->addr + args->len < args->addr || (is_port && args->addr + args->len > 0x10000))
		return -EINVAL;
	if (is_port && args->addr > 0xffff)
		return -EINVAL;
	/* A width of "any" leaves nothing that a value could be compared with. */
	if (args->len == 0 && args->flags & BIT(MSHV_IOEVENTFD_BIT_DATAMATCH))
		return -EINVAL;
	return 0;
}

static void vid_ioeventfd_describe(const struct mshv_user_ioeventfd *args, struct eventfd_ctx *event,
				   struct vid_ioeventfd *out)
{
	out->event = event;
	out->address = args->addr;
	out->bytes = args->len;
	out->is_port = args->flags & BIT(MSHV_IOEVENTFD_BIT_PIO);
	out->has_match = args->flags & BIT(MSHV_IOEVENTFD_BIT_DATAMATCH);
	if (out->has_match)
		out->match = args->len == 8 ? args->datamatch : args->datamatch & (BIT_ULL(args->len * 8) - 1);
}

/* Takes over the reference on event if it succeeds. */
static int vid_ioeventfd_assign(struct vid_partition *partition, const struct mshv_user_ioeventfd *args,
				struct eventfd_ctx *event)
{
	struct vid_ioeventfd *doorbell = kzalloc(sizeof(*doorbell), GFP_KERNEL_ACCOUNT);
	struct vid_ioeventfd *other;

	if (!doorbell)
		return -ENOMEM;
	vid_ioeventfd_describe(args, event, doorbell);
	hlist_for_each_entry(other, &partition->ioeventfds, node) {
		if (vid_ioeventfd_clashes(doorbell, other)) {
			kfree(doorbell);
			return -EEXIST;
		}
	}
	hlist_add_head_rcu(&doorbell->node, &partition->ioeventfds);
	atomic_long_inc(&vid_live.ioeventfds);
	return 0;
}

static void vid_ioeventfd_free(struct vid_ioeventfd *doorbell)
{
	hlist_del_rcu(&doorbell->node);
	synchronize_rcu();
	eventfd_ctx_put(doorbell->event);
	kfree(doorbell);
	atomic_long_dec(&vid_live.ioeventfds);
}

static int vid_ioeventfd_deassign(struct vid_partition *partition, const struct mshv_user_ioeventfd *args,
				  struct eventfd_ctx *event)
{
	struct vid_ioeventfd wanted = {};
	struct vid_ioeventfd *doorbell;

	vid_ioeventfd_describe(args, event, &wanted);
	hlist_for_each_entry(doorbell, &partition->ioeventfds, node) {
		if (doorbell->event == wanted.event && doorbell->is_port == wanted.is_port &&
		    doorbell->address == wanted.address && doorbell->bytes == wanted.bytes &&
		    doorbell->has_match == wanted.has_match && doorbell->match == wanted.match) {
			vid_ioeventfd_free(doorbell);
			return 0;
		}
	}
	return -ENOENT;
}

int vid_ioeventfd(struct vid_partition *partition, const struct mshv_user_ioeventfd *args)
{
	struct eventfd_ctx *event;
	int error = vid_ioeventfd_check(args);

	if (error)
		return error;
	event = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(event))
		return PTR_ERR(event);
	if (args->flags & BIT(MSHV_IOEVENTFD_BIT_DEASSIGN)) {
		error = vid_ioeventfd_deassign(partition, args, event);
		eventfd_ctx_put(event);
		return error;
	}
	error = vid_ioeventfd_assign(partition, args, event);
	if (error)
		eventfd_ctx_put(event);
	return error;
}

static bool vid_ioeventfd_ring(struct vid_partition *partition, bool is_port, u64 address, u32 bytes, u64 value)
{
	struct vid_ioeventfd *doorbell;
	bool rung = false;

	rcu_read_lock();
	hlist_for_each_entry_rcu(doorbell, &partition->ioeventfds, node) {
		if (doorbell->is_port != is_port || doorbell->address != address)
			continue;
		if (doorbell->bytes && doorbell->bytes != bytes)
			continue;
		if (doorbell->has_match && doorbell->match != value)
			continue;
		eventfd_signal(doorbell->event, 1);
		rung = true;
		break;
	}
	rcu_read_unlock();
	return rung;
}

/* Whether any doorbell has this address: decides if an exit is worth a closer look. */
static bool vid_ioeventfd_exists(struct vid_partition *partition, bool is_port, u64 address)
{
	struct vid_ioeventfd *doorbell;
	bool found = false;

	if (hlist_empty(&partition->ioeventfds))
		return false;
	rcu_read_lock();
	hlist_for_each_entry_rcu(doorbell, &partition->ioeventfds, node)
		found |= doorbell->is_port == is_port && doorbell->address == address;
	rcu_read_unlock();
	return found;
}

/* ---- intercepts that are doorbells ---- */

#define EXECUTION_LONG_MODE    BIT(4)
#define EXECUTION_INTERRUPTION BIT(6)
#define EXECUTION_SHADOW       BIT(12)
#define SEGMENT_LONG           BIT(13)
#define SEGMENT_DEFAULT_32     BIT(14)
#define INSTRUCTION_LENGTH     0xf
#define RFLAGS_TRAP            BIT_ULL(8)

static bool vid_is_64bit(const struct hv_intercept_header *header)
{
	return header->execution_state & EXECUTION_LONG_MODE && header->cs.attributes & SEGMENT_LONG;
}

/* Stepping over an instruction has side effects in these states, which are user mode's to get right. */
static bool vid_is_plain(const struct hv_intercept_header *header)
{
	return header->access_type == HV_INTERCEPT_WRITE &&
	       !(header->execution_state & (EXECUTION_INTERRUPTION | EXECUTION_SHADOW)) && !(header->rflags & RFLAGS_TRAP);
}

static u64 vid_next_rip(const struct hv_intercept_header *header, unsigned int length)
{
	u64 rip = header->rip + length;

	if (vid_is_64bit(header))
		return rip;
	return header->cs.attributes & SEGMENT_DEFAULT_32 ? (u32)rip : (u16)rip;
}

static u64 vid_truncate(u64 value, u32 bytes)
{
	return bytes >= 8 ? value : value & (BIT_ULL(bytes * 8) - 1);
}

/* Rings first: if the RIP cannot be set the guest repeats the write, and a second ring does no harm. */
static bool vid_ring_and_step(struct vid_vp *vp, const struct hv_intercept_header *header, bool is_port, u64 address,
			      u32 bytes, u64 value, unsigned int length)
{
	if (!vid_ioeventfd_ring(vp->partition, is_port, address, bytes, vid_truncate(value, bytes)))
		return false;
	return vid_hv_set_register(&vp->partition->pool, vp->index, HV_REG_RIP, vid_next_rip(header, length)) == 0;
}

static bool vid_port_doorbell(struct vid_vp *vp, const struct hv_io_port_intercept *io)
{
	unsigned int length = io->header.instruction_length & INSTRUCTION_LENGTH;

	if (!vid_ioeventfd_exists(vp->partition, true, io->port))
		return false;
	if (!vid_is_plain(&io->header) || length == 0 || io->info & (HV_IO_PORT_INFO_STRING | HV_IO_PORT_INFO_REP))
		return false;
	return vid_ring_and_step(vp, &io->header, true, io->port, io->info & HV_IO_PORT_INFO_SIZE, io->rax, length);
}

static bool vid_store_value(struct vid_vp *vp, const struct vid_store *store, u64 *ret_value)
{
	u64 value;

	if (store->is_immediate) {
		*ret_value = store->immediate;
		return true;
	}
	if (vid_hv_get_register(&vp->partition->pool, vp->index, HV_REG_RAX + store->gpr, &value))
		return false;
	*ret_value = store->high_byte ? value >> 8 : value;
	return true;
}

static bool vid_memory_doorbell(struct vid_vp *vp, const struct hv_memory_intercept *memory)
{
	size_t count = min_t(size_t, memory->instruction_byte_count, sizeof(memory->instruction_bytes));
	const struct hv_intercept_header *header = &memory->header;
	bool long_mode = vid_is_64bit(header);
	struct vid_store store;
	u64 value;

	if (!vid_ioeventfd_exists(vp->partition, false, memory->gpa) || !vid_is_plain(header))
		return false;
	if (!long_mode && !(header->cs.attributes & SEGMENT_DEFAULT_32))
		return false;
	if (!vid_decode_store(memory->instruction_bytes, count, long_mode, &store) || !vid_store_value(vp, &store, &value))
		return false;
	return vid_ring_and_step(vp, header, false, memory->gpa, store.bytes, value, store.length);
}

bool vid_ioeventfd_intercept(struct vid_vp *vp, const struct hv_message *message)
{
	switch (message->type) {
	case HV_MESSAGE_IO_PORT:
		return vid_port_doorbell(vp, (const void *)message->payload);
	case HV_MESSAGE_GPA_UNMAPPED:
	case HV_MESSAGE_GPA_INTERCEPT:
		return vid_memory_doorbell(vp, (const void *)message->payload);
	default:
		return false;
	}
}

/* ---- end of the partition ---- */

/* No interrupt handler finds the partition any more. */
void vid_eventfd_release(struct vid_partition *partition)
{
	struct vid_ioeventfd *doorbell;
	struct vid_irqfd *irqfd;
	struct hlist_node *next;

	spin_lock_irq(&partition->irqfd_lock);
	hlist_for_each_entry_safe(irqfd, next, &partition->irqfds, node)
		vid_irqfd_kill(irqfd);
	spin_unlock_irq(&partition->irqfd_lock);
	/* Also those whose eventfd was closed a moment ago. */
	flush_workqueue(vid_cleanup_wq);

	hlist_for_each_entry_safe(doorbell, next, &partition->ioeventfds, node)
		vid_ioeventfd_free(doorbell);
	kvfree(rcu_dereference_protected(partition->routes, true));
	RCU_INIT_POINTER(partition->routes, NULL);
}
