/* SPDX-License-Identifier: Apache-2.0 */
#include "synthetic.h"

#include "hv/hv_cpuid.h"
#include "x86.h"

#define HYPERVISOR_BIT (1u << 31)

bool synthetic_present(void)
{
	struct cpuid vendor;

	if (!(cpuid(1, 0).ecx & HYPERVISOR_BIT))
		return false;
	vendor = cpuid(HV_CPUID_VENDOR, 0);
	return vendor.eax >= HV_CPUID_LIMITS && vendor.ebx == HV_CPUID_VENDOR_EBX && vendor.ecx == HV_CPUID_VENDOR_ECX &&
	       vendor.edx == HV_CPUID_VENDOR_EDX && cpuid(HV_CPUID_INTERFACE, 0).eax == HV_CPUID_INTERFACE_HV1;
}

uint64_t synthetic_privileges(void)
{
	struct cpuid leaf;

	if (!synthetic_present())
		return 0;
	leaf = cpuid(HV_CPUID_FEATURES, 0);
	return (uint64_t)leaf.ebx << 32 | leaf.eax;
}

bool synthetic_has(uint64_t privileges)
{
	return (synthetic_privileges() & privileges) == privileges;
}

uint32_t synthetic_features(void)
{
	return synthetic_present() ? cpuid(HV_CPUID_FEATURES, 0).edx : 0;
}
