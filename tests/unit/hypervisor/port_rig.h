/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A root whose two VPs listen on SINT 2, and a child with one VP that can call. Ports and connections by hypercall, and what a
 * receiver does with its slot and its flags.
 */
#ifndef PORT_RIG_H
#define PORT_RIG_H

#include "caller.h"

#define SINT   2u
#define VECTOR 0xf3u
#define TYPE   1u

/* Pages of the root's VPs; those of a child are its GPAs 0x4000 and 0x5000. */
#define ROOT_SIM(n)  (0x40000ull + 0x2000 * (n))
#define ROOT_SIEF(n) (0x41000ull + 0x2000 * (n))
#define CHILD_SIM  0x4000ull
#define CHILD_SIEF 0x5000ull
#define CHILD_IN   0x1000ull

/* cmocka set-up; the tear-down is caller_teardown. */
int port_setup(void **state);
extern uint64_t child, child_ram;	/* its id, and the frame of its GPA 0 */
extern struct vp *sender;		/* its VP */
void child_make(uint64_t *out_id, struct vp **out_vp, uint64_t *out_ram);	/* another one */

void synic_on(struct vp *vp, uint64_t sim, uint64_t sief);
void mask(struct vp *vp, bool on);
struct vp *root_vp(uint32_t n);

struct hv_port_info message_info(uint32_t vp);
struct hv_port_info event_info(uint32_t vp, uint16_t base, uint16_t count);
enum hv_status create_port(uint64_t owner, uint32_t id, uint64_t from, struct hv_port_info info);
enum hv_status delete_port(uint64_t owner, uint32_t id);
enum hv_status connect(uint64_t from, uint32_t connection, uint64_t owner, uint32_t id, uint32_t type);
enum hv_status disconnect(uint64_t from, uint32_t connection);
enum hv_status hold(uint32_t id, uint64_t value);	/* of a port of the root */
/* A port of the root and a connection of the child; must succeed. */
void make(uint32_t port, uint32_t connection, struct hv_port_info info);

/* A message carries a number, so that order and loss show. */
enum hv_status post_from(struct vp *vp, uint64_t ram, uint32_t connection, uint32_t number);
enum hv_status post(uint32_t connection, uint32_t number);
enum hv_status root_post(uint32_t connection);
enum hv_status signal_fast(uint32_t connection, uint16_t flag);
enum hv_status signal_slow(uint32_t connection, uint16_t flag);

/* The root's receiving end. */
struct hv_message *slot(uint32_t vp);
bool empty(uint32_t vp);
uint32_t take(uint32_t vp, uint32_t port);
bool flag_is_set(uint32_t vp, unsigned flag);
void flag_clear(uint32_t vp, unsigned flag);
bool interrupted(struct vp *vp);	/* also accepts and ends it */

uint64_t root_used(void);
uint64_t child_used(void);

#endif
