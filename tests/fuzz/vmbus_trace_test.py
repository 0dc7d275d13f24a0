# SPDX-License-Identifier: Apache-2.0
"""Traces as they come: whole, cut off, with half a record in the middle because a worker was killed."""

import struct
import unittest
import uuid

import seeds_traffic
import vmbus_trace as trace

SCSI = uuid.UUID("ba6163d9-04a1-4d29-b605-72e2ffb1dc7f")
NIC = uuid.UUID("f8615163-df3e-46c5-913f-f2d2f965ed0e")


def record(kind, relid, body):
    return struct.pack("<IHHQ", 16 + len(body), kind, relid, 1) + body


def start():
    return record(trace.START, 0, struct.pack("<8sII", b"ucvbustr", 1, 2))


def opened(relid, interface, index=0):
    return record(trace.OPEN, relid, interface.bytes_le + bytes(16) + struct.pack("<H6x", index))


def packet(kind, relid, payload, data=b"", packet_type=trace.IN_BAND):
    raw = struct.pack("<HHHHQ", packet_type, 2, 2 + len(payload) // 8, 1, 7) + payload
    return record(kind, relid, struct.pack("<IIQ", len(raw), len(data), len(data)) + raw + data)


class Reader(unittest.TestCase):
    def test_packets_know_their_channel_and_their_data(self):
        found = trace.records(start() + opened(5, SCSI) + packet(trace.PACKET_IN, 5, b"12345678", b"memory"))
        self.assertEqual([r.kind for r in found], [trace.START, trace.OPEN, trace.PACKET_IN])
        self.assertEqual(found[2].channel.device, "scsi")
        self.assertEqual((found[2].packet.payload, found[2].packet.data), (b"12345678", b"memory"))
        self.assertEqual(found[2].packet.transaction, 7)

    def test_data_of_a_device_belongs_to_the_last_packet_of_its_channel(self):
        found = trace.records(start() + opened(5, NIC) + opened(6, NIC, 1) + packet(trace.PACKET_IN, 5, bytes(8)) +
                              packet(trace.PACKET_IN, 6, bytes(8)) + record(trace.DATA, 5, b"section"))
        self.assertEqual([r.packet.data for r in found if r.packet], [b"section", b""])

    def test_reading_goes_on_behind_half_a_record(self):
        half = packet(trace.PACKET_IN, 5, bytes(64))[:40]
        found = trace.records(start() + opened(5, SCSI) + half + start() + opened(7, NIC))
        self.assertEqual([r.kind for r in found], [trace.START, trace.OPEN, trace.START, trace.OPEN])

    def test_every_cut_off_trace_is_read(self):
        whole = start() + opened(5, SCSI) + packet(trace.PACKET_IN, 5, bytes(64), bytes(20))
        for size in range(len(whole)):
            self.assertLess(len(trace.records(whole[:size])), 3)

    def test_another_version_is_refused(self):
        with self.assertRaisesRegex(ValueError, "version 9"):
            trace.records(record(trace.START, 0, struct.pack("<8sII", b"ucvbustr", 9, 2)))


class Seeds(unittest.TestCase):
    def test_a_read_is_folded_into_the_targets_disk(self):
        read10 = struct.pack(">BBIBHB", 0x28, 0, 0x12345678, 0, 8, 0)
        payload = struct.pack("<III", 3, 1, 0) + struct.pack("<HBBBBBBBBBBI", 52, 0, 0, 0, 0, 0, 0, 10, 20, 1, 0, 4096) + read10
        records = trace.records(start() + opened(5, SCSI) + packet(trace.PACKET_IN, 5, payload.ljust(64, b"\0"), bytes(100)))
        seed, = seeds_traffic.storvsp(records)
        block, count = struct.unpack_from(">I", seed, 5 + 28 + 2)[0], 8
        self.assertLessEqual(block + count, seeds_traffic.DISK_BLOCKS)

    def test_a_message_that_was_cut_off_is_made_whole(self):
        message = struct.pack("<IIIIIIIIIII", 1, 2000, 36, 1956, 0, 0, 0, 0, 0, 0, 0) + bytes(456)
        payload = struct.pack("<IIII", 107, 0, 0xffffffff, 0).ljust(40, b"\0")
        records = trace.records(start() + opened(5, NIC) + packet(trace.PACKET_IN, 5, payload, message, trace.GPA_DIRECT))
        seed = next(seeds_traffic.rndis(records))
        kind, _, size, message_type, message_bytes, offset, count = struct.unpack_from("<BBHIIII", seed, 1)
        self.assertEqual((kind, size, message_type, message_bytes, offset), (1, 500, 1, 500, 36))
        self.assertEqual(count, 500 - 44)


if __name__ == "__main__":
    unittest.main()
