// SPDX-License-Identifier: GPL-2.0-only
/* VP state that is more than registers: local APIC, synthetic timers, XSAVE area. */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "vid.h"

#define VID_STATE_BYTES_MAX 65536u

/* What the hypervisor needs to be told about one type of state. */
struct vid_state_kind {
	u32 type;			/* HV_VP_STATE_* */
	u32 bytes;			/* as the hypervisor counts them */
	u64 xsave_states;
};

/* The synthetic message and event pages are the guest's own memory, so there is nothing to fetch for them. */
static int vid_state_kind(struct vid_vp *vp, u8 type, struct vid_state_kind *out)
{
	struct vid_pool *pool = &vp->partition->pool;
	u64 bytes;
	int error;

	out->xsave_states = 0;
	switch (type) {
	case MSHV_VP_STATE_LAPIC:
		out->type = HV_VP_STATE_LAPIC;
		out->bytes = sizeof(struct hv_lapic_state);
		return 0;
	case MSHV_VP_STATE_SYNTHETIC_TIMERS:
		out->type = HV_VP_STATE_SYNTHETIC_TIMERS;
		out->bytes = sizeof(struct hv_stimers_state);
		return 0;
	case MSHV_VP_STATE_XSAVE:
		out->type = HV_VP_STATE_XSAVE;
		error = vid_hv_get_property(pool, HV_PROPERTY_XSAVE_STATES, &out->xsave_states);
		if (!error)
			error = vid_hv_get_property(pool, HV_PROPERTY_MAX_XSAVE_DATA_SIZE, &bytes);
		if (error)
			return error;
		if (bytes == 0 || bytes > VID_STATE_BYTES_MAX)
			return -EIO;
		out->bytes = bytes;
		return 0;
	case MSHV_VP_STATE_SIMP:
	case MSHV_VP_STATE_SIEFP:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

/* Checks the request and tells the caller the size it should have had. */
static int vid_state_prepare(struct vid_vp *vp, struct mshv_get_set_vp_state __user *user,
			     struct mshv_get_set_vp_state *args, struct vid_state_kind *kind)
{
	u32 needed;
	int error;

	if (copy_from_user(args, user, sizeof(*args)))
		return -EFAULT;
	if (memchr_inv(args->rsvd, 0, sizeof(args->rsvd)))
		return -EINVAL;
	error = vid_state_kind(vp, args->type, kind);
	if (error)
		return error;
	needed = PAGE_ALIGN(kind->bytes);
	if (put_user(needed, &user->buf_sz))
		return -EFAULT;
	if (args->buf_sz < needed || args->buf_sz % PAGE_SIZE || args->buf_ptr % PAGE_SIZE)
		return -EINVAL;
	return 0;
}

int vid_vp_get_state(struct vid_vp *vp, struct mshv_get_set_vp_state __user *user)
{
	struct mshv_get_set_vp_state args;
	struct vid_state_kind kind;
	size_t bytes;
	void *buffer;
	int error = vid_state_prepare(vp, user, &args, &kind);

	if (error)
		return error;
	bytes = PAGE_ALIGN(kind.bytes);
	buffer = alloc_pages_exact(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!buffer)
		return -ENOMEM;
	error = vid_hv_get_vp_state(&vp->partition->pool, vp->index, kind.type, kind.xsave_states, buffer, kind.bytes);
	if (!error && copy_to_user(u64_to_user_ptr(args.buf_ptr), buffer, bytes))
		error = -EFAULT;
	free_pages_exact(buffer, bytes);
	return error;
}

int vid_vp_set_state(struct vid_vp *vp, struct mshv_get_set_vp_state __user *user)
{
	struct mshv_get_set_vp_state args;
	struct vid_state_kind kind;
	size_t bytes;
	void *buffer;
	int error = vid_state_prepare(vp, user, &args, &kind);

	if (error)
		return error;
	bytes = PAGE_ALIGN(kind.bytes);
	buffer = alloc_pages_exact(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!buffer)
		return -ENOMEM;
	if (copy_from_user(buffer, u64_to_user_ptr(args.buf_ptr), bytes))
		error = -EFAULT;
	else
		error = vid_hv_set_vp_state(&vp->partition->pool, vp->index, kind.type, kind.xsave_states, buffer,
					    kind.bytes);
	free_pages_exact(buffer, bytes);
	return error;
}
