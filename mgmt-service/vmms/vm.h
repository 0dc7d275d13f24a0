/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual machine: its settings, its state, and the worker that runs it. Everything here under the model's
 * lock. */
#ifndef VMMS_VM_H
#define VMMS_VM_H

#include "cim/error.h"
#include "vmms/console_log.h"
#include "vmms/device_stats.h"
#include "vmms/guest.h"
#include "vmms/job.h"
#include "vmms/model.h"
#include "vmms/vm_state.h"
#include "vmms/worker.h"

#define VM_PROCESSORS_MAX  64
#define VM_MEMORY_MIN_MIB  32
#define VM_MEMORY_MAX_MIB  (UINT64_C(12) * 1024 * 1024)
#define VM_MEMORY_STEP_MIB 2

struct disk_resize;
struct hot_plug;
struct network_plug;

struct vm {
	struct model *model;
	struct store_vm record;
	struct store_storage storage; /* with paths of its own */
	struct store_network network;
	struct worker *worker;        /* NULL while there is none */
	struct job *job;              /* that changes its state now, or NULL */
	struct hot_plug *hot_plug;    /* that changes its storage now, or NULL */
	struct network_plug *network_plug; /* the same of its network adapters */
	struct disk_resize *disk_resizes;  /* that its worker is about */
	struct device_stats stats;    /* of its worker */
	struct console_log console;   /* what the last worker's console wrote */
	struct guest guest;
	struct vm_shutdown {
		bool force;     /* turn it off, or reset it, when it does not go */
		bool hibernate; /* instead of shutting down */
		char reason[256];
	} shutdown; /* of the job that asks the guest to go */
	struct vm *next;
};

struct vm *vm_find(struct model *model, const char *id);
/* Takes copies, writes them. NULL with store_error(). */
struct vm *vm_create(struct model *model, const struct store_vm *record, const struct store_storage *storage,
		     const struct store_network *network);
/* A copy in place of what it has. */
void vm_take_storage(struct vm *vm, const struct store_storage *storage);
/* From the store. */
struct vm *vm_restore(struct model *model, const struct store_vm *record);
/* The machine is off. -1 with store_error(). */
int vm_destroy(struct model *model, struct vm *vm);
void vm_free_all(struct model *model);

/*
 * Checks the request against the table, creates and queues the job. 4096 and the job, or a refusal in
 * `error`.
 */
uint32_t vm_request_state_change(struct model *model, struct vm *vm, unsigned requested, struct arena *arena,
				 struct cim_error *error, struct job **out_job);

/* The same of VM_REQUEST_SHUTDOWN and VM_REQUEST_REBOOT, with more to say about it. */
uint32_t vm_request_shutdown(struct model *model, struct vm *vm, unsigned requested,
			     const struct vm_shutdown *how, struct arena *arena, struct cim_error *error,
			     struct job **out_job);
/* Requests that would be taken now. */
size_t vm_available_requests(const struct vm *vm, uint16_t *out, size_t room);

/* Main thread: does what a queued job asks. */
void vm_run_job(struct model *model, struct job *job);
/* Called by worker.c. */
void vm_worker_state(struct vm *vm, enum worker_state state, const char *reason);
void vm_worker_answer(struct vm *vm, enum worker_request request, const char *error_code,
		      const char *message);
/* The guest restarted, by itself or because it was asked. */
void vm_worker_guest_reset(struct vm *vm);
/* It has not answered for WORKER_SILENT_MS; its next state says that it does again. */
void vm_worker_silent(struct vm *vm);
/* The worker is freed afterwards. */
void vm_worker_gone(struct vm *vm, const struct worker_end *end);
void vm_check_deadline(struct vm *vm, int64_t monotonic_ms);

/* In vm_shutdown.c. The job asks the guest. */
void vm_shutdown_begin(struct vm *vm);
/* It will not go: another way if that is allowed, else the job fails. */
void vm_shutdown_failed(struct vm *vm, const char *text);
/* The time is up. */
void vm_shutdown_late(struct vm *vm);
void vm_shutdown_event(struct vm *vm, const struct worker_device_event *event);
/* Of vm.c, for vm_shutdown.c: the job's action is this one from now on; what it asked before has failed. */
void vm_replace_action(struct vm *vm, enum vm_action action);
void vm_action_failed(struct vm *vm, const char *text);

/* After a restart, with the workers found: states that no worker confirms, jobs that were cut off. */
void vm_settle_after_restart(struct model *model);

#endif
