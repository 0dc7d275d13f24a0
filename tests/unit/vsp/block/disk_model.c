// SPDX-License-Identifier: Apache-2.0
#include "unit/vsp/block/disk_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/vsp/block/memory_file.h"

#define CHECK_BYTES (1u << 20)

static void give_up(const char *why, uint64_t sector, uint64_t is, uint64_t want)
{
	(void)fprintf(stderr, "model: %s: sector %llu holds %#llx, not %#llx\n", why, (unsigned long long)sector,
		      (unsigned long long)is, (unsigned long long)want);
	abort();
}

static uint32_t next(struct disk_model *m, uint32_t below)
{
	return memory_random(&m->random) % below;
}

void disk_model_use(struct disk_model *m, struct block_disk *disk)
{
	m->disk = disk;
	m->read_only = disk->info.read_only;
}

void disk_model_init(struct disk_model *m, struct block_host *host, struct block_disk *disk, uint64_t block_bytes,
		     uint32_t seed)
{
	memset(m, 0, sizeof *m);
	m->host = host;
	m->sector_bytes = disk->info.logical_bytes;
	m->sectors = disk->info.bytes / m->sector_bytes;
	m->block_sectors = block_bytes / m->sector_bytes;
	m->versions = calloc(m->sectors, sizeof *m->versions);
	m->locked = calloc(m->sectors, 1);
	if (!m->versions || !m->locked)
		abort();
	m->random = seed;
	m->wanted = DISK_MODEL_OPS;
	for (unsigned i = 0; i < DISK_MODEL_OPS; i++) {
		m->ops[i].model = m;
		m->ops[i].memory = malloc(DISK_MODEL_SECTORS * m->sector_bytes);
		if (!m->ops[i].memory)
			abort();
	}
	disk_model_use(m, disk);
}

/* Zeroes, of which a large disk has many, stay nowhere. */
static void *longer(void *old, size_t count, size_t to, size_t bytes)
{
	static const uint8_t zeroes[4096];
	uint8_t *items = calloc(to, bytes);
	const uint8_t *from = old;

	if (!items)
		abort();
	for (size_t at = 0, n; at < count * bytes; at += n) {
		n = count * bytes - at < sizeof zeroes ? count * bytes - at : sizeof zeroes;
		if (memcmp(from + at, zeroes, n) != 0)
			memcpy(items + at, from + at, n);
	}
	free(old);
	return items;
}

void disk_model_grow(struct disk_model *m, uint64_t bytes)
{
	const uint64_t sectors = bytes / m->sector_bytes;

	m->versions = longer(m->versions, m->sectors, sectors, sizeof *m->versions);
	m->locked = longer(m->locked, m->sectors, sectors, 1);
	m->sectors = sectors;
}

void disk_model_fini(struct disk_model *m)
{
	for (unsigned i = 0; i < DISK_MODEL_OPS; i++)
		free(m->ops[i].memory);
	free(m->versions);
	free(m->locked);
	free(m->writes);
}

static uint64_t word_of(uint32_t version, uint64_t sector)
{
	return version ? (uint64_t)version << 32 | (sector & 0xffffffff) : 0;
}

static void fill(uint8_t *to, uint32_t bytes, uint64_t word)
{
	for (uint32_t i = 0; i < bytes; i += sizeof word)
		memcpy(to + i, &word, sizeof word);
}

/* The word that all of a sector consists of; gives up when there is none. */
static uint64_t word_in(const uint8_t *from, uint32_t bytes, uint64_t sector)
{
	uint64_t word, other;

	memcpy(&word, from, sizeof word);
	for (uint32_t i = sizeof word; i < bytes; i += sizeof other) {
		memcpy(&other, from + i, sizeof other);
		if (other != word)
			give_up("torn", sector, other, word);
	}
	return word;
}

static void lock(struct disk_model_op *op, bool on)
{
	memset(op->model->locked + op->first, on, op->count);
}

static bool is_free(const struct disk_model *m, uint64_t first, uint64_t count)
{
	return !memchr(m->locked + first, 1, count);
}

static void history_begin(struct disk_model_op *op)
{
	struct disk_model *m = op->model;

	if (!m->clock)
		return;
	if (m->write_count == m->write_room) {
		m->write_room = m->write_room ? 2 * m->write_room : 256;
		m->writes = realloc(m->writes, m->write_room * sizeof *m->writes);
		if (!m->writes)
			abort();
	}
	op->write = m->write_count++;
	m->writes[op->write] = (struct disk_model_write){
		.first = op->first, .count = op->count, .version = op->version, .begun = *m->clock, .stable = SIZE_MAX,
		.done = SIZE_MAX,
	};
}

static void history_end(struct disk_model_op *op)
{
	struct disk_model *m = op->model;

	if (!m->clock)
		return;
	if (op->request.op == BLOCK_FLUSH) {
		for (size_t i = 0; i < m->write_count; i++)
			if (m->writes[i].done < op->submitted && m->writes[i].stable == SIZE_MAX)
				m->writes[i].stable = *m->clock;
	} else if (op->request.op != BLOCK_READ) {
		m->writes[op->write].done = m->submits;
		if (op->request.flags & BLOCK_FLAG_FUA)
			m->writes[op->write].stable = *m->clock;
	}
}

static void check_read(const struct disk_model_op *op)
{
	const struct disk_model *m = op->model;

	for (uint64_t i = 0; i < op->count; i++) {
		const uint64_t sector = op->first + i;
		const uint64_t word = word_in(op->memory + i * m->sector_bytes, m->sector_bytes, sector);

		if (m->versions[sector] != DISK_MODEL_UNKNOWN && word != word_of(m->versions[sector], sector))
			give_up("read", sector, word, word_of(m->versions[sector], sector));
	}
}

static void done(struct block_request *request, int error)
{
	struct disk_model_op *op = (struct disk_model_op *)request;
	struct disk_model *m = op->model;

	if (!op->busy || (error && !m->errors_allowed))
		give_up(op->busy ? "error" : "done twice", op->first, (uint64_t)(int64_t)error, 0);
	op->busy = false;
	m->busy--;
	m->errors += error != 0;
	if (!error && request->moved != request->bytes)
		give_up("moved", op->first, request->moved, request->bytes);
	if (request->op != BLOCK_FLUSH)
		lock(op, false);
	if (error && request->op != BLOCK_READ && request->op != BLOCK_FLUSH)
		for (uint64_t i = 0; i < op->count; i++)
			m->versions[op->first + i] = DISK_MODEL_UNKNOWN;
	if (!error && request->op == BLOCK_READ)
		check_read(op);
	if (!error)
		history_end(op);
}

/* Memory in pieces of any length: some requests have more than a disk may have thought of. */
static void cut_memory(struct disk_model_op *op)
{
	struct disk_model *m = op->model;
	const uint64_t bytes = op->request.bytes;
	const uint32_t piece_max = next(m, 4) ? m->sector_bytes * 16 : m->sector_bytes;
	uint64_t at = 0;
	unsigned n = 0;

	while (at < bytes) {
		uint64_t piece = 1 + next(m, piece_max);

		if (piece > bytes - at || n + 1 == 2 * DISK_MODEL_SECTORS)
			piece = bytes - at;
		op->iov[n++] = (struct iovec){ op->memory + at, piece };
		at += piece;
	}
	op->request.iov = op->iov;
	op->request.iov_count = n;
}

static enum block_op choose(struct disk_model *m)
{
	static const enum block_op often[] = {
		BLOCK_READ, BLOCK_READ, BLOCK_READ, BLOCK_READ, BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE,
		BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_FLUSH, BLOCK_UNMAP, BLOCK_WRITE_ZEROES,
		BLOCK_WRITE_ZEROES,
	};
	const enum block_op op = often[next(m, sizeof often / sizeof *often)];

	if (m->read_only)
		return BLOCK_READ;
	return op == BLOCK_UNMAP && !m->disk->info.unmap ? BLOCK_WRITE : op;
}

/* An unmap of whole blocks, whose result is known; sometimes zeroes over a whole block too. */
static bool choose_range(struct disk_model *m, struct disk_model_op *op, enum block_op kind)
{
	const uint64_t sectors = m->hot && m->hot < m->sectors ? m->hot : m->sectors;

	if (kind == BLOCK_UNMAP || (kind == BLOCK_WRITE_ZEROES && next(m, 4) == 0)) {
		op->first = next(m, (uint32_t)((sectors + m->block_sectors - 1) / m->block_sectors)) * m->block_sectors;
		op->count = m->block_sectors < m->sectors - op->first ? m->block_sectors : m->sectors - op->first;
	} else {
		op->count = 1 + next(m, next(m, 3) ? 8 : DISK_MODEL_SECTORS);
		if (op->count > sectors)
			op->count = sectors;
		op->first = next(m, (uint32_t)(sectors - op->count + 1));
	}
	if (m->stride)
		op->first += next(m, (uint32_t)(m->sectors / m->stride)) * m->stride;
	return is_free(m, op->first, op->count);
}

static bool start(struct disk_model *m, struct disk_model_op *op)
{
	const enum block_op kind = choose(m);

	memset(&op->request, 0, sizeof op->request);
	op->request.op = kind;
	op->request.done = done;
	if (kind != BLOCK_FLUSH) {
		if (!choose_range(m, op, kind))
			return false;
		op->request.offset = op->first * m->sector_bytes;
		op->request.bytes = op->count * m->sector_bytes;
		lock(op, true);
	}
	if (kind == BLOCK_READ || kind == BLOCK_WRITE)
		cut_memory(op);
	if (kind == BLOCK_WRITE || kind == BLOCK_UNMAP || kind == BLOCK_WRITE_ZEROES) {
		op->version = kind == BLOCK_WRITE ? ++m->next_version : 0;
		for (uint64_t i = 0; i < op->count; i++) {
			m->versions[op->first + i] = op->version;
			if (kind == BLOCK_WRITE)
				fill(op->memory + i * m->sector_bytes, m->sector_bytes, word_of(op->version, op->first + i));
		}
		op->request.flags = kind != BLOCK_UNMAP && next(m, 8) == 0 ? BLOCK_FLAG_FUA : 0;
		if (kind == BLOCK_WRITE_ZEROES && next(m, 2))
			op->request.flags |= BLOCK_FLAG_MAY_UNMAP;
		history_begin(op);
	}
	op->busy = true;
	m->busy++;
	op->submitted = ++m->submits;
	if (block_submit(m->disk, &op->request) != 0)
		give_up("refused", op->first, kind, 0);
	if (!op->busy)
		give_up("done inside submit", op->first, kind, 0);
	return true;
}

static void turn(struct disk_model *m)
{
	static unsigned idle;

	if (block_host_turn(m->host, 1000))
		idle = 0;
	else if (++idle > 10)
		give_up("nothing happens", m->busy, 0, 0);
}

void disk_model_run(struct disk_model *m, unsigned requests)
{
	while (requests || m->busy) {
		for (unsigned i = 0; i < m->wanted && requests; i++) {
			if (m->ops[i].busy || next(m, 3) == 0)
				continue;
			if (start(m, &m->ops[i]))
				requests--;
		}
		block_kick(m->disk);
		if (m->busy)
			turn(m);
	}
}

struct one {
	struct block_request request;	/* first */
	bool finished;
	int error;
};

static void one_done(struct block_request *request, int error)
{
	((struct one *)request)->finished = true;
	((struct one *)request)->error = error;
}

int disk_model_transfer(struct block_host *host, struct block_disk *disk, enum block_op op, unsigned flags,
			uint64_t offset, void *data, uint64_t bytes)
{
	struct iovec iov = { data, bytes };
	struct one one = { .request = {
		.op = op, .flags = flags, .offset = offset, .bytes = bytes, .iov = &iov, .iov_count = 1, .done = one_done,
	} };
	int r = block_submit(disk, &one.request);

	if (r)
		return r;
	block_kick(disk);
	block_host_run_until(host, &one.finished);
	return one.error;
}

/* The last write that is stable, or any begun after it. */
static bool allowed(const struct disk_model *m, uint64_t sector, uint64_t word, size_t cut)
{
	for (size_t i = m->write_count; i-- > 0;) {
		const struct disk_model_write *w = &m->writes[i];

		if (sector < w->first || sector - w->first >= w->count || w->begun > cut)
			continue;
		if (word == word_of(w->version, sector))
			return true;
		if (w->stable <= cut)
			return false;
	}
	return word == 0;
}

static void check_sector(const struct disk_model *m, uint64_t sector, uint64_t word, const size_t *cut)
{
	if (cut && !allowed(m, sector, word, *cut))
		give_up("after a power cut", sector, word, *cut);
	if (!cut && m->versions[sector] != DISK_MODEL_UNKNOWN && word != word_of(m->versions[sector], sector))
		give_up("check", sector, word, word_of(m->versions[sector], sector));
}

static void check_range(const struct disk_model *m, struct block_disk *disk, uint64_t first, uint64_t sectors,
			const size_t *cut)
{
	const uint64_t at_once = CHECK_BYTES / m->sector_bytes;
	uint8_t *buffer = malloc(CHECK_BYTES);

	for (uint64_t at = first; at < first + sectors; at += at_once) {
		const uint64_t n = first + sectors - at < at_once ? first + sectors - at : at_once;

		const uint64_t there = disk->info.bytes / m->sector_bytes;
		const uint64_t inside = at >= there ? 0 : there - at < n ? there - at : n;

		memset(buffer, 0, n * m->sector_bytes);
		if (inside && disk_model_transfer(m->host, disk, BLOCK_READ, 0, at * m->sector_bytes, buffer,
						  inside * m->sector_bytes) != 0)
			give_up("cannot be read", at, 0, 0);
		for (uint64_t i = 0; i < n; i++)
			check_sector(m, at + i, word_in(buffer + i * m->sector_bytes, m->sector_bytes, at + i), cut);
	}
	free(buffer);
}

static void check_all(const struct disk_model *m, struct block_disk *disk, const size_t *cut)
{
	if (m->stride == 0)
		check_range(m, disk, 0, m->sectors, cut);
	for (uint64_t at = 0; m->stride && at + m->stride <= m->sectors; at += m->stride)
		check_range(m, disk, at, m->hot, cut);
}

void disk_model_check(struct disk_model *m)
{
	check_all(m, m->disk, NULL);
}

void disk_model_check_cut(struct disk_model *m, struct block_disk *disk, size_t cut)
{
	check_all(m, disk, &cut);
}

static void set_flag(void *context)
{
	*(bool *)context = true;
}

void disk_model_close(struct block_host *host, struct block_disk *disk)
{
	bool closed = false;

	block_close(disk, set_flag, &closed);
	block_host_run_until(host, &closed);
}
