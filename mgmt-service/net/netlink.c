/* SPDX-License-Identifier: Apache-2.0 */
#include "net/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <nftables/libnftables.h>

int net_refuse(char *reason, unsigned reason_size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, reason_size, format, arguments);
	va_end(arguments);
	return -1;
}

int net_sysctl(const char *path, const char *value)
{
	char name[128];
	int fd, result;

	snprintf(name, sizeof(name), "/proc/sys/net/%s", path);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	result = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return result;
}

struct net *net_open(const char *directory, char *reason, unsigned reason_size)
{
	struct net *net = calloc(1, sizeof(*net));
	int on = 1;

	if (!net || !(net->directory = strdup(directory)) || !(net->nft = nft_ctx_new(NFT_CTX_DEFAULT)) ||
	    nft_ctx_buffer_error(net->nft) || nft_ctx_buffer_output(net->nft)) {
		net_refuse(reason, reason_size, "No memory");
		goto failed;
	}
	if (mkdir(directory, 0755) && errno != EEXIST) {
		net_refuse(reason, reason_size, "%s: %s", directory, strerror(errno));
		goto failed;
	}
	net->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!net->socket || mnl_socket_bind(net->socket, 0, MNL_SOCKET_AUTOPID)) {
		net_refuse(reason, reason_size, "No rtnetlink socket: %s", strerror(errno));
		goto failed;
	}
	mnl_socket_setsockopt(net->socket, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(net->socket, NETLINK_CAP_ACK, &on, sizeof(on));
	net->sequence = (uint32_t)time(NULL);
	return net;
failed:
	net_close(net);
	return NULL;
}

void net_close(struct net *net)
{
	if (!net)
		return;
	dnsmasq_close_all(net);
	if (net->socket)
		mnl_socket_close(net->socket);
	if (net->nft)
		nft_ctx_free(net->nft);
	free(net->directory);
	free(net);
}

struct nlmsghdr *netlink_begin(struct net *net, unsigned type, unsigned flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(net->request);

	request->nlmsg_type = (uint16_t)type;
	request->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	request->nlmsg_seq = ++net->sequence;
	net->kernel_says[0] = 0;
	return request;
}

static void note_kernel_words(struct net *net, const struct nlmsghdr *answer)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(answer);
	const struct nlattr *attribute;

	/* With NETLINK_CAP_ACK the request's payload does not come back, so that attributes follow at once.
	 */
	if (!(answer->nlmsg_flags & NLM_F_ACK_TLVS) || !(answer->nlmsg_flags & NLM_F_CAPPED) ||
	    mnl_nlmsg_get_payload_len(answer) < sizeof(*error))
		return;
	mnl_attr_for_each(attribute, answer,
			  sizeof(*error)) if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG)
		snprintf(net->kernel_says, sizeof(net->kernel_says), "%.*s",
			 (int)mnl_attr_get_payload_len(attribute), mnl_attr_get_str(attribute));
}

static int receive(struct net *net, uint32_t sequence, mnl_cb_t visit, void *context)
{
	uint32_t port = mnl_socket_get_portid(net->socket);

	for (;;) {
		ssize_t size = mnl_socket_recvfrom(net->socket, net->answer, sizeof(net->answer));
		const struct nlmsghdr *first = (const struct nlmsghdr *)net->answer;
		int result;

		if (size < 0)
			return errno == EINTR ? -EAGAIN : -errno;
		/* Left over from a request that was given up. */
		if (mnl_nlmsg_ok(first, (int)size) && first->nlmsg_seq != sequence)
			continue;
		if (mnl_nlmsg_ok(first, (int)size) && first->nlmsg_type == NLMSG_ERROR)
			note_kernel_words(net, first);
		result = mnl_cb_run(net->answer, (size_t)size, sequence, port, visit, context);
		if (result < 0)
			return -errno;
		if (result == MNL_CB_STOP)
			return 0;
	}
}

int netlink_commit(struct net *net, struct nlmsghdr *request)
{
	request->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(net->socket, request, request->nlmsg_len) < 0)
		return -errno;
	return receive(net, request->nlmsg_seq, NULL, NULL);
}

int netlink_dump(struct net *net, struct nlmsghdr *request, mnl_cb_t visit, void *context)
{
	/* A get of one thing has no end of its own: the acknowledgement is it. */
	if ((request->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		request->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(net->socket, request, request->nlmsg_len) < 0)
		return -errno;
	return receive(net, request->nlmsg_seq, visit, context);
}

const char *netlink_why(struct net *net, int error)
{
	static _Thread_local char text[256];

	if (net->kernel_says[0])
		snprintf(text, sizeof(text), "%s (%s)", strerror(error < 0 ? -error : error),
			 net->kernel_says);
	else
		snprintf(text, sizeof(text), "%s", strerror(error < 0 ? -error : error));
	return text;
}
