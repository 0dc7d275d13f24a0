// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a guest sends with HvSignalEvent and HvPostMessage, for user mode: a bell rings an eventfd, a mailbox is a descriptor
 * that reads as messages. Either is a port of the root with its connections in the child. All ports share one SINT and any VP
 * of the root may be their target: the hypervisor takes the sender's own CPU for events, and one CPU as long as it is there
 * for the messages of a port, so that they keep their order.
 *
 * Backpressure. The slot that messages come through is everybody's, so it is always emptied at once; a mailbox that nobody
 * reads must not grow, and must not lose a message that the guest was told is sent. So a mailbox that has VID_HOLD_AT messages
 * holds its port: the hypervisor lets no more of its messages into a slot, keeps HV_PORT_MESSAGES of them, and refuses the
 * guest's next ones with INSUFFICIENT_BUFFERS, which guests answer by trying later. After holding at most one message can come
 * from each CPU's slot, and for these there is room. Reading down to VID_HOLD_UNTIL lets the port go on.
 *
 * Lifetime. Bells belong to the partition, mailboxes to their file, which holds the partition. Interrupt handlers find both
 * under RCU, so they are freed a grace period after they were unhooked.
 */
#include <linux/anon_inodes.h>
#include <linux/bitmap.h>
#include <linux/cpumask.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "vid.h"

#define VID_HOLD_AT    32u
#define VID_HOLD_UNTIL 8u
#define VID_NO_FLAG    HV_EVENT_FLAGS_PER_SINT

struct vid_port {
	struct vid_partition *partition;	/* (c) */
	struct list_head node;		/* partition->ports */
	u32 type;			/* (c) HV_PORT_* */
	u32 id;				/* (c) */
	bool created;			/* the hypervisor knows it */
	u32 connections[VID_MESSAGE_PORT_CONNECTIONS];	/* (c) the first `connected` of them are there */
	u32 connected;
};

struct vid_bell {
	struct vid_port port;
	struct eventfd_ctx *event;	/* (c) */
	u32 flag;			/* (c) or VID_NO_FLAG */
};

struct vid_mailbox {
	struct vid_port port;
	struct mutex read_lock;		/* one reader at a time takes messages */
	wait_queue_head_t wait;
	spinlock_t lock;		/* for what follows */
	bool held;
	u32 first, count;
	u32 capacity;			/* (c) */
	struct hv_message messages[];
};

/* By id. Cyclic, because a message of a closed port may still be in a slot when the next port is made. */
static DEFINE_XARRAY_ALLOC1(vid_ports);
static u32 vid_next_port;

static DEFINE_SPINLOCK(vid_flags_lock);
static DECLARE_BITMAP(vid_flags, HV_EVENT_FLAGS_PER_SINT);	/* vid_flags_lock: in use */
static struct vid_bell __rcu *vid_bells[HV_EVENT_FLAGS_PER_SINT];	/* by flag */

/* ---- any port ---- */

static bool vid_port_has_connection(const struct vid_partition *partition, u32 connection_id)
{
	const struct vid_port *port;
	u32 i;

	list_for_each_entry(port, &partition->ports, node) {
		for (i = 0; i < port->connected; i++) {
			if (port->connections[i] == connection_id)
				return true;
		}
	}
	return false;
}

/* The ids must be new in the partition, and differ. */
static int vid_port_check(const struct vid_partition *partition, const u32 *connection_ids, u32 count)
{
	u32 i, k;

	if (partition->state != VID_PARTITION_ACTIVE)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		if (connection_ids[i] > HV_CONNECTION_ID_MAX)
			return -EINVAL;
		for (k = 0; k < i; k++) {
			if (connection_ids[k] == connection_ids[i])
				return -EINVAL;
		}
		if (vid_port_has_connection(partition, connection_ids[i]))
			return -EEXIST;
	}
	return 0;
}

/* Nothing reaches it any more, but what runs already may still see it. partition->lock held, or nobody else is there. */
static void vid_port_unhook(struct vid_port *port)
{
	struct vid_pool *pool = &port->partition->pool;
	int error = 0;

	while (port->connected)
		error = vid_hv_disconnect_port(pool, port->connections[--port->connected]) ?: error;
	if (port->created)
		error = vid_hv_delete_port(port->id) ?: error;
	if (error)
		pr_err("vid: partition %llu: port %u cannot be removed (error %d)\n", pool->partition_id, port->id, error);
	xa_erase(&vid_ports, port->id);
	list_del(&port->node);
	atomic_long_dec(&vid_live.ports);
}

/* On failure there is nothing to undo. */
static int vid_port_hook(struct vid_partition *partition, struct vid_port *port, u32 type)
{
	int error = xa_alloc_cyclic(&vid_ports, &port->id, port, XA_LIMIT(1, HV_PORT_ID_MAX), &vid_next_port, GFP_KERNEL);

	if (error < 0)
		return error;
	port->partition = partition;
	port->type = type;
	list_add(&port->node, &partition->ports);
	atomic_long_inc(&vid_live.ports);
	return 0;
}

/* From here on the guest can send. On failure the port is to be unhooked. */
static int vid_port_open(struct vid_port *port, const struct hv_port_info *info, const u32 *connection_ids, u32 count)
{
	struct vid_pool *pool = &port->partition->pool;
	int error = vid_hv_create_port(port->id, pool->partition_id, info);

	if (error)
		return error;
	port->created = true;
	while (port->connected < count) {
		error = vid_hv_connect_port(pool, connection_ids[port->connected], port->id, info->type);
		if (error)
			return error;
		port->connections[port->connected] = connection_ids[port->connected];
		port->connected++;
	}
	return 0;
}

/* ---- bells ---- */

void vid_port_event(unsigned int flag)
{
	struct vid_bell *bell;

	rcu_read_lock();
	bell = rcu_dereference(vid_bells[flag]);
	if (bell)
		eventfd_signal(bell->event, 1);
	rcu_read_unlock();
}

static u32 vid_flag_get(void)
{
	u32 flag;

	spin_lock(&vid_flags_lock);
	flag = find_first_zero_bit(vid_flags, HV_EVENT_FLAGS_PER_SINT);
	if (flag < HV_EVENT_FLAGS_PER_SINT)
		__set_bit(flag, vid_flags);
	spin_unlock(&vid_flags_lock);
	return flag;
}

static void vid_flag_put(u32 flag)
{
	spin_lock(&vid_flags_lock);
	__clear_bit(flag, vid_flags);
	spin_unlock(&vid_flags_lock);
}

static void vid_bell_unhook(struct vid_bell *bell)
{
	vid_port_unhook(&bell->port);
	if (bell->flag != VID_NO_FLAG)
		RCU_INIT_POINTER(vid_bells[bell->flag], NULL);
}

/* After a grace period; only now the flag may be another's. */
static void vid_bell_free(struct vid_bell *bell)
{
	if (bell->flag != VID_NO_FLAG)
		vid_flag_put(bell->flag);
	eventfd_ctx_put(bell->event);
	kfree(bell);
}

static int vid_bell_open(struct vid_bell *bell, u32 connection_id)
{
	struct hv_port_info info = { .type = HV_PORT_EVENT };

	bell->flag = vid_flag_get();
	if (bell->flag == VID_NO_FLAG)
		return -ENOSPC;
	rcu_assign_pointer(vid_bells[bell->flag], bell);
	info.event.sint = VID_PORT_SINT;
	info.event.vp_index = HV_ANY_VP;
	info.event.base_flag = bell->flag;
	info.event.flag_count = 1;
	return vid_port_open(&bell->port, &info, &connection_id, 1);
}

static int vid_bell_assign(struct vid_partition *partition, const struct vid_event_port *args)
{
	struct vid_bell *bell = kzalloc(sizeof(*bell), GFP_KERNEL_ACCOUNT);
	int error;

	if (!bell)
		return -ENOMEM;
	bell->flag = VID_NO_FLAG;
	bell->event = eventfd_ctx_fdget(args->eventfd);
	if (IS_ERR(bell->event)) {
		error = PTR_ERR(bell->event);
		kfree(bell);
		return error;
	}
	error = vid_port_hook(partition, &bell->port, HV_PORT_EVENT);
	if (error) {
		vid_bell_free(bell);
		return error;
	}
	error = vid_bell_open(bell, args->connection_id);
	if (error) {
		vid_bell_unhook(bell);
		synchronize_rcu();
		vid_bell_free(bell);
	}
	return error;
}

/* When we return, the eventfd is not signalled any more. */
static int vid_bell_deassign(struct vid_partition *partition, u32 connection_id)
{
	struct vid_port *port;

	list_for_each_entry(port, &partition->ports, node) {
		struct vid_bell *bell = container_of(port, struct vid_bell, port);

		if (port->type != HV_PORT_EVENT || port->connections[0] != connection_id)
			continue;
		vid_bell_unhook(bell);
		synchronize_rcu();
		vid_bell_free(bell);
		return 0;
	}
	return -ENOENT;
}

int vid_event_port(struct vid_partition *partition, const struct vid_event_port *args)
{
	int error;

	if (args->flags & ~BIT(VID_EVENT_PORT_BIT_DEASSIGN))
		return -EINVAL;
	if (args->flags & BIT(VID_EVENT_PORT_BIT_DEASSIGN))
		return vid_bell_deassign(partition, args->connection_id);
	error = vid_port_check(partition, &args->connection_id, 1);
	return error ? error : vid_bell_assign(partition, args);
}

/* The last descriptor of the partition is gone, so no mailbox is left. */
void vid_port_release(struct vid_partition *partition)
{
	struct vid_port *port, *next;
	LIST_HEAD(gone);

	if (list_empty(&partition->ports))
		return;
	list_for_each_entry_safe(port, next, &partition->ports, node) {
		vid_bell_unhook(container_of(port, struct vid_bell, port));
		list_add(&port->node, &gone);
	}
	synchronize_rcu();
	list_for_each_entry_safe(port, next, &gone, node)
		vid_bell_free(container_of(port, struct vid_bell, port));
}

/* ---- mailboxes ---- */

/* Behind the payload a slot has what earlier messages left there, of whatever partition. */
static void vid_message_copy(struct hv_message *to, const struct hv_message *from)
{
	memset(to, 0, sizeof(*to));
	to->type = from->type;
	to->payload_bytes = min_t(u8, from->payload_bytes, HV_MESSAGE_PAYLOAD_BYTES);
	to->sender = from->sender;
	memcpy(to->payload, from->payload, to->payload_bytes);
}

static void vid_mailbox_put(struct vid_mailbox *box, const struct hv_message *message)
{
	unsigned long irq_flags;

	spin_lock_irqsave(&box->lock, irq_flags);
	if (!WARN_ON_ONCE(box->count == box->capacity)) {
		vid_message_copy(&box->messages[(box->first + box->count) % box->capacity], message);
		box->count++;
		atomic_long_inc(&vid_live.messages_waiting);
	}
	if (!box->held && box->count >= VID_HOLD_AT)
		box->held = vid_hv_hold_port(box->port.id, true) == HV_STATUS_SUCCESS;
	spin_unlock_irqrestore(&box->lock, irq_flags);
	wake_up_interruptible_poll(&box->wait, EPOLLIN | EPOLLRDNORM);
}

/* A port that is not there has just been closed: its message has no reader. */
void vid_port_message(const struct hv_message *message)
{
	struct vid_port *port;

	rcu_read_lock();
	port = message->sender <= HV_PORT_ID_MAX ? xa_load(&vid_ports, message->sender) : NULL;
	if (port && port->type == HV_PORT_MESSAGE)
		vid_mailbox_put(container_of(port, struct vid_mailbox, port), message);
	rcu_read_unlock();
}

static bool vid_mailbox_peek(struct vid_mailbox *box, struct hv_message *out)
{
	bool found;

	spin_lock_irq(&box->lock);
	found = box->count != 0;
	if (found)
		*out = box->messages[box->first];
	spin_unlock_irq(&box->lock);
	return found;
}

static void vid_mailbox_pop(struct vid_mailbox *box)
{
	spin_lock_irq(&box->lock);
	box->first = (box->first + 1) % box->capacity;
	box->count--;
	if (box->held && box->count <= VID_HOLD_UNTIL)
		box->held = vid_hv_hold_port(box->port.id, false) != HV_STATUS_SUCCESS;
	spin_unlock_irq(&box->lock);
	atomic_long_dec(&vid_live.messages_waiting);
}

/* As many whole messages as are there and fit. One that cannot be copied out stays. */
static ssize_t vid_mailbox_take(struct vid_mailbox *box, char __user *user, size_t size)
{
	struct hv_message message;
	ssize_t done = 0;

	if (mutex_lock_interruptible(&box->read_lock))
		return -ERESTARTSYS;
	while (size - done >= sizeof(message) && vid_mailbox_peek(box, &message)) {
		if (copy_to_user(user + done, &message, sizeof(message))) {
			done = done ? done : -EFAULT;
			break;
		}
		vid_mailbox_pop(box);
		done += sizeof(message);
	}
	mutex_unlock(&box->read_lock);
	return done;
}

static ssize_t vid_mailbox_read(struct file *file, char __user *user, size_t size, loff_t *position)
{
	struct vid_mailbox *box = file->private_data;
	ssize_t result;

	if (size < sizeof(struct hv_message))
		return -EINVAL;
	size = min_t(size_t, size, MAX_RW_COUNT);
	for (;;) {
		result = vid_mailbox_take(box, user, size);
		if (result)
			return result;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(box->wait, READ_ONCE(box->count)))
			return -ERESTARTSYS;
	}
}

static __poll_t vid_mailbox_poll(struct file *file, poll_table *table)
{
	struct vid_mailbox *box = file->private_data;

	poll_wait(file, &box->wait, table);
	return READ_ONCE(box->count) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* The caller unhooked it. */
static void vid_mailbox_free(struct vid_mailbox *box)
{
	synchronize_rcu();
	atomic_long_sub(box->count, &vid_live.messages_waiting);
	mutex_destroy(&box->read_lock);
	kvfree(box);
}

static int vid_mailbox_release(struct inode *inode, struct file *file)
{
	struct vid_mailbox *box = file->private_data;
	struct vid_partition *partition = box->port.partition;

	mutex_lock(&partition->lock);
	vid_port_unhook(&box->port);
	mutex_unlock(&partition->lock);
	vid_mailbox_free(box);
	vid_partition_put(partition);
	return 0;
}

static const struct file_operations vid_mailbox_fops = {
	.owner = THIS_MODULE,
	.release = vid_mailbox_release,
	.read = vid_mailbox_read,
	.poll = vid_mailbox_poll,
	.llseek = no_llseek,
};

static struct vid_mailbox *vid_mailbox_build(struct vid_partition *partition, const struct vid_message_port *args)
{
	struct hv_port_info info = { .type = HV_PORT_MESSAGE };
	u32 capacity = VID_HOLD_AT + nr_cpu_ids;
	struct vid_mailbox *box = kvzalloc(struct_size(box, messages, capacity), GFP_KERNEL_ACCOUNT);
	int error;

	if (!box)
		return ERR_PTR(-ENOMEM);
	box->capacity = capacity;
	mutex_init(&box->read_lock);
	init_waitqueue_head(&box->wait);
	spin_lock_init(&box->lock);
	error = vid_port_hook(partition, &box->port, HV_PORT_MESSAGE);
	if (error) {
		kvfree(box);
		return ERR_PTR(error);
	}
	info.message.sint = VID_PORT_SINT;
	info.message.vp_index = HV_ANY_VP;
	error = vid_port_open(&box->port, &info, args->connection_ids, args->count);
	if (error) {
		vid_port_unhook(&box->port);
		vid_mailbox_free(box);
		return ERR_PTR(error);
	}
	return box;
}

int vid_message_port_create(struct vid_partition *partition, const struct vid_message_port *args)
{
	struct vid_mailbox *box;
	struct file *file;
	int fd, error;

	if (args->count == 0 || args->count > VID_MESSAGE_PORT_CONNECTIONS)
		return -EINVAL;
	error = vid_port_check(partition, args->connection_ids, args->count);
	if (error)
		return error;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	box = vid_mailbox_build(partition, args);
	if (IS_ERR(box)) {
		put_unused_fd(fd);
		return PTR_ERR(box);
	}
	file = anon_inode_getfile("mshv_messages", &vid_mailbox_fops, box, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		vid_port_unhook(&box->port);
		vid_mailbox_free(box);
		return PTR_ERR(file);
	}
	vid_partition_get(partition);
	fd_install(fd, file);
	return fd;
}
