/* SPDX-License-Identifier: Apache-2.0 */
/* tc: how fast frames go to a guest, and copies of what passes its port. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>

#include "net/netlink.h"

#define HTB_ROOT  TC_H_MAKE(1u << 16, 0)
#define HTB_CLASS TC_H_MAKE(1u << 16, 1)
#define CLSACT    TC_H_MAKE(TC_H_CLSACT, 0)
#define NO_LIMIT  UINT64_C(12500000000) /* bytes a second: 100 Gbit/s */
#define BURST_MIN 65536u                /* bytes; holds the largest frame */
#define TICK_NS   64u                   /* the scheduler's unit of time */

static struct nlmsghdr *begin(struct net *net, unsigned type, unsigned flags, int index, uint32_t parent,
			      uint32_t handle, const char *kind)
{
	struct nlmsghdr *request = netlink_begin(net, type, flags);
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(request, sizeof(*tc));

	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = index;
	tc->tcm_parent = parent;
	tc->tcm_handle = handle;
	if (kind)
		mnl_attr_put_strz(request, TCA_KIND, kind);
	return request;
}

static int remove_qdisc(struct net *net, int index, uint32_t parent, uint32_t handle)
{
	int error = netlink_commit(net, begin(net, RTM_DELQDISC, 0, index, parent, handle, NULL));

	return error == -ENOENT || error == -EINVAL ? 0 : error;
}

/* Ten milliseconds' worth. */
static uint32_t burst_ticks(uint64_t bytes_per_second)
{
	uint64_t bytes = bytes_per_second / 100 > BURST_MIN ? bytes_per_second / 100 : BURST_MIN;
	uint64_t ticks = bytes * UINT64_C(1000000000) / bytes_per_second / TICK_NS;

	return ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks;
}

static int set_class(struct net *net, int index, uint64_t rate, uint64_t ceil)
{
	struct nlmsghdr *request =
		begin(net, RTM_NEWTCLASS, NLM_F_CREATE | NLM_F_REPLACE, index, HTB_ROOT, HTB_CLASS, "htb");
	struct tc_htb_opt options = {.rate = {.linklayer = TC_LINKLAYER_ETHERNET,
					      .rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate},
				     .ceil = {.linklayer = TC_LINKLAYER_ETHERNET,
					      .rate = ceil > UINT32_MAX ? UINT32_MAX : (uint32_t)ceil},
				     .buffer = burst_ticks(rate),
				     .cbuffer = burst_ticks(ceil),
				     .quantum = BURST_MIN};
	struct nlattr *nest = mnl_attr_nest_start(request, TCA_OPTIONS);

	mnl_attr_put(request, TCA_HTB_PARMS, sizeof(options), &options);
	mnl_attr_put_u64(request, TCA_HTB_RATE64, rate);
	mnl_attr_put_u64(request, TCA_HTB_CEIL64, ceil);
	mnl_attr_nest_end(request, nest);
	return netlink_commit(net, request);
}

static int add_htb(struct net *net, int index)
{
	struct nlmsghdr *request =
		begin(net, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index, TC_H_ROOT, HTB_ROOT, "htb");
	struct tc_htb_glob options = {
		.version = TC_HTB_PROTOVER, .rate2quantum = 10, .defcls = TC_H_MIN(HTB_CLASS)};
	struct nlattr *nest = mnl_attr_nest_start(request, TCA_OPTIONS);

	mnl_attr_put(request, TCA_HTB_INIT, sizeof(options), &options);
	mnl_attr_nest_end(request, nest);
	return netlink_commit(net, request);
}

int shape_apply(struct net *net, int index, uint64_t min_bps, uint64_t max_bps)
{
	uint64_t ceil = max_bps ? max_bps / 8 : NO_LIMIT, rate = min_bps ? min_bps / 8 : ceil;
	int error;

	if (!min_bps && !max_bps)
		return remove_qdisc(net, index, TC_H_ROOT, HTB_ROOT);
	rate = rate ? rate : 1;
	ceil = ceil > rate ? ceil : rate;
	/* A class that is there changes without losing what is queued. */
	error = set_class(net, index, rate, ceil);
	if (!error)
		return 0;
	error = add_htb(net, index);
	return error ? error : set_class(net, index, rate, ceil);
}

static int add_mirror(struct net *net, int index, uint32_t hook, const int *to, unsigned count)
{
	struct nlmsghdr *request = begin(net, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, index,
					 TC_H_MAKE(TC_H_CLSACT, hook), 0, "u32");
	struct tc_u32_sel everything = {.flags = TC_U32_TERMINAL};
	struct nlattr *options, *actions;
	struct tcmsg *tc = mnl_nlmsg_get_payload(request);

	tc->tcm_info = TC_H_MAKE(1u << 16, htons(ETH_P_ALL));
	options = mnl_attr_nest_start(request, TCA_OPTIONS);
	mnl_attr_put(request, TCA_U32_SEL, sizeof(everything), &everything);
	actions = mnl_attr_nest_start(request, TCA_U32_ACT);
	for (unsigned i = 0; i < count; i++) {
		struct nlattr *action = mnl_attr_nest_start(request, (uint16_t)(i + 1)), *nest;
		struct tc_mirred mirred = {
			.action = TC_ACT_PIPE, .eaction = TCA_EGRESS_MIRROR, .ifindex = (uint32_t)to[i]};

		mnl_attr_put_strz(request, TCA_ACT_KIND, "mirred");
		nest = mnl_attr_nest_start(request, TCA_ACT_OPTIONS);
		mnl_attr_put(request, TCA_MIRRED_PARMS, sizeof(mirred), &mirred);
		mnl_attr_nest_end(request, nest);
		mnl_attr_nest_end(request, action);
	}
	mnl_attr_nest_end(request, actions);
	mnl_attr_nest_end(request, options);
	return netlink_commit(net, request);
}

int mirror_apply(struct net *net, int index, const int *to, unsigned count)
{
	int error = remove_qdisc(net, index, TC_H_CLSACT, CLSACT);

	if (error || !count)
		return error;
	error = netlink_commit(net, begin(net, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, TC_H_CLSACT,
					  CLSACT, "clsact"));
	if (!error)
		error = add_mirror(net, index, TC_H_MIN_INGRESS, to, count);
	return error ? error : add_mirror(net, index, TC_H_MIN_EGRESS, to, count);
}
