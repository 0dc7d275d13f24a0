// SPDX-License-Identifier: Apache-2.0
#include "worker/node_events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct node_mail {
	struct node_mail *next;
	struct node *gone;		/* NULL: it is still there */
	size_t bytes;
	char text[];
};

static void on_wake(void *context, uint32_t events)
{
	struct node_events *e = context;
	uint64_t count;

	(void)!read(e->wake.fd, &count, sizeof count);	/* only resets it */
	node_events_deliver(e);
}

int node_events_init(struct node_events *e, struct loop *loop, struct failure *why)
{
	int r;

	*e = (struct node_events){ .loop = loop };
	e->last = &e->first;
	e->wake = (struct loop_source){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .callback = on_wake, .context = e };
	if (e->wake.fd < 0)
		return failure_set(why, -errno, "events of devices: no eventfd: %s", strerror(errno));
	r = loop_add(loop, &e->wake, EPOLLIN, why);
	if (r) {
		(void)close(e->wake.fd);
		return r;
	}
	(void)pthread_mutex_init(&e->lock, NULL);	/* cannot fail with default attributes */
	return 0;
}

static struct node_mail *take_all(struct node_events *e)
{
	struct node_mail *all;

	(void)pthread_mutex_lock(&e->lock);
	all = e->first;
	e->first = NULL;
	e->last = &e->first;
	e->waiting = 0;
	(void)pthread_mutex_unlock(&e->lock);
	return all;
}

void node_events_fini(struct node_events *e)
{
	for (struct node_mail *mail = take_all(e), *next; mail; mail = next) {
		next = mail->next;
		free(mail);
	}
	loop_remove(e->loop, &e->wake);
	(void)close(e->wake.fd);
	(void)pthread_mutex_destroy(&e->lock);
}

/* Takes the mail. */
static void post(struct node_events *e, struct node_mail *mail)
{
	uint64_t one = 1;

	(void)pthread_mutex_lock(&e->lock);
	*e->last = mail;
	e->last = &mail->next;
	e->waiting++;
	(void)pthread_mutex_unlock(&e->lock);
	(void)!write(e->wake.fd, &one, sizeof one);	/* an eventfd that is full wakes as well */
}

static bool has_room(struct node_events *e)
{
	bool room;

	(void)pthread_mutex_lock(&e->lock);
	room = e->waiting < NODE_EVENTS_MAX;
	(void)pthread_mutex_unlock(&e->lock);
	return room;
}

/* Takes the body. NULL: no memory. */
static struct node_mail *write_mail(const struct node *node, const char *what, struct json_object *body)
{
	struct json_object *event = body ? body : json_object_new_object();
	struct node_mail *mail = NULL;
	const char *text;
	size_t bytes = 0;

	(void)json_object_object_add(event, "event", json_object_new_string("device"));
	(void)json_object_object_add(event, "instance", json_object_new_string(node->instance));
	(void)json_object_object_add(event, "type", json_object_new_string(node->kind->type));
	(void)json_object_object_add(event, "what", json_object_new_string(what));
	text = json_object_to_json_string_length(event, JSON_C_TO_STRING_PLAIN, &bytes);
	if (text)
		mail = calloc(1, sizeof *mail + bytes + 1);
	if (mail) {
		mail->bytes = bytes;
		memcpy(mail->text, text, bytes);
	}
	json_object_put(event);
	return mail;
}

void node_events_push(struct node_events *e, const struct node *node, const char *what, struct json_object *body)
{
	struct node_mail *mail = write_mail(node, what, body);

	if (mail && has_room(e))
		post(e, mail);
	else
		free(mail);
}

void node_events_push_gone(struct node_events *e, struct node *node)
{
	struct node_mail *mail = write_mail(node, "removed", NULL);

	if (!mail)
		return;		/* the node stays in the list, removed; a reset does not put it on the bus again */
	mail->gone = node;
	post(e, mail);
}

void node_events_deliver(struct node_events *e)
{
	for (struct node_mail *mail = take_all(e), *next; mail; mail = next) {
		next = mail->next;
		if (mail->gone && e->gone)
			e->gone(e->gone_context, mail->gone);
		if (e->happened)
			e->happened(e->happened_context, mail->text, mail->bytes);
		free(mail);
	}
}
