// SPDX-License-Identifier: Apache-2.0
#include "libvid/vid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGISTERS_PER_GET 256u
#define REGISTERS_PER_SET 127u

static int call_ioctl(int fd, unsigned long command, void *argument)
{
	int result = ioctl(fd, command, argument);

	return result < 0 ? -errno : result;
}

int vid_open(const char *path)
{
	int fd = open(path ? path : VID_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int vid_hypercall(int fd, uint16_t code, uint16_t reps, void *in, size_t in_bytes, void *out, size_t out_bytes,
		  uint16_t *out_status, uint16_t *out_reps)
{
	struct mshv_root_hvcall call = { .code = code, .reps = reps };
	int result;

	if (in_bytes > HV_PAGE_BYTES || out_bytes > HV_PAGE_BYTES)
		return -EINVAL;
	call.in_sz = (uint16_t)in_bytes;
	call.out_sz = (uint16_t)out_bytes;
	call.in_ptr = (uintptr_t)in;
	call.out_ptr = (uintptr_t)out;
	result = call_ioctl(fd, MSHV_ROOT_HVCALL, &call);
	if (out_status)
		*out_status = call.status;
	if (out_reps)
		*out_reps = call.status == HV_STATUS_SUCCESS && result < 0 ? 0 : call.reps;
	return result;
}

/* The form that most calls have: fixed input and output, nothing to tell but success. */
static int simple_call(int fd, uint16_t code, void *in, size_t in_bytes, void *out, size_t out_bytes)
{
	return vid_hypercall(fd, code, 0, in, in_bytes, out, out_bytes, NULL, NULL);
}

int vid_partition_create(int device, uint64_t pt_flags)
{
	struct mshv_create_partition create = { .pt_flags = pt_flags };

	return call_ioctl(device, MSHV_CREATE_PARTITION, &create);
}

int vid_partition_initialize(int partition)
{
	return call_ioctl(partition, MSHV_INITIALIZE_PARTITION, NULL);
}

int vid_property_get(int partition, uint32_t property, uint64_t *out_value)
{
	struct hv_input_get_partition_property in = { .code = property };
	struct hv_output_get_partition_property out = { 0 };
	int result = simple_call(partition, HVCALL_GET_PARTITION_PROPERTY, &in, sizeof in, &out, sizeof out);

	if (result == 0)
		*out_value = out.value;
	return result;
}

int vid_property_set(int partition, uint32_t property, uint64_t value)
{
	struct hv_input_set_partition_property in = { .code = property, .value = value };

	return simple_call(partition, HVCALL_SET_PARTITION_PROPERTY, &in, sizeof in, NULL, 0);
}

int vid_intercept_install(int partition, uint32_t type, uint32_t access_mask, uint64_t parameter)
{
	struct hv_input_install_intercept in = {
		.access_mask = access_mask,
		.intercept_type = type,
		.parameter = parameter,
	};

	return simple_call(partition, HVCALL_INSTALL_INTERCEPT, &in, sizeof in, NULL, 0);
}

int vid_memory_map(int partition, uint64_t gpa, void *host, uint64_t bytes, unsigned flags)
{
	struct mshv_user_mem_region region = {
		.size = bytes,
		.guest_pfn = gpa >> HV_PAGE_SHIFT,
		.userspace_addr = (uintptr_t)host,
		.flags = (uint8_t)flags,
	};

	if (gpa % HV_PAGE_BYTES != 0 || flags & ~(VID_MEMORY_WRITABLE | VID_MEMORY_EXECUTABLE))
		return -EINVAL;
	return call_ioctl(partition, MSHV_SET_GUEST_MEMORY, &region);
}

int vid_memory_unmap(int partition, uint64_t gpa, uint64_t bytes)
{
	struct mshv_user_mem_region region = {
		.size = bytes,
		.guest_pfn = gpa >> HV_PAGE_SHIFT,
		.flags = 1u << MSHV_SET_MEM_BIT_UNMAP,
	};

	if (gpa % HV_PAGE_BYTES != 0)
		return -EINVAL;
	return call_ioctl(partition, MSHV_SET_GUEST_MEMORY, &region);
}

static int change_pages(int partition, uint64_t gpa, uint64_t bytes, uint32_t operation)
{
	struct vid_guest_pages pages = {
		.guest_pfn = gpa >> HV_PAGE_SHIFT,
		.page_count = bytes >> HV_PAGE_SHIFT,
		.operation = operation,
	};

	if (gpa % HV_PAGE_BYTES != 0 || bytes % HV_PAGE_BYTES != 0)
		return -EINVAL;
	return call_ioctl(partition, VID_GUEST_PAGES, &pages);
}

int vid_memory_release(int partition, uint64_t gpa, uint64_t bytes)
{
	return change_pages(partition, gpa, bytes, VID_GUEST_PAGES_RELEASE);
}

int vid_memory_restore(int partition, uint64_t gpa, uint64_t bytes)
{
	return change_pages(partition, gpa, bytes, VID_GUEST_PAGES_RESTORE);
}

int vid_vp_create(int partition, uint32_t vp_index)
{
	struct mshv_create_vp create = { .vp_index = vp_index };

	return call_ioctl(partition, MSHV_CREATE_VP, &create);
}

_Static_assert(sizeof(struct mshv_run_vp) == sizeof(struct hv_message), "RUN_VP fills a message");

int vid_vp_run(int vp, struct hv_message *out_message)
{
	return call_ioctl(vp, MSHV_RUN_VP, out_message);
}

static int map_vp_page(int vp, long page_number, int protection, void **out_page)
{
	void *page = mmap(NULL, HV_PAGE_BYTES, protection, MAP_SHARED, vp, page_number * (long)HV_PAGE_BYTES);

	if (page == MAP_FAILED)
		return -errno;
	*out_page = page;
	return 0;
}

int vid_vp_map_registers(int vp, struct hv_register_page **out_page)
{
	void *page = NULL;
	int result = map_vp_page(vp, MSHV_VP_MMAP_OFFSET_REGISTERS, PROT_READ | PROT_WRITE, &page);

	if (result == 0)
		*out_page = page;
	return result;
}

int vid_vp_map_message(int vp, const struct hv_message **out_message)
{
	void *page = NULL;
	int result = map_vp_page(vp, MSHV_VP_MMAP_OFFSET_INTERCEPT_MESSAGE, PROT_READ, &page);

	if (result == 0)
		*out_message = page;
	return result;
}

void vid_vp_unmap(const void *page)
{
	if (page)
		(void)munmap((void *)(uintptr_t)page, HV_PAGE_BYTES); /* fails only for what was never mapped */
}

static int get_registers(int partition, uint32_t vp_index, const uint32_t *names, struct hv_u128 *out_values,
			 unsigned count)
{
	struct {
		struct hv_input_vp_registers header;
		uint32_t names[REGISTERS_PER_GET];
	} in = { .header.vp_index = vp_index };

	memcpy(in.names, names, count * sizeof *names);
	return vid_hypercall(partition, HVCALL_GET_VP_REGISTERS, (uint16_t)count, &in,
			     sizeof in.header + count * sizeof *names, out_values, count * sizeof *out_values, NULL,
			     NULL);
}

int vid_registers_get(int partition, uint32_t vp_index, const uint32_t *names, struct hv_u128 *out_values,
		      unsigned count)
{
	while (count > 0) {
		unsigned part = count < REGISTERS_PER_GET ? count : REGISTERS_PER_GET;
		int result = get_registers(partition, vp_index, names, out_values, part);

		if (result < 0)
			return result;
		names += part;
		out_values += part;
		count -= part;
	}
	return 0;
}

static int set_registers(int partition, uint32_t vp_index, const struct hv_register_assoc *assocs, unsigned count)
{
	struct {
		struct hv_input_vp_registers header;
		struct hv_register_assoc assocs[REGISTERS_PER_SET];
	} in;

	memset(&in.header, 0, sizeof in.header);
	in.header.vp_index = vp_index;
	memcpy(in.assocs, assocs, count * sizeof *assocs);
	return vid_hypercall(partition, HVCALL_SET_VP_REGISTERS, (uint16_t)count, &in,
			     sizeof in.header + count * sizeof *assocs, NULL, 0, NULL, NULL);
}

int vid_registers_set(int partition, uint32_t vp_index, const struct hv_register_assoc *assocs, unsigned count)
{
	while (count > 0) {
		unsigned part = count < REGISTERS_PER_SET ? count : REGISTERS_PER_SET;
		int result = set_registers(partition, vp_index, assocs, part);

		if (result < 0)
			return result;
		assocs += part;
		count -= part;
	}
	return 0;
}

int vid_register_get(int partition, uint32_t vp_index, uint32_t name, uint64_t *out_value)
{
	struct hv_u128 value = { 0 };
	int result = get_registers(partition, vp_index, &name, &value, 1);

	if (result == 0)
		*out_value = value.low;
	return result;
}

int vid_register_set(int partition, uint32_t vp_index, uint32_t name, uint64_t value)
{
	struct hv_register_assoc assoc = { .name = name, .value.low = value };

	return set_registers(partition, vp_index, &assoc, 1);
}

int vid_gva_translate(int partition, uint32_t vp_index, uint64_t gva, uint64_t flags, uint32_t *out_result,
		      uint64_t *out_gpa)
{
	struct hv_input_translate_virtual_address in = {
		.vp_index = vp_index,
		.control_flags = flags,
		.gva_page = gva >> HV_PAGE_SHIFT,
	};
	struct hv_output_translate_virtual_address out = { 0 };
	int result = simple_call(partition, HVCALL_TRANSLATE_VIRTUAL_ADDRESS, &in, sizeof in, &out, sizeof out);

	if (result < 0)
		return result;
	*out_result = out.result_code;
	if (out.result_code == HV_TRANSLATE_SUCCESS)
		*out_gpa = out.gpa_page << HV_PAGE_SHIFT | gva % HV_PAGE_BYTES;
	return 0;
}

int vid_interrupt_assert(int partition, uint64_t control, uint64_t destination, uint32_t vector)
{
	struct hv_input_assert_virtual_interrupt in = {
		.control = control,
		.destination = destination,
		.vector = vector,
	};

	return simple_call(partition, HVCALL_ASSERT_VIRTUAL_INTERRUPT, &in, sizeof in, NULL, 0);
}

int vid_interrupt_clear(int partition)
{
	struct hv_input_partition in = { 0 };

	return simple_call(partition, HVCALL_CLEAR_VIRTUAL_INTERRUPT, &in, sizeof in, NULL, 0);
}

int vid_event_signal(int partition, uint32_t vp_index, uint8_t sint, uint16_t flag, bool *out_newly_signaled)
{
	struct hv_input_signal_event_direct in = { .vp_index = vp_index, .sint = sint, .flag = flag };
	struct hv_output_signal_event_direct out = { 0 };
	int result = simple_call(partition, HVCALL_SIGNAL_EVENT_DIRECT, &in, sizeof in, &out, sizeof out);

	if (result == 0 && out_newly_signaled)
		*out_newly_signaled = out.newly_signaled != 0;
	return result;
}

int vid_message_post(int partition, uint32_t vp_index, uint8_t sint, const struct hv_message *message,
		     uint16_t *out_status)
{
	struct hv_input_post_message_direct in = { .vp_index = vp_index, .sint = sint };

	memcpy(in.message, message, sizeof in.message);
	return vid_hypercall(partition, HVCALL_POST_MESSAGE_DIRECT, 0, &in, sizeof in, NULL, 0, out_status, NULL);
}

int vid_routes_set(int partition, const struct mshv_user_irq_entry *entries, unsigned count)
{
	struct mshv_user_irq_table *table;
	int result;

	if (count > MSHV_MAX_GUEST_IRQS)
		return -EINVAL;
	table = calloc(1, sizeof *table + count * sizeof *entries);
	if (!table)
		return -ENOMEM;
	table->nr = count;
	if (count > 0)
		memcpy(table->entries, entries, count * sizeof *entries);
	result = call_ioctl(partition, MSHV_SET_MSI_ROUTING, table);
	free(table);
	return result;
}

int vid_irqfd_assign(int partition, int eventfd, int resample_eventfd, uint32_t gsi)
{
	struct mshv_user_irqfd irqfd = {
		.fd = eventfd,
		.resamplefd = resample_eventfd >= 0 ? resample_eventfd : 0,
		.gsi = gsi,
		.flags = resample_eventfd >= 0 ? 1u << MSHV_IRQFD_BIT_RESAMPLE : 0,
	};

	return call_ioctl(partition, MSHV_IRQFD, &irqfd);
}

int vid_irqfd_deassign(int partition, int eventfd, uint32_t gsi)
{
	struct mshv_user_irqfd irqfd = { .fd = eventfd, .gsi = gsi, .flags = 1u << MSHV_IRQFD_BIT_DEASSIGN };

	return call_ioctl(partition, MSHV_IRQFD, &irqfd);
}

static int call_ioeventfd(int partition, int eventfd, const struct vid_ioevent *event, uint32_t flags)
{
	struct mshv_user_ioeventfd ioeventfd = {
		.datamatch = event->has_match ? event->match : 0,
		.addr = event->address,
		.len = event->bytes,
		.fd = eventfd,
		.flags = flags,
	};

	if (event->has_match)
		ioeventfd.flags |= 1u << MSHV_IOEVENTFD_BIT_DATAMATCH;
	if (event->is_port)
		ioeventfd.flags |= 1u << MSHV_IOEVENTFD_BIT_PIO;
	return call_ioctl(partition, MSHV_IOEVENTFD, &ioeventfd);
}

int vid_ioevent_assign(int partition, int eventfd, const struct vid_ioevent *event)
{
	return call_ioeventfd(partition, eventfd, event, 0);
}

int vid_ioevent_deassign(int partition, int eventfd, const struct vid_ioevent *event)
{
	return call_ioeventfd(partition, eventfd, event, 1u << MSHV_IOEVENTFD_BIT_DEASSIGN);
}

int vid_event_port_assign(int partition, int eventfd, uint32_t connection_id)
{
	struct vid_event_port port = { .connection_id = connection_id, .eventfd = eventfd };

	return call_ioctl(partition, VID_EVENT_PORT, &port);
}

int vid_event_port_deassign(int partition, uint32_t connection_id)
{
	struct vid_event_port port = {
		.connection_id = connection_id,
		.eventfd = -1,
		.flags = 1u << VID_EVENT_PORT_BIT_DEASSIGN,
	};

	return call_ioctl(partition, VID_EVENT_PORT, &port);
}

int vid_message_port_create(int partition, const uint32_t *connection_ids, unsigned count)
{
	struct vid_message_port port = { .count = count };

	if (count > VID_MESSAGE_PORT_CONNECTIONS)
		return -EINVAL;
	memcpy(port.connection_ids, connection_ids, count * sizeof *connection_ids);
	return call_ioctl(partition, VID_MESSAGE_PORT, &port);
}

int vid_message_port_read(int message_port, struct hv_message *out_message)
{
	ssize_t bytes = read(message_port, out_message, sizeof *out_message);

	if (bytes < 0)
		return -errno;
	return bytes == (ssize_t)sizeof *out_message ? 0 : -EIO;
}

static int call_vp_state(int vp, unsigned long command, uint8_t type, uintptr_t buffer, uint32_t *io_bytes)
{
	struct mshv_get_set_vp_state state = { .type = type, .buf_sz = *io_bytes, .buf_ptr = buffer };
	int result = call_ioctl(vp, command, &state);

	*io_bytes = state.buf_sz;
	return result;
}

int vid_vp_state_get(int vp, uint8_t type, void *page_aligned, uint32_t *io_bytes)
{
	return call_vp_state(vp, MSHV_GET_VP_STATE, type, (uintptr_t)page_aligned, io_bytes);
}

int vid_vp_state_set(int vp, uint8_t type, const void *page_aligned, uint32_t *io_bytes)
{
	return call_vp_state(vp, MSHV_SET_VP_STATE, type, (uintptr_t)page_aligned, io_bytes);
}

static int get_small_state(int vp, uint8_t type, void *out_state, size_t bytes)
{
	_Alignas(HV_PAGE_BYTES) uint8_t page[HV_PAGE_BYTES];
	uint32_t page_bytes = sizeof page;
	int result = vid_vp_state_get(vp, type, page, &page_bytes);

	if (result == 0)
		memcpy(out_state, page, bytes);
	return result;
}

static int set_small_state(int vp, uint8_t type, const void *state, size_t bytes)
{
	_Alignas(HV_PAGE_BYTES) uint8_t page[HV_PAGE_BYTES] = { 0 };
	uint32_t page_bytes = sizeof page;

	memcpy(page, state, bytes);
	return vid_vp_state_set(vp, type, page, &page_bytes);
}

int vid_lapic_get(int vp, struct hv_lapic_state *out_state)
{
	return get_small_state(vp, MSHV_VP_STATE_LAPIC, out_state, sizeof *out_state);
}

int vid_lapic_set(int vp, const struct hv_lapic_state *state)
{
	return set_small_state(vp, MSHV_VP_STATE_LAPIC, state, sizeof *state);
}

int vid_stimers_get(int vp, struct hv_stimers_state *out_state)
{
	return get_small_state(vp, MSHV_VP_STATE_SYNTHETIC_TIMERS, out_state, sizeof *out_state);
}

int vid_stimers_set(int vp, const struct hv_stimers_state *state)
{
	return set_small_state(vp, MSHV_VP_STATE_SYNTHETIC_TIMERS, state, sizeof *state);
}
