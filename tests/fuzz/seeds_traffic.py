# SPDX-License-Identifier: Apache-2.0
"""Recorded traffic of guests as inputs of the fuzz targets: a function for each target, from the records of a trace
(vmbus_trace.py) to many candidates. The input formats are those of the *_fuzz.c beside this file; what they hold besides the
guest's own bytes (when the host acts, when time passes) is made from the host's side of the trace. Page numbers, blocks and
names of buffers are changed to those that the target's small world has.
"""

import struct

import vmbus_trace as trace

WINDOW = 48				# packets in one input
STEP = 40
WINDOWS_MAX = 150			# of one channel
INPUT_BYTES_MAX = 4000
RING_RECORDS_MAX = 2000

SCSI_WRITES = (0x0a, 0x2a, 0x8a, 0xaa)
# Reads and writes of 6, 10 and 16 bytes: where the block's number is in the CDB, where the count is.
SCSI_BLOCKS = {code: place for codes, place in (((0x08, 0x0a), (slice(1, 4), slice(4, 5))), ((0x28, 0x2a), (slice(2, 6), slice(7, 9))),
                                                ((0x88, 0x8a), (slice(2, 10), slice(10, 14)))) for code in codes}
SRB_CDB = 12 + 16			# in a packet
SRB_DATA_IN = 12 + 10			# 0: to the device
DISK_BLOCKS = 256			# of the storage target's disk

NVSP_RECEIVE_BUFFER, NVSP_SEND_BUFFER, NVSP_RNDIS_PACKET = 101, 104, 107
NVSP_BUFFERS = {NVSP_RECEIVE_BUFFER: 0xe1e11, NVSP_SEND_BUFFER: 0xe1e12}	# of the bench
NVSP_CONTROL, NVSP_SECTION_NONE = 1, 0xffffffff
RNDIS_PACKET = 1
CONTROL_BYTES_MAX = 1024
NIC_CHANNELS = 3

IC_COMPONENTS = ("heartbeat", "shutdown", "timesync", "kvp", "vss", "fcopy", "keyboard")
IC_NEGOTIATE = 0

CONTACT, REQUEST_OFFERS, OPEN_CHANNEL, CLOSE_CHANNEL, GPADL_HEADER, GPADL_BODY, GPADL_TEARDOWN, RELID_RELEASED, TL_CONNECT = (
    14, 3, 5, 7, 8, 9, 11, 13, 21)


def le16(value):
    return struct.pack("<H", value)


def windows(items):
    """The beginning, then pieces of a list, all of it or spread over it."""
    step = max(STEP, len(items) // WINDOWS_MAX)
    for first in range(0, max(1, len(items)), step):
        yield first == 0, items[first:first + WINDOW]


def _chop(parts, bytes_max=INPUT_BYTES_MAX):
    """Whole steps, as many as one input may hold."""
    out = b""
    for part in parts:
        if len(out) + len(part) > bytes_max:
            break
        out += part
    return out


class Life:
    """A channel from its opening on: its packets in both directions."""

    def __init__(self, channel):
        self.channel = channel
        self.records = []
        self.closed = False

    def from_guest(self):
        return [r.packet for r in self.records if r.kind == trace.PACKET_IN]


def lives(records, device):
    """All channels of a kind of device, in the order in which they were opened."""
    found, current = [], {}
    for record in records:
        if record.kind == trace.START:
            current.clear()
        elif record.kind == trace.OPEN and record.channel.device == device:
            current[record.relid] = Life(record.channel)
            found.append(current[record.relid])
        elif record.kind == trace.OPEN:
            current.pop(record.relid, None)
        elif record.kind == trace.CLOSE and record.relid in current:
            current.pop(record.relid).closed = True
        elif record.packet and record.relid in current:
            current[record.relid].records.append(record)
    return found


# ---- storvsp


def _fold_blocks(packet):
    """The same command, within the target's disk."""
    cdb = bytearray(packet[SRB_CDB:SRB_CDB + 16])
    if cdb[0] not in SCSI_BLOCKS:
        return packet
    block, count = SCSI_BLOCKS[cdb[0]]
    room = max(DISK_BLOCKS - int.from_bytes(cdb[count], "big"), 0)
    cdb[block] = (int.from_bytes(cdb[block], "big") % (room + 1)).to_bytes(block.stop - block.start, "big")
    return packet[:SRB_CDB] + bytes(cdb) + packet[SRB_CDB + 16:]


def _storvsp_step(packet, sub):
    payload = _fold_blocks(packet.payload[:64].ljust(64, b"\0"))
    pieces = (packet.range_bytes + 0xfdff) // 0xfe00
    piece_bytes = packet.range_bytes // pieces // 512 * 512 if packet.range_bytes >= 512 else packet.range_bytes
    data = b"" if payload[SRB_CDB] in SCSI_WRITES or payload[SRB_DATA_IN] != 0 else packet.data[:127]
    return bytes((130 if sub else 0, pieces)) + piece_bytes.to_bytes(2, "big") + bytes((min(len(packet.payload), 64),)) + \
        payload + bytes((len(data),)) + data


def storvsp(records):
    for life in lives(records, "scsi"):
        sub = life.channel.index != 0
        for _, packets in windows([p for p in life.from_guest() if p.type != trace.COMPLETION]):
            parts = [b"\x05"] if sub else []
            for number, packet in enumerate(packets):
                parts.append(_storvsp_step(packet, sub) + (b"\x08" if number % 8 == 7 else b""))
            yield _chop(parts)


# ---- rndis


def _rndis_data(packet, announced):
    """The messages of a packet as far as they were recorded: one that was cut off is made shorter, or has zeroes there."""
    data = packet.data[:announced] if announced else packet.data
    if len(data) < 44 or struct.unpack_from("<I", data)[0] != RNDIS_PACKET:
        return data.ljust(min(packet.range_bytes, CONTROL_BYTES_MAX), b"\0")
    size, offset, count = struct.unpack_from("<III", data, 4)
    if size <= len(data) or offset + 8 > len(data):
        return data
    return data[:4] + struct.pack("<III", len(data), offset, min(count, len(data) - 8 - offset)) + data[16:]


def _nic_step(kind, how, data):
    return bytes((kind, how)) + le16(len(data)) + data


def _nic_packet(packet, index, number):
    kind = index % NIC_CHANNELS << 4
    if packet.type == trace.COMPLETION:
        return [_nic_step(kind | 4, 0x80, b"")]
    if len(packet.payload) < 16:
        return [_nic_step(kind | 3, 0, packet.payload)]
    message, channel, section, section_bytes = struct.unpack_from("<IIII", packet.payload)
    if message in NVSP_BUFFERS:
        payload = packet.payload[:4] + struct.pack("<I", NVSP_BUFFERS[message]) + packet.payload[8:]
        return [_nic_step(kind | 3, 0, payload)]
    if message != NVSP_RNDIS_PACKET:
        return [_nic_step(kind | 3, 0, packet.payload)]
    in_section = section != NVSP_SECTION_NONE
    data = _rndis_data(packet, section_bytes if in_section else 0)
    how = 1 | number % 100 << 1 if in_section else (number * 50 & 0xfe)
    steps = [_nic_step(kind | (0 if channel == NVSP_CONTROL else 1), how, data)]
    # What a guest sends its network may send as well.
    if channel != NVSP_CONTROL and len(data) > 60 and number % 4 == 0:
        offset = struct.unpack_from("<I", data, 8)[0] + 8
        steps.append(_nic_step(5, 0, data[offset:]))
    return steps


def rndis(records):
    for life in lives(records, "nic"):
        for is_first, packets in windows(life.from_guest()):
            parts = []
            for number, packet in enumerate(packets):
                parts += _nic_packet(packet, life.channel.index, number)
            if is_first and life.channel.index == 0:
                yield b"\x20" + _chop(parts)
            yield b"\x27" + _chop(parts)


# ---- integration components


def _ic_host_step(device, payload):
    """What makes the host ask for this."""
    if device == "keyboard":
        return bytes((7, ord("a")))
    message = struct.unpack_from("<H", payload, 12)[0]
    body = payload[28:]
    if message == IC_NEGOTIATE:
        return b""
    if device == "heartbeat":
        return bytes((6, 9))
    if device == "timesync":
        return bytes((7, 0)) if body[16] & 1 else bytes((6, 40))
    if device == "shutdown":
        flags = struct.unpack_from("<I", body, 8)[0]
        return bytes((7, (flags & 1) << 2 | (0x10 if flags & 2 else 0x11 if flags & 4 else 0) if flags & 7 else 0))
    if device == "kvp":
        index = struct.unpack_from("<I", body, 4)[0]
        return bytes((7, {0: 1, 1: 3, 2: 4, 3: 0, 4: 2, 5: 5}.get(body[0], 0))) if body[0] != 3 or index == 0 else b""
    if device == "vss":
        return bytes((7, 10)) if body[0] == 2 else bytes((7, 1)) if body[0] == 6 else b""
    return bytes((7, 0x2b)) if struct.unpack_from("<I", body)[0] == 0 else b""


def _ic_guest_step(device, packet):
    payload = packet.payload
    if device == "fcopy":
        payload = payload[:28 + 52].ljust(len(payload), b"\0")		# without the file
    given = payload.rstrip(b"\0")
    how = (packet.flags & 1) | (2 if device != "keyboard" else 0)
    return bytes((1, how)) + le16(len(payload)) + le16(len(given)) + given + b"\x05"


def _ic_steps(life):
    device = life.channel.device
    for record in life.records:
        packet = record.packet
        if record.kind == trace.PACKET_OUT and (packet.type != trace.IN_BAND or len(packet.payload) < 32):
            continue
        yield _ic_host_step(device, packet.payload) if record.kind == trace.PACKET_OUT else _ic_guest_step(device, packet)


def _short_copy(life):
    """A copy takes as many pieces as the target's file has, then it is over."""
    found = {}
    for packet in life.from_guest():
        if len(packet.payload) > 32 and struct.unpack_from("<H", packet.payload, 12)[0] != IC_NEGOTIATE:
            found.setdefault(struct.unpack_from("<I", packet.payload, 28)[0], _ic_guest_step("fcopy", packet))
    if 0 in found and 1 in found and 2 in found:
        yield bytes((7, 0x2b)) + found[0] + found[1] + found[2]
        yield bytes((7, 0x6b)) + found[0] + 3 * found[1] + found[2]
        yield bytes((7, 0x6b)) + found[0] + bytes((7, 0x80)) + found[1] + found[2]


def ic(records):
    for number, device in enumerate(IC_COMPONENTS):
        for life in lives(records, device):
            steps = [s for s in _ic_steps(life) if s]
            end = [b"\0"] if life.closed else []
            for is_first, piece in windows(steps):
                yield bytes((number, 0 if is_first else 0x10)) + _chop(piece + end)
            yield bytes((number, 0)) + _chop(steps[:2])
            if device == "fcopy":
                for copy in _short_copy(life):
                    yield bytes((number, 0x10)) + copy


# ---- dynamic memory

DM_CAPABILITIES, DM_BALLOON_REQUEST, DM_BALLOON_RESPONSE, DM_UNBALLOON_REQUEST, DM_HOT_ADD_REQUEST, DM_HOT_ADD_RESPONSE = (
    3, 6, 7, 8, 10, 11)
DM_FRAMES = 4096			# RAM of the target
DM_BYTES_MAX = 500			# a step can cost as much as there are frames


class _Memory:
    """Gives the guest's frames small numbers, one after the other."""

    def __init__(self, hot_add):
        self.hot_add = hot_add
        self.next_frame = 0

    def host_step(self, payload):
        kind = struct.unpack_from("<H", payload)[0]
        if kind == DM_BALLOON_REQUEST:
            return bytes((3, 0x04, 0))
        if kind == DM_UNBALLOON_REQUEST:
            self.next_frame = 0
            return bytes((3, 0x10, 0))
        return bytes((3, 0x18, 0)) if kind == DM_HOT_ADD_REQUEST else b""

    def guest_step(self, payload):
        payload = payload[:248]
        kind = struct.unpack_from("<H", payload)[0]
        if kind == DM_CAPABILITIES and self.hot_add:		# in pieces that the target has
            word = struct.unpack_from("<Q", payload, 8)[0] & ~0x3c | 1 << 2 | 2
            payload = payload[:8] + struct.pack("<Q", word) + payload[16:]
        if kind == DM_HOT_ADD_RESPONSE:
            pages, result = struct.unpack_from("<II", payload, 8)
            payload = payload[:8] + struct.pack("<II", min(pages, 512), result)
        if kind == DM_BALLOON_RESPONSE:
            payload = payload[:16] + b"".join(self._range(word) for (word,) in struct.iter_unpack("<Q", payload[16:len(payload) & ~7]))
        return bytes((9, len(payload))) + payload

    def _range(self, word):
        count = min(word >> 40, 64)
        first, self.next_frame = self.next_frame, (self.next_frame + count) % (DM_FRAMES - 64)
        return struct.pack("<Q", first | count << 40)


def dm(records):
    for life in lives(records, "memory"):
        for hot_add in (False, True):
            memory, steps = _Memory(hot_add), []
            for record in life.records:
                step = (memory.host_step if record.kind == trace.PACKET_OUT else memory.guest_step)(record.packet.payload)
                steps.append(step + (b"\x01\x1e" if len(steps) % 4 == 3 else b""))
            steps = [s for s in steps if s]
            for is_first, piece in windows(steps):
                yield bytes((0x3c if is_first else 0xa0,)) + _chop(piece, DM_BYTES_MAX)


# ---- the bus


def _map_pages(message, first, base, pages_out, seen):
    """Page numbers of the ring's GPADL: both control pages, and one page for all data of each direction."""
    out, at = message[:first], first
    while at + 8 <= len(message):
        index = seen[0]
        page = base + (0 if index == 0 else 1 if index < pages_out else 2 if index == pages_out else 3)
        out += struct.pack("<Q", page)
        seen[0] += 1
        at += 8
    return out


def _map_ranges(packet):
    """A GPA-direct packet over pages of the target's RAM."""
    raw = packet.raw
    if packet.type != trace.GPA_DIRECT:
        return raw
    end = struct.unpack_from("<H", raw, 2)[0] * 8
    count, at = struct.unpack_from("<I", raw, 20)[0], 24
    while count and at + 8 <= end:
        bytes_, offset = struct.unpack_from("<II", raw, at)
        pages = (bytes_ + offset % 4096 + 4095) // 4096
        at += 8
        for _ in range(pages):
            if at + 8 > end:
                break
            page = struct.unpack_from("<Q", raw, at)[0]
            raw = raw[:at] + struct.pack("<Q", page % 32) + raw[at + 8:]
            at += 8
        count -= 1
    return raw


class _Opening:
    """The messages that open and close a channel, to the names that the target's world has."""

    def __init__(self, records, life, start, relid):
        self.records = records
        self.relid = relid
        self.base = 8 * (relid % 4)
        self.was = life.channel.relid
        self.start = start
        opens = [r.body for r in records[start:] if r.kind == trace.MESSAGE_IN and r.message_type == OPEN_CHANNEL
                 and struct.unpack_from("<I", r.body, 8)[0] == self.was]
        self.open = opens[0] if opens else None

    def steps(self):
        ring, pages_out = struct.unpack_from("<I4xI", self.open, 16)
        seen, own = [0], False
        for record in self.records[self.start:]:
            if record.kind != trace.MESSAGE_IN:
                continue
            body, kind = record.body, record.message_type
            if kind == GPADL_HEADER and struct.unpack_from("<I", body, 12)[0] == ring:
                own = True
                yield self._post(_map_pages(body[:8] + struct.pack("<I", self.relid) + body[12:], 28, self.base, pages_out, seen))
            elif kind == GPADL_BODY and own and struct.unpack_from("<I", body, 12)[0] == ring:
                yield self._post(_map_pages(body, 16, self.base, pages_out, seen))
            elif kind == OPEN_CHANNEL and body is self.open:
                vp = struct.unpack_from("<I", body, 20)[0]
                yield self._post(body[:8] + struct.pack("<I", self.relid) + body[12:20] + struct.pack("<I", vp % 2) + body[24:])
                return

    def _post(self, body):
        return bytes((4, len(body))) + body

    def closing(self):
        ring = struct.unpack_from("<I", self.open, 16)[0]
        head = struct.pack("<II", CLOSE_CHANNEL, 0)
        yield self._post(head + struct.pack("<I", self.relid))
        yield self._post(struct.pack("<IIII", GPADL_TEARDOWN, 0, self.relid, ring))
        yield self._post(struct.pack("<III", RELID_RELEASED, 0, self.relid))


def _greeting(records):
    """The last contact before the offers, and the request for them."""
    contact = None
    for record in records:
        if record.kind == trace.MESSAGE_IN and record.message_type == CONTACT:
            contact = record.body
        if record.kind == trace.MESSAGE_IN and record.message_type == REQUEST_OFFERS:
            return bytes((4, len(contact))) + contact + bytes((4, len(record.body))) + record.body
    return b""


def _all_messages(records):
    """As they came, without what hangs on page numbers."""
    return [bytes((4, len(r.body))) + r.body + (b"\x0c" if r.message_type == TL_CONNECT else b"")
            for r in records if r.kind == trace.MESSAGE_IN and r.message_type != GPADL_BODY]


def vmbus_control(records):
    for _, piece in windows(_all_messages(records)):
        yield _chop(piece)
        yield _greeting(records) + _chop(piece)[:3000]
    starts = {}
    for at, record in enumerate(records):
        if record.kind == trace.START:
            starts = {}
        elif record.kind == trace.MESSAGE_IN and record.message_type == GPADL_HEADER:
            starts.setdefault(struct.unpack_from("<I", record.body, 8)[0], at)
        elif record.kind == trace.OPEN:
            yield from _opened(records, at, starts.pop(record.relid, None))


def _opened(records, at, start):
    if start is None:
        return
    channel = records[at].channel
    life = Life(channel)
    for record in records[at + 1:at + 4000]:
        if record.relid == channel.relid and record.kind in (trace.OPEN, trace.CLOSE):
            break
        if record.relid == channel.relid and record.packet:
            life.records.append(record)
    relid = 1 + channel.relid % 2
    opening = _Opening(records, life, start, relid)
    if not opening.open:
        return
    packets = [bytes((3 | relid << 4, len(p.raw) // 8)) + _map_ranges(p) + b"\0"
               for p in life.from_guest() if len(p.raw) <= 2040][:16]
    yield _greeting(records) + _chop(list(opening.steps()) + packets[:8]) + b"".join(opening.closing())
    yield _greeting(records) + _chop(list(opening.steps())) + b"".join(opening.closing()) + b"\x0c"


def vmbus_ring(records):
    for device in set(trace.DEVICES.values()) | {"socket"}:
        for life in lives(records, device):
            for _, piece in windows(life.records[:RING_RECORDS_MAX]):
                parts = [b"\0"]
                for number, record in enumerate(piece):
                    raw = record.packet.raw
                    if record.kind == trace.PACKET_IN and len(raw) <= 2040:
                        parts.append(bytes((6, len(raw) // 8)) + raw + (b"\x07\x02" if number % 3 == 2 else b"\x07"))
                    elif record.kind == trace.PACKET_OUT:
                        length = max(len(raw) - 16, 0)
                        factor = length // 255 + 1
                        parts.append(bytes((4 | (factor - 1 & 31) << 3, length // factor)) + b"\x05" + bytes((14, 0)) + b"\x03")
                yield _chop(parts)


# ---- sockets


def hvsock(records):
    """Who connects, who sends how much, who ends: the bytes are the target's own, because it looks at them again."""
    asked = {r.body[8:24] for r in records if r.kind == trace.MESSAGE_IN and r.message_type == TL_CONNECT}
    for number, life in enumerate(lives(records, "socket")):
        which = number % 4 << 4 | 0x40
        by_guest = life.channel.instance.bytes_le in asked
        steps = [bytes((which | (0 if by_guest else 1), number % 8)), bytes((which | 2, 3))]
        for record in life.records:
            size = struct.unpack_from("<I", record.packet.payload, 4)[0] if len(record.packet.payload) >= 8 else 0
            if record.kind == trace.PACKET_IN:
                few = (size, 0) if size <= 255 else (min(size // 61, 255), 1)
                steps += [bytes((which | 4, *few)), bytes((which | 10, 255))]
            elif size:
                steps += [bytes((which | 8, min(size // 16, 255))), bytes((which | 6, 255))]
            else:
                steps.append(bytes((which | 11, 1)))
        steps += [bytes((which | 12, 8)), bytes((which | 11, 0)), bytes((which | 3, 1))]
        yield _chop(steps)


TARGETS = {"storvsp": storvsp, "rndis": rndis, "ic": ic, "dm": dm, "vmbus_control": vmbus_control, "vmbus_ring": vmbus_ring,
           "hvsock": hvsock}
