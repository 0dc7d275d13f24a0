// SPDX-License-Identifier: Apache-2.0
#include "vhdtool/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(close),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(fcntl),
	SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fsync),
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(eventfd2), SCMP_SYS(poll),
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime), SCMP_SYS(sysinfo), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit), SCMP_SYS(exit_group),
#ifdef __SANITIZE_ADDRESS__
	SCMP_SYS(sigaltstack), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(futex), SCMP_SYS(prctl), SCMP_SYS(openat),
	SCMP_SYS(readlink), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(sched_yield), SCMP_SYS(getrlimit),
	SCMP_SYS(prlimit64),
#endif
};

/* Memory may not be executable. */
static int allow_memory(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &not_executable);

	return r ? r : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &not_executable);
}

int sandbox_enter(struct block_failure *why)
{
	const struct rlimit no_core = { 0, 0 };
	scmp_filter_ctx filter;
	int r = 0;

	if (setrlimit(RLIMIT_CORE, &no_core) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return block_failure_set(why, -errno, "sandbox: %s", strerror(errno));
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return block_failure_set(why, -ENOMEM, "sandbox: no memory");
	for (size_t i = 0; r == 0 && i < sizeof allowed / sizeof allowed[0]; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (r == 0)
		r = allow_memory(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r ? block_failure_set(why, r, "sandbox: no system call filter: %s", strerror(-r)) : 0;
}
