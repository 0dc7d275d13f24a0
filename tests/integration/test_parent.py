# SPDX-License-Identifier: Apache-2.0
"""The lifted parent is still the whole machine: processors, disk and network work while a child runs."""

import hashlib
import urllib.request

import pytest

CHILD_READY = r"UNDERCROFT-CHILD-READY"
DATA = "/var/lib/undercroft/load"
PIECE_MIB, PIECES = 8, 32
DOWNLOAD_MIB = 64


def fetch(port, name):
    """Downloads a file from the parent through the emulator's loopback forwarding."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=120) as response:
        return response.read()


def check_disk(host, port):
    """Writes 256 MiB, drops the cache and reads them back. Each of the 32 pieces differs by its number."""
    host.run(f"dd if=/dev/urandom of={DATA}/piece bs=1M count={PIECE_MIB} 2>/dev/null")
    piece = fetch(port, "piece")
    assert len(piece) == PIECE_MIB << 20
    expected = hashlib.md5()
    for number in range(1, PIECES + 1):
        expected.update(f"{number}\n".encode() + piece)
    host.run(f"for i in $(seq {PIECES}); do echo $i; cat {DATA}/piece; done >{DATA}/file; sync", timeout=180)
    host.run("echo 3 >/proc/sys/vm/drop_caches", timeout=60)
    assert host.run(f"md5sum {DATA}/file", timeout=180).split()[0] == expected.hexdigest()


def check_network(host, port):
    """Downloads 64 MiB and compares them with what the parent has."""
    host.run(f"dd if={DATA}/file of={DATA}/download bs=1M count={DOWNLOAD_MIB} 2>/dev/null", timeout=60)
    received = fetch(port, "download")
    assert len(received) == DOWNLOAD_MIB << 20
    assert host.run(f"md5sum {DATA}/download", timeout=60).split()[0] == hashlib.md5(received).hexdigest()


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_parent_works_under_load_while_a_child_runs(own_host, cpus):
    host = own_host(cpus=cpus)
    assert int(host.run("nproc")) == cpus
    assert host.run("cat /sys/devices/system/cpu/online").strip() == ("0" if cpus == 1 else f"0-{cpus - 1}")
    assert host.kernel_complaints() == []

    # The child has something to do all the time.
    child = host.start_child("load", command_line="console=ttyS0 panic=-1 uc.then=spin")
    child.wait_console(CHILD_READY, 300)
    host.run(f"mkdir -p {DATA}; httpd -p 8007 -h {DATA}")
    port = host.machine.forward(8007)
    check_disk(host, port)
    check_network(host, port)
    assert child.enabled_state() == 2, "the child did not survive the load on the parent"
    child.remove()

    assert host.kernel_complaints() == []
    assert host.machine.power_off(), "the power button did not end the parent in order"


def test_every_processor_of_the_parent_gets_its_timer(host):
    before = host.run("grep LOC: /proc/interrupts").split()[1:3]
    host.run("for cpu in 0 1; do taskset -c $cpu sleep 1; done")
    after = host.run("grep LOC: /proc/interrupts").split()[1:3]
    assert all(int(a) > int(b) for a, b in zip(after, before))


def test_a_processor_goes_off_line_and_comes_back(own_host):
    host = own_host(cpus=2)
    for _ in range(3):
        host.run("echo 0 >/sys/devices/system/cpu/cpu1/online")
        assert host.run("nproc").strip() == "1"
        host.run("echo 1 >/sys/devices/system/cpu/cpu1/online")
        assert host.run("nproc").strip() == "2"
    assert host.kernel_complaints() == []


def test_the_parents_clock_keeps_time_with_the_machine(host):
    """The parent's clock against the real-time clock of the machine, which the hypervisor leaves alone."""
    seconds = host.run("""
        rtc() { cat /sys/class/rtc/rtc0/since_epoch; }
        edge() { now=$(rtc); while [ "$(rtc)" = "$now" ]; do usleep 5000; done; }
        edge; first=$(cut -d' ' -f1 /proc/uptime); sleep 8.5; edge; second=$(cut -d' ' -f1 /proc/uptime)
        echo $first $second""", timeout=30).split()
    elapsed = float(seconds[1]) - float(seconds[0])
    assert abs(elapsed - round(elapsed)) < 0.2
    assert 9 <= round(elapsed) <= 10
