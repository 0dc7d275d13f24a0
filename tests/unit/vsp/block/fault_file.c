// SPDX-License-Identifier: Apache-2.0
#include "unit/vsp/block/fault_file.h"

#include <stdlib.h>
#include <string.h>

#include "block/iov.h"

struct fault_request {
	struct block_file_request below;	/* first */
	struct block_file_request *above;
	struct fault_file *file;
	int error;
	bool answered_here;
	struct vsp_timer timer;
	struct iovec iov[BLOCK_FILE_IOV_MAX];
};

static struct fault_file *fault_of(struct block_file *file)
{
	return (struct fault_file *)file;
}

static void done(struct block_file_request *below, int error)
{
	struct fault_request *r = (struct fault_request *)below;
	struct block_file_request *above = r->above;

	above->moved = below->moved;
	if (r->error && !error)
		error = r->error;
	free(r);
	above->done(above, error);
}

static void pass_on(struct fault_request *r)
{
	r->file->below->ops->submit(r->file->below, &r->below);
}

/* A delay is over, or there is an answer without the file below. */
static void expired(void *context)
{
	struct fault_request *r = context;
	struct fault_file *f = r->file;

	if (!r->answered_here) {
		pass_on(r);
		f->below->ops->kick(f->below);
		return;
	}
	r->below.moved = 0;
	done(&r->below, 0);
	if (f->file.batched)
		f->file.batched(f->file.batched_context);
	f->below->ops->kick(f->below);
}

static bool fits(const struct fault_rule *rule, const struct block_file_request *request)
{
	if (!(rule->ops & FAULT_OP(request->op)))
		return false;
	if (request->op == BLOCK_FILE_FLUSH || request->op == BLOCK_FILE_SET_SIZE)
		return true;
	return request->offset < rule->to && request->offset + request->bytes > rule->from;
}

static struct fault_rule *rule_for(struct fault_file *f, const struct block_file_request *request)
{
	for (unsigned i = 0; i < FAULT_RULES; i++) {
		struct fault_rule *rule = &f->rules[i];

		if (!fits(rule, request))
			continue;
		if (rule->skip) {
			rule->skip--;
			continue;
		}
		if (rule->times && rule->hits == rule->times)
			continue;
		rule->hits++;
		return rule;
	}
	return NULL;
}

static void apply(struct fault_file *f, const struct fault_rule *rule, struct fault_request *r)
{
	struct block_file_request *below = &r->below;

	r->error = rule->error;
	if (rule->error && rule->at_range && rule->from > below->offset) {
		below->bytes = rule->from - below->offset;
		below->iov_count = iov_truncate(below->iov, below->iov_count, below->bytes);
	} else {
		r->answered_here = rule->error != 0;
	}
	if (rule->hold) {
		if (f->held_count == FAULT_HELD)
			abort();
		f->held[f->held_count++] = r;
	} else if (r->answered_here || rule->delay_ns) {
		f->file.host.ops->timer_arm(f->file.host.context, &r->timer, rule->delay_ns);
	} else {
		pass_on(r);
	}
}

static void submit(struct block_file *file, struct block_file_request *request)
{
	struct fault_file *f = fault_of(file);
	struct fault_rule *rule = rule_for(f, request);
	struct fault_request *r = calloc(1, sizeof *r);

	if (!r || request->iov_count > BLOCK_FILE_IOV_MAX)
		abort();
	request->file = file;
	request->moved = 0;
	r->above = request;
	r->file = f;
	r->below = *request;
	r->below.done = done;
	if (request->iov_count)
		memcpy(r->iov, request->iov, request->iov_count * sizeof *r->iov);
	r->below.iov = r->iov;
	r->timer = (struct vsp_timer){ .expired = expired, .context = r };
	if (rule)
		apply(f, rule, r);
	else
		pass_on(r);
}

void fault_release(struct fault_file *f)
{
	while (f->held_count) {
		struct fault_request *r = f->held[--f->held_count];

		f->file.host.ops->timer_arm(f->file.host.context, &r->timer, 0);
	}
}

static void kick(struct block_file *file)
{
	fault_of(file)->below->ops->kick(fault_of(file)->below);
}

static int size(struct block_file *file, uint64_t *ret_bytes)
{
	return fault_of(file)->below->ops->size(fault_of(file)->below, ret_bytes);
}

static int read_now(struct block_file *file, uint64_t offset, void *buffer, size_t bytes)
{
	return fault_of(file)->below->ops->read_now(fault_of(file)->below, offset, buffer, bytes);
}

static void destroy(struct block_file *file)
{
	struct fault_file *f = fault_of(file);

	if (f->held_count)
		abort();
	f->below->ops->destroy(f->below);
	free(f);
}

static const struct block_file_ops ops = {
	.submit = submit, .kick = kick, .size = size, .read_now = read_now, .destroy = destroy,
};

static void batched(void *context)
{
	struct fault_file *f = context;

	if (f->file.batched)
		f->file.batched(f->file.batched_context);
}

struct fault_file *fault_file_new(struct block_file *below)
{
	struct fault_file *f = calloc(1, sizeof *f);

	if (!f)
		abort();
	f->file = *below;
	f->file.ops = &ops;
	f->file.batched = NULL;
	f->below = below;
	below->batched = batched;
	below->batched_context = f;
	return f;
}
