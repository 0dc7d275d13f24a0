// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

static uint32_t load(const uint32_t *shared)
{
	return __atomic_load_n(shared, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *shared, uint32_t value)
{
	__atomic_store_n(shared, value, __ATOMIC_RELEASE);
}

/* Own store first, then the look at what the host stored: x86 would let the load pass. */
static void full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool index_ok(const struct vsc_ring *ring, uint32_t index)
{
	return index < ring->bytes && index % VMBUS_RING_ALIGN == 0;
}

/* From one index forward to another. */
static uint32_t between(const struct vsc_ring *ring, uint32_t from, uint32_t to)
{
	return to < from ? to + ring->bytes - from : to - from;
}

static uint32_t step(const struct vsc_ring *ring, uint32_t index, uint32_t bytes)
{
	return (uint32_t)(((uint64_t)index + bytes) % ring->bytes);
}

void vsc_ring_init(struct vsc_ring *ring, void *memory, unsigned pages)
{
	memset(memory, 0, VSC_PAGE);
	*ring = (struct vsc_ring){ .control = memory, .data = (uint8_t *)memory + VSC_PAGE,
				   .bytes = (pages - 1) * VSC_PAGE };
}

/* ---- writing */

static int room(const struct vsc_ring *ring, uint32_t *out)
{
	uint32_t read = load(&ring->control->read_index);

	if (!index_ok(ring, read))
		return VSC_BROKEN;
	*out = ring->bytes - between(ring, read, ring->index);
	return VSC_OK;
}

int vsc_ring_reserve(const struct vsc_ring *ring, uint32_t length)
{
	uint32_t free, needed;
	int r = room(ring, &free);

	if (r)
		return r;
	if (length >= ring->bytes)
		return VSC_TOO_LARGE;
	needed = vsc_ring_packet_bytes(length);
	if (needed >= ring->bytes)
		return VSC_TOO_LARGE;
	/* Filled up it would look empty. */
	return needed < free ? VSC_OK : VSC_FULL;
}

void vsc_ring_put(struct vsc_ring *ring, const void *from, uint32_t bytes)
{
	uint32_t first = ring->bytes - ring->index;

	if (first > bytes)
		first = bytes;
	memcpy(ring->data + ring->index, from, first);
	memcpy(ring->data, (const uint8_t *)from + first, bytes - first);
	ring->index = step(ring, ring->index, bytes);
}

void vsc_ring_end(struct vsc_ring *ring)
{
	static const uint8_t zeroes[VMBUS_RING_ALIGN];
	/* Each packet is published before the next one begins. */
	const struct vmbus_packet_trailer trailer = { .start = ring->published };

	vsc_ring_put(ring, zeroes, -ring->index % VMBUS_RING_ALIGN);
	vsc_ring_put(ring, &trailer, sizeof trailer);
}

bool vsc_ring_publish_write(struct vsc_ring *ring)
{
	uint32_t before = ring->published;

	if (before == ring->index)
		return false;
	store(&ring->control->write_index, ring->index);
	ring->published = ring->index;
	full_barrier();
	/* Only a host that had read everything may have gone to sleep. */
	return !load(&ring->control->interrupt_mask) && load(&ring->control->read_index) == before;
}

int vsc_ring_want(struct vsc_ring *ring, uint32_t length)
{
	int r;

	store(&ring->control->pending_send_bytes, vsc_ring_packet_bytes(length));
	full_barrier();
	r = vsc_ring_reserve(ring, length);
	if (r != VSC_FULL)
		store(&ring->control->pending_send_bytes, 0);
	return r;
}

/* ---- reading */

void vsc_ring_copy(const struct vsc_ring *ring, uint32_t offset, void *to, uint32_t bytes)
{
	uint32_t at = step(ring, ring->index, offset), first = ring->bytes - at;

	if (first > bytes)
		first = bytes;
	memcpy(to, ring->data + at, first);
	memcpy((uint8_t *)to + first, ring->data, bytes - first);
}

int vsc_ring_peek(const struct vsc_ring *ring, struct vmbus_packet_descriptor *out)
{
	uint32_t write = load(&ring->control->write_index), there;

	if (write == ring->index)
		return 0;
	if (!index_ok(ring, write))
		return VSC_BROKEN;
	there = between(ring, ring->index, write);
	if (there < sizeof *out + sizeof(struct vmbus_packet_trailer))
		return VSC_BROKEN;
	vsc_ring_copy(ring, 0, out, sizeof *out);
	if (out->payload_offset8 > out->length8 || out->payload_offset8 * VMBUS_RING_ALIGN < sizeof *out ||
	    vsc_ring_packet_bytes(out->length8 * VMBUS_RING_ALIGN) > there)
		return VSC_BROKEN;
	return 1;
}

void vsc_ring_consume(struct vsc_ring *ring, const struct vmbus_packet_descriptor *packet)
{
	ring->index = step(ring, ring->index, vsc_ring_packet_bytes(packet->length8 * VMBUS_RING_ALIGN));
}

uint32_t vsc_ring_unpublished(const struct vsc_ring *ring)
{
	return between(ring, ring->published, ring->index);
}

bool vsc_ring_publish_read(struct vsc_ring *ring)
{
	uint32_t given = vsc_ring_unpublished(ring), wanted, write, free;

	if (given == 0)
		return false;
	store(&ring->control->read_index, ring->index);
	ring->published = ring->index;
	full_barrier();
	wanted = load(&ring->control->pending_send_bytes);
	write = load(&ring->control->write_index);
	if (wanted == 0 || !(load(&ring->control->feature_bits) & VMBUS_RING_FEATURE_PENDING_SEND) || !index_ok(ring, write))
		return false;
	free = ring->bytes - between(ring, ring->index, write);
	/* It waits, and this is what it waited for. */
	return free > wanted && free - given <= wanted;
}

void vsc_ring_mask(struct vsc_ring *ring)
{
	store(&ring->control->interrupt_mask, 1);
}

bool vsc_ring_unmask(struct vsc_ring *ring)
{
	store(&ring->control->interrupt_mask, 0);
	full_barrier();
	if (load(&ring->control->write_index) == ring->index)
		return false;
	vsc_ring_mask(ring);
	return true;
}
