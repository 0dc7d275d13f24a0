// SPDX-License-Identifier: Apache-2.0
#include "worker/machine.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "worker/acpi.h"
#include "worker/boot_image.h"
#include "worker/node_kinds.h"
#include "worker/platform.h"

/* What a child sees of the interface: TLFS synthetic processor features, partition property 0x00010001. */
#define FEATURE_HYPERVISOR_PRESENT (1ull << 0)
#define FEATURE_HV1_LEAVES         (1ull << 1)
#define FEATURE_VP_RUNTIME         (1ull << 2)
#define FEATURE_REFERENCE_COUNTER  (1ull << 3)
#define FEATURE_SYNIC              (1ull << 4)
#define FEATURE_SYNTHETIC_TIMERS   (1ull << 5)
#define FEATURE_INTR_CTRL          (1ull << 6)
#define FEATURE_HYPERCALL_MSRS     (1ull << 7)
#define FEATURE_VP_INDEX           (1ull << 8)
#define FEATURE_REFERENCE_TSC      (1ull << 9)
#define FEATURE_FREQUENCY_MSRS     (1ull << 11)
#define FEATURE_DIRECT_TIMERS      (1ull << 22)
#define CHILD_FEATURES \
	(FEATURE_HYPERVISOR_PRESENT | FEATURE_HV1_LEAVES | FEATURE_VP_RUNTIME | FEATURE_REFERENCE_COUNTER | FEATURE_SYNIC | \
	 FEATURE_SYNTHETIC_TIMERS | FEATURE_INTR_CTRL | FEATURE_HYPERCALL_MSRS | FEATURE_VP_INDEX | FEATURE_REFERENCE_TSC | \
	 FEATURE_FREQUENCY_MSRS | FEATURE_DIRECT_TIMERS)

#define CRASH_PARAMETER_COUNT 5u

static void on_event_fd(void *context, uint32_t events)
{
	struct machine *m = context;
	enum intercept_verdict verdict;
	struct failure why;
	uint64_t count;
	bool pending;

	(void)!read(m->event.fd, &count, sizeof count); /* only resets it */
	(void)pthread_mutex_lock(&m->event_lock);
	pending = m->event_pending;
	verdict = m->event_verdict;
	why = m->event_why;
	(void)pthread_mutex_unlock(&m->event_lock);
	if (pending)
		m->on_event(m->context, verdict, &why);
}

static void on_report(void *owner, enum intercept_verdict verdict, const struct failure *why)
{
	struct machine *m = owner;
	uint64_t one = 1;

	(void)pthread_mutex_lock(&m->event_lock);
	if (!m->event_pending) {
		m->event_pending = true;
		m->event_verdict = verdict;
		m->event_why = *why;
	}
	(void)pthread_mutex_unlock(&m->event_lock);
	(void)!write(m->event.fd, &one, sizeof one); /* an eventfd that is full wakes as well */
}

static void on_device_gone(void *context, struct node *node)
{
	struct machine *m = context;

	node_list_remove(&m->config->nodes, node);
	node_free(node);
}

int machine_init(struct machine *m, struct config *config, const struct machine_files *files, struct backend *backend,
		 struct console *console, struct loop *loop,
		 void (*on_event)(void *context, enum intercept_verdict verdict, const struct failure *why), void *context,
		 struct failure *why)
{
	int r;

	memset(m, 0, sizeof *m);
	m->config = config;
	m->files = *files;
	m->backend = backend;
	m->console = console;
	m->loop = loop;
	m->on_event = on_event;
	m->context = context;
	(void)pthread_mutex_init(&m->event_lock, NULL); /* cannot fail with default attributes */
	m->event = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .callback = on_event_fd, .context = m,
	};
	if (m->event.fd < 0)
		return failure_set(why, -errno, "machine: no eventfd: %s", strerror(errno));
	r = loop_add(loop, &m->event, EPOLLIN, why);
	if (r) {
		(void)close(m->event.fd);
		return r;
	}
	r = node_events_init(&m->events, loop, why);
	if (r) {
		loop_remove(loop, &m->event);
		(void)close(m->event.fd);
		return r;
	}
	m->events.gone = on_device_gone;
	m->events.gone_context = m;
	return 0;
}

void machine_fini(struct machine *m)
{
	machine_destroy(m);
	node_events_fini(&m->events);
	loop_remove(m->loop, &m->event);
	(void)close(m->event.fd);
	(void)pthread_mutex_destroy(&m->event_lock);
}

/* RAM with everything in it that the guest finds at its start. */
static int fill_memory(struct machine *m, struct boot_entry *entry, struct failure *why)
{
	struct acpi_config acpi = {
		.vp_count = m->config->vp_count,
		.ram_top = guest_mem_top(&m->mem),
		.has_com1 = m->config->has_com1,
	};
	struct boot_files files = {
		.kernel_fd = m->files.kernel_fd,
		.initrd_fd = m->files.initrd_fd,
		.command_line = m->config->command_line,
	};
	uint8_t *tables = guest_mem_range(&m->mem, ACPI_TABLES_GPA, ACPI_TABLES_BYTES);
	struct acpi_layout layout;
	int r;

	if (!tables)
		return failure_set(why, -ENOSPC, "memory: no room for the ACPI tables");
	r = acpi_build(&acpi, ACPI_TABLES_GPA, tables, ACPI_TABLES_BYTES, &layout, why);
	if (r)
		return r;
	files.rsdp_gpa = layout.rsdp_gpa;
	return boot_image_load(&m->mem, &files, entry, why);
}

static int create_partition(struct machine *m, struct failure *why)
{
	struct backend *b = m->backend;
	int r = b->ops->partition_create(b, why);

	if (r)
		return r;
	r = b->ops->partition_set_property(b, HV_PROPERTY_SYNTHETIC_PROC_FEATURES, CHILD_FEATURES, why);
	if (r == 0)
		r = b->ops->partition_initialize(b, why);
	/* MSRs that the hypervisor does not know are ours (msr_policy.h). Ports all are, without asking. */
	if (r == 0)
		r = b->ops->install_intercept(b, HV_INTERCEPT_MSR, HV_INTERCEPT_ACCESS_READ | HV_INTERCEPT_ACCESS_WRITE, 0, why);
	for (unsigned i = 0; r == 0 && i < m->mem.slot_count; i++)
		r = b->ops->map(b, m->mem.slot[i].gpa, m->mem.slot[i].host, m->mem.slot[i].size_bytes, why);
	for (unsigned i = 0; r == 0 && i < m->config->vp_count; i++)
		r = b->ops->vp_create(b, i, why);
	if (r)
		b->ops->partition_destroy(b);
	return r;
}

static int start_threads(struct machine *m, struct failure *why)
{
	struct vp_context contexts[PLATFORM_VP_MAX];

	for (unsigned i = 0; i < m->config->vp_count; i++)
		contexts[i] = (struct vp_context){
			.index = i,
			.backend = m->backend,
			.mem = &m->mem,
			.devices = &m->devices,
			.page = m->backend->ops->register_page(m->backend, i),
		};
	return vp_group_start(&m->vps, contexts, m->config->vp_count, on_report, m, why);
}

/* The bus' thread. */
static void on_device_failed(void *context, const struct failure *why)
{
	on_report(context, INTERCEPT_FAILED, why);
}

/* The partition exists; the registers, the devices and the threads come. */
static int furnish(struct machine *m, const struct boot_entry *entry, struct failure *why)
{
	const struct vmbus_owner owner = { .events = &m->events, .failed = on_device_failed, .context = m };
	struct hv_register_assoc regs[BOOT_REGISTER_COUNT];
	unsigned count = boot_image_registers(entry, regs);
	int r = m->backend->ops->registers_set(m->backend, 0, regs, count, why);

	if (r)
		return r;
	r = devices_init(&m->devices, m->backend, m->config->has_com1 ? m->console : NULL, why);
	if (r)
		return r;
	r = vmbus_start(&m->vmbus, m->config, m->backend, &m->mem, &owner, why);
	if (r == 0) {
		r = start_threads(m, why);
		if (r)
			vmbus_stop(m->vmbus);
	}
	if (r)
		devices_fini(&m->devices);
	return r;
}

int machine_build(struct machine *m, struct failure *why)
{
	struct boot_entry entry;
	uint64_t growth_mib = 0;
	int r = guest_mem_init(&m->mem, m->config->memory_mib << 20, why);

	if (r)
		return r;
	m->event_pending = false;
	r = node_memory_growth(m->config->nodes, m->config->memory_mib, &growth_mib, why);
	if (r == 0)
		r = guest_mem_reserve(&m->mem, growth_mib << 20, why);
	if (r == 0)
		r = fill_memory(m, &entry, why);
	if (r == 0)
		r = create_partition(m, why);
	if (r) {
		guest_mem_fini(&m->mem);
		return r;
	}
	r = furnish(m, &entry, why);
	if (r) {
		m->backend->ops->partition_destroy(m->backend);
		guest_mem_fini(&m->mem);
		return r;
	}
	m->built = true;
	return 0;
}

void machine_destroy(struct machine *m)
{
	if (!m->built)
		return;
	m->built = false;
	vp_group_stop(&m->vps);
	vmbus_stop(m->vmbus);
	m->backend->ops->partition_destroy(m->backend);
	devices_fini(&m->devices);
	guest_mem_fini(&m->mem);
}

void machine_run(struct machine *m)
{
	vp_group_run(&m->vps);
}

int machine_pause(struct machine *m, struct failure *why)
{
	int r;

	vp_group_pause(&m->vps);
	vmbus_pause(m->vmbus);
	r = m->backend->ops->partition_set_property(m->backend, HV_PROPERTY_TIME_FREEZE, 1, why);
	if (r) {
		vmbus_resume(m->vmbus);
		vp_group_run(&m->vps);
	}
	return r;
}

int machine_resume(struct machine *m, struct failure *why)
{
	int r = m->backend->ops->partition_set_property(m->backend, HV_PROPERTY_TIME_FREEZE, 0, why);

	if (r == 0) {
		vmbus_resume(m->vmbus);
		vp_group_run(&m->vps);
	}
	return r;
}

bool machine_guest_crashed(struct machine *m)
{
	uint32_t names[CRASH_PARAMETER_COUNT];
	struct hv_u128 values[CRASH_PARAMETER_COUNT] = { 0 };
	bool crashed = false;

	for (unsigned i = 0; i < CRASH_PARAMETER_COUNT; i++)
		names[i] = HV_REG_GUEST_CRASH_P0 + i;
	/* A hypervisor without crash registers has no crash to tell. */
	if (!m->built || m->backend->ops->registers_get(m->backend, 0, names, values, CRASH_PARAMETER_COUNT, NULL))
		return false;
	for (unsigned i = 0; i < CRASH_PARAMETER_COUNT; i++)
		crashed |= values[i].low != 0;
	return crashed;
}

void machine_console_input(struct machine *m)
{
	if (m->built)
		devices_console_input(&m->devices);
}

int machine_add_device(struct machine *m, struct node *node, struct failure *why)
{
	int r = node_list_add(&m->config->nodes, node, why);

	if (r || !m->built)
		return r;
	r = vmbus_add(m->vmbus, node, why);
	if (r)
		node_list_remove(&m->config->nodes, node);
	return r;
}

static struct node *find_device(struct machine *m, const char *instance, struct failure *why)
{
	struct node *node = node_list_find(m->config->nodes, instance);

	if (node && !node->removing)
		return node;
	failure_set(why, -ENOENT, "params.instance: %.40s: there is no such device", instance);
	return NULL;
}

int machine_remove_device(struct machine *m, const char *instance, struct failure *why)
{
	struct node *node = find_device(m, instance, why);

	if (!node)
		return -ENOENT;
	if (node->bus)
		return vmbus_remove(m->vmbus, node, why);
	node->removing = true;
	node_events_push_gone(&m->events, node);
	return 0;
}

int machine_call_device(struct machine *m, const char *instance, const char *name, struct json_object *params,
			struct node_fds *fds, struct failure *why)
{
	struct node *node = find_device(m, instance, why);

	if (!node)
		return -ENOENT;
	return m->built ? vmbus_call(m->vmbus, node, name, params, fds, why) : node_call(node, name, params, fds, why);
}

void machine_client(struct machine *m, bool connected)
{
	if (m->built)
		vmbus_client(m->vmbus, connected);
}
