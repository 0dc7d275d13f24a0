// SPDX-License-Identifier: Apache-2.0
#include "fake_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct fake_backend *fake_of(struct backend *b)
{
	return (struct fake_backend *)b;	/* base is the first member */
}

static int outcome(struct fake_backend *f, const char *call, struct failure *why)
{
	if (f->fail_call && strcmp(f->fail_call, call) == 0)
		return failure_set(why, f->fail_error, "fake: %s fails", call);
	return 0;
}

static int partition_create(struct backend *b, struct failure *why)
{
	struct fake_backend *f = fake_of(b);

	if (f->exists)
		return failure_set(why, -EBUSY, "fake: there is a partition");
	f->exists = outcome(f, "partition_create", why) == 0;
	f->partitions += f->exists;
	return f->exists ? 0 : f->fail_error;
}

static int partition_set_property(struct backend *b, uint32_t code, uint64_t value, struct failure *why)
{
	struct fake_backend *f = fake_of(b);

	if (code == HV_PROPERTY_SYNTHETIC_PROC_FEATURES) {
		if (f->initialized)
			return failure_set(why, -EINVAL, "fake: too late for an early property");
		f->features = value;
	}
	if (code == HV_PROPERTY_TIME_FREEZE) {
		int r = outcome(f, "time_freeze", why);

		if (r)
			return r;
		f->time_freeze = value;
	}
	return outcome(f, "partition_set_property", why);
}

static int partition_initialize(struct backend *b, struct failure *why)
{
	fake_of(b)->initialized = true;
	return outcome(fake_of(b), "partition_initialize", why);
}

static void partition_destroy(struct backend *b)
{
	struct fake_backend *f = fake_of(b);

	f->exists = f->initialized = f->msr_intercept = false;
	f->vps = 0;
	f->mapped_bytes = 0;
	f->register_count = 0;
	f->route_count = 0;
	f->time_freeze = 0;
	for (unsigned i = 0; i < FAKE_ROUTES_MAX; i++)
		f->irqfd[i] = -1;
}

static int map(struct backend *b, uint64_t gpa, void *host, uint64_t bytes, struct failure *why)
{
	fake_of(b)->mapped_bytes += bytes;
	return outcome(fake_of(b), "map", why);
}

static int release(struct backend *b, uint64_t gpa, uint64_t bytes, struct failure *why)
{
	struct fake_backend *f = fake_of(b);

	f->released_bytes += bytes;
	f->changed_gpa = gpa;
	f->changed_bytes = bytes;
	return outcome(f, "release", why);
}

static int restore(struct backend *b, uint64_t gpa, uint64_t bytes, struct failure *why)
{
	struct fake_backend *f = fake_of(b);

	f->restored_bytes += bytes;
	f->changed_gpa = gpa;
	f->changed_bytes = bytes;
	return outcome(f, "restore", why);
}

static int install_intercept(struct backend *b, uint32_t type, uint32_t access_mask, uint64_t parameter,
			     struct failure *why)
{
	fake_of(b)->msr_intercept |= type == HV_INTERCEPT_MSR;
	return outcome(fake_of(b), "install_intercept", why);
}

static int vp_create(struct backend *b, uint32_t vp, struct failure *why)
{
	fake_of(b)->vps++;
	return outcome(fake_of(b), "vp_create", why);
}

static struct hv_register_page *register_page(struct backend *b, uint32_t vp)
{
	struct fake_backend *f = fake_of(b);

	return f->use_page && vp == 0 ? &f->page : NULL;
}

static struct fake_register *find(struct fake_backend *f, uint32_t vp, uint32_t name)
{
	for (unsigned i = 0; i < f->register_count; i++)
		if (f->registers[i].vp == vp && f->registers[i].name == name)
			return &f->registers[i];
	return NULL;
}

void fake_register_set(struct fake_backend *f, uint32_t vp, uint32_t name, uint64_t low, uint64_t high)
{
	struct fake_register *reg;

	(void)pthread_mutex_lock(&f->lock);
	reg = find(f, vp, name);
	if (!reg && f->register_count < FAKE_REGISTERS_MAX)
		reg = &f->registers[f->register_count++];
	if (reg)
		*reg = (struct fake_register){ vp, name, { low, high } };
	(void)pthread_mutex_unlock(&f->lock);
}

uint64_t fake_register_low(struct fake_backend *f, uint32_t vp, uint32_t name)
{
	struct fake_register *reg;
	uint64_t value;

	(void)pthread_mutex_lock(&f->lock);
	reg = find(f, vp, name);
	value = reg ? reg->value.low : 0;
	(void)pthread_mutex_unlock(&f->lock);
	return value;
}

static int registers_set(struct backend *b, uint32_t vp, const struct hv_register_assoc *regs, unsigned count,
			 struct failure *why)
{
	for (unsigned i = 0; i < count; i++)
		fake_register_set(fake_of(b), vp, regs[i].name, regs[i].value.low, regs[i].value.high);
	return outcome(fake_of(b), "registers_set", why);
}

static uint64_t reference_time(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 10000000u + (uint64_t)now.tv_nsec / 100u;
}

static int registers_get(struct backend *b, uint32_t vp, const uint32_t *names, struct hv_u128 *values, unsigned count,
			 struct failure *why)
{
	for (unsigned i = 0; i < count; i++)
		values[i] = (struct hv_u128){
			names[i] == HV_REG_TIME_REF_COUNT ? reference_time() : fake_register_low(fake_of(b), vp, names[i]), 0,
		};
	return outcome(fake_of(b), "registers_get", why);
}

static int translate(struct backend *b, uint32_t vp, uint64_t gva, uint64_t flags, uint32_t *out_result,
		     uint64_t *out_gpa, struct failure *why)
{
	bool absent = gva >> 12 == fake_of(b)->absent_page;

	*out_result = absent ? HV_TRANSLATE_PAGE_NOT_PRESENT : HV_TRANSLATE_SUCCESS;
	*out_gpa = absent ? 0 : gva;
	return outcome(fake_of(b), "translate", why);
}

static int set_routes(struct backend *b, const struct backend_route *routes, unsigned count, struct failure *why)
{
	struct fake_backend *f = fake_of(b);

	if (count > FAKE_ROUTES_MAX)
		return failure_set(why, -E2BIG, "fake: %u routes", count);
	memcpy(f->routes, routes, count * sizeof *routes);
	f->route_count = count;
	return outcome(f, "set_routes", why);
}

static int irqfd(struct backend *b, int eventfd, uint32_t gsi, struct failure *why)
{
	if (gsi < FAKE_ROUTES_MAX)
		fake_of(b)->irqfd[gsi] = eventfd;
	return outcome(fake_of(b), "irqfd", why);
}

static int run(struct backend *b, uint32_t vp, struct hv_message *out_message, struct failure *why)
{
	struct fake_backend *f = fake_of(b);
	bool have;

	(void)pthread_mutex_lock(&f->lock);
	f->runs++;
	have = vp == 0 && f->script_next < f->script_count;
	if (have)
		*out_message = f->script[f->script_next++];
	(void)pthread_mutex_unlock(&f->lock);
	if (!have) {
		if (f->fail_call && strcmp(f->fail_call, "run") == 0)
			return outcome(f, "run", why);
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_sec = 3600 }, NULL);	/* until the kick */
		return -EINTR;
	}
	return 0;
}

/* A copy of one end of a packet socket pair: each read gives one message, as from the driver. */
static int message_port(struct backend *b, const uint32_t *connection_ids, unsigned count, struct failure *why)
{
	struct fake_backend *f = fake_of(b);
	struct hv_message stale;
	int fd;

	if (outcome(f, "message_port", why))
		return f->fail_error;
	while (read(f->message_fds[0], &stale, sizeof stale) > 0)
		;
	f->posted_count = 0;
	fd = fcntl(f->message_fds[0], F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? failure_set(why, -errno, "fake: no descriptor") : fd;
}

static int event_port(struct backend *b, uint32_t connection_id, int eventfd, struct failure *why)
{
	struct fake_backend *f = fake_of(b);
	unsigned i = 0;

	if (outcome(f, "event_port", why))
		return f->fail_error;
	(void)pthread_mutex_lock(&f->lock);
	while (i < FAKE_PORTS_MAX && f->ports[i].eventfd)
		i++;
	if (i < FAKE_PORTS_MAX)
		f->ports[i] = (struct fake_port){ connection_id, eventfd };
	(void)pthread_mutex_unlock(&f->lock);
	return i < FAKE_PORTS_MAX ? 0 : failure_set(why, -ENOMEM, "fake: too many ports");
}

static void event_port_remove(struct backend *b, uint32_t connection_id, int eventfd)
{
	struct fake_backend *f = fake_of(b);

	(void)pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < FAKE_PORTS_MAX; i++)
		if (f->ports[i].eventfd == eventfd)
			f->ports[i].eventfd = 0;
	(void)pthread_mutex_unlock(&f->lock);
}

static int post_message(struct backend *b, uint32_t vp, uint8_t sint, const struct hv_message *message)
{
	struct fake_backend *f = fake_of(b);
	int r = -EAGAIN;

	(void)pthread_mutex_lock(&f->lock);
	if (f->posted_count < FAKE_POSTED_MAX) {
		f->posted[f->posted_count++] = *message;
		r = 0;
	}
	(void)pthread_mutex_unlock(&f->lock);
	return r;
}

static int signal_event(struct backend *b, uint32_t vp, uint8_t sint, uint16_t flag)
{
	(void)__atomic_add_fetch(&fake_of(b)->signals, 1, __ATOMIC_RELAXED);
	return 0;
}

static const struct backend_ops fake_ops = {
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

void fake_backend_init(struct fake_backend *f)
{
	memset(f, 0, sizeof *f);
	f->base.ops = &fake_ops;
	f->absent_page = UINT64_MAX;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, f->message_fds) < 0)
		perror("fake_backend");
	(void)pthread_mutex_init(&f->lock, NULL);
	for (unsigned i = 0; i < FAKE_ROUTES_MAX; i++)
		f->irqfd[i] = -1;
}

void fake_guest_signals(struct fake_backend *f, uint32_t connection)
{
	const uint64_t one = 1;

	(void)pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < FAKE_PORTS_MAX; i++)
		if (f->ports[i].eventfd && f->ports[i].connection == connection &&
		    write(f->ports[i].eventfd, &one, sizeof one) < 0)
			perror("fake_backend");
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_backend_fini(struct fake_backend *f)
{
	(void)close(f->message_fds[0]);
	(void)close(f->message_fds[1]);
	(void)pthread_mutex_destroy(&f->lock);
}

void fake_message(struct fake_backend *f, uint32_t type, const void *payload, size_t bytes)
{
	struct hv_message *message;

	(void)pthread_mutex_lock(&f->lock);
	message = &f->script[f->script_count++ % FAKE_SCRIPT_MAX];
	memset(message, 0, sizeof *message);
	message->type = type;
	message->payload_bytes = (uint8_t)bytes;
	memcpy(message->payload, payload, bytes);
	(void)pthread_mutex_unlock(&f->lock);
}

void fake_guest_posts(struct fake_backend *f, const void *payload, size_t bytes)
{
	struct hv_message message = { .type = 1, .payload_bytes = (uint8_t)bytes };

	memcpy(message.payload, payload, bytes);
	(void)!write(f->message_fds[1], &message, sizeof message);
}

bool fake_posted(struct fake_backend *f, unsigned index, struct hv_message *out)
{
	bool there;

	(void)pthread_mutex_lock(&f->lock);
	there = index < f->posted_count;
	if (there)
		*out = f->posted[index];
	(void)pthread_mutex_unlock(&f->lock);
	return there;
}
