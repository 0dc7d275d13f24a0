// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/mshyperv.h>
#include <asm/processor.h>

#include "hv/hv_cpuid.h"
#include "vid_arch.h"

/* The private leaf is answered to the root partition alone. Another hypervisor may answer anything there. */
bool vid_arch_is_undercroft(void)
{
	u32 eax, ebx, ecx, edx;

	if (!boot_cpu_has(X86_FEATURE_HYPERVISOR))
		return false;
	cpuid(UC_CPUID_SIGNATURE, &eax, &ebx, &ecx, &edx);
	return ebx == UC_CPUID_SIGNATURE_EBX && ecx == UC_CPUID_SIGNATURE_ECX && edx == UC_CPUID_SIGNATURE_EDX;
}

bool vid_arch_hypercalls_ready(void)
{
	return hv_is_hyperv_initialized() && hv_hypercall_pg;
}

u64 vid_arch_privileges(void)
{
	return (u64)ms_hyperv.priv_high << 32 | ms_hyperv.features;
}

bool vid_arch_sint_auto_eoi(void)
{
	return !(ms_hyperv.hints & HV_DEPRECATING_AEOI_RECOMMENDED);
}

u64 vid_arch_hypercall(u64 control, void *in, void *out)
{
	return hv_do_hypercall(control, in, out);
}

void vid_arch_log_location(u64 *ret_gpa, u64 *ret_bytes)
{
	u32 eax, ebx, ecx, edx;

	*ret_gpa = 0;
	*ret_bytes = 0;
	cpuid(UC_CPUID_SIGNATURE, &eax, &ebx, &ecx, &edx);
	if (eax < UC_CPUID_LOG)
		return;
	cpuid(UC_CPUID_LOG, &eax, &ebx, &ecx, &edx);
	*ret_gpa = (u64)ebx << 32 | eax;
	*ret_bytes = (u64)ecx * PAGE_SIZE;
}

void vid_arch_set_interrupt(void (*handler)(void))
{
	hv_setup_vmbus_handler(handler);
}

void vid_arch_clear_interrupt(void)
{
	hv_remove_vmbus_handler();
}
