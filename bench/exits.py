# SPDX-License-Identifier: Apache-2.0
"""What elementary exits cost: the micro-guest `bench` in a child of a machine that counts instructions.

One executed instruction is one nanosecond of the machine's time and one tick of its TSC, so the ticks between two RDTSC
of the child are instructions: its own, the hypervisor's, and the parent's where the exit goes that far. There is no noise
in it: equal builds give equal figures. The emulator has no next-RIP save and no decode assists, so every intercepted
instruction is fetched and decoded by the hypervisor; real processors are spared that.
"""

import re

import paths
from api import Api
from children import Child, DISABLED, IMAGES
from console import Console
from machine import Machine, Options
from report import Failure
from table import Figure

TIMEOUT = 600
SAMPLES = 1000
DEBUGFS = "/sys/kernel/debug/undercroft"
EMULATED = "decoded by software: the emulator has no next-RIP save"
# name in the guest -> (name here, what, aim, limit). Aims: what the older open hypervisors need on this same bench.
FIGURES = {
    "cpuid_synthetic": ("exits.cpuid", "CPUID, answered by the hypervisor", 2714, EMULATED),
    "hypercall_null": ("exits.hypercall_null", "null hypercall (unknown code)", 2874, EMULATED),
    "msr_vp_index": ("exits.msr", "synthetic MSR read (VP index)", 2795, EMULATED),
    "msr_time_ref_count": ("exits.msr_time", "synthetic MSR read (reference time)", None, EMULATED),
    "lapic_eoi": ("exits.lapic_eoi", "local APIC write by MMIO (EOI)", 6000, EMULATED),
    "port_write": ("exits.port", "port write, to the worker and back", 3188, "two switches to the worker's process"),
}


def boot():
    machine = Machine(paths.BUILD / "run-bench/exits")
    machine.kill()
    machine.start(Options(cpus=1, memory_mib=2048, icount=True))
    machine.wait_console(r"UNDERCROFT-PARENT-READY \S+ \S+ lifted", TIMEOUT)
    api = Api(machine.api_url(), machine.token_file.read_text().strip())
    if not api.wait_alive(TIMEOUT, machine.running):
        raise Failure(f"the API did not answer; {machine.where()}")
    return machine, api


def run_guest(api):
    child = Child.define(api, "bench", memory_mib=64, kernel=f"{IMAGES}/guests/bench.bin", initrd=None,
                         command_line=f"samples={SAMPLES}")
    child.start()
    child.wait_console(r"(?m)^(PASS|FAIL|SKIP|ERROR)", TIMEOUT)
    child.wait_state(DISABLED, TIMEOUT)
    console = child.console_text()
    if not re.search(r"(?m)^PASS", console):
        raise Failure(f"the guest did not pass:\n{console}")
    return {name: int(value) for name, value in re.findall(r"(?m)^BENCH (\w+) (\d+)", console)}


def run():
    machine, api = boot()
    try:
        ticks = run_guest(api)
    finally:
        machine.kill()
    own = ticks["rdtsc_median"]
    figures = []
    for guest_name, (name, what, aim, limit) in FIGURES.items():
        value = ticks.get(f"{guest_name}_median")
        if value is not None:
            figures.append(Figure(name, value - own, "instr", aim, "less", what, limit))
    return figures
