/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything the management service knows, under one lock. HTTP threads read it and queue jobs; the main
 * thread runs jobs and speaks with workers. Nobody waits for a worker or a client while holding the lock.
 *
 * Lock order: model.lock, then nothing. (l) protected by model.lock, (c) constant after model_open().
 */
#ifndef VMMS_MODEL_H
#define VMMS_MODEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/config.h"
#include "store/store.h"

struct vm;
struct job;
struct task;
struct network;

struct model {
	pthread_mutex_t lock;
	pthread_cond_t changed;      /* a job changed, or the service stops */
	const struct config *config; /* (c) */
	struct store *store;         /* (l) */
	struct vm *vms;              /* (l) in order of creation */
	struct job *jobs;            /* (l) in order of submission */
	struct task *tasks;          /* (l) that run */
	struct network *network;     /* (l) virtual switches */
	char host_name[256];         /* (c) */
	int64_t started_ms;          /* (c) */
	int workers_fd;              /* (c) directory <rundir>/workers */
	int lock_fd;                 /* (c) <statedir>/vmms.lock */
	int wake_fd;                 /* (c) eventfd: jobs are queued, or tasks have run */
	int stop_fd;                 /* (c) eventfd, readable once the service ends: for what waits without the lock */
	bool stopping;               /* (l) */
	int64_t balance_at_ms;       /* (l) monotonic: when memory is balanced again */
};

/* Creates the directories, opens the store, loads it, finds running workers. -1 with the reason. */
int model_open(struct model *model, const struct config *config, char *reason, unsigned reason_size);
/* Leaves the workers running. */
void model_close(struct model *model);
void model_lock(struct model *model);
void model_unlock(struct model *model);
/* Tells the main thread that there is a queued job. */
void model_wake(struct model *model);
/* Main thread, once a second with the lock held: deadlines, status of workers, old jobs. */
void model_tick(struct model *model);
/* Main thread: ends what tasks have done, begins what is queued. */
void model_run_queue(struct model *model);

int64_t model_now_ms(void); /* since 1970 */
int64_t model_monotonic_ms(void);
/* A random GUID in upper case. */
void model_new_id(char id[STORE_ID_SIZE]);

#endif
