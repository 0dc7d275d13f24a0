# SPDX-License-Identifier: Apache-2.0
"""What the providers cost: user-mode instructions of traces through them, counted by callgrind, and one ratio by the clock.

bench/vsp/vsp_bench plays guest and worker in one process; only the host's side is counted, so that equal builds give equal
figures. The kernel's part (page cache, sockets, io_uring) is not in them.
"""

import re
import subprocess

import paths
from report import Failure
from table import Figure

PROGRAM = paths.BUILD / "host/bench/vsp/vsp_bench"
RUN = paths.BUILD / "run-bench/vsp"
TIMEOUT = 300
USER_ONLY = "user mode only, -O2; the kernel's part is not counted"
IMAGE_MIB = 16


def figures_of(*arguments, counted):
    """The program's own figures, and "instructions" for each unit of its trace."""
    command = [str(PROGRAM), *map(str, arguments)]
    out = RUN / f"{arguments[0]}.callgrind"
    if counted:
        command = ["valgrind", "-q", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={out}", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode:
        raise Failure(f"vsp_bench {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    found = {name: float(value) for name, value in re.findall(r"(?m)^BENCH (\w+) (\S+)$", done.stdout)}
    if counted:
        total = re.search(r"(?m)^(?:summary|totals): (\d+)", out.read_text())
        if not total:
            raise Failure(f"callgrind counted nothing; {out}")
        found["instructions"] = int(total[1]) / found["units"]
    return found


def read_image(kind):
    image = RUN / f"disk.{kind}"
    image.unlink(missing_ok=True)
    image.touch()
    if kind == "raw":
        with open(image, "r+b") as file:
            file.truncate(IMAGE_MIB << 20)
    return figures_of("storage", kind, image, counted=True)


def run():
    if not PROGRAM.exists():
        raise Failure(f"{PROGRAM} was not built: is valgrind installed?")
    RUN.mkdir(parents=True, exist_ok=True)
    raw = read_image("raw")
    vhdx = read_image("vhdx")["instructions"] / raw["instructions"]
    transmit, receive = figures_of("transmit", counted=True), figures_of("receive", counted=True)
    ring = figures_of("ring", counted=False)
    return [
        Figure("vsp.storage.read", round(raw["instructions"]), "instr", 4000, "less", "4 KiB read, storvsp to raw file",
               USER_ONLY),
        Figure("vsp.storage.signals", round(raw["signals_per_1000"], 1), "count", 100, "less",
               "signals per 1000 reads, 32 at a time", "both directions"),
        Figure("vsp.vhdx.read_ratio", round(vhdx, 3), "x", 1.3, "less", "4 KiB read of a VHDX / of a raw file", USER_ONLY),
        Figure("vsp.net.transmit", round(transmit["instructions"]), "instr", 2000, "less", "1500 bytes, guest to tap",
               USER_ONLY),
        Figure("vsp.net.receive", round(receive["instructions"]), "instr", 2000, "less", "1500 bytes, tap to guest",
               USER_ONLY),
        Figure("vsp.ring.copy", round(ring["bandwidth_ratio"], 2), "x", 0.7, "more", "64 KiB through a ring / by memcpy",
               "both by the clock, in turns, in one run"),
    ]
