// SPDX-License-Identifier: Apache-2.0
/* Channels, devices and guests that come and go: close and open again, unload and contact in the middle of I/O,
 * sub-channels, hot add and remove. */
#include "cmocka_all.h"

#include <errno.h>

#include "guest.h"
#include "vmbus_echo.h"

#define SECOND 1000000000ull

static struct guest *guest;
static struct echo echo[3];
static struct guest_packet packet;

static int setup(void **state)
{
	guest = guest_new(64u << 20, 4);
	for (unsigned i = 0; i < COUNT(echo); i++)
		echo_init(&echo[i], (uint8_t)(i + 1), (uint8_t)i);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(vmbus_device_add(guest_server(guest), &echo[i].device), 0);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	return 0;
}

static int teardown(void **state)
{
	guest_free(guest);
	return 0;
}

static uint32_t relid_of(unsigned index, unsigned sub_index)
{
	return guest_relid_of_instance(guest, &echo[index].device.offer.instance, sub_index);
}

static void post(uint32_t type, uint32_t relid)
{
	const struct vmbus_relid_message message = { .header.type = type, .relid = relid };

	assert_int_equal(guest_post(guest, &message, sizeof message), 0);
	guest_run(guest);
}

static struct vmbus_server_counters counters(void)
{
	struct vmbus_server_counters now;

	vmbus_server_get_counters(guest_server(guest), &now);
	return now;
}

static void works(struct guest_channel *channel)
{
	static uint64_t transaction = 1000;

	assert_non_null(channel);
	transaction++;
	assert_int_equal(guest_transact(channel, transaction, "is anybody there", 16, &packet), 0);
}

/* ---- close and open */

static void open_waits_until_closing_is_done(void **state)
{
	uint32_t relid = relid_of(0, 0), words[37] = { VMBUS_OPEN_CHANNEL, 0, relid, 600 };
	struct guest_channel *channel = guest_open(guest, relid, 4);

	works(channel);
	words[4] = guest_make_gpadl(guest, relid, guest_pages(guest, 8), 8 * GUEST_PAGE);
	words[6] = 4;
	echo[0].closes_later = true;
	post(VMBUS_CLOSE_CHANNEL, relid);
	assert_int_equal(echo[0].closing, 1);
	assert_int_equal(vmbus_channel_send(echo[0].late[0], 6, 0, 0, NULL, 0), -EPROTO);
	/* Its ring is not given back before the device has let go, nor is the channel opened again. */
	assert_int_equal(guest_teardown_gpadl(guest, relid, guest_channel_ring_gpadl(channel)), -ETIMEDOUT);
	guest_forget_messages(guest);
	assert_int_equal(guest_post(guest, words, sizeof words), 0);
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, 0), 0);
	assert_int_equal(echo[0].opened, 1);
	words[3] = 601;					/* a second one is too much */
	assert_int_equal(guest_post(guest, words, sizeof words), 0);
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, VMBUS_OPEN_CHANNEL_RESULT), 1);
	assert_int_not_equal(guest_message(guest, 0)->payload[16], 0);

	echo_finish_closing(&echo[0]);
	guest_run(guest);
	assert_int_equal(echo[0].opened, 2);
	assert_int_equal(guest_torndown_count(guest, guest_channel_ring_gpadl(channel)), 1);
	assert_int_equal(guest_message_count(guest, VMBUS_OPEN_CHANNEL_RESULT), 2);
	assert_int_equal(guest_last_message(guest, VMBUS_OPEN_CHANNEL_RESULT)->payload[12], 600 & 0xff);
	assert_int_equal(guest_last_message(guest, VMBUS_OPEN_CHANNEL_RESULT)->payload[16], 0);
}

static void an_open_that_waits_may_become_impossible(void **state)
{
	uint32_t relid = relid_of(0, 0), words[37] = { VMBUS_OPEN_CHANNEL, 0, relid, 600 };

	assert_non_null(guest_open(guest, relid, 4));
	words[4] = guest_make_gpadl(guest, relid, guest_pages(guest, 8), 8 * GUEST_PAGE);
	words[6] = 4;
	echo[0].closes_later = true;
	post(VMBUS_CLOSE_CHANNEL, relid);
	assert_int_equal(guest_post(guest, words, sizeof words), 0);
	assert_int_equal(guest_teardown_gpadl(guest, relid, words[4]), 0);	/* meanwhile its ring is gone */
	guest_forget_messages(guest);
	echo_finish_closing(&echo[0]);
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, VMBUS_OPEN_CHANNEL_RESULT), 1);
	assert_int_not_equal(guest_message(guest, 0)->payload[16], 0);
	assert_int_equal(echo[0].opened, 1);
	/* Or it is taken back by a close. */
	assert_non_null(guest_open(guest, relid, 4));
	echo[0].closes_later = true;
	words[4] = guest_make_gpadl(guest, relid, guest_pages(guest, 8), 8 * GUEST_PAGE);
	post(VMBUS_CLOSE_CHANNEL, relid);
	guest_forget_messages(guest);
	assert_int_equal(guest_post(guest, words, sizeof words), 0);
	post(VMBUS_CLOSE_CHANNEL, relid);
	assert_int_equal(guest_message_count(guest, VMBUS_OPEN_CHANNEL_RESULT), 1);
	echo_finish_closing(&echo[0]);
	guest_run(guest);
	assert_int_equal(echo[0].opened, 2);
	works(guest_open(guest, relid, 4));
}

static void closes_that_make_no_sense(void **state)
{
	uint64_t bad = counters().messages_bad;

	post(VMBUS_CLOSE_CHANNEL, relid_of(0, 0));
	post(VMBUS_CLOSE_CHANNEL, 0);
	post(VMBUS_CLOSE_CHANNEL, 2048);
	post(VMBUS_CLOSE_CHANNEL, 0xffffffff);
	post(VMBUS_RELID_RELEASED, 77);
	assert_int_equal(counters().messages_bad, bad + 5);
	assert_int_equal(echo[0].closing, 0);
}

/* ---- unload, contact, reset */

static void unload_waits_for_devices(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid_of(0, 0), 4);

	works(guest_open(guest, relid_of(1, 0), 4));
	echo[0].mute = true;
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 1, 1, "in flight", 9), 0);
	guest_run(guest);
	echo[0].closes_later = true;
	assert_int_equal(guest_unload(guest), -ETIMEDOUT);
	assert_int_equal(echo[0].closing + echo[1].closing, 2);
	assert_int_equal(guest_doorbells_open(guest), 0);
	/* Nothing else is heard meanwhile. */
	assert_int_equal(guest_request_offers(guest), -ETIMEDOUT);
	guest_advance(guest, 3 * SECOND);
	assert_non_null(strstr(guest_log(guest), "takes long"));
	guest_forget_messages(guest);
	echo_finish_closing(&echo[0]);
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, 0), 1);
	assert_int_equal(guest_message(guest, 0)->type, VMBUS_UNLOAD_RESPONSE);
	assert_int_equal(counters().gpadl_count, 0);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_2), 0);
	echo[0].mute = false;
	works(guest_open(guest, relid_of(0, 0), 4));
}

/* A crash kernel contacts without unload, from another VP, while a device still works for the old kernel. */
static void contact_in_the_middle_of_io(void **state)
{
	uint32_t relid = relid_of(0, 0);

	works(guest_open(guest, relid, 4));
	works(guest_open(guest, relid_of(1, 0), 4));
	assert_int_not_equal(guest_make_gpadl(guest, relid, GUEST_PAGE, 100 * GUEST_PAGE), 0);
	echo[0].closes_later = true;
	guest_forget_messages(guest);
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_1, 3), -ETIMEDOUT);
	assert_int_equal(guest_message_count(guest, 0), 0);
	assert_int_equal(echo[1].closing, 1);
	/* Impatient: again, with another version, to another VP. The last one counts. */
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_2, 2), -ETIMEDOUT);
	echo_finish_closing(&echo[0]);
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, 0), 1);
	assert_int_equal(guest_message(guest, 0)->type, VMBUS_VERSION_RESPONSE);
	assert_int_equal(guest_message(guest, 0)->vp, 2);
	assert_int_equal(counters().version, VMBUS_VERSION_WIN10_V5_2);
	assert_int_equal(counters().gpadl_count, 0);
	assert_int_equal(guest_request_offers(guest), 0);
	assert_int_equal(relid_of(0, 0), relid);
	assert_int_equal(guest_last_message(guest, VMBUS_OFFER_CHANNEL)->vp, 2);
	works(guest_open(guest, relid, 4));
}

static void unload_takes_the_place_of_a_contact(void **state)
{
	works(guest_open(guest, relid_of(0, 0), 4));
	echo[0].closes_later = true;
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_1, 3), -ETIMEDOUT);
	guest_forget_messages(guest);
	assert_int_equal(guest_unload(guest), -ETIMEDOUT);
	echo_finish_closing(&echo[0]);
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, 0), 1);
	assert_int_equal(guest_message(guest, 0)->type, VMBUS_UNLOAD_RESPONSE);
	assert_int_equal(guest_message(guest, 0)->vp, 3);
}

static void kexec_many_times(void **state)
{
	for (unsigned i = 0; i < 50; i++) {
		if (i % 3 == 0)
			assert_int_equal(guest_unload(guest), 0);
		assert_int_equal(guest_connect(guest, i % 2 ? VMBUS_VERSION_WIN10_V5_3 : VMBUS_VERSION_WIN10_V4_1), 0);
		works(guest_open(guest, relid_of(0, 0), 4));
		works(guest_open(guest, relid_of(1, 0), 4));
	}
	assert_int_equal(counters().gpadl_count, 2);
	assert_int_equal(guest_doorbells_open(guest), 2);
	assert_int_equal(guest_unload(guest), 0);
	assert_int_equal(guest_doorbells_open(guest), 0);
	guest_advance(guest, 5 * SECOND);
	assert_int_equal(guest_timers_armed(guest), 0);
}

static void old_messages_do_not_reach_a_new_kernel(void **state)
{
	guest_faults(guest)->post_error = -EAGAIN;
	assert_int_equal(guest_make_gpadl(guest, relid_of(0, 0), GUEST_PAGE, GUEST_PAGE), 0);
	guest_faults(guest)->post_error = 0;
	guest_forget_messages(guest);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(guest_message(guest, 0)->type, VMBUS_VERSION_RESPONSE);
	assert_int_equal(guest_message_count(guest, VMBUS_GPADL_CREATED), 0);
}

static void is_done(void *flag)
{
	*(bool *)flag = true;
}

static void a_teardown_that_waits_is_not_answered_to_a_new_kernel(void **state)
{
	uint32_t gpadl = guest_make_gpadl(guest, relid_of(0, 0), GUEST_PAGE, GUEST_PAGE);
	struct vmbus_gpa_range range;

	assert_non_null(guest_open(guest, relid_of(0, 0), 4));
	assert_int_equal(vmbus_channel_gpadl_get(echo[0].channels[0], gpadl, &range), 0);
	assert_int_equal(guest_teardown_gpadl(guest, relid_of(0, 0), gpadl), -ETIMEDOUT);
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_3, 0), 0);
	assert_int_equal(guest_torndown_count(guest, gpadl), 0);
	assert_int_equal(counters().gpadl_count, 0);
}

static void reset_by_the_host(void **state)
{
	bool done = false;

	works(guest_open(guest, relid_of(0, 0), 4));
	guest_forget_messages(guest);
	echo[0].closes_later = true;
	vmbus_server_reset(guest_server(guest), is_done, &done);
	guest_run(guest);
	assert_false(done);
	echo_finish_closing(&echo[0]);
	assert_true(done);
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, 0), 0);
	assert_int_equal(counters().version, 0);
	done = false;
	vmbus_server_reset(guest_server(guest), is_done, &done);
	assert_true(done);
	vmbus_server_reset(guest_server(guest), NULL, NULL);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	works(guest_open(guest, relid_of(0, 0), 4));
}

/* ---- sub-channels */

static struct guest_channel *with_subchannels(unsigned count)
{
	struct guest_channel *channel = guest_open(guest, relid_of(0, 0), 4);

	works(channel);
	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, count), 0);
	guest_run(guest);
	return channel;
}

static void subchannels(void **state)
{
	struct vmbus_channel_counters now;
	struct guest_channel *subs[4];
	uint32_t relids[4];

	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, 3), -EINVAL);	/* not open */
	with_subchannels(3);
	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, 1), -EINVAL);	/* there are some */
	assert_int_equal(vmbus_device_offer_subchannels(&echo[1].device, 1), -EINVAL);
	for (unsigned i = 1; i <= 3; i++) {
		relids[i] = relid_of(0, i);
		assert_int_equal(relids[i], 2 + i);
		subs[i] = guest_open(guest, relids[i], 4);
		works(subs[i]);
		assert_int_equal(vmbus_channel_index(echo[0].channels[i]), i);
		assert_int_equal(vmbus_channel_get_counters(&echo[0].device, i, &now), 0);
		assert_int_equal(now.relid, relids[i]);
		assert_int_equal(now.packets_received, 1);
	}
	/* One alone is closed and opened again. */
	assert_int_equal(guest_close(subs[2]), 0);
	assert_int_equal(echo[0].closing, 1);
	works(guest_open(guest, relids[2], 4));
	assert_int_equal(relid_of(0, 2), relids[2]);
}

static void subchannels_go_with_their_primary(void **state)
{
	struct guest_channel *channel = with_subchannels(2);
	uint32_t subs[] = { relid_of(0, 1), relid_of(0, 2) }, primary = relid_of(0, 0);
	struct guest_channel *sub = guest_open(guest, subs[0], 4);

	works(sub);
	/* As Linux does: sub-channels first, then the primary; then the host takes them back. */
	assert_int_equal(guest_close(sub), 0);
	assert_int_equal(guest_close(channel), 0);
	assert_true(guest_rescinded(guest, subs[0]) && guest_rescinded(guest, subs[1]));
	assert_false(guest_rescinded(guest, primary));
	assert_null(guest_open(guest, subs[0], 4));
	/* New ones before the old ids are released get ids of their own. */
	channel = with_subchannels(2);
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_not_equal(relid_of(0, i), 0);
		assert_int_not_equal(relid_of(0, i), subs[0]);
		assert_int_not_equal(relid_of(0, i), subs[1]);
	}
	guest_release(guest, subs[0]);
	guest_release(guest, subs[1]);
	assert_int_equal(guest_close(channel), 0);
	guest_release(guest, 5);
	guest_release(guest, 6);
	/* Now the first ids are free again. */
	with_subchannels(2);
	assert_int_equal(relid_of(0, 1), subs[0]);
	assert_int_equal(relid_of(0, 2), subs[1]);
}

/* A guest that closes the primary alone: its sub-channels are closed with it; it opens again only after they are. */
static void a_primary_closed_over_open_subchannels(void **state)
{
	with_subchannels(1);
	works(guest_open(guest, relid_of(0, 1), 4));
	echo[0].closes_later = true;
	post(VMBUS_CLOSE_CHANNEL, relid_of(0, 0));
	assert_int_equal(echo[0].closing, 2);
	{
		uint32_t words[37] = { VMBUS_OPEN_CHANNEL, 0, relid_of(0, 0), 9 };

		words[4] = guest_make_gpadl(guest, relid_of(0, 0), guest_pages(guest, 8), 8 * GUEST_PAGE);
		words[6] = 4;
		assert_int_equal(guest_post(guest, words, sizeof words), 0);
		echo[0].closes_later = false;
		assert_int_equal(vmbus_channel_index(echo[0].late[0]), 1);	/* sub-channels first */
		echo_close_one(&echo[0], 1);
		guest_run(guest);
		assert_int_equal(echo[0].opened, 2);
		guest_release(guest, 3);			/* the sub-channel's, while it is closing */
		assert_int_equal(echo[0].opened, 2);
		echo_close_one(&echo[0], 0);
		guest_run(guest);
		assert_int_equal(echo[0].opened, 3);
	}
}

static void subchannels_are_gone_after_contact(void **state)
{
	with_subchannels(3);
	works(guest_open(guest, relid_of(0, 3), 4));
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(echo[0].closing, 2);
	assert_int_equal(relid_of(0, 1), 0);
	with_subchannels(3);
	works(guest_open(guest, relid_of(0, 3), 4));
}

static void asked_for_from_the_devices_callback(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid_of(0, 0), 4);

	echo[0].subchannels = 2;
	echo[0].offer_result = -1;
	works(channel);
	assert_int_equal(echo[0].offer_result, 0);
	assert_int_not_equal(relid_of(0, 2), 0);
	works(channel);
	assert_int_equal(echo[0].offer_result, -EINVAL);
}

static void channel_ids_run_out(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid_of(0, 0), 4);
	static struct echo late;

	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, 2046), -ENOSPC);
	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, 0), -EINVAL);
	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, 2045), 0);
	guest_run(guest);
	assert_int_equal(relid_of(0, 2045), 2047);
	echo_init(&late, 9, 9);
	assert_int_equal(vmbus_device_add(guest_server(guest), &late.device), -ENOSPC);
	works(guest_open(guest, 2047, 4));
	/* A guest that closes and never releases keeps only its own ids. */
	assert_int_equal(guest_close(channel), 0);
	assert_non_null(guest_open(guest, relid_of(0, 0), 4));
	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, 1), -ENOSPC);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(vmbus_device_add(guest_server(guest), &late.device), 0);
}

/* ---- hot add and remove */

static void hot_add(void **state)
{
	guest_forget_messages(guest);
	assert_int_equal(vmbus_device_add(guest_server(guest), &echo[2].device), 0);
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, VMBUS_OFFER_CHANNEL), 1);
	assert_int_equal(relid_of(2, 0), 3);
	works(guest_open(guest, 3, 4));
	assert_int_equal(vmbus_device_add(guest_server(guest), &echo[2].device), -EEXIST);
}

static void an_offer_before_they_are_asked_for_waits(void **state)
{
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_3, 0), 0);
	guest_forget_messages(guest);
	assert_int_equal(vmbus_device_add(guest_server(guest), &echo[2].device), 0);
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, 0), 0);
	assert_int_equal(guest_request_offers(guest), 0);
	assert_int_equal(guest_message_count(guest, VMBUS_OFFER_CHANNEL), 3);
}

static void hot_remove(void **state)
{
	struct guest_channel *channel = with_subchannels(1);
	uint32_t relid = relid_of(0, 0), sub = relid_of(0, 1);

	guest_advance(guest, 3 * SECOND);
	works(guest_open(guest, sub, 4));
	guest_forget_messages(guest);
	vmbus_device_remove(guest_server(guest), &echo[0].device, echo_gone, &echo[0]);
	vmbus_device_remove(guest_server(guest), &echo[0].device, echo_gone, &echo[0]);
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, 0), 2);
	assert_int_equal(guest_message(guest, 0)->payload[8], sub);		/* the sub-channel first */
	assert_int_equal(guest_message(guest, 1)->payload[8], relid);
	works(channel);							/* answers until the guest closes it */
	assert_int_equal(guest_post(guest, &(struct vmbus_relid_message){ { VMBUS_CLOSE_CHANNEL, 0 }, sub }, 12), 0);
	assert_int_equal(guest_post(guest, &(struct vmbus_relid_message){ { VMBUS_CLOSE_CHANNEL, 0 }, relid }, 12), 0);
	guest_run(guest);
	assert_int_equal(echo[0].closing, 2);
	assert_false(echo[0].gone);
	assert_int_equal(counters().gpadl_count, 2);				/* as Linux: without teardown */
	/* The same instance may not come back before the old one is released. */
	{
		static struct echo again;

		echo_init(&again, 1, 0);
		assert_int_equal(vmbus_device_add(guest_server(guest), &again.device), -EEXIST);
		guest_release(guest, sub);
		guest_release(guest, relid);
		assert_true(echo[0].gone);
		assert_int_equal(counters().gpadl_count, 0);
		assert_int_equal(vmbus_device_add(guest_server(guest), &again.device), 0);
		guest_run(guest);
		works(guest_open(guest, guest_relid_of_instance(guest, &again.device.offer.instance, 0), 4));
	}
}

static void a_fresh_offer_is_not_rescinded_at_once(void **state)
{
	assert_int_equal(vmbus_device_add(guest_server(guest), &echo[2].device), 0);
	guest_run(guest);
	vmbus_device_remove(guest_server(guest), &echo[2].device, echo_gone, &echo[2]);
	guest_run(guest);
	assert_false(guest_rescinded(guest, 3));
	guest_advance(guest, SECOND);
	assert_false(guest_rescinded(guest, 3));
	guest_advance(guest, 2 * SECOND);
	assert_true(guest_rescinded(guest, 3));
	assert_false(echo[2].gone);
	guest_release(guest, 3);
	assert_true(echo[2].gone);
}

static void removed_while_nobody_is_connected(void **state)
{
	assert_int_equal(guest_unload(guest), 0);
	vmbus_device_remove(guest_server(guest), &echo[0].device, echo_gone, &echo[0]);
	assert_true(echo[0].gone);
	assert_null(echo[0].device.server_data);
	vmbus_device_remove(guest_server(guest), &echo[0].device, echo_gone, &echo[0]);
	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, 1), -EINVAL);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(relid_of(0, 0), 0);
}

static void removed_during_a_reset(void **state)
{
	works(guest_open(guest, relid_of(0, 0), 4));
	echo[0].closes_later = true;
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_3, 0), -ETIMEDOUT);
	vmbus_device_remove(guest_server(guest), &echo[0].device, echo_gone, &echo[0]);
	assert_false(echo[0].gone);
	echo_finish_closing(&echo[0]);
	guest_run(guest);
	assert_true(echo[0].gone);
	assert_int_equal(guest_request_offers(guest), 0);
	assert_int_equal(relid_of(0, 0), 0);
	assert_int_equal(relid_of(1, 0), 2);		/* as before */
}

static void channel_ids_stay_over_contacts(void **state)
{
	static struct echo early;

	/* Its place in the order of offers is the first. */
	echo_init(&early, 0, 0);
	assert_int_equal(vmbus_device_add(guest_server(guest), &early.device), 0);
	guest_run(guest);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(guest_relid_of_instance(guest, &early.device.offer.instance, 0), 3);
		assert_int_equal(relid_of(0, 0), 1);
		assert_int_equal(relid_of(1, 0), 2);
		/* A kernel that starts another one, and says nothing. */
		assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	}
	assert_int_equal(guest_unload(guest), 0);
	vmbus_device_remove(guest_server(guest), &echo[0].device, echo_gone, &echo[0]);
	assert_true(echo[0].gone);
	assert_int_equal(vmbus_device_add(guest_server(guest), &echo[2].device), 0);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V6_0), 0);
	assert_int_equal(relid_of(2, 0), 1);		/* free again */
	assert_int_equal(relid_of(1, 0), 2);
	works(guest_open(guest, guest_relid_of_instance(guest, &early.device.offer.instance, 0), 4));
}

static void a_guest_that_does_not_let_go(void **state)
{
	struct guest_channel *channel = with_subchannels(1);
	uint32_t relid = relid_of(0, 0);
	static struct echo again;

	works(guest_open(guest, relid_of(0, 1), 4));
	guest_advance(guest, 3 * SECOND);
	vmbus_device_remove(guest_server(guest), &echo[0].device, echo_gone, &echo[0]);
	guest_advance(guest, 9 * SECOND);
	works(channel);
	assert_false(echo[0].gone);
	guest_advance(guest, 3 * SECOND);
	assert_int_equal(echo[0].closing, 2);
	assert_true(echo[0].gone);
	/* The ids stay taken, until they are released or somebody else contacts. */
	memset(&echo[0], 0xee, sizeof echo[0]);
	guest_signal(channel);
	guest_run(guest);
	echo_init(&again, 1, 0);
	assert_int_equal(vmbus_device_add(guest_server(guest), &again.device), -EEXIST);
	assert_null(guest_open(guest, relid, 4));
	post(VMBUS_CLOSE_CHANNEL, relid);
	guest_release(guest, relid);
	guest_release(guest, 3);
	assert_int_equal(vmbus_device_add(guest_server(guest), &again.device), 0);
	guest_run(guest);
	works(guest_open(guest, guest_relid_of_instance(guest, &again.device.offer.instance, 0), 4));
	echo_init(&echo[0], 1, 0);
}

static void released_without_close(void **state)
{
	works(guest_open(guest, relid_of(0, 0), 4));
	guest_advance(guest, 3 * SECOND);
	vmbus_device_remove(guest_server(guest), &echo[0].device, echo_gone, &echo[0]);
	guest_run(guest);
	echo[0].closes_later = true;
	guest_release(guest, 1);
	assert_int_equal(echo[0].closing, 1);
	assert_false(echo[0].gone);
	assert_int_equal(counters().gpadl_count, 1);			/* not while the device works on it */
	echo_finish_closing(&echo[0]);
	assert_true(echo[0].gone);
	assert_int_equal(counters().gpadl_count, 0);
}

static void a_primary_released_before_its_subchannels(void **state)
{
	with_subchannels(1);
	guest_advance(guest, 3 * SECOND);
	vmbus_device_remove(guest_server(guest), &echo[0].device, echo_gone, &echo[0]);
	guest_run(guest);
	post(VMBUS_CLOSE_CHANNEL, 1);
	guest_release(guest, 1);
	assert_false(echo[0].gone);
	guest_release(guest, 3);
	assert_true(echo[0].gone);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(open_waits_until_closing_is_done),
		TEST(an_open_that_waits_may_become_impossible),
		TEST(closes_that_make_no_sense),
		TEST(unload_waits_for_devices),
		TEST(contact_in_the_middle_of_io),
		TEST(unload_takes_the_place_of_a_contact),
		TEST(kexec_many_times),
		TEST(old_messages_do_not_reach_a_new_kernel),
		TEST(a_teardown_that_waits_is_not_answered_to_a_new_kernel),
		TEST(reset_by_the_host),
		TEST(subchannels),
		TEST(subchannels_go_with_their_primary),
		TEST(a_primary_closed_over_open_subchannels),
		TEST(subchannels_are_gone_after_contact),
		TEST(asked_for_from_the_devices_callback),
		TEST(channel_ids_run_out),
		TEST(hot_add),
		TEST(an_offer_before_they_are_asked_for_waits),
		TEST(hot_remove),
		TEST(a_fresh_offer_is_not_rescinded_at_once),
		TEST(removed_while_nobody_is_connected),
		TEST(removed_during_a_reset),
		TEST(channel_ids_stay_over_contacts),
		TEST(a_guest_that_does_not_let_go),
		TEST(released_without_close),
		TEST(a_primary_released_before_its_subchannels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
