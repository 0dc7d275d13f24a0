/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/worker_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmms/disk_set.h"
#include "vmms/host_file.h"
#include "vmms/vm.h"
#include "vmms/worker_wire.h"

/* What the child inherits, in the order of its descriptor numbers from FIRST_FD on. Images of drives come
 * behind, and the taps of network adapters behind those. */
enum launch_fd {
	FD_CONFIG,
	FD_CONTROL,
	FD_CONSOLE,
	FD_MSHV,
	FD_KERNEL,
	FD_INITRD,
	FD_TRACE,
	FD_HVSOCK,
	FD_HVSOCK_FOLDER,
	FD_COUNT
};
#define FIRST_FD   3
#define FIRST_DISK (FIRST_FD + FD_COUNT)
#define LISTEN_MAX 16

/* NULL: its number is in the configuration document. */
static const char *const fd_options[FD_COUNT] = {
	"--config-fd", "--control-fd", "--console-fd", "--mshv-fd", "--kernel-fd", "--initrd-fd",
	"--trace-fd",  NULL,           NULL,
};

struct launch {
	int fds[FD_COUNT];
	int *disks; /* copies of the images' descriptors */
	unsigned disk_count;
	struct network_taps taps;
	struct network_devices adapters;
	int log_fd, null_fd;
	bool change_user;
	uid_t uid;
	gid_t gid;
	char numbers[FD_COUNT][12];
	const char *argv[4 + 2 * FD_COUNT];
};

/* A name inside the directory through /proc, so that a long run directory fits into sun_path. */
static int address(const struct model *model, const char *id, const char *kind, struct sockaddr_un *out)
{
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	return snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s.%s", model->workers_fd, id,
			kind) < (int)sizeof(out->sun_path)
		       ? 0
		       : -1;
}

static void remove_name(const struct model *model, const char *id, const char *kind)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", id, kind);
	unlinkat(model->workers_fd, name, 0);
}

void worker_proc_remove_sockets(const struct model *model, const char *id)
{
	char folder[64];

	remove_name(model, id, "control");
	remove_name(model, id, "console");
	remove_name(model, id, "hvsock/connect");
	/* Stays while somebody offers a service in it. */
	snprintf(folder, sizeof(folder), "%s.hvsock", id);
	unlinkat(model->workers_fd, folder, AT_REMOVEDIR);
}

int worker_proc_connect(const struct model *model, const char *id, const char *kind, int type)
{
	struct sockaddr_un to;
	int fd;

	if (address(model, id, kind, &to)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int listen_on(const struct model *model, const char *id, const char *kind, int type, char *reason,
		     unsigned reason_size)
{
	struct sockaddr_un at;
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	remove_name(model, id, kind);
	if (fd < 0 || address(model, id, kind, &at) || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(fd, LISTEN_MAX)) {
		snprintf(reason, reason_size, "The %s socket of the worker cannot be made: %s", kind,
			 strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* The folder of the machine's VM sockets: the worker may look into it and connect, its group owns what others
 * put there, and nobody but us can make or remove a name. */
static int open_hvsock(const struct model *model, const char *id, struct launch *launch, char *reason,
		       unsigned reason_size)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "%s.hvsock", id);
	if (mkdirat(model->workers_fd, name, 0700) && errno != EEXIST)
		goto failed;
	fd = openat(model->workers_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	launch->fds[FD_HVSOCK_FOLDER] = fd;
	if (fd < 0 || (launch->change_user && fchown(fd, 0, launch->gid)) || fchmod(fd, 02750))
		goto failed;
	launch->fds[FD_HVSOCK] = listen_on(model, id, "hvsock/connect", SOCK_STREAM, reason, reason_size);
	return launch->fds[FD_HVSOCK] < 0 ? -1 : 0;
failed:
	snprintf(reason, reason_size, "The folder of VM sockets cannot be made: %s", strerror(errno));
	return -1;
}

static int config_fd(const struct vm *vm, const struct disk_set *disks,
		     const struct network_devices *adapters, char *reason, unsigned reason_size)
{
	static const struct worker_hvsock hvsock = {FIRST_FD + FD_HVSOCK, FIRST_FD + FD_HVSOCK_FOLDER};
	char *text = worker_wire_config(&vm->record, &vm->storage, disks, FIRST_DISK, &hvsock,
					adapters);
	size_t size = text ? strlen(text) : 0;
	int fd = memfd_create("vmwp-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (!text || fd < 0 || write(fd, text, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)) {
		snprintf(reason, reason_size, "The worker's configuration cannot be written: %s",
			 strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	free(text);
	return fd;
}

static int find_user(const struct config *config, struct launch *launch, char *reason, unsigned reason_size)
{
	const struct passwd *user;

	if (geteuid() != 0)
		return 0;
	user = getpwnam(config->worker_user);
	if (!user) {
		snprintf(reason, reason_size, "There is no user %s to run the worker as",
			 config->worker_user);
		return -1;
	}
	launch->change_user = true;
	launch->uid = user->pw_uid;
	launch->gid = user->pw_gid;
	return 0;
}

static unsigned tap_count(const struct launch *launch)
{
	return launch->taps.nic_count * launch->taps.queue_count;
}

/* The first number behind everything that the child inherits. */
static int first_free(const struct launch *launch)
{
	return FIRST_DISK + (int)launch->disk_count + (int)tap_count(launch);
}

static int open_taps(struct model *model, const struct vm *vm, const struct disk_set *disks,
		     struct launch *launch, char *reason, unsigned reason_size)
{
	int number = FIRST_DISK + (int)disk_set_fds(disks, NULL, 0);

	if (network_open_taps(model, vm, &launch->taps, reason, reason_size))
		return -1;
	launch->adapters.network = &vm->network;
	launch->adapters.numbers = launch->taps;
	for (unsigned i = 0; i < launch->taps.nic_count; i++) {
		launch->adapters.connected[i] = network_switch_of(model, &vm->network.nics[i]) != NULL;
		for (unsigned q = 0; q < launch->taps.queue_count; q++)
			launch->adapters.numbers.fds[i][q] = number++;
	}
	return 0;
}

/* Readable by nobody else: it holds what the guest writes. */
static int open_trace(const struct config *config, const char *id, char *reason, unsigned reason_size)
{
	char path[PATH_MAX + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.vmbus", config->trace_vmbus, id);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		snprintf(reason, reason_size, "The trace %s cannot be written: %s", path, strerror(errno));
	return fd;
}

static int open_files(struct model *model, const struct vm *machine, const struct disk_set *disks,
		      struct launch *launch, char *reason, unsigned reason_size)
{
	const struct config *config = model->config;
	const struct store_vm *vm = &machine->record;
	char name[64];

	if (!vm->has_linux_direct || !vm->kernel_path[0]) {
		snprintf(reason, reason_size,
			 "The virtual machine has nothing to boot: add "
			 "Undercroft_LinuxKernelDirectSettingData");
		return -1;
	}
	launch->fds[FD_KERNEL] =
		host_file_open_kernel(&config->kernels, vm->kernel_path, reason, reason_size);
	if (launch->fds[FD_KERNEL] < 0)
		return -1;
	if (vm->initrd_path[0]) {
		launch->fds[FD_INITRD] =
			host_file_open_kernel(&config->kernels, vm->initrd_path, reason, reason_size);
		if (launch->fds[FD_INITRD] < 0)
			return -1;
	}
	if (config->trace_vmbus[0]) {
		launch->fds[FD_TRACE] = open_trace(config, vm->id, reason, reason_size);
		if (launch->fds[FD_TRACE] < 0)
			return -1;
	}
	launch->fds[FD_MSHV] = open(config->mshv_device, O_RDWR | O_CLOEXEC);
	if (launch->fds[FD_MSHV] < 0) {
		snprintf(reason, reason_size, "%s cannot be opened: %s", config->mshv_device,
			 strerror(errno));
		return -1;
	}
	if (open_hvsock(model, vm->id, launch, reason, reason_size) ||
	    open_taps(model, machine, disks, launch, reason, reason_size))
		return -1;
	launch->fds[FD_CONFIG] = config_fd(machine, disks, &launch->adapters, reason, reason_size);
	if (launch->fds[FD_CONFIG] < 0)
		return -1;
	snprintf(name, sizeof(name), "%s.log", vm->id);
	launch->log_fd = openat(model->workers_fd, name,
				O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	launch->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (launch->log_fd < 0 || launch->null_fd < 0) {
		snprintf(reason, reason_size, "The worker's log cannot be opened: %s", strerror(errno));
		return -1;
	}
	launch->fds[FD_CONTROL] = listen_on(model, vm->id, "control", SOCK_SEQPACKET, reason, reason_size);
	if (launch->fds[FD_CONTROL] < 0)
		return -1;
	launch->fds[FD_CONSOLE] = listen_on(model, vm->id, "console", SOCK_STREAM, reason, reason_size);
	return launch->fds[FD_CONSOLE] < 0 ? -1 : 0;
}

static void close_files(struct launch *launch)
{
	for (int i = 0; i < FD_COUNT; i++)
		if (launch->fds[i] >= 0)
			close(launch->fds[i]);
	for (unsigned i = 0; i < launch->disk_count; i++)
		if (launch->disks[i] >= 0)
			close(launch->disks[i]);
	free(launch->disks);
	network_close_taps(&launch->taps);
	if (launch->log_fd >= 0)
		close(launch->log_fd);
	if (launch->null_fd >= 0)
		close(launch->null_fd);
}

/* Out of the way of the numbers they get in the child, so that no dup2 overwrites one that is still needed.
 */
static int move_high(const struct launch *launch, int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, first_free(launch));

	if (high < 0)
		return -1;
	close(*fd);
	*fd = high;
	return 0;
}

/* The images stay the caller's: these are copies, out of the way as above. */
static int copy_disks(const struct disk_set *disks, struct launch *launch)
{
	launch->disk_count = disk_set_fds(disks, NULL, 0);
	launch->disks = calloc(launch->disk_count + 1, sizeof(*launch->disks));
	if (!launch->disks) {
		launch->disk_count = 0;
		return -1;
	}
	disk_set_fds(disks, launch->disks, launch->disk_count);
	for (unsigned i = 0; i < launch->disk_count; i++) {
		launch->disks[i] = fcntl(launch->disks[i], F_DUPFD_CLOEXEC, first_free(launch));
		if (launch->disks[i] < 0) {
			launch->disk_count = i;
			return -1;
		}
	}
	return 0;
}

static int prepare(const struct model *model, const struct store_vm *vm, const struct disk_set *disks,
		   struct launch *launch)
{
	int argc = 0;

	if (copy_disks(disks, launch))
		return -1;

	launch->argv[argc++] = model->config->vmwp;
	launch->argv[argc++] = "--id";
	launch->argv[argc++] = vm->id;
	for (int i = 0; i < FD_COUNT; i++) {
		if (launch->fds[i] < 0)
			continue;
		if (move_high(launch, &launch->fds[i]))
			return -1;
		snprintf(launch->numbers[i], sizeof(launch->numbers[i]), "%d", FIRST_FD + i);
		if (!fd_options[i])
			continue;
		launch->argv[argc++] = fd_options[i];
		launch->argv[argc++] = launch->numbers[i];
	}
	launch->argv[argc] = NULL;
	for (unsigned i = 0; i < launch->taps.nic_count; i++)
		for (unsigned q = 0; q < launch->taps.queue_count; q++)
			if (move_high(launch, &launch->taps.fds[i][q]))
				return -1;
	return move_high(launch, &launch->log_fd) || move_high(launch, &launch->null_fd) ? -1 : 0;
}

/* In the child of a process with threads: system calls only. */
static void __attribute__((noreturn)) child(const struct launch *launch, const char *program)
{
	static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
						  NULL};
	static const char failed[] =
		"vmms: the worker process could not be set up or its program not executed\n";
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (dup2(launch->null_fd, 0) < 0 || dup2(launch->log_fd, 1) < 0 || dup2(launch->log_fd, 2) < 0)
		_exit(127);
	for (int i = 0; i < FD_COUNT; i++)
		if (launch->fds[i] >= 0 && dup2(launch->fds[i], FIRST_FD + i) < 0)
			goto failed;
	for (unsigned i = 0; i < launch->disk_count; i++)
		if (dup2(launch->disks[i], FIRST_DISK + (int)i) < 0)
			goto failed;
	for (unsigned i = 0; i < launch->taps.nic_count; i++)
		for (unsigned q = 0; q < launch->taps.queue_count; q++)
			if (dup2(launch->taps.fds[i][q], launch->adapters.numbers.fds[i][q]) < 0)
				goto failed;
	/* Only what is listed above survives, whatever a library of this process has open. */
	if (syscall(SYS_close_range, first_free(launch), ~0u, 0))
		goto failed;
	for (int i = 0; i < FD_COUNT; i++)
		if (launch->fds[i] < 0)
			close(FIRST_FD + i);
	/* The raw calls: glibc's wrappers would talk to threads that this process does not have. */
	if (launch->change_user && (syscall(SYS_setgroups, 0, NULL) ||
				    syscall(SYS_setresgid, launch->gid, launch->gid, launch->gid) ||
				    syscall(SYS_setresuid, launch->uid, launch->uid, launch->uid)))
		goto failed;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		goto failed;
	umask(077);
	execve(program, (char *const *)launch->argv, (char *const *)environment);
failed:
	if (write(2, failed, sizeof(failed) - 1) < 0)
		_exit(126);
	_exit(127);
}

int worker_proc_start(struct model *model, const struct vm *vm, const struct disk_set *disks,
		      struct worker_process *process, char *reason, unsigned reason_size)
{
	struct launch launch = {.log_fd = -1, .null_fd = -1};
	int result = -1;

	for (int i = 0; i < FD_COUNT; i++)
		launch.fds[i] = -1;
	if (find_user(model->config, &launch, reason, reason_size) ||
	    open_files(model, vm, disks, &launch, reason, reason_size))
		goto out;
	if (prepare(model, &vm->record, disks, &launch)) {
		snprintf(reason, reason_size, "No descriptors left for the worker: %s", strerror(errno));
		goto out;
	}
	if (access(model->config->vmwp, X_OK)) {
		snprintf(reason, reason_size, "%s cannot be executed: %s", model->config->vmwp,
			 strerror(errno));
		goto out;
	}
	process->pid = fork();
	if (process->pid == 0)
		child(&launch, model->config->vmwp);
	if (process->pid < 0) {
		snprintf(reason, reason_size, "No process for the worker: %s", strerror(errno));
		goto out;
	}
	process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	if (process->pidfd < 0) {
		snprintf(reason, reason_size, "The worker cannot be watched: %s", strerror(errno));
		kill(process->pid, SIGKILL);
		goto out;
	}
	fcntl(process->pidfd, F_SETFD, FD_CLOEXEC);
	result = 0;
out:
	close_files(&launch);
	if (result)
		worker_proc_remove_sockets(model, vm->record.id);
	return result;
}

void worker_proc_last_line(const struct model *model, const char *id, char *out, unsigned out_size)
{
	char name[64], tail[1024], *line, *end;
	off_t size;
	ssize_t count;
	int fd;

	out[0] = 0;
	snprintf(name, sizeof(name), "%s.log", id);
	fd = openat(model->workers_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	size = lseek(fd, 0, SEEK_END);
	count = size > 0 ? pread(fd, tail, sizeof(tail) - 1,
				 size > (off_t)sizeof(tail) - 1 ? size - (off_t)sizeof(tail) + 1 : 0)
			 : 0;
	close(fd);
	if (count <= 0)
		return;
	tail[count] = 0;
	end = tail + strlen(tail);
	while (end > tail && (end[-1] == '\n' || end[-1] == '\r'))
		*--end = 0;
	line = strrchr(tail, '\n');
	line = line ? line + 1 : tail;
	snprintf(out, out_size, "%s", line);
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
}
