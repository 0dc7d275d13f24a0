// SPDX-License-Identifier: Apache-2.0
#include "worker/ioapic.h"

#include <string.h>

#define OFFSET_SELECT  0x00u
#define OFFSET_WINDOW  0x10u
#define OFFSET_EOI     0x40u			/* version 0x20 and later */

#define REG_ID         0x00u
#define REG_VERSION    0x01u
#define REG_ARBITRATION 0x02u
#define REG_ENTRIES    0x10u
#define VERSION        0x20u

#define ENTRY_VECTOR      0xffull
#define ENTRY_DELIVERY    0x700ull
#define ENTRY_LOGICAL     0x800ull
#define ENTRY_REMOTE_IRR  0x4000ull
#define ENTRY_LEVEL       0x8000ull
#define ENTRY_MASKED      0x10000ull
#define ENTRY_WRITABLE    0xff0000000001afffull	/* not delivery status and remote IRR */
#define MSI_ADDRESS       0xfee00000u
#define MSI_LOGICAL       0x4u
#define MSI_DATA_LEVEL    0x8000u

const char *const ioapic_counter_names[IOAPIC_COUNTER_COUNT] = {
	[IOAPIC_INTERRUPTS] = "interrupts",
	[IOAPIC_EOIS] = "eois",
	[IOAPIC_ROUTE_CHANGES] = "route_changes",
};

void ioapic_init(struct ioapic *ioapic, const struct ioapic_ops *ops, void *context)
{
	memset(ioapic, 0, sizeof *ioapic);
	ioapic->ops = ops;
	ioapic->context = context;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		ioapic->entry[i] = ENTRY_MASKED;
}

static struct ioapic_message entry_message(uint64_t entry)
{
	uint32_t destination = (uint32_t)(entry >> 56);

	return (struct ioapic_message){
		.address = MSI_ADDRESS | destination << 12 | (entry & ENTRY_LOGICAL ? MSI_LOGICAL : 0),
		.data = (uint32_t)(entry & (ENTRY_VECTOR | ENTRY_DELIVERY)) | (entry & ENTRY_LEVEL ? MSI_DATA_LEVEL : 0),
	};
}

/* Sends what the pin asks for: a level that is high and not yet in service, or an edge that waited. */
static void service_pin(struct ioapic *ioapic, unsigned pin)
{
	uint64_t *entry = &ioapic->entry[pin];
	uint32_t bit = 1u << pin;

	if (*entry & ENTRY_MASKED)
		return;
	if (*entry & ENTRY_LEVEL) {
		if (!(ioapic->level & bit) || (*entry & ENTRY_REMOTE_IRR))
			return;
		*entry |= ENTRY_REMOTE_IRR;
	} else if (!(ioapic->pending_edges & bit)) {
		return;
	}
	ioapic->pending_edges &= ~bit;
	ioapic->counters[IOAPIC_INTERRUPTS]++;
	ioapic->ops->send(ioapic->context, pin);
}

static void entry_write(struct ioapic *ioapic, unsigned pin, unsigned half, uint32_t value)
{
	uint64_t old = ioapic->entry[pin];
	uint64_t keep = half ? 0x00000000ffffffffull : 0xffffffff00000000ull;
	uint64_t entry = (old & keep) | ((uint64_t)value << (half ? 32 : 0) & ~keep);
	struct ioapic_message message;

	entry = (entry & ENTRY_WRITABLE) | (old & ENTRY_REMOTE_IRR);
	if (!(entry & ENTRY_LEVEL))
		entry &= ~ENTRY_REMOTE_IRR;	/* edge has none; a switch to edge and back clears it */
	ioapic->entry[pin] = entry;
	if ((old ^ entry) & ENTRY_WRITABLE) {
		message = entry_message(entry);
		ioapic->counters[IOAPIC_ROUTE_CHANGES]++;
		ioapic->ops->route(ioapic->context, pin, entry & ENTRY_MASKED ? NULL : &message);
	}
	service_pin(ioapic, pin);
}

static uint32_t register_read(const struct ioapic *ioapic)
{
	unsigned index = ioapic->select;

	if (index == REG_ID || index == REG_ARBITRATION)
		return (uint32_t)ioapic->id << 24;
	if (index == REG_VERSION)
		return VERSION | (IOAPIC_PINS - 1) << 16;
	if (index >= REG_ENTRIES && index < REG_ENTRIES + 2 * IOAPIC_PINS) {
		index -= REG_ENTRIES;
		return (uint32_t)(ioapic->entry[index / 2] >> (index % 2 ? 32 : 0));
	}
	return 0;
}

static void register_write(struct ioapic *ioapic, uint32_t value)
{
	unsigned index = ioapic->select;

	if (index == REG_ID)
		ioapic->id = (uint8_t)(value >> 24 & 0xf);
	else if (index >= REG_ENTRIES && index < REG_ENTRIES + 2 * IOAPIC_PINS)
		entry_write(ioapic, (index - REG_ENTRIES) / 2, (index - REG_ENTRIES) % 2, value);
}

uint32_t ioapic_read(struct ioapic *ioapic, uint32_t offset)
{
	if (offset == OFFSET_SELECT)
		return ioapic->select;
	return offset == OFFSET_WINDOW ? register_read(ioapic) : 0;
}

void ioapic_write(struct ioapic *ioapic, uint32_t offset, uint32_t value)
{
	if (offset == OFFSET_SELECT)
		ioapic->select = (uint8_t)value;
	else if (offset == OFFSET_WINDOW)
		register_write(ioapic, value);
	else if (offset == OFFSET_EOI)
		ioapic_eoi(ioapic, (uint8_t)value);
}

void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool level)
{
	uint32_t bit = 1u << pin;

	if (pin >= IOAPIC_PINS || level == !!(ioapic->level & bit))
		return;
	ioapic->level ^= bit;
	if (level)
		ioapic->pending_edges |= bit;
	service_pin(ioapic, pin);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *entry = &ioapic->entry[pin];

		if ((*entry & ENTRY_VECTOR) != vector || !(*entry & ENTRY_REMOTE_IRR))
			continue;
		*entry &= ~ENTRY_REMOTE_IRR;
		ioapic->counters[IOAPIC_EOIS]++;
		service_pin(ioapic, pin);
	}
}
