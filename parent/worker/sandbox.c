// SPDX-License-Identifier: Apache-2.0
#include "worker/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vid/mshv.h"

#define FILES_MAX 8192u		/* disks, each with a few rings and eventfds, and an eventfd for each open VMBus channel */

/* Allowed whatever the arguments: memory, threads, time, the descriptors that are open, and sockets that are accepted. */
static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(close), SCMP_SYS(fstat),
	SCMP_SYS(newfstatat), SCMP_SYS(fcntl), SCMP_SYS(lseek),
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(statx), SCMP_SYS(fallocate),
	SCMP_SYS(ftruncate),
	SCMP_SYS(accept4), SCMP_SYS(connect), SCMP_SYS(shutdown), SCMP_SYS(poll), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
	SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(tgkill), SCMP_SYS(sigaltstack),
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(gettimeofday),
#ifdef __SANITIZE_ADDRESS__
	SCMP_SYS(getrlimit), SCMP_SYS(prlimit64), SCMP_SYS(readlink), SCMP_SYS(openat), SCMP_SYS(sysinfo),
#endif
};

static const unsigned long driver_commands[] = {
	MSHV_CREATE_PARTITION, MSHV_INITIALIZE_PARTITION, MSHV_CREATE_VP, MSHV_SET_GUEST_MEMORY, MSHV_IRQFD,
	MSHV_SET_MSI_ROUTING, MSHV_ROOT_HVCALL, MSHV_RUN_VP, VID_EVENT_PORT, VID_MESSAGE_PORT,
	VID_GUEST_PAGES,
};

/* Memory may not be executable. */
static int allow_memory(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &not_executable);

	return r ? r : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &not_executable);
}

/* Threads, not processes. clone3 hides its flags from the filter: the C library falls back to clone when it is missing. */
static int allow_threads(scmp_filter_ctx filter)
{
	const unsigned long thread = 0x00010000;	/* CLONE_THREAD */
	const struct scmp_arg_cmp is_thread = SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread);
	const struct scmp_arg_cmp set_name = SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME);
	int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &is_thread);

	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return r ? r : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, &set_name);
}

/* Hyper-V sockets connect to Unix sockets of the parent's programs. */
static int allow_sockets(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp unix_only = SCMP_A0(SCMP_CMP_EQ, AF_UNIX);

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, &unix_only);
}

/* Nothing is opened here, but the C library asks /proc for the overcommit policy before it shrinks the heap of a thread, and takes
 * a no for an answer. */
static int refuse_files(scmp_filter_ctx filter)
{
#ifdef __SANITIZE_ADDRESS__
	return 0;			/* the sanitizer needs some */
#else
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0);
#endif
}

static int allow_driver(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof driver_commands / sizeof driver_commands[0]; i++) {
		const struct scmp_arg_cmp command = SCMP_A1(SCMP_CMP_EQ, driver_commands[i]);

		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &command);
	}
	return r;
}

static int filter_system_calls(struct failure *why)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = 0;

	if (!filter)
		return failure_set(why, -ENOMEM, "sandbox: no memory");
	for (size_t i = 0; r == 0 && i < sizeof allowed / sizeof allowed[0]; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (r == 0)
		r = allow_memory(filter);
	if (r == 0)
		r = allow_threads(filter);
	if (r == 0)
		r = allow_sockets(filter);
	if (r == 0)
		r = refuse_files(filter);
	if (r == 0)
		r = allow_driver(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r ? failure_set(why, r, "sandbox: no system call filter: %s", strerror(-r)) : 0;
}

static int drop_capabilities(struct failure *why)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* needs a capability itself: without it there is none to drop */
	memset(data, 0, sizeof data);
	if (syscall(SYS_capset, &header, data) < 0)
		return failure_set(why, -errno, "sandbox: capabilities: %s", strerror(errno));
	return 0;
}

static int set_limits(struct failure *why)
{
	const struct rlimit no_core = { 0, 0 };
	struct rlimit files;

	if (setrlimit(RLIMIT_CORE, &no_core) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return failure_set(why, -errno, "sandbox: limits: %s", strerror(errno));
	if (files.rlim_max > FILES_MAX)
		files.rlim_max = FILES_MAX;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return failure_set(why, -errno, "sandbox: limits: %s", strerror(errno));
	return 0;
}

int sandbox_enter(struct failure *why)
{
	int r;

	tzset();				/* the C library reads the time zone once: before files are out of reach */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failure_set(why, -errno, "sandbox: no_new_privs: %s", strerror(errno));
	r = drop_capabilities(why);
	if (r == 0)
		r = set_limits(why);
	return r ? r : filter_system_calls(why);
}
