/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed calls on the descriptors of /dev/mshv. No policy, no state besides the descriptors, no allocation that outlives a
 * call: any thread may call anything, except that one VP is run by one thread at a time (-EBUSY).
 *
 * Every function returns 0 (or a descriptor, where it says so) or -errno. A hypercall that the hypervisor refused returns
 * the driver's errno for it; vid_hypercall() also hands out the HV_STATUS itself.
 *
 *   vid_open()                     /dev/mshv
 *     vid_partition_create()       partition; closing it and all that it gave out frees everything
 *       vid_vp_create()            VP; closing it removes the VP
 *       vid_message_port_create()  messages of the guest
 *
 * `partition` below may also be a VP's descriptor where a VP index is an argument.
 */
#ifndef LIBVID_VID_H
#define LIBVID_VID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/hv_hypercall.h"
#include "hv/hv_intercept.h"
#include "hv/hv_register.h"
#include "hv/hv_status.h"
#include "hv/hv_synic.h"
#include "vid/mshv.h"

#define VID_DEVICE "/dev/mshv"

#define VID_MUST_CHECK __attribute__((warn_unused_result))

/* Descriptor of the device at `path`, NULL for VID_DEVICE. */
VID_MUST_CHECK int vid_open(const char *path);

/*
 * A hypercall of the driver's allow-list, on a partition (its id is filled in by the driver) or on a device descriptor.
 * reps is the element count of a rep call, 0 of a simple one. out_status and out_reps may be NULL; both are written even
 * when the call was refused by the hypervisor, and set to 0 when it was not reached.
 */
VID_MUST_CHECK int vid_hypercall(int fd, uint16_t code, uint16_t reps, void *in, size_t in_bytes, void *out,
				 size_t out_bytes, uint16_t *out_status, uint16_t *out_reps);

/* New partition; pt_flags as bits 1 << MSHV_PT_BIT_*. Returns its descriptor. */
VID_MUST_CHECK int vid_partition_create(int device, uint64_t pt_flags);
/* Early properties are set before this, memory and VPs come after it. */
VID_MUST_CHECK int vid_partition_initialize(int partition);
/* On a device descriptor these speak of the caller's own partition (get only). */
VID_MUST_CHECK int vid_property_get(int partition, uint32_t property, uint64_t *out_value);
VID_MUST_CHECK int vid_property_set(int partition, uint32_t property, uint64_t value);
/* access_mask 0 removes the intercept. */
VID_MUST_CHECK int vid_intercept_install(int partition, uint32_t type, uint32_t access_mask, uint64_t parameter);

#define VID_MEMORY_WRITABLE   (1u << MSHV_SET_MEM_BIT_WRITABLE)
#define VID_MEMORY_EXECUTABLE (1u << MSHV_SET_MEM_BIT_EXECUTABLE)
/*
 * Pins [host, host + bytes) and maps it at gpa. All three are page multiples; where gpa and host are aligned to 2 MiB and
 * the kernel has huge pages there, large mappings are used. The host memory must be writable for the caller.
 * -EEXIST if it overlaps an earlier region.
 */
VID_MUST_CHECK int vid_memory_map(int partition, uint64_t gpa, void *host, uint64_t bytes, unsigned flags);
/* Undoes exactly one vid_memory_map: -EINVAL for a part of a region, -ENOENT for none. */
VID_MUST_CHECK int vid_memory_unmap(int partition, uint64_t gpa, uint64_t bytes);
/*
 * Pages of what was mapped, page multiples, over one or several regions that adjoin. Release takes them from the guest and
 * unpins them: then madvise(MADV_DONTNEED) on them gives the memory back. Restore pins what is there now and maps it again,
 * for the process that mapped it. Pages that are so already are left alone; after a failure a leading part may be done.
 * -ENOENT: not all of it is mapped.
 */
VID_MUST_CHECK int vid_memory_release(int partition, uint64_t gpa, uint64_t bytes);
VID_MUST_CHECK int vid_memory_restore(int partition, uint64_t gpa, uint64_t bytes);

/* Returns the VP's descriptor. The VP is in reset state; VP 0 starts with the first vid_vp_run(). */
VID_MUST_CHECK int vid_vp_create(int partition, uint32_t vp_index);
/*
 * Runs the VP until an intercept that user mode must resolve. The next call resumes it.
 * -EINTR: a signal came (or the descriptor was closed by another thread); no message.
 */
VID_MUST_CHECK int vid_vp_run(int vp, struct hv_message *out_message);
/* Maps the register page (read and write) or the intercept message page (read only) of a VP. */
VID_MUST_CHECK int vid_vp_map_registers(int vp, struct hv_register_page **out_page);
VID_MUST_CHECK int vid_vp_map_message(int vp, const struct hv_message **out_message);
/* For either page; the VP lives until its pages are unmapped too. */
void vid_vp_unmap(const void *page);

/* Any count: longer lists are split into calls of at most 256 (get) or 127 (set). */
VID_MUST_CHECK int vid_registers_get(int partition, uint32_t vp_index, const uint32_t *names, struct hv_u128 *out_values,
				     unsigned count);
VID_MUST_CHECK int vid_registers_set(int partition, uint32_t vp_index, const struct hv_register_assoc *assocs,
				     unsigned count);
VID_MUST_CHECK int vid_register_get(int partition, uint32_t vp_index, uint32_t name, uint64_t *out_value);
VID_MUST_CHECK int vid_register_set(int partition, uint32_t vp_index, uint32_t name, uint64_t value);

/* Walks the VP's page tables. *out_result is enum hv_translate_result; *out_gpa is written if that is 0. */
VID_MUST_CHECK int vid_gva_translate(int partition, uint32_t vp_index, uint64_t gva, uint64_t flags, uint32_t *out_result,
				     uint64_t *out_gpa);

/* control: type | HV_INTERRUPT_CONTROL_*; destination: APIC id, or logical destination. */
VID_MUST_CHECK int vid_interrupt_assert(int partition, uint64_t control, uint64_t destination, uint32_t vector);
/* Withdraws an ExtINT that was asserted and not yet taken. */
VID_MUST_CHECK int vid_interrupt_clear(int partition);
/* Sets an event flag of a SINT, or puts a message into its slot. *out_newly_signaled may be NULL. */
VID_MUST_CHECK int vid_event_signal(int partition, uint32_t vp_index, uint8_t sint, uint16_t flag,
				    bool *out_newly_signaled);
/* *out_status (may be NULL) tells a full queue (HV_STATUS_INSUFFICIENT_BUFFERS) from an error. */
VID_MUST_CHECK int vid_message_post(int partition, uint32_t vp_index, uint8_t sint, const struct hv_message *message,
				    uint16_t *out_status);

/* Replaces the whole table of MSI routes; count 0 empties it. */
VID_MUST_CHECK int vid_routes_set(int partition, const struct mshv_user_irq_entry *entries, unsigned count);
/* A write to eventfd asserts the GSI's interrupt; with resample_eventfd >= 0 its EOI signals that one (level-triggered). */
VID_MUST_CHECK int vid_irqfd_assign(int partition, int eventfd, int resample_eventfd, uint32_t gsi);
VID_MUST_CHECK int vid_irqfd_deassign(int partition, int eventfd, uint32_t gsi);

/* What write of the guest signals the eventfd, without an exit to user mode. */
struct vid_ioevent {
	uint64_t address;		/* port or GPA */
	uint32_t bytes;			/* 0 any width, 1, 2, 4, 8 */
	bool is_port;
	bool has_match;			/* only this value */
	uint64_t match;
};
VID_MUST_CHECK int vid_ioevent_assign(int partition, int eventfd, const struct vid_ioevent *event);
VID_MUST_CHECK int vid_ioevent_deassign(int partition, int eventfd, const struct vid_ioevent *event);

/*
 * What the guest sends. HvSignalEvent on connection_id signals the eventfd, several perhaps once. -EEXIST: the id is in use;
 * -ENOSPC: the driver's events are. Taken back, no signal comes any more; -ENOENT.
 */
VID_MUST_CHECK int vid_event_port_assign(int partition, int eventfd, uint32_t connection_id);
VID_MUST_CHECK int vid_event_port_deassign(int partition, uint32_t connection_id);
/*
 * HvPostMessage on any of 1..4 connections can be read from the descriptor that this returns; sender is a number of the
 * driver's, payload_bytes is at most 240. The driver keeps some tens of messages, then the guest has to wait. Closing the
 * descriptor takes the connections away; it may be polled, and be made non-blocking by fcntl().
 */
VID_MUST_CHECK int vid_message_port_create(int partition, const uint32_t *connection_ids, unsigned count);
/* -EAGAIN: none, and the descriptor does not block. -EINTR. */
VID_MUST_CHECK int vid_message_port_read(int message_port, struct hv_message *out_message);

/*
 * VP state by MSHV_VP_STATE_*. Buffer and size are page multiples; -EINVAL with *io_bytes set to what is needed when the
 * buffer is too small.
 */
VID_MUST_CHECK int vid_vp_state_get(int vp, uint8_t type, void *page_aligned, uint32_t *io_bytes);
VID_MUST_CHECK int vid_vp_state_set(int vp, uint8_t type, const void *page_aligned, uint32_t *io_bytes);
VID_MUST_CHECK int vid_lapic_get(int vp, struct hv_lapic_state *out_state);
VID_MUST_CHECK int vid_lapic_set(int vp, const struct hv_lapic_state *state);
VID_MUST_CHECK int vid_stimers_get(int vp, struct hv_stimers_state *out_state);
VID_MUST_CHECK int vid_stimers_set(int vp, const struct hv_stimers_state *state);

#endif
