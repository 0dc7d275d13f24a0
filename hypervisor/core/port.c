/* SPDX-License-Identifier: Apache-2.0 */
#include "core/port.h"

#include "core/mem.h"
#include "core/partition.h"
#include "core/vp.h"

#define CELL_BYTES     128u
#define CELLS_PER_PAGE (PAGE_BYTES / CELL_BYTES - 1)	/* the first one is the page's header */
#define SEND_TRIES     4u
#define ALL_CELLS      ((1u << CELLS_PER_PAGE) - 1)

struct port {
	struct port *next;		/* in its bucket */
	uint32_t id;
	uint32_t type;
	uint64_t serial;		/* never given twice */
	uint64_t sender_id;		/* partition that may connect */
	uint32_t vp_index;		/* or HV_ANY_VP */
	uint32_t last_vp;		/* where messages for any VP went last */
	uint16_t base_flag, flag_count;
	struct message_queue queue;	/* of a message port; the SINT of both kinds */
};
_Static_assert(sizeof(struct port) <= CELL_BYTES, "a port fits a cell");

struct connection {
	struct connection *next;
	uint32_t id;
	uint32_t type;
	uint64_t partition_id;		/* of the port */
	uint32_t port_id;
	uint64_t serial;
};
_Static_assert(sizeof(struct connection) <= CELL_BYTES, "a connection fits a cell");

struct cell_page {
	struct list_node node;		/* ports.roomy, unless full */
	spa_t self;
	uint32_t used;			/* bit n: cell n + 1 of the page */
};
_Static_assert(sizeof(struct cell_page) <= CELL_BYTES, "the header is the first cell");
_Static_assert(2 * PORT_BUCKETS * sizeof(void *) == PAGE_BYTES, "both tables of buckets are a page");

static uint64_t last_serial;

/* --- Memory; the partition's ports are locked ----------------------------------------------------------------------- */

static bool buckets_get(struct partition *p)
{
	struct ports *ports = &p->ports;

	if (!ports->buckets_page.v) {
		ports->buckets_page = page_pool_alloc(&p->pool);
		if (!ports->buckets_page.v)
			return false;
		ports->port_buckets = platform_ptr(ports->buckets_page);
		ports->connection_buckets = (void *)(ports->port_buckets + PORT_BUCKETS);
	}
	return true;
}

static void buckets_put(struct partition *p)
{
	struct ports *ports = &p->ports;

	if (ports->count || !ports->buckets_page.v)
		return;
	page_pool_free(&p->pool, ports->buckets_page);
	ports->buckets_page = SPA(0);
	ports->port_buckets = NULL;
	ports->connection_buckets = NULL;
}

static struct cell_page *cell_page_new(struct partition *p)
{
	spa_t page = page_pool_alloc(&p->pool);
	struct cell_page *cells;

	if (!page.v)
		return NULL;
	cells = platform_ptr(page);
	cells->self = page;
	list_add_tail(&p->ports.roomy, &cells->node);
	return cells;
}

/* A zeroed cell, with the buckets that it will be found by. NULL: the pool is empty. */
static void *cell_get(struct partition *p)
{
	struct ports *ports = &p->ports;
	struct cell_page *cells = NULL;
	unsigned n;

	if (buckets_get(p))
		cells = list_empty(&ports->roomy) ? cell_page_new(p) : container_of(ports->roomy.next, struct cell_page, node);
	if (!cells) {
		buckets_put(p);
		return NULL;
	}
	n = (unsigned)__builtin_ctz(~cells->used);
	cells->used |= 1u << n;
	if (cells->used == ALL_CELLS)
		list_remove(&cells->node);
	ports->count++;
	return memset((uint8_t *)cells + (n + 1) * CELL_BYTES, 0, CELL_BYTES);
}

static void cell_put(struct partition *p, void *cell)
{
	struct cell_page *cells = (void *)((uintptr_t)cell & ~(uintptr_t)(PAGE_BYTES - 1));
	unsigned n = (unsigned)(((uint8_t *)cell - (uint8_t *)cells) / CELL_BYTES) - 1;

	if (cells->used == ALL_CELLS)
		list_add_tail(&p->ports.roomy, &cells->node);
	cells->used &= ~(1u << n);
	if (!cells->used) {
		list_remove(&cells->node);
		page_pool_free(&p->pool, cells->self);
	}
	p->ports.count--;
	buckets_put(p);
}

/* --- Finding; the partition's ports are locked ---------------------------------------------------------------------- */

/* Whoever hands out ids hands them out in a row: the low bits spread them. */
static struct port **port_bucket(const struct ports *ports, uint32_t id)
{
	return &ports->port_buckets[id % PORT_BUCKETS];
}

static struct connection **connection_bucket(const struct ports *ports, uint32_t id)
{
	return &ports->connection_buckets[id % PORT_BUCKETS];
}

static struct port *port_find(const struct ports *ports, uint32_t id)
{
	struct port *port = ports->buckets_page.v ? *port_bucket(ports, id) : NULL;

	while (port && port->id != id)
		port = port->next;
	return port;
}

static struct connection *connection_find(const struct ports *ports, uint32_t id)
{
	struct connection *c = ports->buckets_page.v ? *connection_bucket(ports, id) : NULL;

	while (c && c->id != id)
		c = c->next;
	return c;
}

/* --- Ports ---------------------------------------------------------------------------------------------------------- */

static enum hv_status info_read(const struct hv_port_info *info, struct port *out)
{
	uint32_t sint;

	*out = (struct port){ .type = info->type };
	switch (info->type) {
	case HV_PORT_MESSAGE:
		sint = info->message.sint;
		out->vp_index = info->message.vp_index;
		break;
	case HV_PORT_EVENT:
		sint = info->event.sint;
		out->vp_index = info->event.vp_index;
		out->base_flag = info->event.base_flag;
		out->flag_count = info->event.flag_count;
		if (!out->flag_count || (uint32_t)out->base_flag + out->flag_count > HV_EVENT_FLAGS_PER_SINT)
			return HV_STATUS_INVALID_PARAMETER;
		break;
	default:
		return HV_STATUS_INVALID_PARAMETER;
	}
	if (sint >= HV_SINT_COUNT)
		return HV_STATUS_INVALID_PARAMETER;
	out->queue.sint = (uint8_t)sint;
	out->last_vp = out->vp_index;
	return HV_STATUS_SUCCESS;
}

static enum hv_status create_locked(struct partition *p, const struct port *wanted)
{
	struct port *port, **bucket;
	spa_t messages = SPA(0);

	if (port_find(&p->ports, wanted->id))
		return HV_STATUS_INVALID_PORT_ID;
	port = cell_get(p);
	if (!port)
		return HV_STATUS_INSUFFICIENT_MEMORY;
	if (wanted->type == HV_PORT_MESSAGE) {
		messages = page_pool_alloc(&p->pool);
		if (!messages.v) {
			cell_put(p, port);
			return HV_STATUS_INSUFFICIENT_MEMORY;
		}
	}
	*port = *wanted;
	port->serial = __atomic_add_fetch(&last_serial, 1, __ATOMIC_RELAXED);
	port->queue.page = messages;
	list_init(&port->queue.node);
	bucket = port_bucket(&p->ports, port->id);
	port->next = *bucket;
	*bucket = port;
	return HV_STATUS_SUCCESS;
}

enum hv_status port_create(struct partition *p, uint32_t port_id, uint64_t sender_id, const struct hv_port_info *info)
{
	struct port wanted;
	enum hv_status status = info_read(info, &wanted);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (port_id > HV_PORT_ID_MAX)
		return HV_STATUS_INVALID_PORT_ID;
	wanted.id = port_id;
	wanted.sender_id = sender_id;
	spin_lock(&p->ports.lock);
	status = create_locked(p, &wanted);
	spin_unlock(&p->ports.lock);
	return status;
}

static void delete_locked(struct partition *p, struct port *port)
{
	struct port **link = port_bucket(&p->ports, port->id);

	while (*link != port)
		link = &(*link)->next;
	*link = port->next;
	synic_queue_detach(&port->queue);
	if (port->queue.page.v)
		page_pool_free(&p->pool, port->queue.page);
	cell_put(p, port);
}

enum hv_status port_delete(struct partition *p, uint32_t port_id)
{
	struct port *port;

	spin_lock(&p->ports.lock);
	port = port_find(&p->ports, port_id);
	if (port)
		delete_locked(p, port);
	spin_unlock(&p->ports.lock);
	return port ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PORT_ID;
}

/* --- Connections ---------------------------------------------------------------------------------------------------- */

static enum hv_status end_describe(struct partition *p, uint32_t port_id, uint64_t sender_id, struct connection *out)
{
	const struct port *port = port_find(&p->ports, port_id);

	if (!port)
		return HV_STATUS_INVALID_PORT_ID;
	if (port->sender_id != sender_id)
		return HV_STATUS_ACCESS_DENIED;
	if (port->type != out->type)
		return HV_STATUS_INVALID_PARAMETER;
	out->partition_id = p->id;
	out->port_id = port_id;
	out->serial = port->serial;
	return HV_STATUS_SUCCESS;
}

static enum hv_status connect_locked(struct partition *sender, const struct connection *wanted)
{
	struct connection *c, **bucket;

	if (connection_find(&sender->ports, wanted->id))
		return HV_STATUS_INVALID_CONNECTION_ID;
	c = cell_get(sender);
	if (!c)
		return HV_STATUS_INSUFFICIENT_MEMORY;
	*c = *wanted;
	bucket = connection_bucket(&sender->ports, c->id);
	c->next = *bucket;
	*bucket = c;
	return HV_STATUS_SUCCESS;
}

enum hv_status port_connect(struct partition *sender, uint32_t connection_id, struct partition *p, uint32_t port_id,
			    uint32_t type)
{
	struct connection wanted = { .id = connection_id, .type = type };
	enum hv_status status;

	if (connection_id > HV_CONNECTION_ID_MAX)
		return HV_STATUS_INVALID_CONNECTION_ID;
	spin_lock(&p->ports.lock);
	status = end_describe(p, port_id, sender->id, &wanted);
	spin_unlock(&p->ports.lock);
	if (status != HV_STATUS_SUCCESS)
		return status;
	/* The port may go just now: then the connection is a dangling one from the start. */
	spin_lock(&sender->ports.lock);
	status = connect_locked(sender, &wanted);
	spin_unlock(&sender->ports.lock);
	return status;
}

static void disconnect_locked(struct partition *sender, struct connection *c)
{
	struct connection **link = connection_bucket(&sender->ports, c->id);

	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	cell_put(sender, c);
}

enum hv_status port_disconnect(struct partition *sender, uint32_t connection_id)
{
	struct connection *c;

	spin_lock(&sender->ports.lock);
	c = connection_find(&sender->ports, connection_id);
	if (c)
		disconnect_locked(sender, c);
	spin_unlock(&sender->ports.lock);
	return c ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_CONNECTION_ID;
}

/* --- Sending -------------------------------------------------------------------------------------------------------- */

/* The VP that is readiest for what the port sends; the partition is referenced or the root, so VPs are not freed. */
struct target {
	struct vp *vp;			/* NULL: there is none at all */
	enum synic_readiness readiness;
};

/* True when it need not be looked any further. */
static bool target_try(struct target *best, const struct partition *p, const struct port *port, uint32_t vp_index)
{
	struct vp *vp = partition_vp((struct partition *)p, vp_index);
	enum synic_readiness readiness;

	if (!vp)
		return false;
	readiness = port->type == HV_PORT_MESSAGE ? synic_messages_ready(vp, port->queue.sint) :
		    synic_flags_ready(vp, port->queue.sint);
	if (!best->vp || readiness > best->readiness)
		*best = (struct target){ vp, readiness };
	return readiness == SYNIC_OPEN;
}

/* Messages go to one VP as long as it takes them, which keeps them in order; events to the VP of this very CPU if it can be. */
static struct target target_find(struct partition *p, struct port *port)
{
	struct target best = { NULL, SYNIC_OFF };

	if (target_try(&best, p, port, port->last_vp) || port->vp_index != HV_ANY_VP)
		return best;
	if (p->is_root && target_try(&best, p, port, platform_cpu()->root_vp->index))
		return best;
	for (uint32_t i = 0; i < PARTITION_VPS_MAX; i++)
		if (target_try(&best, p, port, i))
			break;
	return best;
}

/* What waits elsewhere comes along. */
static void queue_direct(struct port *port, struct vp *vp)
{
	if (__atomic_load_n(&port->queue.vp, __ATOMIC_ACQUIRE) != vp)
		synic_queue_detach(&port->queue);
	port->last_vp = vp->index;
}

static enum hv_status queue_post(struct partition *p, struct port *port, const struct hv_message *message)
{
	struct target target = target_find(p, port);

	if (!target.vp)
		return port->vp_index == HV_ANY_VP ? HV_STATUS_INVALID_SYNIC_STATE : HV_STATUS_INVALID_VP_INDEX;
	if (target.readiness == SYNIC_OFF)
		return HV_STATUS_INVALID_SYNIC_STATE;
	queue_direct(port, target.vp);
	return synic_queue_post(target.vp, port->vp_index == HV_ANY_VP ? target.readiness : SYNIC_MASKED, &port->queue,
				message);
}

static enum hv_status flag_signal(struct partition *p, struct port *port, uint32_t flag)
{
	struct target target;

	if (flag >= port->flag_count)
		return HV_STATUS_INVALID_PARAMETER;
	target = target_find(p, port);
	if (!target.vp && port->vp_index != HV_ANY_VP)
		return HV_STATUS_INVALID_VP_INDEX;
	if (target.readiness != SYNIC_OPEN)
		return HV_STATUS_INVALID_SYNIC_STATE;
	return synic_signal_open(target.vp, port->queue.sint, port->base_flag + flag);
}

/* A VP that was ready may close or go before it is reached: then another one is looked for, if any VP will do. */
static enum hv_status port_send(struct partition *p, struct port *port, const struct hv_message *message, uint32_t flag)
{
	enum hv_status status;
	unsigned tries = port->vp_index == HV_ANY_VP ? SEND_TRIES : 1;

	do
		status = message ? queue_post(p, port, message) : flag_signal(p, port, flag);
	while (--tries && (status == HV_STATUS_INVALID_SYNIC_STATE || status == HV_STATUS_INVALID_VP_INDEX));
	return status;
}

static void hold_locked(struct partition *p, struct port *port, bool held)
{
	struct target target;

	port->queue.held = held;
	if (held) {
		synic_queue_detach(&port->queue);
		return;
	}
	target = target_find(p, port);
	if (target.vp) {
		queue_direct(port, target.vp);
		synic_queue_attach(target.vp, &port->queue);
	}
}

enum hv_status port_hold(struct partition *p, uint32_t port_id, bool held)
{
	enum hv_status status = HV_STATUS_INVALID_PORT_ID;
	struct port *port;

	spin_lock(&p->ports.lock);
	port = port_find(&p->ports, port_id);
	if (port && port->type == HV_PORT_MESSAGE) {
		hold_locked(p, port, held);
		status = HV_STATUS_SUCCESS;
	}
	spin_unlock(&p->ports.lock);
	return status;
}

static bool connection_copy(struct partition *sender, uint32_t connection_id, struct connection *out)
{
	const struct connection *c;

	spin_lock(&sender->ports.lock);
	c = connection_find(&sender->ports, connection_id);
	if (c)
		*out = *c;
	spin_unlock(&sender->ports.lock);
	return c != NULL;
}

/* The root never goes; all others are kept from being finalized while something is delivered. */
static struct partition *receiver_get(uint64_t id)
{
	return id == HV_PARTITION_ID_ROOT ? root_partition : partition_get(NULL, id);
}

static void receiver_put(struct partition *p)
{
	if (!p->is_root)
		partition_put(p);
}

static enum hv_status deliver(struct partition *p, const struct connection *c, struct hv_message *message, uint32_t flag)
{
	enum hv_status status = HV_STATUS_INVALID_PORT_ID;
	struct port *port;

	if (__atomic_load_n(&p->state, __ATOMIC_SEQ_CST) != PARTITION_ACTIVE)
		return status;
	spin_lock(&p->ports.lock);
	port = port_find(&p->ports, c->port_id);
	if (port && port->serial == c->serial)
		status = port_send(p, port, message, flag);
	spin_unlock(&p->ports.lock);
	return status;
}

/* A message, or with NULL a flag. */
static enum hv_status send(struct partition *sender, uint32_t connection_id, struct hv_message *message, uint32_t flag)
{
	uint32_t type = message ? HV_PORT_MESSAGE : HV_PORT_EVENT;
	struct connection c;
	struct partition *p;
	enum hv_status status;

	if (!connection_copy(sender, connection_id, &c))
		return HV_STATUS_INVALID_CONNECTION_ID;
	p = c.type == type ? receiver_get(c.partition_id) : NULL;
	if (!p)
		return HV_STATUS_INVALID_PORT_ID;
	if (message)
		message->sender = c.port_id;
	status = deliver(p, &c, message, flag);
	receiver_put(p);
	return status;
}

enum hv_status port_post(struct partition *sender, uint32_t connection_id, struct hv_message *message)
{
	message->flags = 0;
	message->rsvd = 0;
	return send(sender, connection_id, message, 0);
}

enum hv_status port_signal(struct partition *sender, uint32_t connection_id, uint32_t flag)
{
	return send(sender, connection_id, NULL, flag);
}

/* --- All of a partition --------------------------------------------------------------------------------------------- */

void ports_init(struct partition *p)
{
	p->ports = (struct ports){ .buckets_page = SPA(0) };
	list_init(&p->ports.roomy);
}

static void bucket_empty(struct partition *p, uint32_t i)
{
	struct ports *ports = &p->ports;

	/* The tables go with the last object. */
	while (ports->count && ports->port_buckets[i])
		delete_locked(p, ports->port_buckets[i]);
	while (ports->count && ports->connection_buckets[i])
		disconnect_locked(p, ports->connection_buckets[i]);
}

void ports_fini(struct partition *p)
{
	spin_lock(&p->ports.lock);
	for (uint32_t i = 0; i < PORT_BUCKETS; i++)
		bucket_empty(p, i);
	spin_unlock(&p->ports.lock);
}
