/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/model.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"
#include "vmms/dynamic_memory.h"
#include "vmms/network.h"
#include "vmms/task.h"
#include "vmms/vm.h"

#define ADOPT_WAIT_MS 3000

int64_t model_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t model_monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void model_new_id(char id[STORE_ID_SIZE])
{
	unsigned char b[16];
	size_t have = 0;

	while (have < sizeof(b)) {
		ssize_t count = getrandom(b + have, sizeof(b) - have, 0);

		have += count > 0 ? (size_t)count : 0;
	}
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(id, STORE_ID_SIZE, "%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
		 b[14], b[15]);
}

void model_lock(struct model *model)
{
	pthread_mutex_lock(&model->lock);
}

void model_unlock(struct model *model)
{
	pthread_mutex_unlock(&model->lock);
}

void model_wake(struct model *model)
{
	uint64_t one = 1;

	/* It fails only when the counter is full: then the main thread is awake anyhow. */
	if (write(model->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static int make_directory(const char *path, mode_t mode, char *reason, unsigned reason_size)
{
	if (mkdir(path, mode) && errno != EEXIST) {
		snprintf(reason, reason_size, "%s: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

/* One service per state directory: two would each believe that the workers are theirs. */
static int take_lock(struct model *model, char *reason, unsigned reason_size)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/vmms.lock", model->config->statedir);
	model->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (model->lock_fd >= 0 && flock(model->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (model->lock_fd >= 0 && errno == EWOULDBLOCK)
		snprintf(reason, reason_size, "%s: another vmms uses this state directory", path);
	else
		snprintf(reason, reason_size, "%s: %s", path, strerror(errno));
	return -1;
}

static int open_directories(struct model *model, char *reason, unsigned reason_size)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/workers", model->config->rundir);
	if (make_directory(model->config->statedir, 0700, reason, reason_size) ||
	    make_directory(model->config->rundir, 0755, reason, reason_size) ||
	    make_directory(path, 0700, reason, reason_size))
		return -1;
	if (take_lock(model, reason, reason_size))
		return -1;
	model->workers_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (model->workers_fd < 0) {
		snprintf(reason, reason_size, "%s: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

static int load_kvp(void *context, const char *name, const char *value, bool host_only)
{
	struct vm *vm = context;

	return guest_items_put(&vm->guest.host, name, value, host_only) ? 0 : -1;
}

static int load_vm(void *context, const struct store_vm *record)
{
	struct model *model = context;
	struct vm *vm;

	if (record->state < 0 || record->state >= VM_STATE_COUNT)
		return -1;
	vm = vm_restore(model, record);
	if (!vm || store_storage_get(model->store, record->id, &vm->storage))
		return -1;
	if (store_network_get(model->store, record->id, &vm->network))
		return -1;
	return store_kvp_each(model->store, record->id, load_kvp, vm);
}

static int load_job(void *context, const struct store_job *record)
{
	return job_restore(context, record) ? 0 : -1;
}

static int open_store(struct model *model, char *reason, unsigned reason_size)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/vmms.db", model->config->statedir);
	model->store = store_open(path, reason, reason_size);
	if (!model->store)
		return -1;
	if (store_vm_each(model->store, load_vm, model) || store_job_each(model->store, load_job, model)) {
		snprintf(reason, reason_size, "%s: %s", path, store_error(model->store));
		return -1;
	}
	return 0;
}

static bool is_socket_of(const char *name, char id[STORE_ID_SIZE])
{
	if (strlen(name) != STORE_ID_SIZE - 1 + strlen(".control") ||
	    strcmp(name + STORE_ID_SIZE - 1, ".control") != 0)
		return false;
	memcpy(id, name, STORE_ID_SIZE - 1);
	id[STORE_ID_SIZE - 1] = 0;
	return true;
}

/* The sockets are the truth about which workers run. */
static int find_workers(struct model *model, char *reason, unsigned reason_size)
{
	int fd = openat(model->workers_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	char id[STORE_ID_SIZE];

	if (!directory) {
		snprintf(reason, reason_size, "%s/workers: %s", model->config->rundir, strerror(errno));
		return -1;
	}
	for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
		struct vm *vm;

		if (!is_socket_of(entry->d_name, id))
			continue;
		vm = vm_find(model, id);
		if (vm)
			vm->worker = worker_adopt(model, vm);
		else
			worker_stop_stray(model, id);
	}
	closedir(directory);
	return 0;
}

static bool all_answered(const struct model *model)
{
	for (const struct vm *vm = model->vms; vm; vm = vm->next)
		if (vm->worker && !vm->worker->has_status)
			return false;
	return true;
}

static void no_lock(void)
{
}

int model_open(struct model *model, const struct config *config, char *reason, unsigned reason_size)
{
	pthread_condattr_t attributes;
	int64_t until;

	memset(model, 0, sizeof(*model));
	model->config = config;
	model->workers_fd = model->lock_fd = -1;
	model->started_ms = model_now_ms();
	pthread_mutex_init(&model->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&model->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	model->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	model->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (gethostname(model->host_name, sizeof(model->host_name) - 1) || !model->host_name[0])
		strcpy(model->host_name, "localhost");
	if (model->wake_fd < 0 || model->stop_fd < 0 || loop_init()) {
		snprintf(reason, reason_size, "event loop: %s", strerror(errno));
		return -1;
	}
	if (open_directories(model, reason, reason_size) || open_store(model, reason, reason_size) ||
	    network_open(model, reason, reason_size) || find_workers(model, reason, reason_size))
		return -1;
	/* No other thread yet: the loop runs without the lock until the workers have said how they are. */
	until = model_monotonic_ms() + ADOPT_WAIT_MS;
	while (!all_answered(model) && model_monotonic_ms() < until)
		loop_once(50, no_lock, no_lock);
	vm_settle_after_restart(model);
	network_settle(model);
	return 0;
}

void model_close(struct model *model)
{
	task_finish_all(model);
	vm_free_all(model);
	network_close(model);
	job_free_all(model);
	store_close(model->store);
	if (model->workers_fd >= 0)
		close(model->workers_fd);
	if (model->wake_fd >= 0)
		close(model->wake_fd);
	if (model->stop_fd >= 0)
		close(model->stop_fd);
	if (model->lock_fd >= 0)
		close(model->lock_fd);
	loop_fini();
	pthread_cond_destroy(&model->changed);
	pthread_mutex_destroy(&model->lock);
}

void model_run_queue(struct model *model)
{
	struct job *job;

	task_finish(model);
	job = model->jobs;
	/* A job may end others, but only expire() and clients remove them: restart the walk after each. */
	while (job) {
		if (job->queued && job->vm) {
			vm_run_job(model, job);
			job = model->jobs;
		} else {
			job = job->next;
		}
	}
}

void model_tick(struct model *model)
{
	int64_t now = model_monotonic_ms();

	for (struct vm *vm = model->vms; vm; vm = vm->next) {
		vm_check_deadline(vm, now);
		guest_tick(vm, now);
		if (vm->worker)
			worker_tick(vm->worker, now);
	}
	dynamic_memory_tick(model, now);
	network_tick(model);
	job_expire(model);
}
