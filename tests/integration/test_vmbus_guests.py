# SPDX-License-Identifier: Apache-2.0
"""Micro-guests of the bus as children: our own clients on a disk, a guest that breaks every rule, and what others notice.

The same guests run over a server in one process in tests/loopback; here is what is not there: ports, doorbells, event
flags and messages of the hypervisor, the worker's sandbox, other children.
"""

import re
import time

import pytest

from children import DISABLED, ENABLED, IMAGES

DISKS = "/var/lib/undercroft/disks"
MARKER = "undercroft: a guest wrote this"
MARKER_BLOCK = 100
TIMEOUT = 300
CONSOLE_TIMEOUT = 10
WORK_SECONDS = 90
DISK_TEST = "what is written to the disk is read"


@pytest.fixture
def disk(host):
    """A function that makes a 16 MiB image in the parent and gives its path."""
    paths = []

    def make(name):
        path = f"{DISKS}/{name}.img"
        host.run(f"mkdir -p {DISKS}; rm -f {path}; truncate -s 16M {path}")
        paths.append(path)
        return path

    yield make
    host.remove_children()
    for path in paths:
        host.run(f"rm -f {path}")


@pytest.fixture
def start(host):
    """A function that starts a micro-guest of the bus, with a disk if one is given."""

    def start(name, guest, options, image=None):
        child = host.define_child(name, memory_mib=64, kernel=f"{IMAGES}/guests/{guest}.bin", initrd=None,
                                  command_line=options)
        if image:
            assert host.hvsh(f"Add-VMScsiController -VMName {name}")[0] == 0
            status, _, errors = host.hvsh(f"Add-VMHardDiskDrive -VMName {name} -Path {image}")
            assert status == 0, errors
        child.start()
        return child

    return start


def finish(child, timeout=TIMEOUT):
    """The console of a guest that passed and switched itself off."""
    child.wait_state(DISABLED, timeout)
    child.wait_console(r"(?m)^(PASS|FAIL)\r?$", CONSOLE_TIMEOUT)	# its last line may still be on its way
    console = child.console_text().replace("\r", "")
    assert console.rstrip("\n").splitlines()[-1:] == ["PASS"], console
    assert "not ok:" not in console
    return console


def test_a_disk_by_our_own_client(host, disk, start):
    image = disk("client")
    console = finish(start("client", "vmbus", f"disk marker={MARKER_BLOCK}", image))
    assert f"  ok: {DISK_TEST}" in console
    assert host.run(f"dd if={image} bs=512 skip={MARKER_BLOCK} count=1 2>/dev/null").startswith(MARKER)


def test_a_shutdown_is_answered(host, start):
    child = start("obedient", "vmbus", "serve")
    child.wait_console("AT WORK", TIMEOUT)
    status, _, errors = host.hvsh("Stop-VM -Name obedient", timeout=TIMEOUT)
    assert status == 0, errors
    assert "  ok: the guest works" in finish(child)


@pytest.mark.parametrize("with_disk", [False, True], ids=["bus", "disk"])
def test_a_hostile_guest_costs_itself_only(host, disk, start, with_disk):
    before = host.held()
    neighbour = start("neighbour", "vmbus", f"disk seconds={WORK_SECONDS}", disk("neighbour"))
    neighbour.wait_console("AT WORK", TIMEOUT)
    complaints = host.kernel_complaints()
    hostile = start("hostile", "vmbus_hostile", "seed=7", disk("hostile") if with_disk else None)
    while hostile.enabled_state() == ENABLED:
        assert host.api.alive()
        began = time.monotonic()
        host.run("true")
        assert time.monotonic() - began < 20, "the parent stood still"
        time.sleep(1)
    console = finish(hostile)
    if with_disk:
        assert "to a controller are survived" in re.sub(r"(?m)^  skipped: .*", "", console)
    # The neighbour read what it wrote and missed no heartbeat, all the time.
    worked = re.search(r"WORKED (\d+) turns, (\d+) heartbeats", finish(neighbour))
    assert int(worked[1]) > 20 and int(worked[2]) >= WORK_SECONDS // 10
    assert host.kernel_complaints() == complaints
    host.remove_children()
    assert host.held() == before
