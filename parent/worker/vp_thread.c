// SPDX-License-Identifier: Apache-2.0
#include "worker/vp_thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KICK_SIGNAL      SIGUSR1
#define KICK_INTERVAL_NS 2000000l

static void on_kick(int signal)
{
	/* Only interrupts the system call. */
}

void vp_thread_install_signal(void)
{
	struct sigaction action = { .sa_handler = on_kick };	/* no SA_RESTART: the driver returns -EINTR */

	(void)sigaction(KICK_SIGNAL, &action, NULL); /* a valid signal: cannot fail */
}

static enum vp_command command_of(struct vp_group *group)
{
	return (enum vp_command)atomic_load_explicit(&group->command, memory_order_acquire);
}

/*
 * Stands still until the VP is to run or the thread to end. A stuck VP (nothing left to run) also stands through VP_RUN, until
 * a pause has come and gone. `parked` changes under the lock and only here: who reads it as true knows the VP is not running
 * and will look at the command before it does.
 */
static void stand_still(struct vp_thread *vp, bool stuck)
{
	struct vp_group *group = vp->group;
	enum vp_command command;

	(void)pthread_mutex_lock(&group->lock);
	vp->parked = true;
	(void)pthread_cond_broadcast(&group->stands);
	for (;;) {
		command = command_of(group);
		if (command == VP_QUIT || (command == VP_RUN && !stuck))
			break;
		if (command == VP_PAUSE)
			stuck = false;
		(void)pthread_cond_wait(&group->commanded, &group->lock);
	}
	vp->parked = command == VP_QUIT;
	(void)pthread_mutex_unlock(&group->lock);
}

static enum intercept_verdict run_once(struct vp_thread *vp, struct failure *why)
{
	struct hv_message message = { .type = HV_MESSAGE_NONE };
	struct backend *backend = vp->context.backend;
	enum intercept_kind kind = INTERCEPT_KIND_NONE;
	enum intercept_verdict verdict;
	int r = backend->ops->run(backend, vp->context.index, &message, why);

	if (r == -EINTR)
		return INTERCEPT_RESUME;
	if (r)
		return INTERCEPT_FAILED;
	verdict = intercept_handle(&vp->context, &message, &kind, why);
	(void)atomic_fetch_add_explicit(&vp->counters[kind], 1, memory_order_relaxed);
	return verdict;
}

static void *vp_main(void *argument)
{
	struct vp_thread *vp = argument;
	struct vp_group *group = vp->group;
	char name[16];

	(void)snprintf(name, sizeof name, "vp %u", vp->context.index);
	(void)pthread_setname_np(pthread_self(), name); /* for ps only */
	for (;;) {
		struct failure why = { "" };
		enum intercept_verdict verdict;

		switch (command_of(group)) {
		case VP_QUIT:
			return NULL;
		case VP_PAUSE:
			stand_still(vp, false);
			continue;
		case VP_RUN:
			break;
		}
		verdict = run_once(vp, &why);
		if (verdict == INTERCEPT_RESUME)
			continue;
		if (verdict != INTERCEPT_HALT)
			group->report(group->owner, verdict, &why);
		stand_still(vp, true);
	}
}

static void set_command(struct vp_group *group, enum vp_command command)
{
	(void)pthread_mutex_lock(&group->lock);
	atomic_store_explicit(&group->command, command, memory_order_release);
	(void)pthread_cond_broadcast(&group->commanded);
	(void)pthread_mutex_unlock(&group->lock);
}

int vp_group_start(struct vp_group *group, const struct vp_context *contexts, unsigned count,
		   void (*report)(void *owner, enum intercept_verdict verdict, const struct failure *why), void *owner,
		   struct failure *why)
{
	memset(group, 0, sizeof *group);
	group->threads = calloc(count, sizeof *group->threads);
	if (!group->threads)
		return failure_set(why, -ENOMEM, "vp: no memory for %u threads", count);
	group->count = count;
	group->report = report;
	group->owner = owner;
	group->command = VP_PAUSE;
	(void)pthread_mutex_init(&group->lock, NULL); /* cannot fail with default attributes, as the next two */
	(void)pthread_cond_init(&group->commanded, NULL);
	(void)pthread_cond_init(&group->stands, NULL);
	for (unsigned i = 0; i < count; i++) {
		struct vp_thread *vp = &group->threads[i];
		int r;

		vp->group = group;
		vp->context = contexts[i];
		r = pthread_create(&vp->thread, NULL, vp_main, vp);
		if (r) {
			vp_group_stop(group);
			return failure_set(why, -r, "vp %u: no thread: %s", i, strerror(r));
		}
		vp->started = true;
	}
	return 0;
}

void vp_group_run(struct vp_group *group)
{
	set_command(group, VP_RUN);
}

/* Kicks who still runs. A signal that arrives just before the system call is lost, so it is sent until it has worked. */
static bool kick_runners(struct vp_group *group)
{
	bool running = false;

	for (unsigned i = 0; i < group->count; i++) {
		struct vp_thread *vp = &group->threads[i];

		if (!vp->started || vp->parked)
			continue;
		running = true;
		(void)pthread_kill(vp->thread, KICK_SIGNAL); /* the thread is there until it is joined */
	}
	return running;
}

static void wait_a_little(struct vp_group *group)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += KICK_INTERVAL_NS;
	if (until.tv_nsec >= 1000000000l) {
		until.tv_nsec -= 1000000000l;
		until.tv_sec++;
	}
	(void)pthread_cond_timedwait(&group->stands, &group->lock, &until);
}

void vp_group_pause(struct vp_group *group)
{
	set_command(group, VP_PAUSE);
	(void)pthread_mutex_lock(&group->lock);
	while (kick_runners(group))
		wait_a_little(group);
	(void)pthread_mutex_unlock(&group->lock);
}

void vp_group_stop(struct vp_group *group)
{
	if (!group->threads)
		return;
	vp_group_pause(group);
	set_command(group, VP_QUIT);
	for (unsigned i = 0; i < group->count; i++)
		if (group->threads[i].started)
			(void)pthread_join(group->threads[i].thread, NULL);
	(void)pthread_cond_destroy(&group->commanded);
	(void)pthread_cond_destroy(&group->stands);
	(void)pthread_mutex_destroy(&group->lock);
	free(group->threads);
	memset(group, 0, sizeof *group);
}
