/* SPDX-License-Identifier: Apache-2.0 */
/* TLFS 2.0a "Partition Management", "Partition Properties", HvCallInstallIntercept. */
#include "core/arch.h"
#include "core/hvcall.h"
#include "core/partition.h"
#include "core/scheduler.h"

#define INTERCEPT_READ_WRITE (HV_INTERCEPT_ACCESS_READ | HV_INTERCEPT_ACCESS_WRITE)

/* --- Life cycle ----------------------------------------------------------------------------------------------------- */

enum hv_status hvcall_create_partition(struct hypercall_context *c)
{
	const struct hv_input_create_partition *in = (const void *)c->input;
	struct hv_output_create_partition *out = (void *)c->output;

	/* Nothing hides single CPU features or isolates memory yet: asking for it must not seem to work. */
	if (in->disabled_processor_features[0] || in->disabled_processor_features[1] || in->disabled_xsave_features ||
	    in->isolation_properties)
		return HV_STATUS_INVALID_PARAMETER;
	return partition_create(c->vp->partition, in->flags, &out->partition_id);
}

/* The partition itself decides about states, in one go with the change. */
static enum hv_status child_of_input(struct hypercall_context *c, struct partition **out)
{
	const struct hv_input_partition *in = (const void *)c->input;

	return hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_IN_ANY, out);
}

enum hv_status hvcall_initialize_partition(struct hypercall_context *c)
{
	struct partition *p;
	enum hv_status status = child_of_input(c, &p);

	return status != HV_STATUS_SUCCESS ? status : partition_initialize(p);
}

enum hv_status hvcall_finalize_partition(struct hypercall_context *c)
{
	struct partition *p;
	enum hv_status status = child_of_input(c, &p);

	return status != HV_STATUS_SUCCESS ? status : partition_finalize(p);
}

enum hv_status hvcall_delete_partition(struct hypercall_context *c)
{
	struct partition *p;
	enum hv_status status = child_of_input(c, &p);

	if (status == HV_STATUS_SUCCESS)
		status = partition_delete(p);
	if (status == HV_STATUS_SUCCESS) {
		c->target = NULL;
		hvcall_stats_refresh(NULL);
	}
	return status;
}

enum hv_status hvcall_get_partition_id(struct hypercall_context *c)
{
	*(uint64_t *)(void *)c->output = c->vp->partition->id;
	return HV_STATUS_SUCCESS;
}

enum hv_status hvcall_get_next_child_partition(struct hypercall_context *c)
{
	const struct hv_input_get_next_child_partition *in = (const void *)c->input;
	struct partition *parent;
	enum hv_status status = hypercall_target(c, in->parent_id, HC_TARGET_SELF | HC_IN_ANY, &parent);

	return status != HV_STATUS_SUCCESS ? status :
	       partition_next_child(parent, in->previous_child_id, (uint64_t *)(void *)c->output);
}

/* --- Properties ----------------------------------------------------------------------------------------------------- */

struct property {
	uint32_t code;
	bool early;		/* settable before HvCallInitializePartition only; the others only after it */
	enum hv_status (*get)(struct partition *p, uint64_t *out_value);
	enum hv_status (*set)(struct partition *p, uint64_t value);	/* NULL: read-only */
};

static enum hv_status privileges_get(struct partition *p, uint64_t *out_value)
{
	*out_value = p->privileges;
	return HV_STATUS_SUCCESS;
}

/* The parent may take away from what the features give, never add to it. */
static enum hv_status privileges_set(struct partition *p, uint64_t value)
{
	uint64_t given;
	enum hv_status status = cpuid_privileges_from_features(p->synthetic_features, &given);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (value & ~(given | HV_PRIV_PARTITION_ID))
		return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
	p->privileges = value;
	return HV_STATUS_SUCCESS;
}

static enum hv_status features_get(struct partition *p, uint64_t *out_value)
{
	*out_value = p->synthetic_features;
	return HV_STATUS_SUCCESS;
}

static enum hv_status features_set(struct partition *p, uint64_t value)
{
	uint64_t privileges;
	enum hv_status status = cpuid_privileges_from_features(value, &privileges);

	if (status != HV_STATUS_SUCCESS)
		return status;
	p->synthetic_features = value;
	p->privileges = privileges;
	return HV_STATUS_SUCCESS;
}

static enum hv_status suspend_get(struct partition *p, uint64_t *out_value)
{
	*out_value = __atomic_load_n(&p->suspended, __ATOMIC_SEQ_CST);
	return HV_STATUS_SUCCESS;
}

static void resume_vp(struct vp *vp)
{
	/* The parent was told that it is blocked, so the parent must be told that it can go on. */
	if (vp && !__atomic_load_n(&vp->explicit_suspend, __ATOMIC_SEQ_CST))
		scheduler_signal(vp);
}

static enum hv_status suspend_set(struct partition *p, uint64_t value)
{
	uint32_t was;

	if (value > 1)
		return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
	was = __atomic_exchange_n(&p->suspended, (uint32_t)value, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < PARTITION_VPS_MAX; i++) {
		struct vp *vp = partition_vp(p, i);

		if (vp && value)
			vp_wake(vp);		/* out of the guest: it looks at the property before it goes back */
		else if (was && !value)
			resume_vp(vp);
	}
	return HV_STATUS_SUCCESS;
}

static enum hv_status freeze_get(struct partition *p, uint64_t *out_value)
{
	*out_value = p->time.frozen;
	return HV_STATUS_SUCCESS;
}

static enum hv_status freeze_set(struct partition *p, uint64_t value)
{
	if (value > 1)
		return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
	ref_time_freeze(p, value != 0);
	return HV_STATUS_SUCCESS;
}

static enum hv_status reference_time_get(struct partition *p, uint64_t *out_value)
{
	if (p->state == PARTITION_UNINITIALIZED)
		return HV_STATUS_INVALID_PARTITION_STATE;
	*out_value = ref_time_now(p);
	return HV_STATUS_SUCCESS;
}

static enum hv_status reference_time_set(struct partition *p, uint64_t value)
{
	return ref_time_set(p, value);
}

static enum hv_status msr_action_get(struct partition *p, uint64_t *out_value)
{
	*out_value = p->unimplemented_msr_action;
	return HV_STATUS_SUCCESS;
}

static enum hv_status msr_action_set(struct partition *p, uint64_t value)
{
	if (value > 1)
		return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
	p->unimplemented_msr_action = (uint32_t)value;
	return HV_STATUS_SUCCESS;
}

/* 0 AMD, 1 Intel, 2 Hygon. */
static enum hv_status vendor_get(struct partition *p, uint64_t *out_value)
{
	struct cpuid_regs r;

	(void)p;
	arch->cpuid(0, 0, &r);
	*out_value = r.ebx == 0x756e6547u ? 1 : r.ebx == 0x6f677948u ? 2 : 0;
	return HV_STATUS_SUCCESS;
}

static enum hv_status xsave_states_get(struct partition *p, uint64_t *out_value)
{
	(void)p;
	*out_value = machine.xcr0_mask;
	return HV_STATUS_SUCCESS;
}

/* Standard format: legacy area, header, and whatever lies highest. */
static enum hv_status xsave_bytes_get(struct partition *p, uint64_t *out_value)
{
	uint64_t bytes = 512 + 64;
	struct cpuid_regs r;

	(void)p;
	for (uint32_t i = 2; i < 63; i++) {
		if (!((machine.xcr0_mask >> i) & 1))
			continue;
		arch->cpuid(0xd, i, &r);
		if ((uint64_t)r.ebx + r.eax > bytes)
			bytes = (uint64_t)r.ebx + r.eax;
	}
	*out_value = bytes;
	return HV_STATUS_SUCCESS;
}

static enum hv_status clock_get(struct partition *p, uint64_t *out_value)
{
	(void)p;
	*out_value = machine.tsc_hz;
	return HV_STATUS_SUCCESS;
}

static enum hv_status os_id_get(struct partition *p, uint64_t *out_value)
{
	*out_value = p->guest_os_id;
	return HV_STATUS_SUCCESS;
}

/* Bits of HV_PARTITION_PROCESSOR_FEATURES that CPUID tells. TLFS web, "Partition Properties". */
enum feature_register { FEATURE_EBX, FEATURE_ECX, FEATURE_EDX };
static const struct feature {
	uint8_t bank, bit, cpuid_register, cpuid_bit;
	uint32_t leaf;
} features[] = {
	{ 0, 0, FEATURE_ECX, 0, 1 },		/* SSE3 */
	{ 0, 1, FEATURE_ECX, 0, 0x80000001 },	/* LAHF */
	{ 0, 2, FEATURE_ECX, 9, 1 },		/* SSSE3 */
	{ 0, 3, FEATURE_ECX, 19, 1 },		/* SSE4.1 */
	{ 0, 4, FEATURE_ECX, 20, 1 },		/* SSE4.2 */
	{ 0, 5, FEATURE_ECX, 6, 0x80000001 },	/* SSE4a */
	{ 0, 6, FEATURE_ECX, 11, 0x80000001 },	/* XOP */
	{ 0, 7, FEATURE_ECX, 23, 1 },		/* POPCNT */
	{ 0, 8, FEATURE_ECX, 13, 1 },		/* CMPXCHG16B */
	{ 0, 9, FEATURE_ECX, 4, 0x80000001 },	/* AltMovCr8 */
	{ 0, 10, FEATURE_ECX, 5, 0x80000001 },	/* LZCNT */
	{ 0, 11, FEATURE_ECX, 7, 0x80000001 },	/* misaligned SSE */
	{ 0, 12, FEATURE_EDX, 22, 0x80000001 },	/* MMXext */
	{ 0, 15, FEATURE_EDX, 26, 0x80000001 },	/* 1 GiB pages */
	{ 0, 16, FEATURE_ECX, 25, 1 },		/* AES */
	{ 0, 17, FEATURE_ECX, 1, 1 },		/* PCLMULQDQ */
	{ 0, 18, FEATURE_ECX, 17, 1 },		/* PCID */
	{ 0, 20, FEATURE_ECX, 29, 1 },		/* F16C */
	{ 0, 21, FEATURE_ECX, 30, 1 },		/* RDRAND */
	{ 0, 22, FEATURE_EBX, 0, 7 },		/* FSGSBASE */
	{ 0, 23, FEATURE_EBX, 7, 7 },		/* SMEP */
	{ 0, 24, FEATURE_EBX, 9, 7 },		/* ERMS */
	{ 0, 25, FEATURE_EBX, 3, 7 },		/* BMI1 */
	{ 0, 26, FEATURE_EBX, 8, 7 },		/* BMI2 */
	{ 0, 29, FEATURE_ECX, 22, 1 },		/* MOVBE */
	{ 0, 32, FEATURE_EBX, 18, 7 },		/* RDSEED */
	{ 0, 33, FEATURE_EBX, 19, 7 },		/* ADX */
	{ 0, 35, FEATURE_EBX, 20, 7 },		/* SMAP */
	{ 0, 38, FEATURE_EDX, 27, 0x80000001 },	/* RDTSCP */
	{ 0, 39, FEATURE_EBX, 23, 7 },		/* CLFLUSHOPT */
	{ 0, 40, FEATURE_EBX, 24, 7 },		/* CLWB */
	{ 0, 41, FEATURE_EBX, 29, 7 },		/* SHA */
	{ 0, 43, FEATURE_EBX, 10, 7 },		/* INVPCID */
	{ 0, 57, FEATURE_ECX, 22, 7 },		/* RDPID */
	{ 0, 58, FEATURE_ECX, 2, 7 },		/* UMIP */
	{ 1, 1, FEATURE_EDX, 8, 0x80000007 },	/* invariant TSC */
	{ 1, 17, FEATURE_ECX, 24, 1 },		/* TSC deadline */
};

static uint64_t features_of(uint8_t bank)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < ARRAY_COUNT(features); i++) {
		const struct feature *f = &features[i];
		struct cpuid_regs r;
		uint32_t value;

		if (f->bank != bank)
			continue;
		arch->cpuid(f->leaf, 0, &r);
		value = f->cpuid_register == FEATURE_EBX ? r.ebx : f->cpuid_register == FEATURE_ECX ? r.ecx : r.edx;
		mask |= (uint64_t)((value >> f->cpuid_bit) & 1) << f->bit;
	}
	return mask;
}

static enum hv_status features0_get(struct partition *p, uint64_t *out_value)
{
	(void)p;
	*out_value = features_of(0);
	return HV_STATUS_SUCCESS;
}

static enum hv_status features1_get(struct partition *p, uint64_t *out_value)
{
	(void)p;
	*out_value = features_of(1);
	return HV_STATUS_SUCCESS;
}

static const struct property properties[] = {
	{ HV_PROPERTY_PRIVILEGE_FLAGS, true, privileges_get, privileges_set },
	{ HV_PROPERTY_SYNTHETIC_PROC_FEATURES, true, features_get, features_set },
	{ HV_PROPERTY_SUSPEND, false, suspend_get, suspend_set },
	{ HV_PROPERTY_TIME_FREEZE, false, freeze_get, freeze_set },
	{ HV_PROPERTY_REFERENCE_TIME, false, reference_time_get, reference_time_set },
	{ HV_PROPERTY_UNIMPLEMENTED_MSR_ACTION, false, msr_action_get, msr_action_set },
	{ HV_PROPERTY_PROCESSOR_VENDOR, false, vendor_get, NULL },
	{ HV_PROPERTY_XSAVE_STATES, false, xsave_states_get, NULL },
	{ HV_PROPERTY_MAX_XSAVE_DATA_SIZE, false, xsave_bytes_get, NULL },
	{ HV_PROPERTY_PROCESSOR_CLOCK_FREQUENCY, false, clock_get, NULL },
	{ HV_PROPERTY_PROCESSOR_FEATURES0, false, features0_get, NULL },
	{ HV_PROPERTY_PROCESSOR_FEATURES1, false, features1_get, NULL },
	{ HV_PROPERTY_GUEST_OS_ID, false, os_id_get, NULL },
};

static const struct property *property_find(uint32_t code)
{
	for (size_t i = 0; i < ARRAY_COUNT(properties); i++)
		if (properties[i].code == code)
			return &properties[i];
	return NULL;
}

enum hv_status hvcall_get_partition_property(struct hypercall_context *c)
{
	const struct hv_input_get_partition_property *in = (const void *)c->input;
	struct hv_output_get_partition_property *out = (void *)c->output;
	const struct property *property = property_find(in->code);
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_TARGET_SELF | HC_IN_UNINITIALIZED |
						 HC_IN_ACTIVE, &p);

	if (status != HV_STATUS_SUCCESS)
		return status;
	return property ? property->get(p, &out->value) : HV_STATUS_UNKNOWN_PROPERTY;
}

enum hv_status hvcall_set_partition_property(struct hypercall_context *c)
{
	const struct hv_input_set_partition_property *in = (const void *)c->input;
	const struct property *property = property_find(in->code);
	enum partition_state wanted;
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_IN_UNINITIALIZED | HC_IN_ACTIVE, &p);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (!property)
		return HV_STATUS_UNKNOWN_PROPERTY;
	if (!property->set)
		return HV_STATUS_INVALID_PARAMETER;
	wanted = property->early ? PARTITION_UNINITIALIZED : PARTITION_ACTIVE;
	/* Under the lock, so that an early property cannot change while the partition is initialized from it. */
	spin_lock(&p->lock);
	status = p->state == wanted ? property->set(p, in->value) : HV_STATUS_INVALID_PARTITION_STATE;
	spin_unlock(&p->lock);
	return status;
}

enum hv_status hvcall_get_system_property(struct hypercall_context *c)
{
	const struct hv_input_get_system_property *in = (const void *)c->input;

	if (in->property != HV_SYSTEM_PROPERTY_SCHEDULER_TYPE)
		return HV_STATUS_UNKNOWN_PROPERTY;
	*(uint64_t *)(void *)c->output = HV_SCHEDULER_TYPE_ROOT;
	return HV_STATUS_SUCCESS;
}

/* --- Intercepts ----------------------------------------------------------------------------------------------------- */

/* One direction of one port. The bitmap comes with the first port of its half. */
static enum hv_status io_bit_set(struct partition *p, uint16_t port, bool write, bool on)
{
	spa_t *page = &p->io_intercept_pages[(write ? 2 : 0) + (port >> 15)];
	uint8_t *byte, bit = (uint8_t)(1u << (port & 7));

	if (!page->v) {
		spa_t fresh;

		if (!on)
			return HV_STATUS_SUCCESS;
		fresh = page_pool_alloc(&p->pool);
		if (!fresh.v)
			return HV_STATUS_INSUFFICIENT_MEMORY;
		__atomic_store_n(&page->v, fresh.v, __ATOMIC_RELEASE);
	}
	byte = (uint8_t *)platform_ptr(*page) + ((port & 0x7fff) >> 3);
	if (on)
		__atomic_fetch_or(byte, bit, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(byte, (uint8_t)~bit, __ATOMIC_RELAXED);
	return HV_STATUS_SUCCESS;
}

static enum hv_status io_install(struct partition *p, uint64_t parameter, uint32_t mask)
{
	enum hv_status status;

	if (parameter > 0xffff || (mask & ~INTERCEPT_READ_WRITE))
		return HV_STATUS_INVALID_PARAMETER;
	status = io_bit_set(p, (uint16_t)parameter, false, mask & HV_INTERCEPT_ACCESS_READ);
	if (status == HV_STATUS_SUCCESS)
		status = io_bit_set(p, (uint16_t)parameter, true, mask & HV_INTERCEPT_ACCESS_WRITE);
	return status;
}

static enum hv_status msr_install(struct partition *p, uint64_t parameter, uint32_t mask)
{
	(void)parameter;		/* all MSRs that the hypervisor does not implement */
	if (mask & ~INTERCEPT_READ_WRITE)
		return HV_STATUS_INVALID_PARAMETER;
	p->msr_intercept = (uint8_t)mask;
	return HV_STATUS_SUCCESS;
}

static enum hv_status cpuid_install(struct partition *p, uint64_t parameter, uint32_t mask)
{
	uint32_t leaf = (uint32_t)parameter, count = p->cpuid_intercept_count, i;

	if (parameter >> 32 || (mask & ~HV_INTERCEPT_ACCESS_EXECUTE))
		return HV_STATUS_INVALID_PARAMETER;
	for (i = 0; i < count; i++)
		if (p->cpuid_intercepts[i] == leaf)
			break;
	if (i < count && !mask) {
		p->cpuid_intercepts[i] = p->cpuid_intercepts[count - 1];
		p->cpuid_intercept_count = count - 1;
	} else if (i == count && mask) {
		if (count == ARRAY_COUNT(p->cpuid_intercepts))
			return HV_STATUS_NO_RESOURCES;
		p->cpuid_intercepts[count] = leaf;
		__atomic_store_n(&p->cpuid_intercept_count, count + 1, __ATOMIC_RELEASE);
	}
	return HV_STATUS_SUCCESS;
}

enum hv_status hvcall_install_intercept(struct hypercall_context *c)
{
	const struct hv_input_install_intercept *in = (const void *)c->input;
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_IN_ACTIVE, &p);

	if (status != HV_STATUS_SUCCESS)
		return status;
	spin_lock(&p->lock);
	switch (in->intercept_type) {
	case HV_INTERCEPT_IO_PORT:
		status = io_install(p, in->parameter, in->access_mask);
		break;
	case HV_INTERCEPT_MSR:
		status = msr_install(p, in->parameter, in->access_mask);
		break;
	case HV_INTERCEPT_CPUID:
		status = cpuid_install(p, in->parameter, in->access_mask);
		break;
	default:
		status = HV_STATUS_INVALID_PARAMETER;
	}
	spin_unlock(&p->lock);
	return status;
}
