/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration: a file of "key = value" lines ('#' begins a comment), each key also a flag --key VALUE that
 * wins. All keys with their meaning and default are in mgmt-service/vmms.conf.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <limits.h>
#include <stdbool.h>

#define CONFIG_DIRECTORIES_MAX 16

/* Below which clients may name files. */
struct config_directories {
	char paths[CONFIG_DIRECTORIES_MAX][PATH_MAX];
	unsigned count;
};

struct config {
	char address[64];
	unsigned port; /* 0: any free one; the log says which */
	char rundir[PATH_MAX];
	char statedir[PATH_MAX];
	char token_file[PATH_MAX]; /* empty: <statedir>/token */
	char vmwp[PATH_MAX];
	char vhdtool[PATH_MAX]; /* empty: beside vmwp */
	char worker_user[64];
	char trace_vmbus[PATH_MAX]; /* empty: no traces */
	char mshv_device[PATH_MAX];
	struct config_directories kernels;
	struct config_directories disks;
	struct config_directories guest_files; /* that may be copied into guests */
	unsigned shutdown_timeout;             /* seconds that a guest has to shut down */
	unsigned memory_reserve_mib;           /* that machines with dynamic memory leave to the host */
	char log_level[16];
	/* flags only */
	bool check_only;
	bool print_version;
};

/*
 * Defaults, then the file named by --config (or /etc/undercroft/vmms.conf when that exists), then the flags.
 * 0, or -1 with "file:line: ..." or "flag: ..." in `reason`.
 */
int config_load(struct config *config, int argc, char **argv, char *reason, unsigned reason_size);
/* One file over what is there already. */
int config_read_file(struct config *config, const char *path, char *reason, unsigned reason_size);
/* Things on this machine that the configuration names: do they exist? Prints one line per finding; their
 * number. */
int config_check(const struct config *config);

#endif
