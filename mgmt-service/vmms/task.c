/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/task.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct task {
	struct model *model;
	pthread_t thread;
	void (*run)(void *context);
	void (*done)(void *context);
	void *context;
	bool has_run; /* under the model's lock */
	struct task *next;
};

static void *body(void *argument)
{
	struct task *task = argument;
	struct model *model = task->model;

	task->run(task->context);
	model_lock(model);
	task->has_run = true;
	model_unlock(model);
	model_wake(model);
	return NULL;
}

int task_start(struct model *model, void (*run)(void *context), void (*done)(void *context), void *context)
{
	struct task *task = calloc(1, sizeof(*task));

	if (!task)
		return -1;
	*task = (struct task){
		.model = model, .run = run, .done = done, .context = context, .next = model->tasks};
	if (pthread_create(&task->thread, NULL, body, task)) {
		free(task);
		return -1;
	}
	model->tasks = task;
	return 0;
}

void task_finish(struct model *model)
{
	struct task **link = &model->tasks;

	while (*link) {
		struct task *task = *link;

		if (!task->has_run) {
			link = &task->next;
			continue;
		}
		*link = task->next;
		/* It only has to return: it took the lock last before has_run. */
		pthread_join(task->thread, NULL);
		task->done(task->context);
		free(task);
		/* `done` may have started others. */
		link = &model->tasks;
	}
}

void task_finish_all(struct model *model)
{
	uint64_t one = 1;

	/* An eventfd that was never written takes it. */
	if (write(model->stop_fd, &one, sizeof(one)) < 0)
		abort();
	while (model->tasks) {
		struct task *task = model->tasks;

		model->tasks = task->next;
		pthread_join(task->thread, NULL);
		task->done(task->context);
		free(task);
	}
}
