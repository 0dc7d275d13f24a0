#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads traces of a guest's VMBus (schemas/vmbus/vmbus_trace.h), and prints them: vmbus_trace.py FILE [-v] [-c DEVICE].

A worker that was killed may leave half a record; reading goes on at the next start.
"""

import argparse
import dataclasses
import struct
import sys
import uuid

START, MESSAGE_IN, MESSAGE_OUT, OPEN, CLOSE, PACKET_IN, PACKET_OUT, DATA = range(1, 9)
MAGIC = b"ucvbustr"
VERSION = 1
IN_BAND, TRANSFER_PAGES, GPA_DIRECT, COMPLETION = 6, 7, 9, 11
COMPLETION_REQUESTED = 1

HEADER = struct.Struct("<IHHQ")
START_BODY = struct.Struct("<8sII")
OPEN_BODY = struct.Struct("<16s16sH6x")
PACKET_BODY = struct.Struct("<IIQ")
DESCRIPTOR = struct.Struct("<HHHHQ")

DEVICES = {
    "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f": "scsi", "f8615163-df3e-46c5-913f-f2d2f965ed0e": "nic",
    "57164f39-9115-4e78-ab55-382f3bd5422d": "heartbeat", "0e0b6031-5213-4934-818b-38d90ced39db": "shutdown",
    "9527e630-d0ae-497b-adce-e80ab0175caf": "timesync", "a9a0f4e7-5a45-4d96-b827-8a841e8c03e6": "kvp",
    "35fa2e29-ea23-4236-96ae-3a6ebacba440": "vss", "34d14be3-dee4-41c8-9ae7-6b174977c192": "fcopy",
    "525074dc-8985-46e2-8057-a307dc18a502": "memory", "f912ad6d-2b17-48ea-bd65-f927a61c7684": "keyboard",
}
MESSAGES = ("INVALID", "OFFER_CHANNEL", "RESCIND_CHANNEL_OFFER", "REQUEST_OFFERS", "ALL_OFFERS_DELIVERED", "OPEN_CHANNEL",
            "OPEN_CHANNEL_RESULT", "CLOSE_CHANNEL", "GPADL_HEADER", "GPADL_BODY", "GPADL_CREATED", "GPADL_TEARDOWN",
            "GPADL_TORNDOWN", "RELID_RELEASED", "INITIATE_CONTACT", "VERSION_RESPONSE", "UNLOAD", "UNLOAD_RESPONSE", "18",
            "19", "20", "TL_CONNECT_REQUEST", "MODIFY_CHANNEL", "TL_CONNECT_RESULT", "MODIFY_CHANNEL_RESPONSE")
PACKETS = {IN_BAND: "in-band", TRANSFER_PAGES: "transfer", GPA_DIRECT: "gpa-direct", COMPLETION: "completion"}


@dataclasses.dataclass
class Packet:
    type: int
    flags: int
    transaction: int
    raw: bytes				# as in the ring, descriptor included
    payload: bytes
    range_bytes: int
    data: bytes				# the beginning of what the packet names: by its ranges, or in a buffer of the device


@dataclasses.dataclass
class Channel:
    relid: int
    interface: uuid.UUID
    instance: uuid.UUID
    index: int

    @property
    def device(self):
        return DEVICES.get(str(self.interface), "socket")


@dataclasses.dataclass
class Record:
    kind: int
    relid: int
    time_ns: int
    body: bytes
    channel: Channel | None = None	# of what belongs to one
    packet: Packet | None = None

    @property
    def message_type(self):
        return int.from_bytes(self.body[:4], "little")


def _packet(body):
    packet_bytes, data_bytes, range_bytes = PACKET_BODY.unpack_from(body)
    raw = body[PACKET_BODY.size:PACKET_BODY.size + packet_bytes]
    data = body[PACKET_BODY.size + packet_bytes:]
    if len(raw) < DESCRIPTOR.size or len(raw) != packet_bytes or len(data) != data_bytes:
        raise ValueError("a packet record whose sizes contradict each other")
    kind, payload_offset8, _, flags, transaction = DESCRIPTOR.unpack_from(raw)
    return Packet(kind, flags, transaction, raw, raw[payload_offset8 * 8:], range_bytes, data)


def _next_start(data, at, end):
    """Where a START record begins in [at, end), or -1."""
    while (at := data.find(MAGIC, at + HEADER.size, end)) >= 0:
        at -= HEADER.size
        if HEADER.unpack_from(data, at)[:3] == (HEADER.size + START_BODY.size, START, 0):
            break
        at += 1
    return at


def _raw_records(data):
    at = 0
    while at + HEADER.size <= len(data):
        size, kind, relid, time_ns = HEADER.unpack_from(data, at)
        is_whole = HEADER.size <= size <= len(data) - at and START <= kind <= DATA
        inner = _next_start(data, at + 1, at + size if is_whole else len(data))
        if inner >= 0:
            at = inner
        elif is_whole:
            yield Record(kind, relid, time_ns, data[at + HEADER.size:at + size])
            at += size
        else:
            return			# still being written


def records(data):
    """The records of a trace's bytes. Those of packets that lie in a buffer of the device are joined to their packet."""
    channels, last = {}, {}
    found = []
    for record in _raw_records(data):
        if record.kind == START:
            version = START_BODY.unpack_from(record.body)[1]
            if version != VERSION:
                raise ValueError(f"version {version} of the trace is unknown")
            channels.clear()
            last.clear()
        elif record.kind == OPEN:
            interface, instance, index = OPEN_BODY.unpack_from(record.body)
            channels[record.relid] = Channel(record.relid, uuid.UUID(bytes_le=interface), uuid.UUID(bytes_le=instance), index)
        record.channel = channels.get(record.relid)
        if record.kind in (PACKET_IN, PACKET_OUT):
            record.packet = _packet(record.body)
        if record.kind == PACKET_IN:
            last[record.relid] = record
        if record.kind == DATA:
            if record.relid in last:
                last[record.relid].packet.data = record.body
            continue
        found.append(record)
    return found


def _hex(data, indent):
    lines = []
    for at in range(0, len(data), 16):
        row = data[at:at + 16]
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append(f"{indent}{at:04x}  {row.hex(' '):<48} {text}")
    return "\n".join(lines)


def _describe(record):
    if record.kind == START:
        return "start", f"{START_BODY.unpack_from(record.body)[2]} processors"
    if record.kind in (MESSAGE_IN, MESSAGE_OUT):
        kind = record.message_type
        return "<- guest" if record.kind == MESSAGE_IN else "-> guest", MESSAGES[kind] if kind < len(MESSAGES) else str(kind)
    name = f"{record.channel.device}.{record.channel.index}" if record.channel else "?"
    if record.kind in (OPEN, CLOSE):
        return "open" if record.kind == OPEN else "close", f"{name} {record.channel.instance if record.channel else ''}"
    packet = record.packet
    text = f"{name} {PACKETS.get(packet.type, packet.type)} {packet.transaction:#x} payload {len(packet.payload)}"
    if packet.range_bytes:
        text += f" memory {packet.range_bytes}"
    if packet.flags & COMPLETION_REQUESTED:
        text += " wants-completion"
    return "<- guest" if record.kind == PACKET_IN else "-> guest", text


def main():
    parser = argparse.ArgumentParser(description="Prints a trace of a guest's VMBus.")
    parser.add_argument("file")
    parser.add_argument("-v", "--verbose", action="store_true", help="the bytes too")
    parser.add_argument("-c", "--channel", metavar="DEVICE", help="only this kind of device: scsi, nic, kvp, socket ...")
    args = parser.parse_args()
    with open(args.file, "rb") as file:
        found = records(file.read())
    began = found[0].time_ns if found else 0
    for record in found:
        if args.channel and (not record.channel or record.channel.device != args.channel):
            continue
        what, text = _describe(record)
        print(f"{(record.time_ns - began) / 1e9:12.6f} {record.relid:4} {what:<8} {text}")
        if args.verbose and record.packet:
            print(_hex(record.packet.payload, " " * 8))
            if record.packet.data:
                print(" " * 8 + "memory:")
                print(_hex(record.packet.data, " " * 8))
        elif args.verbose and record.kind in (MESSAGE_IN, MESSAGE_OUT):
            print(_hex(record.body, " " * 8))


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.stderr.close()
    except (OSError, ValueError) as error:
        sys.exit(f"vmbus_trace.py: {error}")
