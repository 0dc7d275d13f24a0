// SPDX-License-Identifier: Apache-2.0
#include "worker/msr_policy.h"

#include <stddef.h>

#define HWCR_TSC_FREQ_SEL       (1ull << 24)	/* TSC counts at the P0 frequency: a kernel warns when it does not */
#define DE_CFG_LFENCE_SERIALIZE (1ull << 1)

/*
 * Sorted. Only what an operating system for a plain processor touches without expecting a fault: identification, microcode,
 * machine check and chipset set-up that firmware would have done. Probes that expect a fault get their fault.
 */
const struct msr_policy msr_policies[] = {
	{ 0x00000000, 0x00000001, 0, "P5 machine check" },
	{ 0x00000017, 0x00000017, 0, "PLATFORM_ID" },
	{ 0x00000079, 0x00000079, 0, "BIOS_UPDT_TRIG" },
	{ 0x0000008b, 0x0000008b, 0, "PATCH_LEVEL" },
	{ 0x000000fe, 0x000000fe, 0, "MTRRcap" },
	{ 0x00000179, 0x0000017b, 0, "machine check: none of its banks" },
	{ 0x00000186, 0x00000187, 0, "PERFEVTSEL" },
	{ 0x000001a0, 0x000001a0, 0, "MISC_ENABLE" },
	{ 0x000001d9, 0x000001d9, 0, "DEBUGCTL" },
	{ 0x000001db, 0x000001de, 0, "last branch, last interrupt" },
	{ 0x00000200, 0x0000020f, 0, "MTRR variable ranges" },
	{ 0x00000250, 0x00000250, 0, "MTRR fixed 64K" },
	{ 0x00000258, 0x00000259, 0, "MTRR fixed 16K" },
	{ 0x00000268, 0x0000026f, 0, "MTRR fixed 4K" },
	{ 0x000002ff, 0x000002ff, 0, "MTRRdefType" },
	{ 0xc0010010, 0xc0010010, 0, "SYSCFG" },
	{ 0xc0010015, 0xc0010015, HWCR_TSC_FREQ_SEL, "HWCR" },
	{ 0xc0010016, 0xc001001a, 0, "IORR, TOP_MEM" },
	{ 0xc001001d, 0xc001001d, 0, "TOP_MEM2" },
	{ 0xc001001f, 0xc001001f, 0, "NB_CFG" },
	{ 0xc0010020, 0xc0010020, 0, "PATCH_LOADER" },
	{ 0xc0010055, 0xc0010055, 0, "INT_PENDING" },
	{ 0xc0010058, 0xc0010058, 0, "MMIO_CONF" },
	{ 0xc0010112, 0xc0010113, 0, "SMM range" },
	{ 0xc0010140, 0xc0010141, 0, "OSVW" },
	{ 0xc0011020, 0xc0011023, 0, "LS_CFG, IC_CFG, DC_CFG, BU_CFG" },
	{ 0xc0011029, 0xc0011029, DE_CFG_LFENCE_SERIALIZE, "DE_CFG" },
	{ 0xc001102a, 0xc001102a, 0, "BU_CFG2" },
};
const unsigned msr_policy_count = sizeof msr_policies / sizeof msr_policies[0];

const struct msr_policy *msr_policy_find(uint32_t msr)
{
	for (unsigned i = 0; i < msr_policy_count; i++)
		if (msr >= msr_policies[i].first && msr <= msr_policies[i].last)
			return &msr_policies[i];
	return NULL;
}
