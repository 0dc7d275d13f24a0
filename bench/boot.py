# SPDX-License-Identifier: Apache-2.0
"""Boot time of the parent with and without the hypervisor, from the same disk by the same loader.

The two kinds take turns, because the machine below the bench has other things to do; of each the median counts. What
matters is the ratio. The same boot with instructions counted instead of seconds is in exits.py.
"""

import statistics
import time

import paths
from machine import Machine, Options
from table import Figure

ROUNDS = 3
TIMEOUT = 240
READY = r"UNDERCROFT-PARENT-READY (\S+) (\S+) (\w+)"
RATIO_AIM = 1.10


def boot_once(lifted):
    """(seconds from power-on, seconds of the parent's own clock) until the parent's user land is up."""
    machine = Machine(paths.BUILD / "run-bench/boot")
    machine.kill()
    began = time.monotonic()
    machine.start(Options(cpus=2, lifted=lifted))
    try:
        found = machine.wait_console(READY, TIMEOUT)
        return time.monotonic() - began, float(found[2])
    finally:
        machine.kill()


def run():
    total, kernel = {True: [], False: []}, {True: [], False: []}
    for _ in range(ROUNDS):
        for lifted in (False, True):
            seconds, uptime = boot_once(lifted)
            total[lifted].append(seconds)
            kernel[lifted].append(uptime)
    without, lifted = statistics.median(total[False]), statistics.median(total[True])
    noise = "wall clock of a shared machine; about 4 s are the firmware's"
    return [
        Figure("boot.parent.unlifted", round(without, 2), "s", None, "less", "power-on to user land, no hypervisor", noise),
        Figure("boot.parent.lifted", round(lifted, 2), "s", None, "less", "power-on to user land, lifted", noise),
        Figure("boot.parent.ratio", round(lifted / without, 3), "x", RATIO_AIM, "less", "lifted / not lifted",
               "each exit costs 18 us or more in the emulator"),
        Figure("boot.kernel.unlifted", statistics.median(kernel[False]), "s", None, "less",
               "kernel start to user land, no hypervisor", "the parent's own clock"),
        Figure("boot.kernel.lifted", statistics.median(kernel[True]), "s", None, "less",
               "kernel start to user land, lifted", "the parent's own clock"),
    ]
