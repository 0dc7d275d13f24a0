/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * /dev/mshv: the parent's user interface to the hypervisor. Numbers and layouts are those of Linux' own
 * include/uapi/linux/mshv.h, so that a program written for the upstream driver runs on ours; calls of our own say so.
 * One descriptor per object: /dev/mshv -> partition -> VP. Closing is the destructor.
 */
#ifndef VID_MSHV_H
#define VID_MSHV_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/ioctl.h>
#else
#include <stdint.h>
#include <sys/ioctl.h>
#endif

#define MSHV_IOCTL 0xB8

/* /dev/mshv */
#define MSHV_PT_BIT_LAPIC            0
#define MSHV_PT_BIT_X2APIC           1
#define MSHV_PT_BIT_GPA_SUPER_PAGES  2
struct mshv_create_partition {
	uint64_t pt_flags;
	uint64_t pt_isolation;		/* 0 none */
};
#define MSHV_CREATE_PARTITION _IOW(MSHV_IOCTL, 0x00, struct mshv_create_partition)

/* Partition descriptor */
#define MSHV_INITIALIZE_PARTITION _IO(MSHV_IOCTL, 0x00)

struct mshv_create_vp {
	uint32_t vp_index;
};
#define MSHV_CREATE_VP _IOW(MSHV_IOCTL, 0x01, struct mshv_create_vp)

#define MSHV_SET_MEM_BIT_WRITABLE   0
#define MSHV_SET_MEM_BIT_EXECUTABLE 1
#define MSHV_SET_MEM_BIT_UNMAP      2
struct mshv_user_mem_region {
	uint64_t size;
	uint64_t guest_pfn;
	uint64_t userspace_addr;
	uint8_t flags;
	uint8_t rsvd[7];
};
#define MSHV_SET_GUEST_MEMORY _IOW(MSHV_IOCTL, 0x02, struct mshv_user_mem_region)

#define MSHV_IRQFD_BIT_DEASSIGN 0
#define MSHV_IRQFD_BIT_RESAMPLE 1
struct mshv_user_irqfd {
	int32_t fd;
	int32_t resamplefd;
	uint32_t gsi;
	uint32_t flags;
};
#define MSHV_IRQFD _IOW(MSHV_IOCTL, 0x03, struct mshv_user_irqfd)

#define MSHV_IOEVENTFD_BIT_DATAMATCH 0
#define MSHV_IOEVENTFD_BIT_PIO       1
#define MSHV_IOEVENTFD_BIT_DEASSIGN  2
struct mshv_user_ioeventfd {
	uint64_t datamatch;
	uint64_t addr;
	uint32_t len;			/* 0, 1, 2, 4 or 8 */
	int32_t fd;
	uint32_t flags;
	uint8_t rsvd[4];
};
#define MSHV_IOEVENTFD _IOW(MSHV_IOCTL, 0x04, struct mshv_user_ioeventfd)

struct mshv_user_irq_entry {
	uint32_t gsi;
	uint32_t address_lo;
	uint32_t address_hi;
	uint32_t data;
};
struct mshv_user_irq_table {
	uint32_t nr;
	uint32_t rsvd;
	struct mshv_user_irq_entry entries[];
};
#define MSHV_SET_MSI_ROUTING _IOW(MSHV_IOCTL, 0x05, struct mshv_user_irq_table)
#define MSHV_MAX_GUEST_IRQS 4096

/*
 * Partition descriptor, ours: upstream has no numbers from 0x80 on.
 *
 * VID_EVENT_PORT: the guest's HvSignalEvent on connection_id (flag 0) signals the eventfd, until the connection is taken away
 * (then the eventfd is not looked at) or the partition ends.
 * VID_MESSAGE_PORT: returns a descriptor that reads as whole struct hv_message, one for each HvPostMessage of the guest on one
 * of the connections. While nobody reads, some tens of messages are kept; then the guest is told INSUFFICIENT_BUFFERS.
 * Closing it takes the connections away.
 */
#define VID_EVENT_PORT_BIT_DEASSIGN 0
struct vid_event_port {
	uint32_t connection_id;
	int32_t eventfd;
	uint32_t flags;
};
#define VID_EVENT_PORT _IOW(MSHV_IOCTL, 0x80, struct vid_event_port)

#define VID_MESSAGE_PORT_CONNECTIONS 4
struct vid_message_port {
	uint32_t connection_ids[VID_MESSAGE_PORT_CONNECTIONS];
	uint32_t count;
};
#define VID_MESSAGE_PORT _IOW(MSHV_IOCTL, 0x81, struct vid_message_port)

/*
 * VID_GUEST_PAGES: pages of regions that were set by MSHV_SET_GUEST_MEMORY, which may lie in several that adjoin.
 * Release takes them from the guest and unpins them: what the process has there may be thrown away. Restore gives the
 * guest what the process (the one that set the region) has there now. Pages that are as wanted already are left alone;
 * when it fails, a leading part of them may be done. -ENOENT: not all of it is in a region.
 */
#define VID_GUEST_PAGES_RELEASE 0
#define VID_GUEST_PAGES_RESTORE 1
struct vid_guest_pages {
	uint64_t guest_pfn;
	uint64_t page_count;
	uint32_t operation;
	uint32_t rsvd;
};
#define VID_GUEST_PAGES _IOW(MSHV_IOCTL, 0x82, struct vid_guest_pages)

/* Device (on the own partition), partition and VP descriptors */
struct mshv_root_hvcall {
	uint16_t code;
	uint16_t reps;			/* in: count; out: completed */
	uint16_t in_sz;
	uint16_t out_sz;
	uint16_t status;		/* out: HV_STATUS */
	uint8_t rsvd[6];
	uint64_t in_ptr;
	uint64_t out_ptr;
};
#define MSHV_ROOT_HVCALL _IOWR(MSHV_IOCTL, 0x07, struct mshv_root_hvcall)

/* VP descriptor */
#define MSHV_RUN_VP_BUF_SZ 256
struct mshv_run_vp {
	uint8_t msg_buf[MSHV_RUN_VP_BUF_SZ];	/* struct hv_message */
};
#define MSHV_RUN_VP _IOR(MSHV_IOCTL, 0x00, struct mshv_run_vp)

#define MSHV_VP_STATE_LAPIC            0
#define MSHV_VP_STATE_XSAVE            1
#define MSHV_VP_STATE_SIMP             2
#define MSHV_VP_STATE_SIEFP            3
#define MSHV_VP_STATE_SYNTHETIC_TIMERS 4
struct mshv_get_set_vp_state {
	uint8_t type;
	uint8_t rsvd[3];
	uint32_t buf_sz;		/* page multiple */
	uint64_t buf_ptr;		/* page aligned */
};
#define MSHV_GET_VP_STATE _IOWR(MSHV_IOCTL, 0x01, struct mshv_get_set_vp_state)
#define MSHV_SET_VP_STATE _IOWR(MSHV_IOCTL, 0x02, struct mshv_get_set_vp_state)

/* mmap offsets on a VP descriptor, in pages */
#define MSHV_VP_MMAP_OFFSET_REGISTERS         0
#define MSHV_VP_MMAP_OFFSET_INTERCEPT_MESSAGE 1

#endif
