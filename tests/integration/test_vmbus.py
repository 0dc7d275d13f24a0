# SPDX-License-Identifier: Apache-2.0
"""Stock drivers of an unmodified kernel in a child bind to VMBus, to a SCSI disk and to the integration components."""

import re
import time

import pytest

from children import DISABLED, ENABLED, RESET
from shell import ChildShell

READY = "UNDERCROFT-CHILD-READY"
BOOT_TIMEOUT = 300
DISKS = "/var/lib/undercroft/disks"
COMMAND_LINE = "console=ttyS0 panic=-1 uc.modules=hv_utils,hyperv_keyboard,hv_storvsc,sd_mod,sr_mod,ext4,isofs"


@pytest.fixture
def disk(host):
    """A 64 MiB image in the parent."""
    path = f"{DISKS}/test.img"
    host.run(f"mkdir -p {DISKS}; rm -f {path}; truncate -s 64M {path}")
    yield path
    host.remove_children()
    host.run(f"rm -f {path}")


@pytest.fixture
def start(host):
    """A function that starts a child with the given drives and gives the shell on its console."""
    shells = []

    def start(name, *drives, processors=1):
        child = host.define_child(name, command_line=COMMAND_LINE, processors=processors)
        if drives:
            assert host.hvsh(f"Add-VMScsiController -VMName {name}")[0] == 0
        for drive in drives:
            status, _, errors = host.hvsh(f"{drive} -VMName {name}")
            assert status == 0, errors
        child.start()
        child.wait_console(READY, BOOT_TIMEOUT)
        shells.append(ChildShell(host.connect(name)))
        return child, shells[-1]

    yield start
    for shell in shells:
        shell.close()


def test_stock_drivers_bind(host, start):
    _, shell = start("bus")
    log = shell.run("dmesg")
    assert "Vmbus version:5.3" in log
    for component in ("Shutdown IC version", "Heartbeat IC version", "TimeSync IC version"):
        assert component in log
    assert "AT Translated Set 2 keyboard" in log
    # The bus interrupts through the vector of its own, and the components go on talking.
    count = [int(shell.run("grep HYP: /proc/interrupts").split()[1])]
    time.sleep(6)
    count.append(int(shell.run("grep HYP: /proc/interrupts").split()[1]))
    assert count[1] > count[0]
    assert not re.search(r"Call Trace|WARNING: CPU|BUG:|unchecked MSR", log)


@pytest.mark.parametrize("processors", [1, 2])
def test_a_disk_keeps_what_was_written(host, start, disk, processors):
    child, shell = start("disk", f"Add-VMHardDiskDrive -Path {disk}", processors=processors)
    assert shell.run("cat /sys/block/sda/size").split()[-1] == str(64 * 2048)
    shell.run("dd if=/dev/urandom of=/tmp/a bs=1M count=24 2>/dev/null; dd if=/tmp/a of=/dev/sda bs=64k seek=7 conv=fsync 2>/dev/null")
    expected = shell.run("md5sum /tmp/a").split()[0]
    shell.run("echo 3 >/proc/sys/vm/drop_caches")
    assert shell.run("dd if=/dev/sda bs=64k skip=7 count=384 2>/dev/null | md5sum").split()[0] == expected

    # A file system that is mounted again after a reset of the machine.
    shell.run("mke2fs -F /dev/sda >/dev/null 2>&1 && mkdir -p /m && mount -t ext2 /dev/sda /m && cp /tmp/a /m/a && sync")
    shell.close()
    child.request_state(RESET)
    child.wait_console(rf"(?s){READY}.*{READY}", BOOT_TIMEOUT)
    shell = ChildShell(host.connect("disk"))
    shell.run("mkdir -p /m && mount -t ext2 /dev/sda /m")
    assert shell.run("md5sum /m/a").split()[0] == expected
    shell.run("umount /m")
    shell.close()
    child.turn_off()
    assert child.enabled_state() == DISABLED


def test_what_was_flushed_survives_a_killed_worker(host, start, disk):
    child, shell = start("kill", f"Add-VMHardDiskDrive -Path {disk}")
    shell.run("dd if=/dev/urandom of=/tmp/a bs=1M count=8 2>/dev/null; dd if=/tmp/a of=/dev/sda bs=1M conv=fsync 2>/dev/null")
    expected = shell.run("md5sum /tmp/a").split()[0]
    host.run("kill -9 $(pidof vmwp)")
    assert host.run(f"dd if={disk} bs=1M count=8 2>/dev/null | md5sum").split()[0] == expected
    deadline = time.monotonic() + 30
    while child.enabled_state() == ENABLED and time.monotonic() < deadline:
        time.sleep(0.5)
    assert host.held()["ports"] == 0


def test_a_read_only_disk_refuses_writes(host, start, disk):
    host.run(f"echo canary | dd of={disk} conv=notrunc 2>/dev/null")
    _, shell = start("ro", f"Add-VMHardDiskDrive -Path {disk} -ReadOnly")
    assert shell.run("cat /sys/block/sda/ro").split()[-1] == "1"
    assert shell.run("dd if=/dev/sda bs=6 count=1 2>/dev/null").startswith("canary")
    shell.run("! dd if=/dev/zero of=/dev/sda bs=512 count=1 conv=fsync 2>/dev/null")
    assert host.run(f"dd if={disk} bs=6 count=1 2>/dev/null").startswith("canary")
