// SPDX-License-Identifier: Apache-2.0
/* The block waist and the raw disk: contents against a copy in memory, refusals, errors, closing with work in flight. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "block/block.h"
#include "block/iov.h"
#include "block/raw.h"
#include "unit/vsp/block/block_host.h"

#define DISK_BYTES (4u << 20)

struct world {
	struct block_host host;
	struct block_disk *disk;
	char path[64];
	int spy;		/* a second descriptor on the file */
};

struct io {
	struct block_request request;	/* first */
	struct iovec iov[BLOCK_IOV_MAX + 1];
	bool finished;
	int error;
	unsigned times;
};

static void io_done(struct block_request *request, int error)
{
	struct io *io = (struct io *)request;

	io->finished = true;
	io->error = error;
	io->times++;
}

static int file_new(struct world *w, size_t bytes)
{
	int fd;

	(void)snprintf(w->path, sizeof w->path, "./block_test.XXXXXX");
	fd = mkstemp(w->path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

static struct world *world_new(size_t bytes, const struct block_raw_options *options)
{
	struct world *w = calloc(1, sizeof *w);
	int fd;

	assert_non_null(w);
	block_host_init(&w->host);
	w->spy = file_new(w, bytes);
	fd = open(w->path, O_RDWR | O_CLOEXEC);
	assert_int_equal(block_raw_create(&w->host.host, fd, options, &w->disk), 0);
	return w;
}

static void set_flag(void *context)
{
	*(bool *)context = true;
}

static void world_free(struct world *w)
{
	bool closed = false;

	if (w->disk) {
		block_close(w->disk, set_flag, &closed);
		assert_false(closed);
		block_host_run_until(&w->host, &closed);
	}
	assert_true(block_host_idle(&w->host));
	(void)close(w->spy);
	(void)unlink(w->path);
	free(w);
}

static int submit(struct world *w, struct io *io, enum block_op op, unsigned flags, uint64_t offset, uint64_t bytes)
{
	io->finished = false;
	io->request.op = op;
	io->request.flags = flags;
	io->request.offset = offset;
	io->request.bytes = bytes;
	io->request.iov = io->iov;
	io->request.done = io_done;
	return block_submit(w->disk, &io->request);
}

static int run(struct world *w, struct io *io, enum block_op op, unsigned flags, uint64_t offset, uint64_t bytes)
{
	int r = submit(w, io, op, flags, offset, bytes);

	if (r)
		return r;
	assert_false(io->finished);
	block_kick(w->disk);
	block_host_run_until(&w->host, &io->finished);
	return io->error;
}

static int transfer(struct world *w, enum block_op op, unsigned flags, uint64_t offset, void *data, size_t bytes)
{
	struct io io = { .iov = { { data, bytes } } };

	io.request.iov_count = 1;
	return run(w, &io, op, flags, offset, bytes);
}

static int plain(struct world *w, enum block_op op, unsigned flags, uint64_t offset, uint64_t bytes)
{
	struct io io = { 0 };

	return run(w, &io, op, flags, offset, bytes);
}

static void iovs_are_cut_and_copied(void **state)
{
	char a[3] = "abc", b[5] = "defgh", text[9] = { 0 };
	struct iovec iov[] = { { a, 3 }, { NULL, 0 }, { b, 5 } }, *at = iov;
	unsigned count = 3;

	assert_int_equal(iov_bytes(iov, 3), 8);
	assert_int_equal(iov_gather(iov, 3, 2, text, 4), 4);
	assert_memory_equal(text, "cdef", 4);
	assert_int_equal(iov_gather(iov, 3, 6, text, 9), 2);
	assert_int_equal(iov_gather(iov, 3, 8, text, 9), 0);
	assert_int_equal(iov_gather(iov, 3, UINT64_MAX, text, 9), 0);
	assert_int_equal(iov_scatter(iov, 3, 2, "XYZ", 3), 3);
	assert_memory_equal(b, "YZfgh", 5);
	iov_advance(&at, &count, 3);
	assert_int_equal(count, 1);
	iov_advance(&at, &count, 2);
	assert_int_equal(at->iov_len, 3);
	iov_advance(&at, &count, 100);
	assert_int_equal(count, 0);
	iov[2] = (struct iovec){ b, 5 };
	assert_int_equal(iov_truncate(iov, 3, 4), 3);
	assert_int_equal(iov[2].iov_len, 1);
	assert_int_equal(iov_truncate(iov, 3, 0), 0);
}

static void what_is_not_possible_is_refused_at_once(void **state)
{
	struct world *w = world_new(DISK_BYTES + 100, &(struct block_raw_options){ 0 });
	static uint8_t data[4096];
	struct io io = { 0 };

	assert_int_equal(w->disk->info.bytes, DISK_BYTES);
	assert_int_equal(transfer(w, BLOCK_READ, 0, 100, data, 512), -EINVAL);
	assert_int_equal(transfer(w, BLOCK_READ, 0, 0, data, 100), -EINVAL);
	assert_int_equal(transfer(w, BLOCK_READ, 0, 0, data, 0), -EINVAL);
	assert_int_equal(transfer(w, BLOCK_READ, 0, DISK_BYTES, data, 512), -ERANGE);
	assert_int_equal(transfer(w, BLOCK_WRITE, 0, DISK_BYTES - 512, data, 1024), -ERANGE);
	assert_int_equal(transfer(w, BLOCK_READ, 0, UINT64_MAX - 511, data, 512), -ERANGE);
	assert_int_equal(plain(w, BLOCK_UNMAP, 0, 512, UINT64_MAX - 511), -ERANGE);
	io.iov[0] = (struct iovec){ data, 512 };
	io.request.iov_count = 1;
	assert_int_equal(run(w, &io, BLOCK_READ, 0, 0, 1024), -EINVAL);
	io.request.iov_count = BLOCK_IOV_MAX + 1;
	assert_int_equal(run(w, &io, BLOCK_READ, 0, 0, 512), -EINVAL);
	assert_int_equal(io.times, 0);
	world_free(w);
}

static void a_read_only_disk_is_not_written(void **state)
{
	struct world *w = world_new(DISK_BYTES, &(struct block_raw_options){ .read_only = true });
	uint8_t data[512];

	assert_true(w->disk->info.read_only);
	assert_false(w->disk->info.unmap);
	assert_int_equal(transfer(w, BLOCK_READ, 0, 0, data, 512), 0);
	assert_int_equal(transfer(w, BLOCK_WRITE, 0, 0, data, 512), -EROFS);
	assert_int_equal(plain(w, BLOCK_UNMAP, 0, 0, 512), -EROFS);
	assert_int_equal(plain(w, BLOCK_WRITE_ZEROES, 0, 0, 512), -EROFS);
	assert_int_equal(plain(w, BLOCK_FLUSH, 0, 0, 0), 0);
	world_free(w);
}

static void a_descriptor_decides_too(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	int fds[2];

	block_host_init(&w->host);
	w->spy = file_new(w, DISK_BYTES);
	assert_int_equal(block_raw_create(&w->host.host, open(w->path, O_RDONLY | O_CLOEXEC),
					  &(struct block_raw_options){ 0 }, &w->disk), 0);
	assert_true(w->disk->info.read_only);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(block_raw_create(&w->host.host, fds[0], &(struct block_raw_options){ 0 }, &(struct block_disk *){ 0 }),
			 -EMEDIUMTYPE);
	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_int_equal(block_raw_create(&w->host.host, w->spy, &(struct block_raw_options){ .logical_bytes = 1000 },
					  &(struct block_disk *){ 0 }), -EINVAL);
	world_free(w);
}

/* A random piece list over a buffer: odd lengths, an empty piece, and one in front that is not aligned. */
static unsigned cut(struct iovec *iov, uint8_t *data, size_t bytes)
{
	unsigned count = 0;

	while (bytes) {
		size_t n = 1 + (size_t)rand() % 5000;

		if (n > bytes)
			n = bytes;
		if (rand() % 8 == 0)
			iov[count++] = (struct iovec){ data, 0 };
		iov[count++] = (struct iovec){ data, n };
		data += n;
		bytes -= n;
	}
	return count;
}

#define PARALLEL 40

/* Random requests, several in flight on ranges that do not overlap, against a copy in memory. */
static void compare_with_model(const struct block_raw_options *options, bool odd_pieces)
{
	struct world *w = world_new(DISK_BYTES, options);
	static struct io ios[PARALLEL];
	static uint8_t model[DISK_BYTES], read_back[DISK_BYTES];
	uint8_t *data = aligned_alloc(4096, DISK_BYTES);
	const uint64_t lane = DISK_BYTES / PARALLEL / 4096 * 4096;
	const uint32_t sector = w->disk->info.logical_bytes;

	memset(model, 0, sizeof model);
	memset(ios, 0, sizeof ios);
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned i = 0; i < PARALLEL; i++) {
			const uint64_t start = (uint64_t)rand() % (lane / sector) * sector;
			const uint64_t bytes = (1 + (uint64_t)rand() % ((lane - start) / sector)) * sector;
			const uint64_t at = lane * i + start;
			const enum block_op op = (enum block_op)(rand() % 5);
			const unsigned flags = (unsigned)rand() % 4;

			ios[i].request.iov_count = 0;
			if (op == BLOCK_READ || op == BLOCK_WRITE) {
				for (uint64_t k = 0; op == BLOCK_WRITE && k < bytes; k++)
					model[at + k] = data[at + k] = (uint8_t)rand();
				if (odd_pieces)
					ios[i].request.iov_count = cut(ios[i].iov, data + at, bytes);
				else
					ios[i].iov[ios[i].request.iov_count++] = (struct iovec){ data + at, bytes };
			} else if (op != BLOCK_FLUSH) {
				memset(model + at, 0, bytes);
				memset(data + at, 0, bytes);
			}
			assert_int_equal(submit(w, &ios[i], op, flags, at, bytes), 0);
		}
		block_kick(w->disk);
		for (unsigned i = 0; i < PARALLEL; i++) {
			block_host_run_until(&w->host, &ios[i].finished);
			assert_int_equal(ios[i].error, 0);
			assert_int_equal(ios[i].times, round + 1);
			if (ios[i].request.op == BLOCK_READ)
				assert_memory_equal(data + ios[i].request.offset, model + ios[i].request.offset,
						    ios[i].request.bytes);
		}
	}
	assert_int_equal(pread(w->spy, read_back, DISK_BYTES, 0), DISK_BYTES);
	assert_memory_equal(read_back, model, DISK_BYTES);
	free(data);
	world_free(w);
}

static void cached_contents_match_a_model(void **state)
{
	compare_with_model(&(struct block_raw_options){ 0 }, true);
}

static bool direct_possible(void)
{
	struct world w = { 0 };
	bool possible;

	w.spy = file_new(&w, 4096);
	possible = fcntl(w.spy, F_SETFL, O_DIRECT) == 0;
	(void)close(w.spy);
	(void)unlink(w.path);
	return possible;
}

static void direct_contents_match_a_model(void **state)
{
	if (!direct_possible())
		skip();
	compare_with_model(&(struct block_raw_options){ .direct = true, .logical_bytes = 4096 }, false);
	compare_with_model(&(struct block_raw_options){ .direct = true, .logical_bytes = 4096 }, true);	/* bounced */
}

static void large_bounced_transfers_go_piece_by_piece(void **state)
{
	const size_t bytes = 1u << 20;
	uint8_t *out = malloc(bytes + 1), *in = malloc(bytes + 1);
	struct world *w;

	if (!direct_possible())
		skip();
	w = world_new(DISK_BYTES, &(struct block_raw_options){ .direct = true, .logical_bytes = 4096 });
	for (size_t i = 0; i <= bytes; i++)
		out[i] = (uint8_t)rand();
	assert_int_equal(transfer(w, BLOCK_WRITE, BLOCK_FLAG_FUA, 8192, out + 1, bytes), 0);
	assert_int_equal(transfer(w, BLOCK_READ, 0, 8192, in + 1, bytes), 0);
	assert_memory_equal(in + 1, out + 1, bytes);
	free(out);
	free(in);
	world_free(w);
}

static void more_requests_than_the_ring_holds(void **state)
{
	enum { COUNT = 700 };
	struct world *w = world_new(DISK_BYTES, &(struct block_raw_options){ 0 });
	struct io *ios = calloc(COUNT, sizeof *ios);
	uint8_t (*data)[512] = calloc(COUNT, sizeof *data);

	for (unsigned i = 0; i < COUNT; i++) {
		memset(data[i], (int)i, 512);
		ios[i].iov[0] = (struct iovec){ data[i], 512 };
		ios[i].request.iov_count = 1;
		assert_int_equal(submit(w, &ios[i], BLOCK_WRITE, 0, (uint64_t)i * 512, 512), 0);
	}
	block_kick(w->disk);
	for (unsigned i = 0; i < COUNT; i++) {
		uint8_t got[512];

		block_host_run_until(&w->host, &ios[i].finished);
		assert_int_equal(ios[i].error, 0);
		assert_int_equal(ios[i].times, 1);
		assert_int_equal(pread(w->spy, got, 512, (off_t)i * 512), 512);
		assert_memory_equal(got, data[i], 512);
	}
	free(data);
	free(ios);
	world_free(w);
}

static void unmap_gives_space_back(void **state)
{
	struct world *w = world_new(DISK_BYTES, &(struct block_raw_options){ 0 });
	uint8_t *data = malloc(1u << 20);
	struct stat before, after;

	if (w->disk->info.unmap) {
		memset(data, 0xa5, 1u << 20);
		assert_int_equal(transfer(w, BLOCK_WRITE, 0, 0, data, 1u << 20), 0);
		assert_int_equal(plain(w, BLOCK_FLUSH, 0, 0, 0), 0);
		assert_int_equal(fstat(w->spy, &before), 0);
		assert_int_equal(plain(w, BLOCK_UNMAP, 0, 0, 1u << 20), 0);
		assert_int_equal(fstat(w->spy, &after), 0);
		assert_true(after.st_blocks < before.st_blocks);
		assert_int_equal(after.st_size, before.st_size);
	}
	free(data);
	world_free(w);
}

static void a_file_cut_behind_our_back_is_an_error(void **state)
{
	struct world *w = world_new(DISK_BYTES, &(struct block_raw_options){ 0 });
	static uint8_t data[8192];
	struct io io = { .iov = { { data, 8192 } } };

	io.request.iov_count = 1;
	assert_int_equal(ftruncate(w->spy, 4096), 0);
	assert_int_equal(run(w, &io, BLOCK_READ, 0, 0, 8192), -EIO);
	assert_int_equal(io.request.moved, 4096);
	world_free(w);
}

static void a_resize_is_told(void **state)
{
	struct world *w = world_new(DISK_BYTES, &(struct block_raw_options){ 0 });
	bool resized = false;

	block_listen(w->disk, &(struct block_listener){ .resized = set_flag, .context = &resized });
	assert_int_equal(block_refresh(w->disk), 0);
	assert_false(resized);
	assert_int_equal(ftruncate(w->spy, 2 * DISK_BYTES + 7), 0);
	assert_int_equal(block_refresh(w->disk), 0);
	assert_true(resized);
	assert_int_equal(w->disk->info.bytes, 2 * DISK_BYTES);
	world_free(w);
}

struct resize {
	bool done, told, told_before;
	int error;
};

static void resize_told(void *context)
{
	((struct resize *)context)->told = true;
}

static void resize_done(void *context, int error)
{
	struct resize *resize = context;

	*resize = (struct resize){ .done = true, .told = resize->told, .told_before = resize->told, .error = error };
}

static void a_disk_grows_while_it_is_used(void **state)
{
	struct world *w = world_new(DISK_BYTES, &(struct block_raw_options){ 0 });
	static uint8_t data[4096] = { 5 };
	struct block_failure failure;
	struct resize resize = { false };
	struct io io = { .iov = { { data, sizeof data } } };

	io.request.iov_count = 1;
	block_listen(w->disk, &(struct block_listener){ .resized = resize_told, .context = &resize });
	assert_int_equal(block_resize(w->disk, DISK_BYTES - 512, resize_done, &resize, &failure), -ENOTSUP);
	assert_non_null(strstr(failure.text, "not made smaller"));
	assert_int_equal(block_resize(w->disk, DISK_BYTES + 1, resize_done, &resize, &failure), -EINVAL);
	assert_int_equal(block_resize(w->disk, DISK_BYTES, resize_done, &resize, &failure), 0);
	assert_int_equal(block_resize(w->disk, DISK_BYTES, resize_done, &resize, &failure), -EBUSY);
	block_host_run_until(&w->host, &resize.done);
	assert_false(resize.told);
	resize.done = false;
	assert_int_equal(block_resize(w->disk, 2 * DISK_BYTES, resize_done, &resize, &failure), 0);
	assert_false(resize.done);
	block_host_run_until(&w->host, &resize.done);
	assert_true(resize.told_before && resize.error == 0);
	assert_int_equal(w->disk->info.bytes, 2 * DISK_BYTES);
	assert_int_equal(lseek(w->spy, 0, SEEK_END), 2 * DISK_BYTES);
	assert_int_equal(run(w, &io, BLOCK_WRITE, 0, 2 * DISK_BYTES - 4096, 4096), 0);
	world_free(w);
}

static void close_waits_for_what_is_in_flight(void **state)
{
	enum { COUNT = 200 };
	struct world *w = world_new(DISK_BYTES, &(struct block_raw_options){ 0 });
	struct io *ios = calloc(COUNT, sizeof *ios);
	static uint8_t data[16384];
	bool closed = false;

	for (unsigned i = 0; i < COUNT; i++) {
		ios[i].iov[0] = (struct iovec){ data, sizeof data };
		ios[i].request.iov_count = 1;
		assert_int_equal(submit(w, &ios[i], i % 2 ? BLOCK_WRITE : BLOCK_READ, BLOCK_FLAG_FUA, i * 16384, 16384), 0);
	}
	block_kick(w->disk);
	block_close(w->disk, set_flag, &closed);
	assert_int_equal(submit(w, &(struct io){ 0 }, BLOCK_FLUSH, 0, 0, 0), -ENODEV);
	w->disk = NULL;
	block_host_run_until(&w->host, &closed);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_int_equal(ios[i].times, 1);
		assert_int_equal(ios[i].error, 0);
	}
	free(ios);
	world_free(w);
}

/* The lock is the open file's: it holds as long as anything, the kernel's end of a ring too, knows that. */
static void a_closed_disk_holds_its_file_no_longer(void **state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct world *w = world_new(DISK_BYTES, &(struct block_raw_options){ 0 });
	static uint8_t data[4096];
	bool closed;
	int fd;

	for (unsigned i = 0; i < 20; i++) {
		if (i) {
			fd = open(w->path, O_RDWR | O_CLOEXEC);
			assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
			assert_int_equal(block_raw_create(&w->host.host, fd, &(struct block_raw_options){ 0 }, &w->disk), 0);
			assert_int_equal(fcntl(w->spy, F_OFD_SETLK, &lock), -1);
		}
		assert_int_equal(transfer(w, BLOCK_WRITE, 0, 0, data, sizeof data), 0);
		closed = false;
		block_close(w->disk, set_flag, &closed);
		w->disk = NULL;
		block_host_run_until(&w->host, &closed);
		assert_int_equal(fcntl(w->spy, F_OFD_SETLK, &lock), 0);
		lock.l_type = F_UNLCK;
		assert_int_equal(fcntl(w->spy, F_OFD_SETLK, &lock), 0);
		lock.l_type = F_WRLCK;
	}
	world_free(w);
}

static void a_file_sealed_against_writing_is_an_error(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	static uint8_t data[65536];
	int sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(sealed >= 0);
	assert_int_equal(ftruncate(sealed, 65536), 0);
	block_host_init(&w->host);
	w->spy = dup(sealed);
	assert_int_equal(block_raw_create(&w->host.host, sealed, &(struct block_raw_options){ 0 }, &w->disk), 0);
	assert_int_equal(fcntl(w->spy, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(transfer(w, BLOCK_WRITE, 0, 0, data, sizeof data), -EROFS);
	assert_int_equal(transfer(w, BLOCK_READ, 0, 0, data, sizeof data), 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(iovs_are_cut_and_copied),
		cmocka_unit_test(what_is_not_possible_is_refused_at_once),
		cmocka_unit_test(a_read_only_disk_is_not_written),
		cmocka_unit_test(a_descriptor_decides_too),
		cmocka_unit_test(cached_contents_match_a_model),
		cmocka_unit_test(direct_contents_match_a_model),
		cmocka_unit_test(large_bounced_transfers_go_piece_by_piece),
		cmocka_unit_test(more_requests_than_the_ring_holds),
		cmocka_unit_test(unmap_gives_space_back),
		cmocka_unit_test(a_file_cut_behind_our_back_is_an_error),
		cmocka_unit_test(a_resize_is_told),
		cmocka_unit_test(a_disk_grows_while_it_is_used),
		cmocka_unit_test(close_waits_for_what_is_in_flight),
		cmocka_unit_test(a_closed_disk_holds_its_file_no_longer),
		cmocka_unit_test(a_file_sealed_against_writing_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
