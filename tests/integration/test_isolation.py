# SPDX-License-Identifier: Apache-2.0
"""The hypervisor's own memory, seen from the parent: a read gives no byte of it, a write changes nothing."""

import re
import struct

import paths

SAMPLES = 24


def block_of(host):
    found = re.search(r"block (0x[0-9a-f]+) \+ (0x[0-9a-f]+)", host.machine.hypervisor_log.read_text())
    return int(found[1], 16), int(found[2], 16)


def code_samples():
    """Offsets in the loaded image, and the 32-bit words of its code there."""
    data = paths.EFI.read_bytes()
    header = struct.unpack_from("<I", data, 0x3c)[0]
    sections = struct.unpack_from("<H", data, header + 6)[0]
    table = header + 24 + struct.unpack_from("<H", data, header + 20)[0]
    for number in range(sections):
        name, size, rva, _, raw = struct.unpack_from("<8sIIII", data, table + 40 * number)
        if name.rstrip(b"\0") == b".text":
            step = size // SAMPLES & ~3
            words = [(rva + at, struct.unpack_from("<I", data, raw + at)[0]) for at in range(0, SAMPLES * step, step)]
            return [(offset, word) for offset, word in words if word not in (0, 0xffffffff)]
    raise AssertionError("undercroft.efi has no .text")


def test_the_parent_sees_and_changes_no_byte_of_the_hypervisor(host):
    base, size = block_of(host)
    samples = code_samples()
    assert len(samples) > SAMPLES // 2

    def read(offset):
        return int(host.run(f"devmem {base + offset:#x} 32").split()[0], 16)

    assert read(0) & 0xffff != 0x5a4d, "the parent reads the image's own header"
    seen = [offset for offset, word in samples if read(offset) == word]
    assert seen == [], f"the parent reads the hypervisor's code at offsets {seen}"

    host.run("; ".join(f"devmem {base + offset:#x} 32 0xcccccccc" for offset, _ in samples))
    host.run(f"devmem {base + size - 4096:#x} 32 0xcccccccc")
    with_child = host.start_child("after the writes")
    with_child.wait_console(r"UNDERCROFT-CHILD-READY", 300)
    with_child.remove()
    assert "stopped" not in host.machine.hypervisor_log.read_text()


def test_the_log_is_readable_and_stays_what_it_is(host):
    before = host.run("cat /sys/kernel/debug/undercroft/log")
    assert "lifted" in before
    assert before.splitlines()[0] in host.machine.hypervisor_log.read_text()
