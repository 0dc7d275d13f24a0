/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network adapter on a bench: the functions of vmbus/channel.h over plain lists of packets, a host with a clock that the
 * test moves, packet sockets as taps, and the guest's side of NVSP and RNDIS written from the protocol. Without a test
 * library, so that a fuzz target can use it: what is wrong with the bench itself, or with what the adapter does to the
 * contract of channel.h, ends the program.
 */
#ifndef TESTS_UNIT_VSP_NETVSP_BENCH_H
#define TESTS_UNIT_VSP_NETVSP_BENCH_H

#include "netvsp/netvsp.h"
#include "vmbus/netvsc.h"

#define BENCH_PAGE        4096u
#define BENCH_RX_BYTES    (1u << 20)
#define BENCH_TX_BYTES    (170u * 6144u)
#define BENCH_RX_GPADL    0xe1e11u
#define BENCH_TX_GPADL    0xe1e12u
#define BENCH_SCRATCH_GPADL 0xe1e13u
#define BENCH_RX_ID       0xcafeu
#define BENCH_RANGES_MAX  400u

/* A packet of the adapter's, as the guest sees it */
struct bench_packet {
	struct bench_packet *next;
	uint16_t type, flags, set_id;
	uint64_t transaction;
	unsigned range_count;
	struct vmbus_transfer_range range[BENCH_RANGES_MAX];
	size_t bytes;
	uint8_t payload[4624];
};

struct bench;

/* Memory in pieces that do not lie in a row */
struct bench_memory {
	size_t bytes;
	unsigned count;
	struct iovec *iov;
	uint8_t *base;
};

struct bench_message;

struct vmbus_channel {			/* of the bench's own making */
	struct bench *bench;
	unsigned index;
	void *context;
	bool open, closing, closed, broken;
	bool rung;			/* ready is due */
	bool starved;			/* a send found no room */
	unsigned room;			/* packets that the guest's ring still takes */
	struct bench_message *in, **in_tail;	/* guest to adapter */
	struct bench_message *current;	/* the one that was read last */
	struct bench_packet *out, **out_tail;
	unsigned out_count;
};

struct bench {
	struct netvsp *nic;
	struct vsp_host host;
	struct vmbus_device *device;
	int tap[NETVSP_QUEUES_MAX];	/* the network's ends */
	struct vmbus_channel channel[NETVSP_QUEUES_MAX];
	unsigned offered;		/* sub-channels */
	int offer_error;
	uint64_t now_ns;
	struct vsp_timer *timers;
	struct vsp_watch *watch[NETVSP_QUEUES_MAX];
	struct bench_memory rx, tx, scratch;
	unsigned rx_uses, tx_uses;	/* of their GPADLs, by the adapter */
	uint32_t section_bytes, section_count;	/* of the receive buffer, as answered */
	uint64_t transaction;
	uint32_t request_id;
	bool hold_completions;		/* the guest keeps transfers for itself */
	bool defer_removal;		/* until a GPADL is put: from within the adapter */
	vsp_callback removed;
	void *removed_context;
	bool destroyed;
	char log[256];
};

struct netvsp_config bench_config(unsigned queues);	/* spoofing off, link up, MTU 1500 */
void bench_start(struct bench *bench, const struct netvsp_config *config);	/* taps are made here */
void bench_destroy(struct bench *bench);		/* the adapter alone */
void bench_stop(struct bench *bench);			/* also with channels open */
unsigned bench_run(struct bench *bench);		/* until all is quiet; callbacks made */
void bench_advance(struct bench *bench, uint64_t ns);

/* ---- channels */

int bench_open(struct bench *bench, unsigned index);	/* what the adapter said */
void bench_close(struct bench *bench, unsigned index);
/* Puts a packet on the channel; does not run. iov: GPA direct if not NULL. */
void bench_post(struct bench *bench, unsigned index, uint16_t type, bool wants_completion, uint64_t transaction,
		const void *payload, size_t bytes, const struct iovec *iov, unsigned iov_count);
/* The next packet for the guest; the caller frees it. NULL: none. */
struct bench_packet *bench_take(struct bench *bench, unsigned index);
void bench_drop_all(struct bench *bench);		/* packets for the guest that nobody took */
void bench_room_set(struct bench *bench, unsigned index, unsigned packets);

/* Sends 40 bytes that begin with `message`, runs, takes the completion into out. Its length; -1: none came. */
int bench_transact(struct bench *bench, unsigned index, const void *message, size_t bytes, uint8_t out[NVSP_MESSAGE_BYTES]);
void bench_complete(struct bench *bench, unsigned index, uint64_t transaction);

/* ---- memory */

void bench_memory_write(struct bench_memory *memory, size_t offset, const void *from, size_t bytes);
void bench_memory_read(const struct bench_memory *memory, size_t offset, void *to, size_t bytes);

/* ---- the guest's driver */

int bench_nvsp_init(struct bench *bench, uint32_t version, uint32_t mtu);	/* version, config, NDIS version, buffers */
/* Sends a control message by its own memory, expects 108, then a transfer with the reply, which is completed. The reply's
 * length; 0: none came; -1: no or a bad completion. */
int bench_control(struct bench *bench, const void *message, size_t bytes, uint8_t *reply, size_t reply_max);
int bench_rndis_init(struct bench *bench);
/* Status of the answer; the answer's data in out. */
uint32_t bench_query(struct bench *bench, uint32_t oid, const void *in, size_t in_bytes, void *out, size_t *out_bytes);
uint32_t bench_set(struct bench *bench, uint32_t oid, const void *in, size_t in_bytes);
uint32_t bench_set_filter(struct bench *bench, uint32_t filter);
void bench_connect(struct bench *bench);		/* all of it, version 6.1, filter 0xd: frames flow */
void bench_subchannels(struct bench *bench, unsigned count);	/* asks, opens what is offered */

/* A received frame as the guest's driver decodes it. */
struct bench_frame {
	uint32_t channel;		/* NVSP_CHANNEL_... */
	size_t bytes;
	uint8_t data[9100];
	bool has_checksum, has_tag, has_hash;
	uint32_t checksum, tag, hash;
};
/* Takes the next transfer on a channel, decodes up to max messages, completes it. Their number; 0: none. */
unsigned bench_receive(struct bench *bench, unsigned index, struct bench_frame *out, unsigned max);

/* An RNDIS packet message around a frame; ppi as it is. Its length, a multiple of 8. */
size_t bench_message(uint8_t *to, const void *frame, size_t bytes, const void *ppi, size_t ppi_bytes);
/* Sends one such message: in-band by a section, or by its own memory (section NVSP_SECTION_NONE). Does not run. */
void bench_send(struct bench *bench, unsigned index, uint32_t section, const void *message, size_t bytes);
/* Takes completions of type 108 off a channel: how many; all with this status. */
unsigned bench_completions(struct bench *bench, unsigned index, uint32_t status);

/* ---- frames */

/* Addresses, an ethertype of experiments, and bytes that depend on the seed. */
void bench_fill(uint8_t *frame, size_t bytes, const uint8_t to[6], const uint8_t from[6], unsigned seed);
/* TCP over IPv4 with that much payload, lengths and sums as a guest leaves them for LSO. The frame's length. */
size_t bench_fill_tcp(uint8_t *frame, size_t payload, const uint8_t to[6], const uint8_t from[6]);

/* ---- the network */

struct bench_wire {
	uint8_t header[12];		/* virtio_net_hdr_v1 */
	uint8_t data[65600];
};
/* Next frame from the guest on a tap: its length; -1: none. */
int bench_wire_take(struct bench *bench, unsigned tap, struct bench_wire *out);
void bench_wire_send(struct bench *bench, unsigned tap, const void *header, const void *frame, size_t bytes);

#define BENCH_CHECK(condition) \
	do { \
		if (!(condition)) \
			bench_fail(__FILE__, __LINE__, #condition); \
	} while (0)
_Noreturn void bench_fail(const char *file, int line, const char *what);

#endif
