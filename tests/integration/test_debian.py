# SPDX-License-Identifier: Apache-2.0
"""Debian in a child, with stock drivers and daemons: disks of every format, networks, integration components, dynamic memory."""

import re
import time

import pytest

import debian
from children import Child, invoke
from report import Failure
from shell import ChildShell

pytestmark = pytest.mark.xdist_group("debian")
LONG = 600					# for half a minute's work, when the emulator has to share its processor
DISKS = debian.DISKS
FILES = "/var/lib/undercroft/files"
# What any Debian says that has no PCI and no sound, on an emulated processor.
HARMLESS = re.compile(r"Speculative Return Stack|srso|PCI: (Fatal: No config|System does not support)|Power-on or device reset|"
                      r"hrtimer: interrupt took|Capacity data has changed|autofs4|systemd\[1\]: |supports timestamps until|process '.*' started with executable stack")
ADDRESS = re.compile(r"10\.77\.0\.\d+")


class Guest:
    """A Debian child: its hvsh name, its shell, its address."""

    def __init__(self, host, name, **settings):
        self.host = host
        self.name = name
        debian.switch(self.hvsh)
        debian.define(self.hvsh, name, **settings)
        self.child = Child.find(host.api, name)
        self.shell = None

    def hvsh(self, line, timeout=180):
        status, output, errors = self.host.hvsh(line, timeout)
        if status != 0:
            raise Failure(f"hvsh: {line}: {errors.strip()}")
        return output

    def start(self):
        self.child.start()
        self.child.wait_console(debian.READY, debian.BOOT_TIMEOUT)
        self.shell = ChildShell(self.host.connect(self.name))
        self.run("dmesg -n 1")		# the kernel's lines stay out of what commands print
        return self

    def run(self, command, timeout=90):
        return self.shell.run(command, timeout)

    def address(self):
        return ADDRESS.search(self.run("networkctl --no-legend list >/dev/null; for i in $(seq 60); do "
                                       "ip -4 -o addr | grep -q ' 10\\.' && break; sleep 1; done; ip -4 -o addr"))[0]

    def complaints(self):
        lines = self.run("dmesg -l warn,err,crit,alert,emerg").splitlines()
        return [line for line in lines if line.strip() and not HARMLESS.search(line)]

    def remove(self):
        if self.shell:
            self.shell.close()
        self.child.remove()
        self.host.run(f"rm -f {debian.disk_of(self.name)}")


@pytest.fixture(scope="module")
def guest(shared_machine):
    """Two processors: each disk and network controller has a sub-channel."""
    guest = Guest(shared_machine, "deb", processors=2)
    try:
        yield guest.start()
    finally:
        guest.remove()


@pytest.fixture(scope="module")
def newer(shared_machine, guest):
    """A second one, with the newer kernel and dynamic memory."""
    kernel = shared_machine.run("cd /var/lib/undercroft/images; ls vmlinuz-*").split()[0]
    guest = Guest(shared_machine, "new", memory="384MB", kernel=kernel)
    guest.hvsh("Set-VMMemory new -DynamicMemoryEnabled true -MinimumBytes 256MB -StartupBytes 384MB -MaximumBytes 640MB")
    try:
        yield guest.start()
    finally:
        guest.remove()


def test_each_device_has_its_driver(guest):
    listing = guest.run("for d in /sys/bus/vmbus/devices/*; do echo $(cat $d/class_id) $(readlink $d/driver | sed 's,.*/,,'); done")
    unbound = [line for line in listing.splitlines() if line.strip() and len(line.split()) != 2]
    assert unbound == [], listing
    drivers = [line.split()[1] for line in listing.splitlines() if line.strip()]
    for driver in ("hv_storvsc", "hv_netvsc", "hyperv_keyboard", "hv_utils"):
        assert driver in drivers, listing
    assert drivers.count("hv_utils") == 6		# heartbeat, shutdown, time, KVP, VSS, file copy
    assert guest.complaints() == []
    assert guest.run("systemctl --failed --no-legend").strip() == ""


def test_offloads_are_on(guest):
    features = guest.run("ethtool -k $(ip -4 -o addr | awk '/ 10\\./ {print $2}')")
    for feature in ("rx-checksumming", "tx-checksumming", "scatter-gather", "tcp-segmentation-offload"):
        assert re.search(rf"^{feature}: on", features, re.M), features


def test_what_the_guest_tells_of_itself_is_shown(guest):
    address = guest.address()
    deadline = time.monotonic() + 60
    while address not in guest.hvsh("Get-VM deb") and time.monotonic() < deadline:
        time.sleep(1)
    shown = guest.hvsh("Get-VM deb")
    assert address in shown and "OkApplicationsUnknown" in shown, shown
    services = guest.hvsh("Get-VMIntegrationService deb")
    assert services.count("True") == 6 and services.count(" OK ") == 6, services
    items = guest.hvsh("Get-VMKvpItem deb")
    assert "Debian GNU/Linux" in items and guest.run("uname -r").strip() in items, items
    guest.hvsh("Set-VMKvpItem deb -Name colour -Data blue")
    deadline = time.monotonic() + 60
    while "colour" not in guest.run("strings -n 4 /var/lib/hyperv/.kvp_pool_0 2>/dev/null || tr -d '\\0' </var/lib/hyperv/.kvp_pool_0"):
        assert time.monotonic() < deadline
        time.sleep(1)


def test_a_file_is_copied_into_the_guest(guest, host):
    host.run(f"mkdir -p {FILES} && dd if=/dev/urandom of={FILES}/blob bs=1M count=2 2>/dev/null")
    expected = host.run(f"md5sum {FILES}/blob").split()[0]
    guest.hvsh(f"Copy-VMFile deb -SourcePath {FILES}/blob -DestinationPath /root/new/blob -CreateFullPath -FileSource Host")
    assert guest.run("md5sum /root/new/blob").split()[0] == expected


def test_tcp_to_and_from_the_parent(guest, host):
    host.run("mkdir -p /tmp/www && dd if=/dev/urandom of=/tmp/www/blob bs=1M count=24 2>/dev/null && httpd -p 8080 -h /tmp/www")
    try:
        expected = host.run("md5sum /tmp/www/blob").split()[0]
        guest.run(f"curl -sS -o /tmp/blob http://{debian.GATEWAY}:8080/blob", LONG)
        assert guest.run("md5sum /tmp/blob").split()[0] == expected
        host.run("(nc -l -p 9000 | md5sum >/tmp/www/sum) >/dev/null 2>&1 </dev/null & sleep 1")
        guest.run(f"socat -u FILE:/tmp/blob TCP:{debian.GATEWAY}:9000,retry=30,interval=1", LONG)
        assert host.run("for i in $(seq 50); do [ -s /tmp/www/sum ] && break; sleep 1; done; cat /tmp/www/sum").split()[0] == expected
        # Beyond the masquerade: the machine around the host answers.
        guest.run("ping -c 2 -W 5 10.0.2.2 >/dev/null")
        assert re.findall(r"InCsumErrors\s+([1-9]\d*)", guest.run("nstat -az")) == []
    finally:
        host.run("kill $(pidof httpd); rm -rf /tmp/www")
        guest.run("rm -f /tmp/blob")


def test_sockets_without_a_network(guest, host):
    folder = f"/run/undercroft/workers/{guest.child.guid}.hvsock"
    service = "00000400-facb-11e6-bd58-64006a7986d3"		# port 1024 of vsock
    # The guest listens, a program of the parent connects.
    guest.run("(socat -u VSOCK-LISTEN:1024 CREATE:/tmp/heard >/dev/null 2>&1 &) ; sleep 1")
    host.run(f"(echo CONNECT {service}; sleep 2; echo from the parent) | socat -t 3 - UNIX-CONNECT:{folder}/connect >/tmp/answer")
    assert host.run("cat /tmp/answer").split() == ["OK"]
    assert guest.run("for i in $(seq 50); do [ -s /tmp/heard ] && break; sleep 1; done; cat /tmp/heard").strip() == "from the parent"
    # A program of the parent listens, the guest connects to the host, context 2.
    host.run(f"(socat -u UNIX-LISTEN:{folder}/{service},mode=666 CREATE:/tmp/heard) >/dev/null 2>&1 </dev/null & sleep 1")
    guest.run("echo from the guest | socat -t 2 - VSOCK-CONNECT:2:1024")
    assert host.run("for i in $(seq 50); do [ -s /tmp/heard ] && break; sleep 1; done; cat /tmp/heard").strip() == "from the guest"
    host.run("rm -f /tmp/heard /tmp/answer")


@pytest.mark.parametrize("kind", ["raw", "fixed.vhdx", "dynamic.vhdx", "differencing.vhdx", "dynamic.vhd"])
def test_random_io_is_verified_on_each_format(guest, host, kind):
    name, _, suffix = kind.partition(".")
    path = f"{DISKS}/io-{name}.{suffix or 'img'}"
    host.run(f"rm -f {DISKS}/io-*")
    if kind == "raw":
        host.run(f"truncate -s 64M {path}")
    elif name == "differencing":
        guest.hvsh(f"New-VHD -Path {DISKS}/io-base.vhdx -SizeBytes 64MB -Dynamic")
        guest.hvsh(f"New-VHD -Path {path} -ParentPath {DISKS}/io-base.vhdx -Differencing")
    else:
        guest.hvsh(f"New-VHD -Path {path} -SizeBytes 64MB -{name.capitalize()}")
    guest.hvsh(f"Add-VMHardDiskDrive -VMName deb -Path {path}")
    try:
        guest.run("for i in $(seq 50); do [ -b /dev/sdb ] && break; sleep 0.2; done; [ -b /dev/sdb ]")
        guest.run("fio --name=t --filename=/dev/sdb --size=6M --rw=randrw --bsrange=512-64k --blockalign=512 --iodepth=16 "
                  "--ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --norandommap=0 --fsync=32 >/tmp/fio 2>&1 "
                  "|| { cat /tmp/fio; false; }", LONG)
    finally:
        guest.hvsh("Remove-VMHardDiskDrive -VMName deb -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 1")
    guest.run("for i in $(seq 50); do [ -b /dev/sdb ] || break; sleep 0.2; done; ! [ -b /dev/sdb ]")
    if suffix:
        assert "True" in guest.hvsh(f"Test-VHD {path}")


@pytest.mark.parametrize("kind", ["fixed", "dynamic", "differencing"])
def test_a_disk_grows_while_it_is_mounted(guest, host, kind):
    path = f"{DISKS}/io-grows.vhdx"
    host.run(f"rm -f {DISKS}/io-*")
    if kind == "differencing":
        guest.hvsh(f"New-VHD -Path {DISKS}/io-base.vhdx -SizeBytes 64MB -Dynamic")
        guest.hvsh(f"New-VHD -Path {path} -ParentPath {DISKS}/io-base.vhdx -Differencing")
    else:
        guest.hvsh(f"New-VHD -Path {path} -SizeBytes 64MB -{kind.capitalize()}")
    guest.hvsh(f"Add-VMHardDiskDrive -VMName deb -Path {path}")
    try:
        guest.run("for i in $(seq 50); do [ -b /dev/sdb ] && break; sleep 0.2; done; [ -b /dev/sdb ]")
        guest.run("mkfs.ext4 -q /dev/sdb && mount /dev/sdb /mnt && dd if=/dev/urandom of=/mnt/a bs=1M count=20 2>/dev/null && "
                  "sha256sum /mnt/a >/tmp/sum")
        guest.hvsh(f"Resize-VHD -Path {path} -SizeBytes 128MB")
        # The guest hears of it with its next command.
        guest.run("for i in $(seq 50); do dd if=/dev/sdb of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null; "
                  "[ $(lsblk -bdno SIZE /dev/sdb) = 134217728 ] && break; sleep 0.2; done; "
                  "[ $(lsblk -bdno SIZE /dev/sdb) = 134217728 ]")
        guest.run("resize2fs /dev/sdb >/dev/null 2>&1 && dd if=/dev/urandom of=/mnt/b bs=1M count=60 2>/dev/null && "
                  "sync && echo 3 >/proc/sys/vm/drop_caches && sha256sum -c --quiet /tmp/sum && umount /mnt && fsck.ext4 -fn /dev/sdb "
                  ">/dev/null 2>&1")
    finally:
        guest.run("umount /mnt 2>/dev/null; true")
        guest.hvsh("Remove-VMHardDiskDrive -VMName deb -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 1")
    guest.run("for i in $(seq 50); do [ -b /dev/sdb ] || break; sleep 0.2; done; ! [ -b /dev/sdb ]")
    assert "True" in guest.hvsh(f"Test-VHD {path}")


def test_devices_come_and_go_under_load(guest, host):
    host.run(f"rm -f {DISKS}/io-*")
    guest.hvsh(f"New-VHD -Path {DISKS}/io-a.vhdx -SizeBytes 32MB -Dynamic")
    guest.run("((fio --name=bg --filename=/var/tmp/bg --size=12M --rw=randrw --bs=16k --iodepth=8 --ioengine=libaio --direct=1 "
              "--verify=crc32c --verify_fatal=1 --loops=2 >/tmp/bg 2>&1; echo over >>/tmp/bg) >/dev/null 2>&1 &)")
    for _ in range(3):
        guest.hvsh(f"Add-VMHardDiskDrive -VMName deb -Path {DISKS}/io-a.vhdx")
        guest.run("for i in $(seq 50); do [ -b /dev/sdb ] && break; sleep 0.2; done; dd if=/dev/sdb of=/dev/null bs=1M count=8 2>/dev/null")
        guest.hvsh("Remove-VMHardDiskDrive -VMName deb -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 1")
        guest.hvsh(f"Add-VMNetworkAdapter -VMName deb -Name extra -SwitchName {debian.SWITCH}")
        guest.run("for i in $(seq 50); do [ -d /sys/class/net/eth1 ] && break; sleep 0.2; done; [ -d /sys/class/net/eth1 ]")
        guest.hvsh("Remove-VMNetworkAdapter -VMName deb -Name extra")
        guest.run("for i in $(seq 100); do [ -d /sys/class/net/eth1 ] || break; sleep 0.2; done; ! [ -d /sys/class/net/eth1 ]")
    guest.run("while ! grep -q over /tmp/bg; do sleep 0.5; done; grep -q 'err= 0' /tmp/bg || { cat /tmp/bg; false; }", LONG)
    # Who still read the disk that went says so, and nobody else anything.
    gone = re.compile(r"hv_storvsc .* status: scsi 0x0 srb 0x20|storvsc_on_io_completion: \d+ callbacks suppressed|dev sdb|\[sdb\]|sdb: ")
    assert [line for line in guest.complaints() if not gone.search(line)] == []


def test_freeze_and_thaw(guest, host):
    components = [i for i in host.api.get("classes/Msvm_VssComponent/instances")["instances"]
                  if guest.child.guid in i["self"].upper()]
    methods = components[0]["methods"]
    invoke(host.api, methods["Undercroft_Freeze"], {})
    time.sleep(1)
    invoke(host.api, methods["Undercroft_Thaw"], {})
    guest.run("touch /root/thawed && sync")


def test_the_clock_is_the_parents(guest):
    """IP timestamps: the milliseconds of the day when a packet leaves, is at the parent, leaves it, is back."""
    text = guest.run(f"ping -c 20 -i 0.3 -T tsandaddr {debian.GATEWAY}", 60)
    trips = re.findall(r"absolute\s+\S+\s+(-?\d+)\s+\S+\s+(-?\d+)\s+\S+\s+(-?\d+)", text)
    assert len(trips) >= 5, text
    offsets = sorted((int(there) - int(back)) / 2 for there, _, back in trips)
    assert abs(offsets[len(offsets) // 2]) <= 10, text


def test_two_children_talk(guest, newer):
    assert newer.run("uname -r").startswith("6.12")
    assert newer.complaints() == []
    assert "hv_balloon" in newer.run("readlink /sys/bus/vmbus/devices/*/driver")
    there = newer.address()
    newer.run("iperf3 -s -D >/dev/null 2>&1; sleep 1")
    guest.run(f"ping -c 3 {there} >/dev/null")
    for direction in ("", "-R"):
        guest.run(f"iperf3 -c {there} -n 8M {direction} >/tmp/iperf 2>&1 || {{ cat /tmp/iperf; false; }}", LONG)
    for end in (guest, newer):
        assert re.findall(r"InCsumErrors\s+([1-9]\d*)", end.run("nstat -az")) == []


def test_memory_follows_what_the_guest_needs(guest, newer):
    def assigned():
        return int(re.search(r"MemoryAssigned\s*:\s*(\d+)", newer.hvsh("Get-VM new | select MemoryAssigned"))[1]) >> 20

    deadline = time.monotonic() + 120
    while assigned() >= 384:				# the balloon takes what nobody uses
        assert time.monotonic() < deadline
        time.sleep(2)
    low = assigned()
    newer.run("mount -t tmpfs -o size=600m tmpfs /mnt; for i in $(seq 14); do dd if=/dev/zero of=/mnt/$i bs=1M count=12 2>/dev/null; "
              "sleep 1.5; done", 120)
    deadline = time.monotonic() + 90
    while assigned() <= low + 32:
        assert time.monotonic() < deadline
        time.sleep(2)
    newer.run("umount /mnt")


def test_a_killed_worker_leaves_a_disk_that_is_whole(guest, host):
    guest.run("((while :; do dd if=/dev/urandom of=/var/tmp/k bs=256k count=32 conv=fsync 2>/dev/null; done) >/dev/null 2>&1 &) ; sleep 4; "
              "dd if=/dev/urandom of=/root/kept bs=1M count=4 conv=fsync 2>/dev/null; sync")
    expected = guest.run("md5sum /root/kept").split()[0]
    pid = host.run(f"grep -l {guest.child.guid} /proc/[0-9]*/cmdline | head -1").split("/")[2]
    host.run(f"kill -9 {pid}")
    guest.shell.close()
    guest.child.wait_state(3, 30)
    assert "True" in guest.hvsh(f"Test-VHD {debian.disk_of('deb')}")
    guest.start()
    assert guest.run("md5sum /root/kept").split()[0] == expected


def test_a_guest_is_asked_to_shut_down(guest):
    guest.shell.close()
    guest.hvsh("Stop-VM deb", timeout=240)
    assert guest.child.enabled_state() == 3
    assert "Power down" in guest.child.console_text()
