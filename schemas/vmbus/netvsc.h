/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic network: NVSP (the device's own messages in VMBus packets), RNDIS (control and frames inside NVSP) and the NDIS
 * structures inside RNDIS. Little endian. An offset inside an RNDIS message counts from its request id, 8 bytes into it.
 */
#ifndef SCHEMAS_NETVSC_H
#define SCHEMAS_NETVSC_H

#include "hv/hv_types.h"

/* ---- NVSP ---- */

#define NVSP_VERSION_4   0x00040000u
#define NVSP_VERSION_5   0x00050000u
#define NVSP_VERSION_6   0x00060000u
#define NVSP_VERSION_6_1 0x00060001u

/* Every message is sent at the size of the largest (6.1), zero padded; older guests send less. */
#define NVSP_MESSAGE_BYTES 40u

enum nvsp_type {
	NVSP_INIT                   = 1,
	NVSP_INIT_COMPLETE          = 2,
	NVSP_NDIS_VERSION           = 100,
	NVSP_RECEIVE_BUFFER         = 101,
	NVSP_RECEIVE_BUFFER_COMPLETE = 102,
	NVSP_REVOKE_RECEIVE_BUFFER  = 103,
	NVSP_SEND_BUFFER            = 104,
	NVSP_SEND_BUFFER_COMPLETE   = 105,
	NVSP_REVOKE_SEND_BUFFER     = 106,
	NVSP_RNDIS_PACKET           = 107,
	NVSP_RNDIS_PACKET_COMPLETE  = 108,
	NVSP_NDIS_CONFIG            = 125,
	NVSP_VF_ASSOCIATION         = 128,
	NVSP_SWITCH_DATA_PATH       = 129,
	NVSP_OID_QUERY_EX           = 131,
	NVSP_OID_QUERY_EX_COMPLETE  = 132,
	NVSP_SUBCHANNEL             = 133,	/* its completion has the same type */
	NVSP_INDIRECTION_TABLE      = 134,
};

enum nvsp_status {
	NVSP_STATUS_NONE                 = 0,
	NVSP_STATUS_SUCCESS              = 1,
	NVSP_STATUS_FAIL                 = 2,
	NVSP_STATUS_TOO_NEW              = 3,
	NVSP_STATUS_TOO_OLD              = 4,
	NVSP_STATUS_INVALID_RNDIS_PACKET = 5,
	NVSP_STATUS_BUSY                 = 6,
	NVSP_STATUS_UNSUPPORTED          = 7,
};

struct nvsp_init {
	uint32_t type;
	uint32_t version_min;
	uint32_t version_max;
};
WIRE_SIZE(struct nvsp_init, 12);

struct nvsp_init_complete {
	uint32_t type;
	uint32_t version;
	uint32_t mdl_chain_max;
	uint32_t status;
};
WIRE_SIZE(struct nvsp_init_complete, 16);
WIRE_OFFSET(struct nvsp_init_complete, status, 12);

struct nvsp_ndis_version {
	uint32_t type;
	uint32_t major;
	uint32_t minor;
};
WIRE_SIZE(struct nvsp_ndis_version, 12);

/* NVSP_RECEIVE_BUFFER, NVSP_SEND_BUFFER */
struct nvsp_buffer {
	uint32_t type;
	uint32_t gpadl;
	uint16_t id;
	uint16_t rsvd;
};
WIRE_SIZE(struct nvsp_buffer, 12);
WIRE_OFFSET(struct nvsp_buffer, id, 8);

/* NVSP_REVOKE_RECEIVE_BUFFER, NVSP_REVOKE_SEND_BUFFER */
struct nvsp_revoke {
	uint32_t type;
	uint16_t id;
	uint16_t rsvd;
};
WIRE_SIZE(struct nvsp_revoke, 8);

struct nvsp_receive_buffer_complete {
	uint32_t type;
	uint32_t status;
	uint32_t section_count;		/* 1, and it begins at 0: guests take nothing else */
	uint32_t offset;
	uint32_t suballoc_bytes;
	uint32_t suballoc_count;
	uint32_t end_offset;
};
WIRE_SIZE(struct nvsp_receive_buffer_complete, 28);
WIRE_OFFSET(struct nvsp_receive_buffer_complete, suballoc_bytes, 16);
WIRE_OFFSET(struct nvsp_receive_buffer_complete, end_offset, 24);

struct nvsp_send_buffer_complete {
	uint32_t type;
	uint32_t status;
	uint32_t section_bytes;
};
WIRE_SIZE(struct nvsp_send_buffer_complete, 12);

#define NVSP_CHANNEL_DATA    0u
#define NVSP_CHANNEL_CONTROL 1u
#define NVSP_SECTION_NONE    0xffffffffu

struct nvsp_rndis_packet {
	uint32_t type;
	uint32_t channel;		/* NVSP_CHANNEL_... */
	uint32_t section;		/* of the send buffer, or NVSP_SECTION_NONE */
	uint32_t section_bytes;
};
WIRE_SIZE(struct nvsp_rndis_packet, 16);

/* Completion with nothing but a status */
struct nvsp_status_message {
	uint32_t type;
	uint32_t status;
};
WIRE_SIZE(struct nvsp_status_message, 8);

#define NVSP_CAPABILITY_VMQ        0x01u
#define NVSP_CAPABILITY_SRIOV      0x04u
#define NVSP_CAPABILITY_IEEE8021Q  0x08u
#define NVSP_CAPABILITY_TEAMING    0x20u
#define NVSP_CAPABILITY_RSC        0x80u

struct nvsp_ndis_config {
	uint32_t type;
	uint32_t mtu;			/* with the Ethernet header */
	uint32_t rsvd;
	uint32_t capabilities;		/* a 64-bit field that is not aligned */
	uint32_t capabilities_high;
};
WIRE_SIZE(struct nvsp_ndis_config, 20);
WIRE_OFFSET(struct nvsp_ndis_config, capabilities, 12);

struct nvsp_switch_data_path {
	uint32_t type;
	uint32_t active;		/* 0 synthetic, 1 VF */
};
WIRE_SIZE(struct nvsp_switch_data_path, 8);

struct nvsp_oid_query_ex_complete {
	uint32_t type;
	uint32_t status;		/* NDIS_STATUS_... */
	uint32_t bytes;
};
WIRE_SIZE(struct nvsp_oid_query_ex_complete, 12);

#define NVSP_SUBCHANNEL_ALLOCATE 1u

struct nvsp_subchannel {
	uint32_t type;
	uint32_t operation;		/* in the completion: status */
	uint32_t count;
};
WIRE_SIZE(struct nvsp_subchannel, 12);

/* The table of guest's transmit channels. At offset 40: up to version 6.0 guests look nowhere else. */
#define NVSP_INDIRECTION_COUNT 16u

struct nvsp_indirection_table {
	uint32_t type;
	uint32_t count;
	uint32_t offset;
	uint32_t rsvd[7];
	uint32_t channel[NVSP_INDIRECTION_COUNT];
};
WIRE_SIZE(struct nvsp_indirection_table, 104);
WIRE_OFFSET(struct nvsp_indirection_table, channel, 40);

/* ---- RNDIS ---- */

enum rndis_type {
	RNDIS_PACKET              = 0x1,
	RNDIS_INITIALIZE          = 0x2,
	RNDIS_HALT                = 0x3,
	RNDIS_QUERY               = 0x4,
	RNDIS_SET                 = 0x5,
	RNDIS_RESET               = 0x6,
	RNDIS_INDICATE            = 0x7,
	RNDIS_KEEPALIVE           = 0x8,
};
#define RNDIS_COMPLETE 0x80000000u	/* added to the type of a request */

#define RNDIS_OFFSET_BASE 8u		/* where offsets count from */

struct rndis_header {
	uint32_t type;
	uint32_t bytes;			/* of the whole message */
};
WIRE_SIZE(struct rndis_header, 8);

struct rndis_packet {
	struct rndis_header header;
	uint32_t data_offset;
	uint32_t data_bytes;
	uint32_t oob_offset;
	uint32_t oob_bytes;
	uint32_t oob_count;
	uint32_t ppi_offset;
	uint32_t ppi_bytes;
	uint32_t vc;
	uint32_t rsvd;
};
WIRE_SIZE(struct rndis_packet, 44);
WIRE_OFFSET(struct rndis_packet, data_offset, 8);
WIRE_OFFSET(struct rndis_packet, data_bytes, 12);
WIRE_OFFSET(struct rndis_packet, ppi_offset, 28);
WIRE_OFFSET(struct rndis_packet, ppi_bytes, 32);

struct rndis_initialize {
	struct rndis_header header;
	uint32_t request_id;
	uint32_t major;
	uint32_t minor;
	uint32_t transfer_max;
};
WIRE_SIZE(struct rndis_initialize, 24);

struct rndis_initialize_complete {
	struct rndis_header header;
	uint32_t request_id;
	uint32_t status;
	uint32_t major;
	uint32_t minor;
	uint32_t device_flags;		/* 1: connectionless */
	uint32_t medium;		/* 0: 802.3 */
	uint32_t packets_max;		/* in one transfer */
	uint32_t transfer_max;
	uint32_t alignment_log2;
	uint32_t af_list_offset;
	uint32_t af_list_bytes;
};
WIRE_SIZE(struct rndis_initialize_complete, 52);
WIRE_OFFSET(struct rndis_initialize_complete, packets_max, 32);
WIRE_OFFSET(struct rndis_initialize_complete, alignment_log2, 40);

/* RNDIS_QUERY, RNDIS_SET */
struct rndis_request {
	struct rndis_header header;
	uint32_t request_id;
	uint32_t oid;
	uint32_t info_bytes;
	uint32_t info_offset;
	uint32_t vc;
};
WIRE_SIZE(struct rndis_request, 28);

struct rndis_query_complete {
	struct rndis_header header;
	uint32_t request_id;
	uint32_t status;
	uint32_t info_bytes;
	uint32_t info_offset;
};
WIRE_SIZE(struct rndis_query_complete, 24);

/* RNDIS_SET | RNDIS_COMPLETE, RNDIS_KEEPALIVE | RNDIS_COMPLETE */
struct rndis_status_complete {
	struct rndis_header header;
	uint32_t request_id;
	uint32_t status;
};
WIRE_SIZE(struct rndis_status_complete, 16);

struct rndis_reset_complete {
	struct rndis_header header;
	uint32_t status;
	uint32_t addressing_reset;
};
WIRE_SIZE(struct rndis_reset_complete, 16);

struct rndis_keepalive {
	struct rndis_header header;
	uint32_t request_id;
};
WIRE_SIZE(struct rndis_keepalive, 12);

struct rndis_indicate {
	struct rndis_header header;
	uint32_t status;
	uint32_t buffer_bytes;
	uint32_t buffer_offset;
};
WIRE_SIZE(struct rndis_indicate, 20);

/* Per-packet information: a chain inside RNDIS_PACKET, each entry `bytes` long with its data at `offset`. */
struct rndis_ppi {
	uint32_t bytes;
	uint32_t type;			/* RNDIS_PPI_... */
	uint32_t offset;
};
WIRE_SIZE(struct rndis_ppi, 12);

#define RNDIS_PPI_CHECKSUM 0u
#define RNDIS_PPI_LSO      2u
#define RNDIS_PPI_VLAN     6u
#define RNDIS_PPI_HASH     8u

/* RNDIS_PPI_CHECKSUM, guest to host; bits 16..25: offset of the transport header */
#define RNDIS_CHECKSUM_TX_IPV4      0x01u
#define RNDIS_CHECKSUM_TX_IPV6      0x02u
#define RNDIS_CHECKSUM_TX_TCP       0x04u
#define RNDIS_CHECKSUM_TX_UDP       0x08u
#define RNDIS_CHECKSUM_TX_IP_HEADER 0x10u
#define RNDIS_CHECKSUM_TX_OFFSET(w) (((w) >> 16) & 0x3ffu)
/* host to guest */
#define RNDIS_CHECKSUM_RX_TCP_FAILED 0x01u
#define RNDIS_CHECKSUM_RX_UDP_FAILED 0x02u
#define RNDIS_CHECKSUM_RX_IP_FAILED  0x04u
#define RNDIS_CHECKSUM_RX_TCP_GOOD   0x08u
#define RNDIS_CHECKSUM_RX_UDP_GOOD   0x10u
#define RNDIS_CHECKSUM_RX_IP_GOOD    0x20u
/* RNDIS_PPI_LSO */
#define RNDIS_LSO_MSS(w)    ((w) & 0xfffffu)
#define RNDIS_LSO_OFFSET(w) (((w) >> 20) & 0x3ffu)
#define RNDIS_LSO_V2        0x40000000u
#define RNDIS_LSO_IPV6      0x80000000u
/* RNDIS_PPI_VLAN: priority 0..2, CFI 3, identifier 4..15; the tag itself has them the other way round */
#define RNDIS_VLAN_TO_TCI(w)   ((uint16_t)(((w) & 7u) << 13 | ((w) & 8u) << 9 | (((w) >> 4) & 0xfffu)))
#define RNDIS_VLAN_FROM_TCI(t) (((uint32_t)(t) >> 13 & 7u) | ((uint32_t)(t) >> 9 & 8u) | ((uint32_t)(t) & 0xfffu) << 4)

/* ---- NDIS ---- */

#define NDIS_STATUS_SUCCESS          0x00000000u
#define NDIS_STATUS_FAILURE          0xc0000001u
#define NDIS_STATUS_NOT_SUPPORTED    0xc00000bbu
#define NDIS_STATUS_BAD_VERSION      0xc0010004u
#define NDIS_STATUS_MULTICAST_FULL   0xc0010009u
#define NDIS_STATUS_INVALID_LENGTH   0xc0010014u
#define NDIS_STATUS_INVALID_DATA     0xc0010015u
#define NDIS_STATUS_BUFFER_TOO_SHORT 0xc0010016u

#define NDIS_STATUS_MEDIA_CONNECT     0x4001000bu
#define NDIS_STATUS_MEDIA_DISCONNECT  0x4001000cu
#define NDIS_STATUS_LINK_SPEED_CHANGE 0x40010013u
#define NDIS_STATUS_NETWORK_CHANGE    0x40010018u

#define NDIS_FILTER_DIRECTED      0x01u
#define NDIS_FILTER_MULTICAST     0x02u
#define NDIS_FILTER_ALL_MULTICAST 0x04u
#define NDIS_FILTER_BROADCAST     0x08u
#define NDIS_FILTER_PROMISCUOUS   0x20u

#define OID_GEN_SUPPORTED_LIST          0x00010101u
#define OID_GEN_HARDWARE_STATUS         0x00010102u
#define OID_GEN_MEDIA_SUPPORTED         0x00010103u
#define OID_GEN_MEDIA_IN_USE            0x00010104u
#define OID_GEN_MAXIMUM_LOOKAHEAD       0x00010105u
#define OID_GEN_MAXIMUM_FRAME_SIZE      0x00010106u
#define OID_GEN_LINK_SPEED              0x00010107u
#define OID_GEN_TRANSMIT_BUFFER_SPACE   0x00010108u
#define OID_GEN_RECEIVE_BUFFER_SPACE    0x00010109u
#define OID_GEN_TRANSMIT_BLOCK_SIZE     0x0001010au
#define OID_GEN_RECEIVE_BLOCK_SIZE      0x0001010bu
#define OID_GEN_VENDOR_ID               0x0001010cu
#define OID_GEN_VENDOR_DESCRIPTION      0x0001010du
#define OID_GEN_CURRENT_PACKET_FILTER   0x0001010eu
#define OID_GEN_CURRENT_LOOKAHEAD       0x0001010fu
#define OID_GEN_DRIVER_VERSION          0x00010110u
#define OID_GEN_MAXIMUM_TOTAL_SIZE      0x00010111u
#define OID_GEN_PROTOCOL_OPTIONS        0x00010112u
#define OID_GEN_MAC_OPTIONS             0x00010113u
#define OID_GEN_MEDIA_CONNECT_STATUS    0x00010114u
#define OID_GEN_MAXIMUM_SEND_PACKETS    0x00010115u
#define OID_GEN_VENDOR_DRIVER_VERSION   0x00010116u
#define OID_GEN_NETWORK_LAYER_ADDRESSES 0x00010118u
#define OID_GEN_TRANSPORT_HEADER_OFFSET 0x00010119u
#define OID_GEN_PHYSICAL_MEDIUM         0x00010202u
#define OID_GEN_RECEIVE_SCALE_CAPABILITIES 0x00010203u
#define OID_GEN_RECEIVE_SCALE_PARAMETERS 0x00010204u
#define OID_GEN_LINK_PARAMETERS         0x00010208u
#define OID_GEN_MACHINE_NAME            0x0001021au
#define OID_GEN_RNDIS_CONFIG_PARAMETER  0x0001021bu
#define OID_GEN_XMIT_OK                 0x00020101u
#define OID_GEN_RCV_OK                  0x00020102u
#define OID_GEN_XMIT_ERROR              0x00020103u
#define OID_GEN_RCV_ERROR               0x00020104u
#define OID_GEN_RCV_NO_BUFFER           0x00020105u
#define OID_GEN_STATISTICS              0x00020106u
#define OID_GEN_DIRECTED_BYTES_XMIT     0x00020201u
#define OID_GEN_DIRECTED_FRAMES_XMIT    0x00020202u
#define OID_GEN_MULTICAST_BYTES_XMIT    0x00020203u
#define OID_GEN_MULTICAST_FRAMES_XMIT   0x00020204u
#define OID_GEN_BROADCAST_BYTES_XMIT    0x00020205u
#define OID_GEN_BROADCAST_FRAMES_XMIT   0x00020206u
#define OID_GEN_DIRECTED_BYTES_RCV      0x00020207u
#define OID_GEN_DIRECTED_FRAMES_RCV     0x00020208u
#define OID_GEN_MULTICAST_BYTES_RCV     0x00020209u
#define OID_GEN_MULTICAST_FRAMES_RCV    0x0002020au
#define OID_GEN_BROADCAST_BYTES_RCV     0x0002020bu
#define OID_GEN_BROADCAST_FRAMES_RCV    0x0002020cu
#define OID_GEN_RCV_CRC_ERROR           0x0002020du
#define OID_GEN_TRANSMIT_QUEUE_LENGTH   0x0002020eu
#define OID_GEN_FRIENDLY_NAME           0x00020216u
#define OID_802_3_PERMANENT_ADDRESS     0x01010101u
#define OID_802_3_CURRENT_ADDRESS       0x01010102u
#define OID_802_3_MULTICAST_LIST        0x01010103u
#define OID_802_3_MAXIMUM_LIST_SIZE     0x01010104u
#define OID_802_3_RCV_ERROR_ALIGNMENT   0x01020101u
#define OID_802_3_XMIT_ONE_COLLISION    0x01020102u
#define OID_802_3_XMIT_MORE_COLLISIONS  0x01020103u
#define OID_OFFLOAD_ENCAPSULATION       0x0101010au
#define OID_TCP_OFFLOAD_CURRENT_CONFIG  0xfc01020bu
#define OID_TCP_OFFLOAD_PARAMETERS      0xfc01020cu
#define OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES 0xfc01020du

struct ndis_object_header {
	uint8_t type;
	uint8_t revision;
	uint16_t bytes;
};
WIRE_SIZE(struct ndis_object_header, 4);

#define NDIS_OBJECT_DEFAULT                0x80u
#define NDIS_OBJECT_RSS_CAPABILITIES       0x88u
#define NDIS_OBJECT_RSS_PARAMETERS         0x89u
#define NDIS_OBJECT_OFFLOAD                0xa7u
#define NDIS_OBJECT_OFFLOAD_ENCAPSULATION  0xa8u

#define NDIS_ENCAPSULATION_802_3 0x2u

/* Checksum capabilities of one IP version and direction */
#define NDIS_CHECKSUM_IP_OPTIONS  0x001u	/* IPv6: extension headers */
#define NDIS_CHECKSUM_TCP_OPTIONS 0x004u
#define NDIS_CHECKSUM_TCP         0x010u
#define NDIS_CHECKSUM_UDP         0x040u
#define NDIS_CHECKSUM_IP_HEADER   0x100u	/* IPv4 only */

#define NDIS_LSO_V6_EXTENSION_HEADERS 0x1u
#define NDIS_LSO_V6_TCP_OPTIONS       0x4u

struct ndis_offload {
	struct ndis_object_header header;
	uint32_t ip4_tx_encapsulation, ip4_tx_checksum;
	uint32_t ip4_rx_encapsulation, ip4_rx_checksum;
	uint32_t ip6_tx_encapsulation, ip6_tx_checksum;
	uint32_t ip6_rx_encapsulation, ip6_rx_checksum;
	uint32_t lso_v1[4];
	uint32_t ipsec_v1[7];
	uint32_t lso4_encapsulation, lso4_bytes_max, lso4_segments_min;
	uint32_t lso6_encapsulation, lso6_bytes_max, lso6_segments_min, lso6_options;
	uint32_t flags;			/* revision 1 ends here */
	uint32_t ipsec_v2[8];		/* revision 2 ends here */
	uint8_t rsc_ip4, rsc_ip6;
	uint8_t rsvd[2];
	uint32_t encapsulated[2];
};
WIRE_SIZE(struct ndis_offload, 156);
WIRE_OFFSET(struct ndis_offload, ip6_tx_checksum, 24);
WIRE_OFFSET(struct ndis_offload, lso4_encapsulation, 80);
WIRE_OFFSET(struct ndis_offload, lso6_options, 104);
WIRE_OFFSET(struct ndis_offload, ipsec_v2, 112);
WIRE_OFFSET(struct ndis_offload, rsc_ip4, 144);
#define NDIS_OFFLOAD_BYTES_REVISION_1 112u
#define NDIS_OFFLOAD_BYTES_REVISION_2 144u
#define NDIS_OFFLOAD_BYTES_REVISION_3 156u

/* What to do with one checksum offload, and with one LSO or RSC */
enum ndis_offload_direction {
	NDIS_OFFLOAD_NO_CHANGE = 0,
	NDIS_OFFLOAD_OFF       = 1,
	NDIS_OFFLOAD_TX        = 2,
	NDIS_OFFLOAD_RX        = 3,
	NDIS_OFFLOAD_TX_RX     = 4,
};
#define NDIS_OFFLOAD_ON 2u
#define NDIS_OFFLOAD_SET_ON 1u		/* of ndis_offload_encapsulation, which counts differently */

struct ndis_offload_parameters {
	struct ndis_object_header header;
	uint8_t ip4, tcp4, udp4, tcp6, udp6;
	uint8_t lso_v1, ipsec, lso4, lso6;
	uint8_t tcp_connection4, tcp_connection6;
	uint8_t rsvd1;
	uint32_t flags;
	uint8_t ipsec_v2, ipsec_v2_ip4;	/* revision 2 ends here */
	uint8_t rsc4, rsc6;
	uint8_t encapsulated, encapsulation_types;
	uint8_t rsvd2[2];
};
WIRE_SIZE(struct ndis_offload_parameters, 28);
WIRE_OFFSET(struct ndis_offload_parameters, lso4, 11);
WIRE_OFFSET(struct ndis_offload_parameters, rsc4, 22);
#define NDIS_OFFLOAD_PARAMETERS_BYTES_MIN 15u	/* without flags */

struct ndis_offload_encapsulation {
	struct ndis_object_header header;
	uint32_t ip4_set, ip4_type, ip4_header_bytes;
	uint32_t ip6_set, ip6_type, ip6_header_bytes;
};
WIRE_SIZE(struct ndis_offload_encapsulation, 28);

/* Sent as 18 bytes: guests refuse the padded 20. */
struct ndis_rss_capabilities {
	struct ndis_object_header header;
	uint32_t flags;
	uint32_t interrupt_count;
	uint32_t queue_count;
	uint16_t table_count;
	uint16_t rsvd;
};
WIRE_SIZE(struct ndis_rss_capabilities, 20);
WIRE_OFFSET(struct ndis_rss_capabilities, table_count, 16);
#define NDIS_RSS_CAPABILITIES_BYTES 18u

#define NDIS_RSS_CAPABILITY_TOEPLITZ 0x00000001u
#define NDIS_RSS_CAPABILITY_TCP_IPV4 0x00000100u
#define NDIS_RSS_CAPABILITY_TCP_IPV6 0x00000200u

#define NDIS_RSS_KEEP_HASH  0x02u	/* flags: leave this as it is */
#define NDIS_RSS_KEEP_TABLE 0x04u
#define NDIS_RSS_KEEP_KEY   0x08u
#define NDIS_RSS_DISABLE    0x10u

#define NDIS_HASH_FUNCTION_MASK 0xffu
#define NDIS_HASH_TOEPLITZ      0x01u
#define NDIS_HASH_IPV4          0x0100u
#define NDIS_HASH_TCP_IPV4      0x0200u
#define NDIS_HASH_IPV6          0x0400u
#define NDIS_HASH_TCP_IPV6      0x1000u

#define NDIS_RSS_KEY_BYTES 40u
#define NDIS_RSS_TABLE_MAX 128u

/* Followed by the table (a channel number each, uint32_t) and the key, where the offsets say. */
struct ndis_rss_parameters {
	struct ndis_object_header header;
	uint16_t flags;
	uint16_t base_cpu;
	uint32_t hash;
	uint16_t table_bytes;
	uint16_t rsvd1;
	uint32_t table_offset;
	uint16_t key_bytes;
	uint16_t rsvd2;
	uint32_t key_offset;
	uint32_t processor_masks_offset;
	uint32_t processor_mask_count;
	uint32_t processor_mask_bytes;
};
WIRE_SIZE(struct ndis_rss_parameters, 40);
WIRE_OFFSET(struct ndis_rss_parameters, table_bytes, 12);
WIRE_OFFSET(struct ndis_rss_parameters, table_offset, 16);
WIRE_OFFSET(struct ndis_rss_parameters, key_bytes, 20);
WIRE_OFFSET(struct ndis_rss_parameters, key_offset, 24);

/* OID_GEN_RNDIS_CONFIG_PARAMETER: a name and a value in UTF-16, at offsets from the start of this structure */
struct rndis_config_parameter {
	uint32_t name_offset, name_bytes;
	uint32_t value_type;		/* 0 integer, 2 string */
	uint32_t value_offset, value_bytes;
};
WIRE_SIZE(struct rndis_config_parameter, 20);
#define RNDIS_CONFIG_STRING 2u

#define NDIS_STATISTICS_VALID_ALL 0x003f87ffu	/* which fields are valid: all of them */

struct ndis_statistics {
	struct ndis_object_header header;
	uint32_t valid;
	uint64_t in_discards, in_errors;
	uint64_t in_octets, in_unicast_frames, in_multicast_frames, in_broadcast_frames;
	uint64_t out_octets, out_unicast_frames, out_multicast_frames, out_broadcast_frames;
	uint64_t out_errors, out_discards;
	uint64_t in_unicast_octets, in_multicast_octets, in_broadcast_octets;
	uint64_t out_unicast_octets, out_multicast_octets, out_broadcast_octets;
};
WIRE_SIZE(struct ndis_statistics, 152);

#endif
