/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/log.h"
#include "vmms/device_event.h"
#include "vmms/vm.h"
#include "vmms/worker_proc.h"
#include "vmms/worker_wire.h"
#include "worker/worker_msg.h"

#define STATUS_PERIOD_MS   2000
#define EXIT_GRACE_MS      5000
#define STRAY_WAIT_SECONDS 2

static void control_ready(void *context);

static void release_links(struct worker *worker)
{
	loop_close(&worker->control);
	loop_close(&worker->console);
	loop_close(&worker->process);
}

/* Ends the call in the slot, which is free from then on: `done` may call again. */
static void finish_call(struct worker *worker, int slot, const struct worker_answer *answer)
{
	worker_done *done = worker->pending[slot].done;

	worker->pending[slot].id = 0;
	if (done)
		done(worker->pending[slot].context, answer);
	else if (answer->code)
		log_warning("worker.refused", "vm=%s text=\"%s (%s)\"", worker->vm->record.id,
			    answer->message, answer->code);
}

/* Those that were asked at this time or before. */
static void finish_calls(struct worker *worker, int64_t asked_ms, const char *code, const char *message)
{
	const struct worker_answer answer = {.code = code, .message = message};

	for (int i = 0; i < WORKER_PENDING_MAX; i++)
		if (worker->pending[i].id && worker->pending[i].is_call &&
		    worker->pending[i].asked_ms <= asked_ms)
			finish_call(worker, i, &answer);
}

static void finish_all_calls(struct worker *worker)
{
	finish_calls(worker, INT64_MAX, "gone", "The worker process has ended");
}

void worker_release(struct worker *worker)
{
	if (!worker)
		return;
	release_links(worker);
	finish_all_calls(worker);
	free(worker);
}

/* As recv. A worker that ends with something unread resets the connection. A socket of packets tells that first and once,
 * and behind it what the worker had still said; a stream, as the console is, gives its bytes first. */
static ssize_t receive_packet(int fd, void *bytes, size_t size, int flags)
{
	ssize_t count = recv(fd, bytes, size, flags);

	return count < 0 && errno == ECONNRESET ? recv(fd, bytes, size, flags) : count;
}

static void read_console(struct worker *worker)
{
	char bytes[16384];
	ssize_t count;

	if (worker->console.fd < 0)
		return;
	count = recv(worker->console.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (count > 0)
		console_log_append(&worker->vm->console, bytes, (size_t)count);
	else if (count == 0 || (errno != EAGAIN && errno != EINTR))
		loop_close(&worker->console);
}

static void console_ready(void *context)
{
	read_console(context);
}

/* Nothing more comes: take what is still in the sockets, then say so. Frees the worker. */
static void gone(struct worker *worker)
{
	struct vm *vm = worker->vm;
	/* A full backlog is a few reads; a console that never ends is not waited for. */
	unsigned reads = 0;

	while (worker->console.fd >= 0 && reads++ < 256) {
		size_t before = vm->console.size + vm->console.start;

		read_console(worker);
		if (vm->console.size + vm->console.start == before)
			break;
	}
	release_links(worker);
	finish_all_calls(worker);
	worker_proc_remove_sockets(worker->model, vm->record.id);
	worker_proc_last_line(worker->model, vm->record.id, worker->end.last_line,
			      sizeof(worker->end.last_line));
	vm->worker = NULL;
	vm_worker_gone(vm, &worker->end);
	free(worker);
}

static void kill_now(struct worker *worker, const char *why)
{
	log_warning("worker.kill", "vm=%s pid=%d reason=\"%s\"", worker->vm->record.id, (int)worker->pid,
		    why);
	worker->kill_at_ms = 0;
	if (worker->process.fd >= 0)
		syscall(SYS_pidfd_send_signal, worker->process.fd, SIGKILL, NULL, 0);
	else
		gone(worker);
}

void worker_kill_after(struct worker *worker, int64_t ms)
{
	int64_t at = model_monotonic_ms() + ms;

	if (!worker->kill_at_ms || at < worker->kill_at_ms)
		worker->kill_at_ms = at;
}

static bool process_is_worker_of(int64_t pid, const char *id)
{
	char path[64], text[8192];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%lld/cmdline", (long long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	for (ssize_t i = 0; i < size; i++) {
		text[size] = 0;
		if (strcmp(text + i, id) == 0)
			return true;
		i += (ssize_t)strlen(text + i);
	}
	return false;
}

static void process_ready(void *context)
{
	struct worker *worker = context;
	siginfo_t info = {0};

	/* Its last words may still be in the socket. */
	if (worker->control.fd >= 0)
		control_ready(worker);
	if (worker->is_child && waitid(P_PIDFD, (id_t)worker->process.fd, &info, WEXITED | WNOHANG) == 0 &&
	    info.si_pid) {
		worker->end.have_status = true;
		worker->end.signaled = info.si_code != CLD_EXITED;
		worker->end.code = info.si_status;
	}
	gone(worker);
}

static void learn_pid(struct worker *worker, int64_t pid)
{
	int fd;

	if (worker->pid || pid <= 1 || pid > INT32_MAX)
		return;
	fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (fd < 0)
		return;
	/* The number came from the worker; only a process started for this machine is taken. */
	if (!process_is_worker_of(pid, worker->vm->record.id) ||
	    loop_add(&worker->process, fd, process_ready, worker)) {
		close(fd);
		return;
	}
	worker->pid = (pid_t)pid;
}

static void take_status(struct worker *worker, const struct worker_packet *packet)
{
	int64_t now = model_monotonic_ms();

	worker->status_asked_ms = 0;
	worker->silent = false;
	learn_pid(worker, packet->pid);
	if (worker->has_status && now > worker->status_at_ms &&
	    packet->cpu_time_100ns >= worker->cpu_time_100ns) {
		uint64_t room =
			(uint64_t)(now - worker->status_at_ms) * 10000 * worker->vm->record.processor_count;
		uint64_t percent =
			(packet->cpu_time_100ns - worker->cpu_time_100ns) / (room / 100 ? room / 100 : 1);

		worker->cpu_percent = percent > 100 ? 100 : (unsigned)percent;
	}
	worker->has_status = true;
	worker->uptime_ms = packet->uptime_ms;
	worker->cpu_time_100ns = packet->cpu_time_100ns;
	worker->memory_mib = packet->memory_mib;
	worker->status_at_ms = now;
	worker->state = packet->state;
	vm_worker_state(worker->vm, packet->state, packet->reason);
}

uint64_t worker_uptime_ms(const struct worker *worker)
{
	uint64_t extra = worker->state == WORKER_STATE_RUNNING
				 ? (uint64_t)(model_monotonic_ms() - worker->status_at_ms)
				 : 0;

	return worker->has_status ? worker->uptime_ms + extra : 0;
}

static void take_state(struct worker *worker, const struct worker_packet *packet)
{
	log_notice("worker.state", "vm=%s state=%d reason=\"%s\"", worker->vm->record.id, packet->state,
		   packet->reason);
	/* Uptime runs only while the guest does: fix the figure at each change. */
	if (worker->has_status) {
		worker->uptime_ms = worker_uptime_ms(worker);
		worker->status_at_ms = model_monotonic_ms();
	}
	worker->state = packet->state;
	if (packet->state == WORKER_STOPPED) {
		snprintf(worker->end.reason, sizeof(worker->end.reason), "%s", packet->reason);
		worker_kill_after(worker, EXIT_GRACE_MS);
	}
	if (strcmp(packet->reason, "guest_reset") == 0)
		vm_worker_guest_reset(worker->vm);
	vm_worker_state(worker->vm, packet->state, packet->reason);
	/* Fresh figures at once, not at the next tick. */
	if (packet->state == WORKER_STATE_RUNNING && !worker_is_pending(worker, WORKER_REQUEST_STATUS))
		worker_send(worker, WORKER_REQUEST_STATUS);
}

static int take_answer(struct worker *worker, const struct worker_packet *packet)
{
	for (int i = 0; i < WORKER_PENDING_MAX; i++) {
		enum worker_request request = worker->pending[i].request;

		if (!packet->id || worker->pending[i].id != packet->id)
			continue;
		if (worker->pending[i].is_call) {
			bool failed = packet->kind == WORKER_PACKET_ERROR;
			const struct worker_answer answer = {failed ? packet->code : NULL, packet->message,
							     failed ? NULL : packet->body};

			finish_call(worker, i, &answer);
			return 0;
		}
		worker->pending[i].id = 0;
		if (request == WORKER_REQUEST_STATUS) {
			if (packet->kind == WORKER_PACKET_RESULT && packet->has_status)
				take_status(worker, packet);
			return 0;
		}
		vm_worker_answer(worker->vm, request,
				 packet->kind == WORKER_PACKET_ERROR ? packet->code : NULL, packet->message);
		return 0;
	}
	/* A call that was given up may be answered yet; what was never asked breaks the protocol. */
	return packet->id && packet->id < worker->next_id ? 0 : -1;
}

static int act_on_packet(struct worker *worker, const struct worker_packet *packet)
{
	switch (packet->kind) {
	case WORKER_PACKET_RESULT:
	case WORKER_PACKET_ERROR:
		return take_answer(worker, packet);
	case WORKER_PACKET_STATE:
		take_state(worker, packet);
		return 0;
	case WORKER_PACKET_DEVICE:
		device_event(worker->vm, &packet->device);
		return 0;
	case WORKER_PACKET_OTHER:
		return 0;
	}
	return -1;
}

static int take_packet(struct worker *worker, const char *text, size_t size)
{
	struct worker_packet packet;
	int result = worker_wire_read(text, size, &packet);

	if (!result)
		result = act_on_packet(worker, &packet);
	worker_wire_release(&packet);
	return result;
}

static void control_lost(struct worker *worker, const char *why)
{
	log_warning("worker.control", "vm=%s reason=\"%s\"", worker->vm->record.id, why);
	loop_close(&worker->control);
	finish_all_calls(worker);
	if (worker->process.fd >= 0)
		worker_kill_after(worker, EXIT_GRACE_MS);
}

static void control_ready(void *context)
{
	struct worker *worker = context;
	char *text = malloc(WORKER_MSG_MAX);

	if (!text)
		return;
	while (worker->control.fd >= 0) {
		ssize_t size = receive_packet(worker->control.fd, text, WORKER_MSG_MAX, MSG_DONTWAIT | MSG_TRUNC);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (size <= 0)
			control_lost(worker, size ? strerror(errno) : "closed by the worker");
		else if (size > WORKER_MSG_MAX || take_packet(worker, text, (size_t)size))
			control_lost(worker, "the worker broke the protocol");
	}
	free(text);
	/* Without a process to watch, the end of the connection is the end of the worker. */
	if (worker->control.fd < 0 && worker->process.fd < 0)
		gone(worker);
}

static struct worker *worker_new(struct model *model, struct vm *vm)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->model = model;
	worker->vm = vm;
	worker->process.fd = worker->control.fd = worker->console.fd = -1;
	worker->next_id = 1;
	return worker;
}

static int connect_links(struct worker *worker)
{
	const char *id = worker->vm->record.id;
	int control = worker_proc_connect(worker->model, id, "control", SOCK_SEQPACKET | SOCK_NONBLOCK);
	int console;

	if (control < 0)
		return -1;
	if (loop_add(&worker->control, control, control_ready, worker)) {
		close(control);
		return -1;
	}
	console_log_clear(&worker->vm->console);
	console = worker_proc_connect(worker->model, id, "console", SOCK_STREAM | SOCK_NONBLOCK);
	if (console < 0 || loop_add(&worker->console, console, console_ready, worker)) {
		log_warning("worker.console", "vm=%s error=\"%s\"", id, strerror(errno));
		if (console >= 0)
			close(console);
	}
	return 0;
}

struct worker *worker_launch(struct model *model, struct vm *vm, const struct disk_set *disks, char *reason,
			     unsigned reason_size)
{
	struct worker *worker = worker_new(model, vm);
	struct worker_process process;

	if (!worker) {
		snprintf(reason, reason_size, "No memory");
		return NULL;
	}
	if (worker_proc_start(model, vm, disks, &process, reason, reason_size)) {
		free(worker);
		return NULL;
	}
	worker->pid = process.pid;
	worker->is_child = true;
	if (loop_add(&worker->process, process.pidfd, process_ready, worker) || connect_links(worker)) {
		snprintf(reason, reason_size, "The worker cannot be reached: %s", strerror(errno));
		syscall(SYS_pidfd_send_signal, process.pidfd, SIGKILL, NULL, 0);
		waitpid(process.pid, NULL, 0);
		if (worker->process.fd < 0)
			close(process.pidfd);
		worker_release(worker);
		worker_proc_remove_sockets(model, vm->record.id);
		return NULL;
	}
	log_notice("worker.launch", "vm=%s pid=%d", vm->record.id, (int)process.pid);
	return worker;
}

struct worker *worker_adopt(struct model *model, struct vm *vm)
{
	struct worker *worker = worker_new(model, vm);

	if (!worker)
		return NULL;
	if (connect_links(worker) || worker_send(worker, WORKER_REQUEST_STATUS)) {
		worker_release(worker);
		return NULL;
	}
	log_notice("worker.adopt", "vm=%s", vm->record.id);
	return worker;
}

/* A free slot below the limit, or -1. */
static int free_slot(const struct worker *worker, int limit)
{
	for (int slot = 0; slot < limit; slot++)
		if (!worker->pending[slot].id)
			return slot;
	return -1;
}

/* One packet with descriptors. */
static int send_packet(struct worker *worker, char *text, const int *fds, unsigned fd_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(WORKER_MSG_FDS_MAX * sizeof(int))];
	} control;
	struct iovec part = {text, strlen(text)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header = &control.align;

	if (part.iov_len > WORKER_MSG_MAX || fd_count > WORKER_MSG_FDS_MAX)
		return -1;
	if (fd_count) {
		memset(&control, 0, sizeof(control));
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	return sendmsg(worker->control.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int worker_call(struct worker *worker, const char *method, struct json_object *params, const int *fds,
		unsigned fd_count, worker_done *done, void *context)
{
	char *text = worker_wire_call(worker->next_id, method, params);
	int slot = free_slot(worker, WORKER_CALLS_MAX), result = -1;

	if (text && slot >= 0 && worker->control.fd >= 0)
		result = send_packet(worker, text, fds, fd_count);
	free(text);
	if (result)
		return -1;
	worker->pending[slot].id = worker->next_id++;
	worker->pending[slot].is_call = true;
	worker->pending[slot].asked_ms = model_monotonic_ms();
	worker->pending[slot].done = done;
	worker->pending[slot].context = context;
	return 0;
}

int worker_send(struct worker *worker, enum worker_request request)
{
	char *text;
	ssize_t sent;
	int slot = free_slot(worker, WORKER_PENDING_MAX);

	if (slot < 0 || worker->control.fd < 0)
		return -1;
	text = worker_wire_request(worker->next_id, request);
	if (!text)
		return -1;
	sent = send(worker->control.fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	free(text);
	if (sent < 0)
		return -1;
	worker->pending[slot].id = worker->next_id++;
	worker->pending[slot].is_call = false;
	worker->pending[slot].request = request;
	if (request == WORKER_REQUEST_STATUS)
		worker->status_asked_ms = model_monotonic_ms();
	return 0;
}

bool worker_is_pending(const struct worker *worker, enum worker_request request)
{
	for (int i = 0; i < WORKER_PENDING_MAX; i++)
		if (worker->pending[i].id && !worker->pending[i].is_call &&
		    worker->pending[i].request == request)
			return true;
	return false;
}

void worker_tick(struct worker *worker, int64_t monotonic_ms)
{
	if (worker->kill_at_ms && monotonic_ms >= worker->kill_at_ms) {
		kill_now(worker, "it did not end in time");
		return;
	}
	finish_calls(worker, monotonic_ms - WORKER_SILENT_MS, "timed_out",
		     "The worker process did not answer in time");
	if (worker->control.fd < 0)
		return;
	if (worker->status_asked_ms && monotonic_ms - worker->status_asked_ms >= WORKER_SILENT_MS &&
	    !worker->silent) {
		worker->silent = true;
		vm_worker_silent(worker->vm);
	}
	if (!worker_is_pending(worker, WORKER_REQUEST_STATUS) &&
	    monotonic_ms - worker->status_at_ms >= STATUS_PERIOD_MS)
		worker_send(worker, WORKER_REQUEST_STATUS);
}

void worker_stop_stray(struct model *model, const char *id)
{
	struct timeval wait = {.tv_sec = STRAY_WAIT_SECONDS};
	int fd = worker_proc_connect(model, id, "control", SOCK_SEQPACKET);
	char *text = worker_wire_request(1, WORKER_REQUEST_STOP);
	char answer[4096];

	if (fd >= 0 && text) {
		log_warning("worker.stray",
			    "vm=%s text=\"a worker runs for a machine that is not in the store\"", id);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
		if (send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			while (recv(fd, answer, sizeof(answer), 0) > 0)
				;
	}
	if (fd >= 0)
		close(fd);
	free(text);
	worker_proc_remove_sockets(model, id);
}

int worker_console_connect(const struct model *model, const char *id)
{
	return worker_proc_connect(model, id, "console", SOCK_STREAM);
}
