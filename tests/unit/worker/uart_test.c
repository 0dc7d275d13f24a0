// SPDX-License-Identifier: Apache-2.0
/* The 16550A as a driver sees it: scripts of register accesses with what must be read and what the interrupt pin must do. */
#include "cmocka_all.h"

#include <stdio.h>

#include "worker/uart.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

struct peer {
	uint8_t sent[256];
	unsigned sent_count;
	const uint8_t *input;
	size_t input_count;
	bool level;
	unsigned rises;
};

static void transmit(void *context, uint8_t byte)
{
	struct peer *peer = context;

	peer->sent[peer->sent_count++ % sizeof peer->sent] = byte;
}

static size_t pull(void *context, uint8_t *to, size_t max)
{
	struct peer *peer = context;
	size_t count = peer->input_count < max ? peer->input_count : max;

	if (count)
		memcpy(to, peer->input, count);
	peer->input += count;
	peer->input_count -= count;
	return count;
}

static void interrupt(void *context, bool level)
{
	struct peer *peer = context;

	assert_int_not_equal(peer->level, level);	/* changes only */
	peer->level = level;
	peer->rises += level;
}

static const struct uart_ops ops = { transmit, pull, interrupt };
static struct uart uart;
static struct peer peer;

static int reset(void **state)
{
	memset(&peer, 0, sizeof peer);
	uart_init(&uart, &ops, &peer);
	return 0;
}

static void feed(const char *text)
{
	peer.input = (const uint8_t *)text;
	peer.input_count = strlen(text);
	uart_poll(&uart);
}

/* One access: 'w' writes value, 'r' must read value; then the pin must be at `level` (0, 1, or -1: not looked at). */
struct step {
	char access;
	uint8_t offset, value;
	int8_t level;
};

static void play(const char *name, const struct step *steps, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct step *step = &steps[i];

		if (step->access == 'w') {
			uart_write(&uart, step->offset, step->value);
		} else {
			uint8_t value = uart_read(&uart, step->offset);

			if (value != step->value)
				fail_msg("%s, step %u: register %u reads %#x, not %#x", name, i, step->offset, value, step->value);
		}
		if (step->level >= 0 && peer.level != step->level)
			fail_msg("%s, step %u: the pin is %d", name, i, peer.level);
	}
}
#define PLAY(...) do { static const struct step steps[] = { __VA_ARGS__ }; play(__func__, steps, COUNT(steps)); } while (0)

static void reset_values(void **state)
{
	PLAY({ 'r', IER, 0x00, 0 }, { 'r', IIR, 0x01, 0 }, { 'r', LCR, 0x00, 0 }, { 'r', MCR, 0x00, 0 },
	     { 'r', LSR, 0x60, 0 }, { 'r', MSR, 0xb0, 0 });
}

static void divisor_latch_hides_data_and_ier(void **state)
{
	PLAY({ 'w', IER, 0x05, 0 }, { 'w', LCR, 0x83, 0 }, { 'w', DATA, 0x34, 0 }, { 'w', IER, 0x12, 0 },
	     { 'r', DATA, 0x34, 0 }, { 'r', IER, 0x12, 0 }, { 'w', LCR, 0x03, 0 }, { 'r', IER, 0x05, 0 });
	assert_int_equal(peer.sent_count, 0);
}

static void unused_bits_do_not_stick(void **state)
{
	PLAY({ 'w', IER, 0xff, 0 }, { 'r', IER, 0x0f, 0 }, { 'w', MCR, 0xff, 0 }, { 'r', MCR, 0x1f, 0 },
	     { 'w', SCR, 0xa5, 0 }, { 'r', SCR, 0xa5, 0 }, { 'w', LSR, 0x00, 0 }, { 'r', LSR, 0x60, 0 });
}

static void fifo_enable_shows_in_iir(void **state)
{
	PLAY({ 'w', FCR, 0x01, 0 }, { 'r', IIR, 0xc1, 0 }, { 'w', FCR, 0x00, 0 }, { 'r', IIR, 0x01, 0 });
}

static void enabling_thri_with_an_empty_transmitter_interrupts(void **state)
{
	PLAY({ 'w', MCR, 0x08, 0 }, { 'w', IER, 0x02, 1 }, { 'r', IIR, 0x02, 0 }, { 'r', IIR, 0x01, 0 },
	     { 'w', IER, 0x02, 0 },		/* no new edge: it was enabled */
	     { 'w', IER, 0x00, 0 }, { 'w', IER, 0x02, 1 }, { 'r', IIR, 0x02, 0 });
}

static void each_sent_byte_raises_thre_again(void **state)
{
	PLAY({ 'w', MCR, 0x08, 0 }, { 'w', IER, 0x02, 1 }, { 'r', IIR, 0x02, 0 }, { 'w', DATA, 'a', 1 },
	     { 'w', DATA, 'b', 1 }, { 'r', IIR, 0x02, 0 }, { 'r', LSR, 0x60, 0 });
	assert_int_equal(peer.sent_count, 2);
	assert_memory_equal(peer.sent, "ab", 2);
}

static void out2_gates_the_pin(void **state)
{
	PLAY({ 'w', IER, 0x02, 0 }, { 'w', MCR, 0x08, 1 }, { 'w', MCR, 0x00, 0 }, { 'r', IIR, 0x02, 0 });
}

static void reading_iir_for_another_source_keeps_thre(void **state)
{
	feed("x");
	PLAY({ 'w', MCR, 0x08, 0 }, { 'w', IER, 0x03, 1 }, { 'r', IIR, 0x04, 1 }, { 'r', DATA, 'x', 1 },
	     { 'r', IIR, 0x02, 0 });
}

static void received_bytes_interrupt_until_they_are_read(void **state)
{
	PLAY({ 'w', FCR, 0x01, 0 }, { 'w', MCR, 0x08, 0 }, { 'w', IER, 0x01, 0 });
	feed("ab");
	assert_true(peer.level);
	PLAY({ 'r', IIR, 0xc4, 1 }, { 'r', LSR, 0x61, 1 }, { 'r', DATA, 'a', 1 }, { 'r', DATA, 'b', 0 },
	     { 'r', LSR, 0x60, 0 }, { 'r', IIR, 0xc1, 0 });
}

static void below_the_trigger_level_it_is_a_time_out(void **state)
{
	PLAY({ 'w', FCR, 0x81, 0 }, { 'w', MCR, 0x08, 0 }, { 'w', IER, 0x01, 0 });	/* trigger at 8 */
	feed("1234567");
	PLAY({ 'r', IIR, 0xcc, 1 });
	feed("8");
	PLAY({ 'r', IIR, 0xc4, 1 });
}

static void no_byte_is_lost_when_more_comes_than_fits(void **state)
{
	char text[101], got[101] = "";

	for (unsigned i = 0; i < 100; i++)
		text[i] = (char)('!' + i % 90);
	text[100] = 0;
	PLAY({ 'w', FCR, 0x01, 0 }, { 'w', MCR, 0x08, 0 }, { 'w', IER, 0x01, 0 });
	feed(text);
	assert_int_equal(peer.input_count, 100 - UART_FIFO_BYTES);	/* the rest waits outside */
	for (unsigned i = 0; i < 100; i++)
		got[i] = (char)uart_read(&uart, DATA);
	assert_string_equal(got, text);
	assert_int_equal(uart_read(&uart, LSR) & 0x03, 0);
}

static void input_waits_for_a_driver_that_clears_its_fifos(void **state)
{
	feed("hello");
	PLAY({ 'w', FCR, 0x07, 0 }, { 'w', FCR, 0x00, 0 }, { 'w', FCR, 0x07, 0 }, { 'w', MCR, 0x08, 0 },
	     { 'w', IER, 0x01, 1 }, { 'r', DATA, 'h', 1 });
}

static void a_polling_driver_gets_input_without_interrupts(void **state)
{
	feed("p");
	PLAY({ 'r', LSR, 0x61, 0 }, { 'r', DATA, 'p', 0 }, { 'r', LSR, 0x60, 0 });
}

static void loopback_returns_data_and_modem_lines(void **state)
{
	PLAY({ 'w', FCR, 0x01, 0 }, { 'w', MCR, 0x1a, 0 },	/* LOOP, OUT2, RTS: what an autoconfig writes */
	     { 'r', MSR, 0x92, 0 }, { 'w', DATA, 'L', 0 }, { 'r', LSR, 0x61, 0 }, { 'r', DATA, 'L', 0 },
	     { 'w', MCR, 0x00, 0 });
	assert_int_equal(peer.sent_count, 0);
}

static void loopback_overruns_without_fifo(void **state)
{
	PLAY({ 'w', MCR, 0x10, 0 }, { 'w', DATA, '1', 0 }, { 'w', DATA, '2', 0 }, { 'r', LSR, 0x63, 0 },
	     { 'r', LSR, 0x61, 0 }, { 'r', DATA, '1', 0 });
}

static void modem_deltas_interrupt_and_clear_on_read(void **state)
{
	PLAY({ 'w', IER, 0x08, 0 }, { 'w', MCR, 0x18, 0 },	/* loop: CTS and DSR fall, DCD stays through OUT2 */
	     { 'r', IIR, 0x00, 0 }, { 'w', MCR, 0x08, 1 }, { 'r', IIR, 0x00, 1 }, { 'r', MSR, 0xb3, 0 }, { 'r', MSR, 0xb0, 0 });
}

static void ring_counts_on_its_trailing_edge(void **state)
{
	PLAY({ 'w', MCR, 0x14, 0 }, { 'r', MSR, 0x4b, 0 }, { 'w', MCR, 0x10, 0 }, { 'r', MSR, 0x04, 0 });
}

static void counters_follow(void **state)
{
	PLAY({ 'w', FCR, 0x07, 0 }, { 'w', MCR, 0x08, 0 }, { 'w', IER, 0x01, 0 }, { 'w', DATA, 'z', 0 });
	feed("abc");
	assert_int_equal(uart.counters[UART_TX_BYTES], 1);
	assert_int_equal(uart.counters[UART_RX_BYTES], 3);
	assert_int_equal(uart.counters[UART_INTERRUPTS], peer.rises);
	assert_int_equal(uart.counters[UART_FIFO_CLEARS], 1);
}

#define TEST(f) cmocka_unit_test_setup(f, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_values),
		TEST(divisor_latch_hides_data_and_ier),
		TEST(unused_bits_do_not_stick),
		TEST(fifo_enable_shows_in_iir),
		TEST(enabling_thri_with_an_empty_transmitter_interrupts),
		TEST(each_sent_byte_raises_thre_again),
		TEST(out2_gates_the_pin),
		TEST(reading_iir_for_another_source_keeps_thre),
		TEST(received_bytes_interrupt_until_they_are_read),
		TEST(below_the_trigger_level_it_is_a_time_out),
		TEST(no_byte_is_lost_when_more_comes_than_fits),
		TEST(input_waits_for_a_driver_that_clears_its_fifos),
		TEST(a_polling_driver_gets_input_without_interrupts),
		TEST(loopback_returns_data_and_modem_lines),
		TEST(loopback_overruns_without_fifo),
		TEST(modem_deltas_interrupt_and_clear_on_read),
		TEST(ring_counts_on_its_trailing_edge),
		TEST(counters_follow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
