// SPDX-License-Identifier: Apache-2.0
#include "worker/uart.h"

#include <string.h>

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RDI        0x01u
#define IER_THRI       0x02u
#define IER_RLSI       0x04u
#define IER_MSI        0x08u
#define IER_MASK       0x0fu
#define IIR_NONE       0x01u
#define IIR_MSI        0x00u
#define IIR_THRI       0x02u
#define IIR_RDI        0x04u
#define IIR_RLSI       0x06u
#define IIR_TIMEOUT    0x0cu
#define IIR_FIFO       0xc0u
#define FCR_ENABLE     0x01u
#define FCR_CLEAR_RX   0x02u
#define FCR_CLEAR_TX   0x04u
#define FCR_KEPT       0xc9u
#define LCR_DLAB       0x80u
#define MCR_DTR        0x01u
#define MCR_RTS        0x02u
#define MCR_OUT1       0x04u
#define MCR_OUT2       0x08u
#define MCR_LOOP       0x10u
#define MCR_MASK       0x1fu
#define LSR_DR         0x01u
#define LSR_OE         0x02u
#define LSR_THRE       0x20u
#define LSR_TEMT       0x40u
#define MSR_DELTAS     0x0fu
#define MSR_TERI       0x04u
#define MSR_CTS        0x10u
#define MSR_DSR        0x20u
#define MSR_RI         0x40u
#define MSR_DCD        0x80u
#define DIVISOR_RESET  12u			/* 9600 baud */

const char *const uart_counter_names[UART_COUNTER_COUNT] = {
	[UART_RX_BYTES] = "rx_bytes",
	[UART_TX_BYTES] = "tx_bytes",
	[UART_INTERRUPTS] = "interrupts",
	[UART_FIFO_CLEARS] = "fifo_clears",
};

void uart_init(struct uart *uart, const struct uart_ops *ops, void *context)
{
	memset(uart, 0, sizeof *uart);
	uart->ops = ops;
	uart->context = context;
	uart->divisor = DIVISOR_RESET;
	uart->msr = MSR_CTS | MSR_DSR | MSR_DCD;	/* somebody is always there */
}

static bool looped(const struct uart *uart)
{
	return uart->mcr & MCR_LOOP;
}

static unsigned rx_capacity(const struct uart *uart)
{
	return uart->fcr & FCR_ENABLE ? UART_FIFO_BYTES : 1;
}

static unsigned rx_trigger(const struct uart *uart)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };

	return uart->fcr & FCR_ENABLE ? levels[uart->fcr >> 6] : 1;
}

static void rx_push(struct uart *uart, uint8_t byte)
{
	if (uart->rx_count >= rx_capacity(uart)) {
		uart->lsr_errors |= LSR_OE;	/* in loopback only: otherwise nobody pushes into a full FIFO */
		return;
	}
	uart->rx[(uart->rx_head + uart->rx_count) % UART_FIFO_BYTES] = byte;
	uart->rx_count++;
}

static void rx_clear(struct uart *uart)
{
	uart->rx_head = 0;
	uart->rx_count = 0;
}

static void rx_fill(struct uart *uart)
{
	uint8_t bytes[UART_FIFO_BYTES];
	size_t room = rx_capacity(uart) - uart->rx_count;
	size_t got;

	if (looped(uart) || uart->rx_count >= rx_capacity(uart))
		return;
	got = uart->ops->pull(uart->context, bytes, room);
	for (size_t i = 0; i < got && i < room; i++)
		rx_push(uart, bytes[i]);
	uart->counters[UART_RX_BYTES] += got;
}

/* The highest pending source, data sheet table II. A character time-out needs no clock: what lies below the trigger level has
 * by then been there for longer than a guest would notice. */
static uint8_t pending_source(const struct uart *uart)
{
	if ((uart->ier & IER_RLSI) && uart->lsr_errors)
		return IIR_RLSI;
	if ((uart->ier & IER_RDI) && uart->rx_count)
		return uart->rx_count >= rx_trigger(uart) ? IIR_RDI : IIR_TIMEOUT;
	if ((uart->ier & IER_THRI) && uart->thre_pending)
		return IIR_THRI;
	if ((uart->ier & IER_MSI) && (uart->msr & MSR_DELTAS))
		return IIR_MSI;
	return IIR_NONE;
}

static void update_interrupt(struct uart *uart)
{
	bool level = pending_source(uart) != IIR_NONE && (uart->mcr & MCR_OUT2) && !looped(uart);

	if (level == uart->level)
		return;
	uart->level = level;
	if (level)
		uart->counters[UART_INTERRUPTS]++;
	uart->ops->interrupt(uart->context, level);
}

static uint8_t read_iir(struct uart *uart)
{
	uint8_t source = pending_source(uart);

	if (source == IIR_THRI)
		uart->thre_pending = false;	/* reading it as the source is what clears it */
	return source | (uart->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_data(struct uart *uart)
{
	uint8_t byte = 0;

	if (uart->rx_count == 0)
		rx_fill(uart);
	if (uart->rx_count) {
		byte = uart->rx[uart->rx_head];
		uart->rx_head = (uint8_t)((uart->rx_head + 1) % UART_FIFO_BYTES);
		uart->rx_count--;
	}
	if (uart->ier & IER_RDI)
		rx_fill(uart);
	return byte;
}

static uint8_t read_lsr(struct uart *uart)
{
	uint8_t value;

	if (uart->rx_count == 0)
		rx_fill(uart);			/* a polling driver looks here */
	value = LSR_THRE | LSR_TEMT | uart->lsr_errors;
	if (uart->rx_count)
		value |= LSR_DR;
	uart->lsr_errors = 0;
	return value;
}

/* The modem inputs: in loopback the outputs come back on them. */
static uint8_t modem_inputs(const struct uart *uart)
{
	uint8_t lines = 0;

	if (!looped(uart))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	if (uart->mcr & MCR_RTS)
		lines |= MSR_CTS;
	if (uart->mcr & MCR_DTR)
		lines |= MSR_DSR;
	if (uart->mcr & MCR_OUT1)
		lines |= MSR_RI;
	if (uart->mcr & MCR_OUT2)
		lines |= MSR_DCD;
	return lines;
}

static void update_modem(struct uart *uart)
{
	uint8_t lines = modem_inputs(uart);
	uint8_t changed = (uint8_t)((uart->msr ^ lines) & 0xf0);

	if ((changed & MSR_RI) && (lines & MSR_RI))
		changed &= (uint8_t)~MSR_RI;	/* TERI: trailing edge only */
	uart->msr = (uint8_t)(lines | (uart->msr & MSR_DELTAS) | changed >> 4);
}

static void write_data(struct uart *uart, uint8_t value)
{
	if (looped(uart)) {
		rx_push(uart, value);
	} else {
		uart->counters[UART_TX_BYTES]++;
		uart->ops->transmit(uart->context, value);
	}
	uart->thre_pending = true;		/* filled and empty again */
}

static void write_ier(struct uart *uart, uint8_t value)
{
	uint8_t old = uart->ier;

	uart->ier = value & IER_MASK;
	if ((uart->ier & IER_THRI) && !(old & IER_THRI))
		uart->thre_pending = true;	/* enabling it with an empty transmitter interrupts at once */
	if (uart->ier & IER_RDI)
		rx_fill(uart);
}

static void write_fcr(struct uart *uart, uint8_t value)
{
	if ((value ^ uart->fcr) & FCR_ENABLE)
		value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	if (value & (FCR_CLEAR_RX | FCR_CLEAR_TX))
		uart->counters[UART_FIFO_CLEARS]++;
	if (value & FCR_CLEAR_RX)
		rx_clear(uart);
	if (value & FCR_CLEAR_TX)
		uart->thre_pending = true;
	uart->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
	if (uart->ier & IER_RDI)
		rx_fill(uart);
}

static void write_mcr(struct uart *uart, uint8_t value)
{
	uart->mcr = value & MCR_MASK;
	update_modem(uart);
}

uint8_t uart_read(struct uart *uart, unsigned offset)
{
	bool dlab = uart->lcr & LCR_DLAB;
	uint8_t value = 0xff;

	switch (offset) {
	case REG_DATA:
		value = dlab ? (uint8_t)uart->divisor : read_data(uart);
		break;
	case REG_IER:
		value = dlab ? (uint8_t)(uart->divisor >> 8) : uart->ier;
		break;
	case REG_IIR_FCR:
		value = read_iir(uart);
		break;
	case REG_LCR:
		value = uart->lcr;
		break;
	case REG_MCR:
		value = uart->mcr;
		break;
	case REG_LSR:
		value = read_lsr(uart);
		break;
	case REG_MSR:
		value = uart->msr;
		uart->msr &= (uint8_t)~MSR_DELTAS;
		break;
	case REG_SCR:
		value = uart->scr;
		break;
	}
	update_interrupt(uart);
	return value;
}

void uart_write(struct uart *uart, unsigned offset, uint8_t value)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (offset) {
	case REG_DATA:
		if (dlab)
			uart->divisor = (uint16_t)((uart->divisor & 0xff00) | value);
		else
			write_data(uart, value);
		break;
	case REG_IER:
		if (dlab)
			uart->divisor = (uint16_t)((uart->divisor & 0x00ff) | value << 8);
		else
			write_ier(uart, value);
		break;
	case REG_IIR_FCR:
		write_fcr(uart, value);
		break;
	case REG_LCR:
		uart->lcr = value;
		break;
	case REG_MCR:
		write_mcr(uart, value);
		break;
	case REG_SCR:
		uart->scr = value;
		break;
	default:				/* LSR and MSR are read-only */
		break;
	}
	update_interrupt(uart);
}

void uart_poll(struct uart *uart)
{
	if (uart->ier & IER_RDI)
		rx_fill(uart);
	update_interrupt(uart);
}
