#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that every micro-guest of the manifest was built, and that its file is the bzImage it claims to be.

usage: check_images.py MANIFEST DIRECTORY
"""

import json
import pathlib
import struct
import sys

LOAD = 0x100000
ENTRY_64 = 0x200
GUEST_KEYS = {"name", "processors", "memory_mib", "runs"}
RUN_KEYS = {"command_line", "last_line", "worker_reason"}


def header_problems(data):
    """What is wrong with a boot image, by the boot protocol; offsets as in its setup header."""
    if len(data) < 0x1000:
        yield f"only {len(data)} bytes"
        return
    setup_bytes = (data[0x1f1] + 1) * 512
    code_bytes = struct.unpack_from("<I", data, 0x1f4)[0] * 16
    expected = (
        ("boot flag", struct.unpack_from("<H", data, 0x1fe)[0], 0xaa55),
        ("magic", data[0x202:0x206], b"HdrS"),
        ("protocol", struct.unpack_from("<H", data, 0x206)[0], 0x20f),
        ("end of the header", 0x202 + data[0x201], 0x26c),
        ("loadflags", data[0x211] & 1, 1),
        ("32-bit entry", struct.unpack_from("<I", data, 0x214)[0], LOAD),
        ("relocatable", data[0x234], 0),
        ("xloadflags", struct.unpack_from("<H", data, 0x236)[0] & 1, 1),
        ("preferred address", struct.unpack_from("<Q", data, 0x258)[0], LOAD),
        ("size of the file", len(data), setup_bytes + code_bytes),
    )
    for what, got, wanted in expected:
        if got != wanted:
            yield f"{what} is {got!r}, not {wanted!r}"
    if struct.unpack_from("<I", data, 0x260)[0] < code_bytes:
        yield "init_size is smaller than the code"
    # CLI is the first instruction of both entries: an entry that has moved would be noticed.
    for what, at in (("32-bit", setup_bytes), ("64-bit", setup_bytes + ENTRY_64)):
        if data[at:at + 1] != b"\xfa":
            yield f"there is no code at the {what} entry"


def manifest_problems(guests):
    for guest in guests:
        if set(guest) != GUEST_KEYS:
            yield f"manifest: {guest.get('name')}: members {sorted(guest)}, not {sorted(GUEST_KEYS)}"
            continue
        for run in guest["runs"]:
            if set(run) != RUN_KEYS:
                yield f"manifest: {guest['name']}: members of a run {sorted(run)}, not {sorted(RUN_KEYS)}"


def main(argv):
    guests = json.loads(pathlib.Path(argv[0]).read_text())["guests"]
    directory = pathlib.Path(argv[1])
    problems = list(manifest_problems(guests))
    listed = {guest["name"] for guest in guests}
    built = {path.stem for path in directory.glob("*.bin")}
    problems += [f"{name}: in the manifest, but not built" for name in sorted(listed - built)]
    problems += [f"{name}: built, but not in the manifest" for name in sorted(built - listed)]
    for name in sorted(listed & built):
        problems += [f"{name}: {problem}" for problem in header_problems((directory / f"{name}.bin").read_bytes())]
    for problem in problems:
        print(problem)
    print(f"{len(listed & built)} images, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
