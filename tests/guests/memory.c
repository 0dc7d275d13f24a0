/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a child can reach: its own RAM and nothing else. It walks all of its physical addresses looking for another child's
 * canary and for the hypervisor's texts, fills its RAM with a canary of its own, waits while others run, and finds exactly
 * that canary again. Addresses behind the RAM belong to nobody: they read as ones and swallow writes.
 *
 * Options: canary=NUMBER (32 bits, one of its own for each child), seconds=NUMBER to wait, stride=BYTES behind the RAM.
 */
#include "lib/bootinfo.h"
#include "lib/clock.h"
#include "lib/lapic.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/synthetic.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define PAGE_BYTES     4096ull
#define LARGE_PAGE     0x200000ull
#define GIB            0x40000000ull
#define LOW_RAM        0x100000ull		/* below: what the loader left there */
#define CANARY_DEFAULT 0xfeed5eedull
#define SECONDS        3ull
#define STRIDE         (LARGE_PAGE + PAGE_BYTES + 8)	/* another page, another offset in each 2 MiB */
#define IOAPIC_GPA     0xfec00000ull
#define HIGH_PROBES    64u

/*
 * Marks every canary in its upper half. Kept complemented, so that no image of this guest, here or next door, contains a
 * mark by itself. The same goes for the texts.
 */
static const volatile uint32_t mark_complement = ~0x6b1dc0deu;
static const volatile uint8_t text_complement[] = {
	(uint8_t)~'h', (uint8_t)~'y', (uint8_t)~'p', (uint8_t)~'e', (uint8_t)~'r', (uint8_t)~'v', (uint8_t)~'i',
	(uint8_t)~'s', (uint8_t)~'o', (uint8_t)~'r', (uint8_t)~':', (uint8_t)~' ',
};
#define TEXT_BYTES sizeof text_complement

static uint64_t mark, canary;
static uint64_t pages_scanned;

static bool has_text(const uint8_t *at)
{
	for (unsigned i = 0; i < TEXT_BYTES; i++) {
		if ((at[i] ^ text_complement[i]) != 0xff)
			return false;
	}
	return true;
}

/* Our own variables hold our canary. */
static bool in_image(uint64_t gpa)
{
	return gpa >= LOW_RAM && gpa < bootinfo_image_end();
}

/* Words with the mark in their upper half; `own` says whether our own may be among them. */
static void scan_page(uint64_t page, bool own)
{
	const uint64_t *word = (const uint64_t *)page;
	const uint8_t *byte = (const uint8_t *)page;
	uint8_t first = text_complement[0] ^ 0xff;

	for (unsigned i = 0; i < PAGE_BYTES / 8; i++) {
		if (word[i] >> 32 == mark)
			EXPECT((own || in_image(page)) && word[i] == canary, "a canary that is not ours at %llx: %llx",
			       (unsigned long long)(page + 8 * i), (unsigned long long)word[i]);
	}
	for (unsigned i = 0; i + TEXT_BYTES <= PAGE_BYTES; i++) {
		if (byte[i] == first)
			EXPECT(!has_text(byte + i), "the hypervisor's text at %llx", (unsigned long long)(page + i));
	}
	pages_scanned++;
}

static void scan_ram(bool own)
{
	for (unsigned r = 0; r < bootinfo.region_count; r++) {
		const struct bootinfo_region *region = &bootinfo.regions[r];

		for (uint64_t at = region->base & ~(PAGE_BYTES - 1); at < region->end && at < 4 * GIB; at += PAGE_BYTES) {
			if (region->type != BOOTINFO_RAM && at >= LOW_RAM)
				break;
			scan_page(at, own && at >= LOW_RAM);
			EXPECT_ALL();
		}
	}
}

/* Calls visit for each page of RAM that nobody uses, until a test fails. */
static void each_free_page(void (*visit)(uint64_t page))
{
	uint64_t first = bootinfo_image_end();

	for (unsigned r = 0; r < bootinfo.region_count; r++) {
		const struct bootinfo_region *region = &bootinfo.regions[r];
		uint64_t at = region->base < first ? first : region->base;

		if (region->type != BOOTINFO_RAM)
			continue;
		for (; at + PAGE_BYTES <= region->end && at < 4 * GIB && !verdict_failed(); at += PAGE_BYTES)
			visit(at);
	}
}

static void fill_page(uint64_t page)
{
	uint64_t *word = (uint64_t *)page;

	for (unsigned i = 0; i < PAGE_BYTES / 8; i++)
		word[i] = canary;
}

static void verify_page(uint64_t page)
{
	const uint64_t *word = (const uint64_t *)page;

	for (unsigned i = 0; i < PAGE_BYTES / 8; i++)
		EXPECT(word[i] == canary, "%llx holds %llx, not what was written", (unsigned long long)(page + 8 * i),
		       (unsigned long long)word[i]);
}

static void verify_zero(uint64_t page)
{
	const uint64_t *word = (const uint64_t *)page;

	for (unsigned i = 0; i < PAGE_BYTES / 8; i++)
		EXPECT(word[i] == 0, "%llx holds %llx", (unsigned long long)(page + 8 * i), (unsigned long long)word[i]);
}

static void set_up(void)
{
	mark = (uint32_t)~mark_complement;
	canary = mark << 32 | (uint32_t)bootinfo_number("canary", CANARY_DEFAULT);
	EXPECT(bootinfo.ram_end > bootinfo_image_end() + 16 * PAGE_BYTES, "no free RAM up to %llx",
	       (unsigned long long)bootinfo.ram_end);
	print("    RAM up to %llx, canary %llx\n", (unsigned long long)bootinfo.ram_end, (unsigned long long)canary);
}

/* Whoever had these pages before, nothing of it may have stayed. */
static void fresh(void)
{
	if (!synthetic_present())
		SKIP("on a plain machine firmware has used the RAM");
	each_free_page(verify_zero);
}

static void first_scan(void)
{
	scan_ram(false);
	EXPECT_ALL();
	print("    %llu pages\n", (unsigned long long)pages_scanned);
}

static void own_canary(void)
{
	each_free_page(fill_page);
	clock_spin(bootinfo_number("seconds", SECONDS) * CLOCK_SECOND);
	each_free_page(verify_page);
}

static void second_scan(void)
{
	scan_ram(true);
}

static bool is_device(uint64_t gpa)
{
	return (gpa >= IOAPIC_GPA && gpa < IOAPIC_GPA + LARGE_PAGE) || (gpa >= LAPIC_GPA && gpa < LAPIC_GPA + LARGE_PAGE);
}

static void probe(volatile void *address, uint64_t gpa)
{
	uint32_t value;

	value = read32((uintptr_t)address);
	EXPECT(value == ~0u, "%llx reads as %x", (unsigned long long)gpa, value);
}

static void behind_ram(void)
{
	uint64_t stride = bootinfo_number("stride", STRIDE), probes = 0;

	if (!synthetic_present())
		SKIP("a plain machine has devices there");
	EXPECT(stride >= 8, "stride=%llu is too small", (unsigned long long)stride);
	for (uint64_t gpa = (bootinfo.ram_end + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1); gpa + 8 < 4 * GIB; gpa += stride) {
		if (is_device(gpa))
			continue;
		probe((void *)(gpa & ~7ull), gpa & ~7ull);
		EXPECT_ALL();
		probes++;
	}
	print("    %llu addresses\n", (unsigned long long)probes);
	EXPECT(probes > 0, "no address to probe");
}

static void above_4_gib(void)
{
	unsigned bits = cpuid(0x80000008, 0).eax & 0xff;

	if (!synthetic_present())
		SKIP("a plain machine has devices there");
	for (unsigned bit = 32; bit < bits; bit++) {
		for (uint64_t gpa = 1ull << bit; gpa < 2ull << bit && gpa < (1ull << bit) + 2 * GIB; gpa += GIB + 5 * PAGE_BYTES) {
			if (gpa < bootinfo.ram_end)
				continue;
			probe(memory_window(gpa), gpa);
			EXPECT_ALL();
		}
	}
	probe(memory_window((1ull << bits) - PAGE_BYTES), (1ull << bits) - PAGE_BYTES);
}

static void swallows_writes(void)
{
	uint64_t base = (bootinfo.ram_end + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);

	if (!synthetic_present())
		SKIP("a plain machine has devices there");
	for (unsigned i = 0; i < HIGH_PROBES; i++) {
		uint64_t gpa = base + i * (LARGE_PAGE + 64);

		if (is_device(gpa) || gpa >= 4 * GIB)
			continue;
		write32(gpa, 0x12345678 + i);
		probe((void *)gpa, gpa);
		EXPECT_ALL();
	}
}

static void sizes(void)
{
	const volatile uint8_t *at = (const volatile uint8_t *)((bootinfo.ram_end + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1));
	uint64_t value = 0;

	if (!synthetic_present())
		SKIP("a plain machine has devices there");
	__asm__ volatile("movb (%1), %%al\n\tmovzbl %%al, %%eax\n\tmovq %%rax, %0" : "=r"(value) : "r"(at) : "rax", "memory");
	EXPECT_EQ(value, 0xff, "a byte");
	__asm__ volatile("movzwl (%1), %%eax\n\tmovq %%rax, %0" : "=r"(value) : "r"(at) : "rax", "memory");
	EXPECT_EQ(value, 0xffff, "a word, MOVZX");
	__asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(at) : "memory");
	EXPECT_EQ(value, ~0ull, "eight bytes");
	__asm__ volatile("movslq (%1), %0" : "=r"(value) : "r"(at) : "memory");
	EXPECT_EQ(value, ~0ull, "four bytes, sign extended");
}

static void own_memory_again(void)
{
	each_free_page(verify_page);
}

const struct guest_test guest_tests[] = {
	{ "there is RAM of one's own", set_up },
	{ "fresh RAM is zero", fresh },
	{ "nothing of others is in fresh RAM", first_scan },
	{ "addresses behind the RAM read as ones", behind_ram },
	{ "addresses above 4 GiB read as ones", above_4_gib },
	{ "reads of all sizes behind the RAM are ones", sizes },
	{ "what is written stays", own_canary },
	{ "nothing of others has appeared", second_scan },
	{ "addresses behind the RAM swallow writes", swallows_writes },
	{ "which changes nothing of one's own", own_memory_again },
	{ 0 },
};
