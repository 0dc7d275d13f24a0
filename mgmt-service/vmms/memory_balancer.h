/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Divides the host's memory between machines with dynamic memory. Pure: numbers in, targets out.
 *
 * A machine is to have its demand and a buffer above it, within its minimum and maximum; before its guest reports, what
 * it started with. When the host has less than all want, what is left above the minima is shared by weight. Memory that
 * somebody has to give up first is not promised to anybody: all targets together never exceed what the machines have
 * and the host has free above its reserve.
 *
 * Guests pay for each change, so a target follows load upward at once, downward only when the load has stayed low for
 * a while, and then in small steps; load that swings is served at its peaks. When memory is short there is no waiting.
 */
#ifndef VMMS_MEMORY_BALANCER_H
#define VMMS_MEMORY_BALANCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_BALANCER_PERIOD_S    2		/* between two calls */
#define MEMORY_BALANCER_CALM_ROUNDS 15		/* after a peak, before demand counts as lower */
#define MEMORY_BALANCER_WEIGHT_MAX  10000u
#define MEMORY_BALANCER_BUFFER_MAX  2000u	/* percent */

/* Memory in MiB. */
struct memory_machine {
	/* settings: minimum <= startup <= maximum */
	uint64_t startup, minimum, maximum;
	uint32_t buffer_percent;
	uint32_t weight;
	/* what the worker said last */
	bool reported;			/* demand and available are there */
	bool can_balloon, can_hot_add;
	uint64_t assigned, demand, available;
	/* the result, kept between calls; all 0 for a machine that is new here or was turned off */
	uint64_t target;
	struct {
		uint64_t level;		/* of demand: its peaks */
		uint64_t wanted, ideal, granted;
		uint32_t calm;		/* rounds since the last peak */
		bool shrinking;
	} own;
};

/* New targets, once in each period. host_available: what the host could still use now; host_reserve: what it keeps. */
void memory_balance(struct memory_machine *machines, size_t count, uint64_t host_available, uint64_t host_reserve);

#endif
