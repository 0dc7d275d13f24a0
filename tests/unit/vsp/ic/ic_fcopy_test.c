// SPDX-License-Identifier: Apache-2.0
/* File copy: whole files byte for byte, paths, refusals of the guest, cancelling at every point. */
#include "ic_rig.h"

#include <errno.h>

#include "ic/fcopy.h"

static struct rig rig;
static struct fcopy fcopy;
static unsigned done_count, read_count;
static int error, read_error;
static uint32_t status;
static bool cancel_in_read;
static uint8_t file[20000];

static int read_file(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	read_count++;
	assert_true(offset < sizeof file && bytes <= sizeof file - offset && bytes > 0);
	if (cancel_in_read)
		assert_int_equal(fcopy_cancel(&fcopy), 0);
	if (read_error == 0)
		memcpy(buffer, file + offset, bytes);
	return read_error;
}

static void done(void *context, int why, uint32_t guest)
{
	done_count++;
	error = why;
	status = guest;
}

static const struct fcopy_events events = { read_file, done };
static struct fcopy_job job;

static int make(void **state)
{
	done_count = read_count = 0;
	read_error = 0;
	cancel_in_read = false;
	for (size_t i = 0; i < sizeof file; i++)
		file[i] = (uint8_t)(i * 7 + i / 251);
	job = (struct fcopy_job){ "/var/tmp", "file.bin", IC_FCOPY_OVERWRITE, sizeof file };
	fcopy_init(&fcopy, &events, NULL);
	rig_init(&rig, &fcopy.ic.device);
	return 0;
}

static int finish(void **state)
{
	rig_fini(&rig);
	return 0;
}

static void open_ready(void)
{
	assert_int_equal(rig_open(&rig), 0);
	rig_negotiate(&rig, (struct ic_version){ 3, 0 }, (struct ic_version){ 1, 1 });
}

static void check_operation(uint8_t *body, void *context)
{
	const uint8_t expected[36] = { *(uint8_t *)context };

	assert_memory_equal(body, expected, sizeof expected);
}

static const size_t sizes[] = { 1088, 6196, 36, 36 };

static void answer(uint8_t operation, uint32_t guest)
{
	rig_answer(&rig, IC_MESSAGE_FCOPY, sizes[operation], guest, check_operation, &operation);
}

static void ascii_put(uint8_t *to, const char *text)
{
	for (; *text; text++, to += 2)
		*to = (uint8_t)*text;
}

static void a_start_is_byte_exact(void **state)
{
	uint8_t expected[1088] = { 0 };
	struct rig_packet packet;

	open_ready();
	job.flags = IC_FCOPY_OVERWRITE | IC_FCOPY_CREATE_PATH;
	job.bytes = 0x0123456789ull;
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	ascii_put(expected + 36, "file.bin");
	ascii_put(expected + 556, "/var/tmp/");	/* with its last separator */
	expected[1076] = 3;
	memcpy(expected + 1080, "\x89\x67\x45\x23\x01", 5);
	packet = rig_take(&rig);
	assert_int_equal(packet.bytes, 28 + 1088);
	assert_memory_equal(packet.payload + 28, expected, sizeof expected);
	free(packet.payload);
}

static void check_piece(uint8_t *body, void *context)
{
	uint64_t offset, expected = *(size_t *)context;
	uint32_t bytes;
	uint8_t head[40] = { 1 };

	memcpy(&offset, body + 40, 8);
	memcpy(&bytes, body + 48, 4);
	assert_memory_equal(body, head, sizeof head);
	assert_int_equal(offset, expected);
	assert_int_equal(bytes, job.bytes - expected < 6144 ? job.bytes - expected : 6144);
	assert_memory_equal(body + 52, file + offset, bytes);
	for (size_t i = bytes; i < 6144; i++)
		assert_int_equal(body[52 + i], 0);
}

static void copy(uint64_t bytes)
{
	unsigned before = done_count;

	job.bytes = bytes;
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	assert_int_equal(fcopy_start(&fcopy, &job), -EBUSY);
	answer(IC_FCOPY_START, 0);
	for (size_t offset = 0; offset < bytes; offset += 6144) {
		assert_int_equal(fcopy_progress(&fcopy), offset);
		rig_answer(&rig, IC_MESSAGE_FCOPY, 6196, 0, check_piece, &offset);
	}
	assert_int_equal(fcopy_progress(&fcopy), bytes);
	assert_int_equal(done_count, before);
	answer(IC_FCOPY_COMPLETE, 0);
	assert_int_equal(done_count, before + 1);
	assert_int_equal(error, 0);
	assert_int_equal(rig_unread(&rig), 0);
}

static void copies_files_of_all_sizes(void **state)
{
	static const uint64_t lengths[] = { 0, 1, 6143, 6144, 6145, 12288, sizeof file };

	assert_int_equal(fcopy_start(&fcopy, &job), -ENOTCONN);
	open_ready();
	for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		copy(lengths[i]);
}

static void paths_are_checked(void **state)
{
	static char long_text[262] = "/";
	static const struct {
		const char *directory, *name;
		int r;
	} rows[] = {
		{ "", "f", -EINVAL }, { "tmp", "f", -EINVAL }, { "./tmp", "f", -EINVAL }, { "/..", "f", -EINVAL },
		{ "/tmp/../etc", "f", -EINVAL }, { "C:\\a\\..\\b", "f", -EINVAL }, { "C:", "f", -EINVAL },
		{ "C:a", "f", -EINVAL },
		{ "1:\\", "f", -EINVAL }, { "/a\nb", "f", -EINVAL }, { "/a\x7f", "f", -EINVAL },
		{ "/tmp", "", -EINVAL },
		{ "/tmp", ".", -EINVAL }, { "/tmp", "..", -EINVAL }, { "/tmp", "a/b", -EINVAL },
		{ "/tmp", "a\\b", -EINVAL },
		{ "/tmp", "a:b", -EINVAL }, { "/tmp", "a\tb", -EINVAL }, { "/tmp", "\xff", -EILSEQ },
		{ "/\xc3", "f", -EILSEQ },
		{ long_text, "f", -E2BIG }, { "/tmp", long_text + 1, -E2BIG },
		{ "/", "..f", 0 }, { "/a/..b", "f", 0 }, { "z:\\", "f", 0 }, { "C:/Temp", ".f", 0 },
		{ "\\\\host\\share", "f", 0 },
		{ long_text + 260, "f", -EINVAL },
	};

	memset(long_text + 1, 'x', 260);
	open_ready();
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		job.directory = rows[i].directory;
		job.name = rows[i].name;
		assert_int_equal(fcopy_start(&fcopy, &job), rows[i].r);
		if (rows[i].r == 0)
			answer(IC_FCOPY_START, IC_STATUS_FAIL);
	}
	long_text[259] = 0;				/* 259 units and the zero */
	job.directory = long_text;
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	answer(IC_FCOPY_START, IC_STATUS_FAIL);
	job.flags = 4;
	assert_int_equal(fcopy_start(&fcopy, &job), -EINVAL);
	job.flags = 0;
	job.bytes = 1ull << 63;
	assert_int_equal(fcopy_start(&fcopy, &job), -EINVAL);
}

static void a_refused_start_leaves_nothing_to_cancel(void **state)
{
	open_ready();
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	answer(IC_FCOPY_START, IC_STATUS_EXISTS);
	assert_int_equal(done_count, 1);
	assert_int_equal(error, -EREMOTEIO);
	assert_int_equal(status, IC_STATUS_EXISTS);
	assert_int_equal(rig_unread(&rig), 0);
	copy(1);
}

static void a_refused_piece_cancels(void **state)
{
	open_ready();
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	answer(IC_FCOPY_START, 0);
	answer(IC_FCOPY_WRITE, IC_STATUS_DISK_FULL);
	assert_int_equal(done_count, 1);
	assert_int_equal(status, IC_STATUS_DISK_FULL);
	assert_int_equal(fcopy_start(&fcopy, &job), -EBUSY);
	answer(IC_FCOPY_CANCEL, IC_STATUS_FAIL);
	copy(1);
	assert_int_equal(fcopy_start(&fcopy, &job), 0);	/* of one piece, after copy(1) */
	answer(IC_FCOPY_START, 0);
	answer(IC_FCOPY_WRITE, 0);
	answer(IC_FCOPY_COMPLETE, IC_STATUS_FAIL);
	assert_int_equal(error, -EREMOTEIO);
	answer(IC_FCOPY_CANCEL, 0);
}

static void an_unreadable_file_cancels(void **state)
{
	open_ready();
	read_error = -EIO;
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	answer(IC_FCOPY_START, 0);
	assert_int_equal(done_count, 1);
	assert_int_equal(error, -EIO);
	answer(IC_FCOPY_CANCEL, 0);
	assert_int_equal(rig_unread(&rig), 0);
}

static void cancels_at_every_point(void **state)
{
	open_ready();
	assert_int_equal(fcopy_cancel(&fcopy), -ENOENT);
	for (unsigned point = 0; point < 6; point++) {
		assert_int_equal(fcopy_start(&fcopy, &job), 0);
		for (unsigned i = 0; i < point; i++)
			answer(i == 0 ? IC_FCOPY_START : IC_FCOPY_WRITE, 0);
		assert_int_equal(fcopy_cancel(&fcopy), 0);
		assert_int_equal(fcopy_cancel(&fcopy), -ENOENT);
		assert_int_equal(done_count, point + 1);
		assert_int_equal(error, -ECANCELED);
		assert_int_equal(rig_unread(&rig), 1);
		answer(point == 0 ? IC_FCOPY_START : point == 5 ? IC_FCOPY_COMPLETE : IC_FCOPY_WRITE, 0);
		answer(IC_FCOPY_CANCEL, 0);
		assert_int_equal(rig_unread(&rig), 0);
	}
	cancel_in_read = true;
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	answer(IC_FCOPY_START, 0);
	assert_int_equal(done_count, 7);
	answer(IC_FCOPY_CANCEL, 0);
	assert_int_equal(rig_unread(&rig), 0);
	cancel_in_read = false;
	copy(6145);
}

static void time_outs_cancel_when_the_guest_reads_again(void **state)
{
	open_ready();
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	answer(IC_FCOPY_START, 0);
	rig_advance(&rig, FCOPY_TIMEOUT_NS);
	assert_int_equal(done_count, 1);
	assert_int_equal(error, -ETIMEDOUT);
	rig_advance(&rig, 600 * RIG_SECOND);
	assert_int_equal(rig_unread(&rig), 1);
	answer(IC_FCOPY_WRITE, 0);
	answer(IC_FCOPY_CANCEL, 0);
	/* Read and never answered. */
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	rig_drop(&rig);
	rig_advance(&rig, FCOPY_TIMEOUT_NS);
	assert_int_equal(done_count, 2);
	rig_drop(&rig);					/* the CANCEL */
	rig_advance(&rig, FCOPY_TIMEOUT_NS);
	copy(1);
}

static void close_and_break_end_a_copy(void **state)
{
	open_ready();
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	rig_close(&rig);
	assert_int_equal(done_count, 1);
	assert_int_equal(error, -ECONNRESET);
	open_ready();
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	answer(IC_FCOPY_START, 0);
	rig_break(&rig);
	assert_int_equal(done_count, 2);
	rig_close(&rig);
	open_ready();
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	assert_int_equal(fcopy_cancel(&fcopy), 0);
	rig_close(&rig);				/* with a cancel that is owed */
	assert_int_equal(done_count, 3);
	open_ready();
	copy(1);
}

static void a_ring_that_is_too_small_for_pieces_ends_a_copy(void **state)
{
	rig.channel.ring_bytes = 4096;
	open_ready();
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	answer(IC_FCOPY_START, 0);
	assert_int_equal(error, -EMSGSIZE);
	answer(IC_FCOPY_CANCEL, 0);
}

static void a_saved_copy_goes_on(void **state)
{
	struct fcopy_state saved, bad;
	struct rig_packet packet;
	size_t offset;

	open_ready();
	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	answer(IC_FCOPY_START, 0);
	packet = rig_take(&rig);
	ic_pause(&fcopy.ic);
	fcopy_get_state(&fcopy, &saved);
	rig_close(&rig);
	done_count = 0;
	fcopy_init(&fcopy, &events, NULL);
	bad = saved;
	bad.phase = FCOPY_PHASE_COUNT;
	assert_int_equal(fcopy_set_state(&fcopy, &bad), -EINVAL);
	bad = saved;
	bad.offset = sizeof file + 1;
	assert_int_equal(fcopy_set_state(&fcopy, &bad), -EINVAL);
	bad = saved;
	bad.piece_bytes = sizeof file + 1;
	assert_int_equal(fcopy_set_state(&fcopy, &bad), -EINVAL);
	assert_int_equal(fcopy_set_state(&fcopy, &saved), 0);
	assert_int_equal(rig_restore(&rig), 0);
	ic_resume(&fcopy.ic);
	rig_answer_packet(&rig, &packet, 0);
	free(packet.payload);
	for (offset = 6144; offset < sizeof file; offset += 6144)
		rig_answer(&rig, IC_MESSAGE_FCOPY, 6196, 0, check_piece, &offset);
	answer(IC_FCOPY_COMPLETE, 0);
	assert_int_equal(done_count, 1);
	assert_int_equal(error, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_start_is_byte_exact),
		TEST(copies_files_of_all_sizes),
		TEST(paths_are_checked),
		TEST(a_refused_start_leaves_nothing_to_cancel),
		TEST(a_refused_piece_cancels),
		TEST(an_unreadable_file_cancels),
		TEST(cancels_at_every_point),
		TEST(time_outs_cancel_when_the_guest_reads_again),
		TEST(close_and_break_end_a_copy),
		TEST(a_ring_that_is_too_small_for_pieces_ends_a_copy),
		TEST(a_saved_copy_goes_on),
	};

	return cmocka_run_group_tests_name("ic_fcopy", tests, NULL, NULL);
}
