/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16550A (National PC16550D data sheet), the device alone: no sockets, no threads, no clock. A character is sent the moment it
 * is written, so the transmitter is always empty; received characters come from `pull` when the guest looks for them, so
 * that nothing is lost while no driver listens and nothing overruns.
 *
 * Callbacks run inside uart_read, uart_write and uart_poll, under the caller's lock.
 */
#ifndef WORKER_UART_H
#define WORKER_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UART_PORT_COUNT 8u
#define UART_FIFO_BYTES 16u

struct uart_ops {
	void (*transmit)(void *context, uint8_t byte);
	/* Takes up to max bytes of waiting input; returns how many. */
	size_t (*pull)(void *context, uint8_t *to, size_t max);
	/* INTR pin behind the OUT2 gate; called on changes only. */
	void (*interrupt)(void *context, bool level);
};

enum uart_counter { UART_RX_BYTES, UART_TX_BYTES, UART_INTERRUPTS, UART_FIFO_CLEARS, UART_COUNTER_COUNT };
extern const char *const uart_counter_names[UART_COUNTER_COUNT];

struct uart {
	const struct uart_ops *ops;
	void *context;

	uint8_t ier, fcr, lcr, mcr, msr, scr;
	uint8_t lsr_errors;			/* overrun: cleared by a read of LSR */
	uint16_t divisor;
	uint8_t rx[UART_FIFO_BYTES];
	uint8_t rx_head, rx_count;
	bool thre_pending;
	bool level;				/* of the interrupt pin */
	uint64_t counters[UART_COUNTER_COUNT];
};

/* Power-on state. ops and context stay the caller's. */
void uart_init(struct uart *uart, const struct uart_ops *ops, void *context);

uint8_t uart_read(struct uart *uart, unsigned offset);
void uart_write(struct uart *uart, unsigned offset, uint8_t value);

/* Input may be waiting: takes it if a driver listens. */
void uart_poll(struct uart *uart);

#endif
