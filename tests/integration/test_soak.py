# SPDX-License-Identifier: Apache-2.0
"""What takes too long for each run: ./undercroft test --soak. Long transfers, clocks, whole disks, drivers that come and go."""

import re
import statistics
import time

import pytest

import debian
from guest import Guest

pytestmark = pytest.mark.soak

GIB = 2**30
TRANSFER = 8
CLOCK_SECONDS = 600
CLOCK_LIMIT_MS = 10
RELOADS = 50
FORMATS = ["raw", "fixed.vhdx", "dynamic.vhdx", "differencing.vhdx", "dynamic.vhd"]


@pytest.fixture(scope="module")
def guest(shared_machine):
    guest = Guest(shared_machine, "deb", processors=2)
    try:
        yield guest.start()
    finally:
        guest.remove()


@pytest.fixture(scope="module")
def newer(shared_machine, guest):
    kernel = shared_machine.run("cd /var/lib/undercroft/images; ls vmlinuz-*").split()[0]
    guest = Guest(shared_machine, "new", memory="384MB", kernel=kernel)
    guest.hvsh("Set-VMMemory new -DynamicMemoryEnabled true -MinimumBytes 384MB -StartupBytes 384MB -MaximumBytes 640MB")
    try:
        yield guest.start()
    finally:
        guest.remove()


def background(guest, command, log):
    """Starts a command of the guest that goes on without the shell; its status is the last line of the log."""
    guest.run(f"((( {command} ) >{log} 2>&1; echo over $? >>{log}) >/dev/null 2>&1 </dev/null &)")


def finish(guest, log, timeout):
    """What a command in the background printed; it must have ended well."""
    deadline = time.monotonic() + timeout
    while not (text := guest.run(f"cat {log}")).rstrip().splitlines()[-1:] or "over " not in text.splitlines()[-1]:
        assert time.monotonic() < deadline, text[-2000:]
        time.sleep(5)
    assert text.splitlines()[-1] == "over 0", text[-2000:]
    return text


def test_the_clock_stays_the_parents(guest, capsys):
    """Some hundred packets with IP timestamps each 15 s: the middle of what they say of the clocks' distance."""
    worst = []
    end = time.monotonic() + CLOCK_SECONDS
    while time.monotonic() < end:
        text = guest.run(f"ping -c 15 -i 0.2 -T tsandaddr {debian.GATEWAY}", 60)
        trips = re.findall(r"absolute\s+\S+\s+(-?\d+)\s+\S+\s+(-?\d+)\s+\S+\s+(-?\d+)", text)
        offsets = [(int(there) - int(back)) / 2 for there, _, back in trips]
        assert len(offsets) >= 5, text
        worst.append(statistics.median(offsets))
        time.sleep(10)
    with capsys.disabled():
        print(f"\n    clock: {len(worst)} samples in {CLOCK_SECONDS} s, {min(worst):+.1f} to {max(worst):+.1f} ms of the parent's, "
              f"middle {statistics.median(worst):+.1f}")
    assert max(abs(offset) for offset in worst) <= CLOCK_LIMIT_MS, worst


@pytest.mark.parametrize("kind", FORMATS)
def test_a_gibibyte_is_verified_on_each_format(guest, host, kind, capsys):
    name, _, suffix = kind.partition(".")
    path = f"{debian.DISKS}/soak-{name}.{suffix or 'img'}"
    host.run(f"rm -f {debian.DISKS}/soak-*")
    if kind == "raw":
        host.run(f"truncate -s 1G {path}")
    elif name == "differencing":
        guest.hvsh(f"New-VHD -Path {debian.DISKS}/soak-base.vhdx -SizeBytes 1GB -Dynamic")
        guest.hvsh(f"New-VHD -Path {path} -ParentPath {debian.DISKS}/soak-base.vhdx -Differencing")
    else:
        guest.hvsh(f"New-VHD -Path {path} -SizeBytes 1GB -{name.capitalize()}")
    guest.hvsh(f"Add-VMHardDiskDrive -VMName deb -Path {path}")
    began = time.monotonic()
    try:
        guest.wait("[ -b /dev/sdb ]")
        background(guest, "fio --name=t --filename=/dev/sdb --size=1G --rw=randwrite --bsrange=4k-256k --blockalign=4k --iodepth=16 "
                   "--ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --fsync=512", "/tmp/fio")
        text = finish(guest, "/tmp/fio", 3600)
    finally:
        guest.hvsh("Remove-VMHardDiskDrive -VMName deb -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 1")
    guest.wait("! [ -b /dev/sdb ]")
    assert "err= 0" in text
    if suffix:
        assert "True" in guest.hvsh(f"Test-VHD {path}", 600)
    rates = re.findall(r"(READ|WRITE): bw=(\S+)", text)
    with capsys.disabled():
        print(f"\n    fio {kind}: 1 GiB written and verified in {time.monotonic() - began:.0f} s, "
              + ", ".join(f"{what.lower()} {rate}" for what, rate in rates))
    host.run(f"rm -f {debian.DISKS}/soak-*")


def test_drivers_are_loaded_again_and_again(guest, newer, capsys):
    """The network's, and the one of dynamic memory: both work afterwards and nobody complains."""
    began = time.monotonic()
    background(guest, debian.reload(RELOADS), "/tmp/reload")
    background(newer, debian.bind_again(RELOADS), "/tmp/reload")
    for end in (guest, newer):
        finish(end, "/tmp/reload", 1800)
    with capsys.disabled():
        print(f"\n    hv_netvsc loaded and hv_balloon bound {RELOADS} times in {time.monotonic() - began:.0f} s")
    guest.address()
    assert guest.reaches(debian.GATEWAY)
    low = newer.assigned_mib()
    newer.run("mount -t tmpfs -o size=600m tmpfs /mnt; dd if=/dev/zero of=/mnt/a bs=1M count=200 2>/dev/null", 300)
    deadline = time.monotonic() + 180
    while newer.assigned_mib() <= low + 32:
        assert time.monotonic() < deadline
        time.sleep(2)
    newer.run("umount /mnt")
    assert guest.unbound_devices()[0] == []
    for end in (guest, newer):
        assert end.complaints() == []


def test_eight_gibibytes_of_tcp(guest, newer, capsys):
    there = newer.address()
    newer.run("pidof iperf3 >/dev/null || iperf3 -s -D >/dev/null 2>&1; sleep 1")
    began = time.monotonic()
    background(guest, f"iperf3 -c {there} -n {TRANSFER}G -i 60", "/tmp/iperf")
    finish(guest, "/tmp/iperf", 7200)
    seconds = time.monotonic() - began
    with capsys.disabled():
        print(f"\n    tcp: {TRANSFER} GiB between two children in {seconds:.0f} s, {TRANSFER * GIB * 8 / seconds / 1e6:.0f} Mbit/s")
    for end in (guest, newer):
        assert re.findall(r"InCsumErrors\s+([1-9]\d*)", end.run("nstat -az")) == []
        assert end.complaints() == []
