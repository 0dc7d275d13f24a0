/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O APIC with 24 pins (Intel 82093AA data sheet; version 0x20 so that an operating system finds an EOI register).
 * The device alone: an interrupt is a message that `send` carries to the local APICs. The caller locks.
 */
#ifndef WORKER_IOAPIC_H
#define WORKER_IOAPIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IOAPIC_PINS      24u
#define IOAPIC_MMIO_BYTES 0x1000u

/* An entry as MSI: what the local APIC sees. */
struct ioapic_message {
	uint32_t address;			/* 0xfee00000 | destination << 12 | logical << 2 */
	uint32_t data;				/* vector, delivery mode << 8, level << 15 */
};

struct ioapic_ops {
	/* The guest changed the entry; message is NULL while the pin is masked. */
	void (*route)(void *context, unsigned pin, const struct ioapic_message *message);
	/* Deliver the pin's message now. */
	void (*send)(void *context, unsigned pin);
};

enum ioapic_counter { IOAPIC_INTERRUPTS, IOAPIC_EOIS, IOAPIC_ROUTE_CHANGES, IOAPIC_COUNTER_COUNT };
extern const char *const ioapic_counter_names[IOAPIC_COUNTER_COUNT];

struct ioapic {
	const struct ioapic_ops *ops;
	void *context;

	uint8_t id;
	uint8_t select;				/* IOREGSEL */
	uint64_t entry[IOAPIC_PINS];
	uint32_t level;				/* input pins, bit per pin */
	uint32_t pending_edges;			/* edges that came while masked: delivered by unmasking */
	uint64_t counters[IOAPIC_COUNTER_COUNT];
};

void ioapic_init(struct ioapic *ioapic, const struct ioapic_ops *ops, void *context);

/* 32-bit registers at offset from the base; other offsets read as 0. */
uint32_t ioapic_read(struct ioapic *ioapic, uint32_t offset);
void ioapic_write(struct ioapic *ioapic, uint32_t offset, uint32_t value);

/* The device behind the pin drives it. */
void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool level);
/* A local APIC ended a level-triggered interrupt of that vector. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

#endif
