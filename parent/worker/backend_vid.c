// SPDX-License-Identifier: Apache-2.0
#include "worker/backend_vid.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "libvid/vid.h"

static struct backend_vid *vid_of(struct backend *b)
{
	return (struct backend_vid *)b;		/* base is the first member */
}

static int partition_create(struct backend *b, struct failure *why)
{
	struct backend_vid *vid = vid_of(b);
	int fd = vid_partition_create(vid->device_fd, 1u << MSHV_PT_BIT_LAPIC);

	if (fd < 0)
		return failure_set(why, fd, "partition: the driver creates none: %s", strerror(-fd));
	vid->partition_fd = fd;
	return 0;
}

static int partition_set_property(struct backend *b, uint32_t code, uint64_t value, struct failure *why)
{
	int r = vid_property_set(vid_of(b)->partition_fd, code, value);

	if (r)
		return failure_set(why, r, "partition: property %#x cannot be set to %#llx: %s", code,
				   (unsigned long long)value, strerror(-r));
	return 0;
}

static int partition_initialize(struct backend *b, struct failure *why)
{
	int r = vid_partition_initialize(vid_of(b)->partition_fd);

	return r ? failure_set(why, r, "partition: cannot be initialized: %s", strerror(-r)) : 0;
}

static void partition_destroy(struct backend *b)
{
	struct backend_vid *vid = vid_of(b);

	for (unsigned i = 0; i < PLATFORM_VP_MAX; i++) {
		if (vid->page[i])
			vid_vp_unmap(vid->page[i]);
		if (vid->vp_fd[i] >= 0)
			(void)close(vid->vp_fd[i]);
		vid->page[i] = NULL;
		vid->vp_fd[i] = -1;
	}
	if (vid->partition_fd >= 0)
		(void)close(vid->partition_fd);
	vid->partition_fd = -1;
}

static int map(struct backend *b, uint64_t gpa, void *host, uint64_t bytes, struct failure *why)
{
	int r = vid_memory_map(vid_of(b)->partition_fd, gpa, host, bytes, VID_MEMORY_WRITABLE | VID_MEMORY_EXECUTABLE);

	if (r)
		return failure_set(why, r, "memory: %llu MiB at %#llx cannot be given to the partition: %s",
				   (unsigned long long)(bytes >> 20), (unsigned long long)gpa, strerror(-r));
	return 0;
}

static int release(struct backend *b, uint64_t gpa, uint64_t bytes, struct failure *why)
{
	int r = vid_memory_release(vid_of(b)->partition_fd, gpa, bytes);

	return r ? failure_set(why, r, "memory: %llu KiB at %#llx cannot be taken from the partition: %s",
			       (unsigned long long)(bytes >> 10), (unsigned long long)gpa, strerror(-r))
		 : 0;
}

static int restore(struct backend *b, uint64_t gpa, uint64_t bytes, struct failure *why)
{
	int r = vid_memory_restore(vid_of(b)->partition_fd, gpa, bytes);

	return r ? failure_set(why, r, "memory: %llu KiB at %#llx cannot be given back to the partition: %s",
			       (unsigned long long)(bytes >> 10), (unsigned long long)gpa, strerror(-r))
		 : 0;
}

static int install_intercept(struct backend *b, uint32_t type, uint32_t access_mask, uint64_t parameter,
			     struct failure *why)
{
	int r = vid_intercept_install(vid_of(b)->partition_fd, type, access_mask, parameter);

	return r ? failure_set(why, r, "partition: no intercept of type %u: %s", type, strerror(-r)) : 0;
}

static int vp_create(struct backend *b, uint32_t vp, struct failure *why)
{
	struct backend_vid *vid = vid_of(b);
	int fd = vid_vp_create(vid->partition_fd, vp);

	if (fd < 0)
		return failure_set(why, fd, "vp %u: cannot be created: %s", vp, strerror(-fd));
	vid->vp_fd[vp] = fd;
	if (vid_vp_map_registers(fd, &vid->page[vp]))
		vid->page[vp] = NULL;		/* slower, and as good */
	return 0;
}

static struct hv_register_page *register_page(struct backend *b, uint32_t vp)
{
	return vid_of(b)->page[vp];
}

static int registers_set(struct backend *b, uint32_t vp, const struct hv_register_assoc *regs, unsigned count,
			 struct failure *why)
{
	int r = vid_registers_set(vid_of(b)->partition_fd, vp, regs, count);

	if (r)
		return failure_set(why, r, "vp %u: %u registers from %#x on cannot be set: %s", vp, count, regs[0].name,
				   strerror(-r));
	return 0;
}

static int registers_get(struct backend *b, uint32_t vp, const uint32_t *names, struct hv_u128 *values, unsigned count,
			 struct failure *why)
{
	int r = vid_registers_get(vid_of(b)->partition_fd, vp, names, values, count);

	if (r)
		return failure_set(why, r, "vp %u: %u registers from %#x on cannot be read: %s", vp, count, names[0],
				   strerror(-r));
	return 0;
}

static int translate(struct backend *b, uint32_t vp, uint64_t gva, uint64_t flags, uint32_t *out_result,
		     uint64_t *out_gpa, struct failure *why)
{
	int r = vid_gva_translate(vid_of(b)->partition_fd, vp, gva, flags, out_result, out_gpa);

	if (r)
		return failure_set(why, r, "vp %u: address %#llx cannot be translated: %s", vp, (unsigned long long)gva,
				   strerror(-r));
	return 0;
}

static int set_routes(struct backend *b, const struct backend_route *routes, unsigned count, struct failure *why)
{
	struct mshv_user_irq_entry entries[BACKEND_ROUTES_MAX];
	int r;

	if (count > BACKEND_ROUTES_MAX)
		return failure_set(why, -E2BIG, "interrupts: %u routes", count);
	for (unsigned i = 0; i < count; i++)
		entries[i] = (struct mshv_user_irq_entry){
			.gsi = routes[i].gsi,
			.address_lo = routes[i].address_lo,
			.data = routes[i].data,
		};
	r = vid_routes_set(vid_of(b)->partition_fd, entries, count);
	return r ? failure_set(why, r, "interrupts: the driver refuses the routes: %s", strerror(-r)) : 0;
}

static int irqfd(struct backend *b, int eventfd, uint32_t gsi, struct failure *why)
{
	int r = vid_irqfd_assign(vid_of(b)->partition_fd, eventfd, -1, gsi);

	return r ? failure_set(why, r, "interrupt %u: cannot be bound to an eventfd: %s", gsi, strerror(-r)) : 0;
}

static int message_port(struct backend *b, const uint32_t *connection_ids, unsigned count, struct failure *why)
{
	int fd = vid_message_port_create(vid_of(b)->partition_fd, connection_ids, count);

	if (fd < 0)
		return failure_set(why, fd, "vmbus: the driver makes no message port: %s", strerror(-fd));
	return fd;
}

static int event_port(struct backend *b, uint32_t connection_id, int eventfd, struct failure *why)
{
	int r = vid_event_port_assign(vid_of(b)->partition_fd, eventfd, connection_id);

	if (r)
		return failure_set(why, r, "vmbus: connection %#x cannot be bound to an eventfd: %s", connection_id, strerror(-r));
	return 0;
}

static void event_port_remove(struct backend *b, uint32_t connection_id, int eventfd)
{
	if (vid_event_port_deassign(vid_of(b)->partition_fd, connection_id))
		log_line("vmbus: connection %#x was not there", connection_id);
}

static int post_message(struct backend *b, uint32_t vp, uint8_t sint, const struct hv_message *message)
{
	uint16_t status = HV_STATUS_SUCCESS;
	int r = vid_message_post(vid_of(b)->partition_fd, vp, sint, message, &status);

	if (r == 0)
		return 0;
	return status == HV_STATUS_INSUFFICIENT_BUFFERS ? -EAGAIN : status == HV_STATUS_INVALID_VP_INDEX ? -ENOENT : -EIO;
}

static int signal_event(struct backend *b, uint32_t vp, uint8_t sint, uint16_t flag)
{
	return vid_event_signal(vid_of(b)->partition_fd, vp, sint, flag, NULL) ? -EIO : 0;
}

static int run(struct backend *b, uint32_t vp, struct hv_message *out_message, struct failure *why)
{
	int r = vid_vp_run(vid_of(b)->vp_fd[vp], out_message);

	if (r && r != -EINTR)
		return failure_set(why, r, "vp %u: the driver cannot run it: %s", vp, strerror(-r));
	return r;
}

static const struct backend_ops vid_ops = {
	.partition_create = partition_create,
	.partition_set_property = partition_set_property,
	.partition_initialize = partition_initialize,
	.partition_destroy = partition_destroy,
	.map = map,
	.release = release,
	.restore = restore,
	.install_intercept = install_intercept,
	.vp_create = vp_create,
	.register_page = register_page,
	.registers_set = registers_set,
	.registers_get = registers_get,
	.translate = translate,
	.set_routes = set_routes,
	.irqfd = irqfd,
	.message_port = message_port,
	.event_port = event_port,
	.event_port_remove = event_port_remove,
	.post_message = post_message,
	.signal_event = signal_event,
	.run = run,
};

void backend_vid_init(struct backend_vid *vid, int device_fd)
{
	memset(vid, 0, sizeof *vid);
	vid->base.ops = &vid_ops;
	vid->device_fd = device_fd;
	vid->partition_fd = -1;
	for (unsigned i = 0; i < PLATFORM_VP_MAX; i++)
		vid->vp_fd[i] = -1;
}
