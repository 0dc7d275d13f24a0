# SPDX-License-Identifier: Apache-2.0
"""Debian in a child, with stock drivers and daemons: disks of every format, networks, integration components, dynamic memory."""

import hashlib
import json
import os
import re
import subprocess
import time

import pytest

import debian
from children import embedded, instances, invoke
from guest import Guest
from report import Failure

pytestmark = pytest.mark.xdist_group("debian")
LONG = 600					# for half a minute's work, when the emulator has to share its processor
DISKS = debian.DISKS
FILES = "/var/lib/undercroft/files"


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
    unbound, drivers = guest.unbound_devices()
    assert unbound == []
    for driver in ("hv_storvsc", "hv_netvsc", "hyperv_keyboard", "hv_utils"):
        assert driver in drivers
    assert drivers.count("hv_utils") == 6		# heartbeat, shutdown, time, KVP, VSS, file copy
    assert guest.complaints() == []
    assert guest.run("systemctl --failed --no-legend").strip() == ""


def test_offloads_are_on(guest):
    features = guest.run("ethtool -k $(ip -4 -o addr | awk '/ 10\\./ {print $2}')")
    for feature in ("rx-checksumming", "tx-checksumming", "scatter-gather", "tcp-segmentation-offload"):
        assert re.search(rf"^{feature}: on", features, re.M), features


def test_what_the_guest_tells_of_itself_is_shown(guest):
    address = guest.address()
    deadline = time.monotonic() + 180
    while address not in guest.hvsh("Get-VM deb") and time.monotonic() < deadline:
        time.sleep(1)
    shown = guest.hvsh("Get-VM deb")
    assert address in shown and "OkApplicationsUnknown" in shown, shown
    services = guest.hvsh("Get-VMIntegrationService deb")
    assert services.count("True") == 6 and services.count(" OK ") == 6, services
    items = guest.hvsh("Get-VMKvpItem deb")
    assert "Debian GNU/Linux" in items and guest.run("uname -r").strip() in items, items
    guest.hvsh("Set-VMKvpItem deb -Name colour -Data blue")
    deadline = time.monotonic() + 180
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
    # Who still read the disk, or sent through the adapter, that went says so, and nobody else anything.
    gone = re.compile(r"hv_storvsc .* status: scsi 0x0 srb 0x20|storvsc_on_io_completion: \d+ callbacks suppressed|dev sdb|\[sdb\]|sdb: |"
                      r"hv_netvsc .* eth1: Unable to send packet .* ret -19$")
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
    deadline = time.monotonic() + 120
    while newer.assigned_mib() >= 384:				# the balloon takes what nobody uses
        assert time.monotonic() < deadline
        time.sleep(2)
    low = newer.assigned_mib()
    newer.run("mount -t tmpfs -o size=600m tmpfs /mnt; for i in $(seq 14); do dd if=/dev/zero of=/mnt/$i bs=1M count=12 2>/dev/null; "
              "sleep 1.5; done", 120)
    deadline = time.monotonic() + 90
    while newer.assigned_mib() <= low + 32:
        assert time.monotonic() < deadline
        time.sleep(2)
    newer.run("umount /mnt")


def medium(host, folder, label, size):
    """An ISO image with a label and a file of random bytes, in the parent: its path, and the sum of the file."""
    content = folder / label
    content.mkdir()
    data = os.urandom(size)
    (content / "data").write_bytes(data)
    image = folder / f"{label}.iso"
    subprocess.run(["genisoimage", "-quiet", "-R", "-V", label, "-o", image, content], check=True)
    host.put(image, f"{DISKS}/{image.name}")
    return f"{DISKS}/{image.name}", hashlib.md5(data).hexdigest()


def test_a_dvd_is_read_changed_and_ejected(guest, host, tmp_path):
    (one, sum_of_one), (two, sum_of_two) = medium(host, tmp_path, "ONE", 3 << 20), medium(host, tmp_path, "TWO", 1 << 20)

    def holds(label, expected):
        guest.wait(f"[ \"$(blkid -p -o value -s LABEL /dev/sr0)\" = {label} ]")
        guest.run("mount -o ro /dev/sr0 /mnt")
        assert guest.run("md5sum /mnt/data; umount /mnt").split()[0] == expected

    guest.hvsh(f"Add-VMDvdDrive -VMName deb -Path {one}")
    try:
        guest.wait("[ -b /dev/sr0 ]")
        holds("ONE", sum_of_one)
        guest.hvsh(f"Set-VMDvdDrive -VMName deb -Path {two}")
        holds("TWO", sum_of_two)
        guest.run("mount -o ro /dev/sr0 /mnt && eject /dev/sr0 && ! grep -q /mnt /proc/mounts && "
                  "! dd if=/dev/sr0 of=/dev/null count=1 2>/dev/null")
        guest.hvsh(f"Set-VMDvdDrive -VMName deb -Path {one}")
        holds("ONE", sum_of_one)
        guest.hvsh("Set-VMDvdDrive -VMName deb -Path ''")
        guest.run("! dd if=/dev/sr0 of=/dev/null count=1 2>/dev/null")
        guest.hvsh(f"Set-VMDvdDrive -VMName deb -Path {one}")
        holds("ONE", sum_of_one)
        # Ejected by the guest, and the same one put in again.
        guest.run("eject /dev/sr0")
        guest.hvsh(f"Set-VMDvdDrive -VMName deb -Path {one}")
        holds("ONE", sum_of_one)
        assert one in guest.hvsh("Get-VMDvdDrive -VMName deb | select Path")
    finally:
        guest.hvsh("Get-VMDvdDrive -VMName deb | Remove-VMDvdDrive")
        host.run(f"rm -f {one} {two}")
    guest.wait("! [ -b /dev/sr0 ]")
    assert guest.complaints() == []


def configure(guest, **properties):
    """Tells the guest, by its key-value daemon, which addresses its adapter shall have."""
    service = instances(guest.host.api, "Msvm_VirtualSystemManagementService")[0]
    own = configuration(guest)
    wanted = embedded("Msvm_GuestNetworkAdapterConfiguration", InstanceID=own["InstanceID"], ProtocolIFType=4096, **properties)
    deadline = time.monotonic() + 180
    while True:
        try:
            return invoke(guest.host.api, service["methods"]["SetGuestNetworkAdapterConfiguration"],
                          {"ComputerSystem": guest.child.uri, "NetworkConfiguration": [wanted]})
        except Failure as error:
            # While the daemon is still at an older question, which the kernel gave up, the kernel refuses the next.
            if "0x80004005" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(5)


def configuration(guest):
    return next(i["properties"] for i in instances(guest.host.api, "Msvm_GuestNetworkAdapterConfiguration")
                if guest.child.guid in i["properties"]["InstanceID"].upper())


def test_addresses_are_given_to_the_guest(guest, host):
    own = guest.address()
    configure(guest, DHCPEnabled=False, IPAddresses=["10.77.0.200", "10.77.1.1"], Subnets=["255.255.255.0", "255.255.254.0"],
              DefaultGateways=[debian.GATEWAY], DNSServers=[debian.GATEWAY])
    host.run("for i in $(seq 20); do ping -c 1 -W 1 10.77.0.200 >/dev/null && break; done; ping -c 1 -W 1 10.77.0.200")
    addresses = guest.run("ip -4 -o addr")
    assert "10.77.0.200/24" in addresses and "10.77.1.1/23" in addresses and own not in addresses
    assert f"default via {debian.GATEWAY}" in guest.run("ip route")
    assert debian.GATEWAY in guest.run("resolvectl dns")
    deadline = time.monotonic() + 180
    while "10.77.0.200" not in guest.hvsh("Get-VM deb"):
        assert time.monotonic() < deadline
        time.sleep(1)
    told = configuration(guest)
    assert not told["DHCPEnabled"] and told["IPAddresses"][:2] == ["10.77.0.200", "10.77.1.1"]
    assert told["Subnets"][:2] == ["255.255.255.0", "255.255.254.0"] and told["DefaultGateways"] == [debian.GATEWAY]
    configure(guest, DHCPEnabled=True)
    guest.wait("ip -4 -o addr | grep -q ' 10\\.77\\.0\\..* dynamic'")	# a lease
    own = guest.address()
    assert "10.77.0.200" not in guest.run("ip -4 -o addr") and guest.reaches(debian.GATEWAY)
    deadline = time.monotonic() + 180		# not of DHCPEnabled: Debian 12's own script looks for what its networkctl does not print
    while own not in guest.hvsh("Get-VM deb"):
        assert time.monotonic() < deadline
        time.sleep(1)


def test_drivers_are_loaded_again(guest, newer):
    """Of the network and of dynamic memory, which stays loaded and lets go of its device; test_soak.py does it fifty times."""
    guest.run(debian.reload(3))
    newer.run(debian.bind_again(3))
    guest.address()
    assert guest.reaches(debian.GATEWAY)
    assert guest.unbound_devices()[0] == []
    for end in (guest, newer):
        assert end.complaints() == []


def test_another_kernel_takes_over_without_a_reset(guest, host):
    """kexec: the bus is left and connected anew, with channels, rings and interrupts where the new kernel wants them."""
    worker = guest.worker_pid()
    host.run("httpd -p 8080 -h /var/lib/undercroft/images")
    try:
        guest.run(f"cd /root; for f in vmlinuz child-initrd.img; do curl -sSO http://{debian.GATEWAY}:8080/$f || break; done; "
                  "kexec -l vmlinuz --initrd=child-initrd.img --reuse-cmdline --append=uc.again", 180)
    finally:
        host.run("kill $(pidof httpd)")
    expected = guest.run("dd if=/dev/urandom of=/root/kept bs=1M count=2 2>/dev/null; md5sum /root/kept").split()[0]
    guest.shell.session.sendline("systemctl kexec")
    guest.child.wait_console(rf"(?s)uc\.again.*{debian.READY}", debian.BOOT_TIMEOUT)
    guest.take_shell()
    assert "uc.again" in guest.run("cat /proc/cmdline")
    assert guest.run("md5sum /root/kept").split()[0] == expected
    unbound, drivers = guest.unbound_devices()
    assert unbound == [] and drivers.count("hv_utils") == 6 and guest.complaints() == []
    guest.address()
    assert guest.reaches(debian.GATEWAY) and guest.worker_pid() == worker
    deadline = time.monotonic() + 180
    while "OkApplicationsUnknown" not in guest.hvsh("Get-VM deb"):
        assert time.monotonic() < deadline
        time.sleep(1)


HERE, THERE = "10.88.0.1", "10.88.0.2"


@pytest.fixture(scope="module")
def lan(guest, newer):
    """One more adapter for each on a private switch, with addresses of their own, and a third for the newer one, that
    watches."""
    guest.hvsh("New-VMSwitch lan -SwitchType Private")
    try:
        for end, name, address in ((guest, "lan", HERE), (newer, "lan", THERE), (newer, "watch", None)):
            # Nobody else is to configure them.
            end.run("printf '[Match]\\nName=eth[1-9]*\\n[Link]\\nUnmanaged=yes\\n' >/run/systemd/network/10-own.network; networkctl reload")
            end.hvsh(f"Add-VMNetworkAdapter -VMName {end.name} -Name {name} -SwitchName lan")
            device = "eth2" if name == "watch" else "eth1"
            end.wait(f"[ -d /sys/class/net/{device} ]")
            end.run(f"ip link set {device} up" + (f"; ip addr add {address}/24 dev {device}" if address else ""))
        yield
    finally:
        # By then the guests may be off, and nobody asks them.
        for end, name in ((guest, "lan"), (newer, "watch"), (newer, "lan")):
            end.host.hvsh(f"Remove-VMNetworkAdapter -VMName {end.name} -Name {name}")
        guest.hvsh("Remove-VMSwitch lan -Force")


def set_vlan(end, mode):
    end.hvsh(f"Set-VMNetworkAdapterVlan -VMName {end.name} -Name lan {mode}")


def test_vlans_keep_children_apart(guest, newer, lan):
    assert guest.reaches(THERE)
    set_vlan(guest, "-Access -VlanId 5")
    assert guest.misses(THERE)
    set_vlan(newer, "-Access -VlanId 6")
    assert guest.misses(THERE)
    set_vlan(newer, "-Access -VlanId 5")
    assert guest.reaches(THERE)
    # A trunk brings its VLANs with their tags and none else; the native one without.
    set_vlan(newer, "-Trunk -AllowedVlanIdList 5,7 -NativeVlanId 7")
    newer.run("modprobe 8021q; ip link add link eth1 name eth1.5 type vlan id 5; ip addr add 10.88.5.2/24 dev eth1.5; "
              "ip link set eth1.5 up")
    guest.run("ip addr add 10.88.5.1/24 dev eth1")
    assert guest.reaches("10.88.5.2") and newer.reaches("10.88.5.1")
    assert guest.misses(THERE)
    set_vlan(guest, "-Access -VlanId 7")
    assert guest.reaches(THERE) and guest.misses("10.88.5.2")
    set_vlan(guest, "-Access -VlanId 8")
    assert guest.misses(THERE) and guest.misses("10.88.5.2")
    newer.run("ip link del eth1.5")
    guest.run("ip addr del 10.88.5.1/24 dev eth1")
    # Isolated ports of one primary VLAN reach the promiscuous one and not each other.
    for end in (guest, newer):
        set_vlan(end, "-Isolated -PrimaryVlanId 10 -SecondaryVlanId 11")
    assert guest.misses(THERE)
    set_vlan(newer, "-Promiscuous -PrimaryVlanId 10 -SecondaryVlanId 11")
    assert guest.reaches(THERE) and newer.reaches(HERE)
    for end in (guest, newer):
        set_vlan(end, "-Untagged")
    assert guest.reaches(THERE)


def test_access_lists_of_children(guest, newer, lan):
    def acl(verb, rest):
        guest.hvsh(f"{verb}-VMNetworkAdapterAcl -VMName deb -Name lan {rest}")

    mac = newer.run("cat /sys/class/net/eth1/address").strip()
    guest.run("ip addr add 10.88.0.3/24 dev eth1")
    for rule in (f"-Action Deny -Direction Both -RemoteIPAddress {THERE}",
                 "-Action Deny -Direction Outbound -RemoteIPAddress 10.88.0.0/28",
                 f"-Action Deny -Direction Inbound -RemoteMacAddress {mac}"):
        acl("Add", rule)
        assert guest.misses(THERE), rule
        acl("Remove", rule)
        assert guest.reaches(THERE), rule
    # The narrower entry wins.
    acl("Add", "-Action Deny -Direction Both -LocalIPAddress 10.88.0.0/24")
    acl("Add", "-Action Allow -Direction Both -LocalIPAddress 10.88.0.3")
    assert newer.reaches("10.88.0.3") and newer.misses(HERE)
    assert guest.hvsh("Get-VMNetworkAdapterAcl -VMName deb -Name lan").count("10.88.0.") == 4
    acl("Remove", "-Action Deny -Direction Both -LocalIPAddress 10.88.0.0/24")
    acl("Remove", "-Action Allow -Direction Both -LocalIPAddress 10.88.0.3")
    guest.run("ip addr del 10.88.0.3/24 dev eth1")
    assert newer.reaches(HERE)


def test_bandwidth_of_a_child_is_limited(guest, newer, lan):
    """To a third of what goes through without a limit: how much that is depends on the emulator."""
    seconds, frame = 4, 1200
    newer.run("pidof iperf3 >/dev/null || iperf3 -s -D >/dev/null 2>&1; sleep 1")

    def rate(options=""):
        """Bits of datagrams that arrived in a second."""
        text = guest.run(f"iperf3 -J -u -l {frame} -b 4M -c {THERE} -t {seconds} {options} >/tmp/iperf || {{ cat /tmp/iperf; false; }}; "
                         "cat /tmp/iperf", 120)
        return json.loads(text)["end"]["sum_received"]["bytes"] * 8 / seconds

    free = rate()
    limit = int(free / 3)
    # A port that was idle may send a second's worth at once, and the largest frame that there is.
    most = 1.1 * (limit * (seconds + 1) + 8 * 65536) / seconds
    guest.hvsh(f"Set-VMNetworkAdapter -VMName deb -Name lan -MaximumBandwidth {limit}")
    sent, received = rate(), rate("-R")
    guest.hvsh("Set-VMNetworkAdapter -VMName deb -Name lan -MaximumBandwidth 0")
    again = rate()
    text = f"{free:.0f} bit/s free; {sent:.0f} sent, {received:.0f} received at {limit}, at most {most:.0f}; {again:.0f} free again"
    assert 0.5 * limit < sent < most and 0.5 * limit < received < most and again > most, text


def test_what_a_child_sends_and_gets_is_mirrored(guest, newer, lan):
    def seen():
        """Echo requests and replies between the two that the watching adapter saw."""
        newer.run("rm -f /tmp/seen /tmp/tcpdump; (tcpdump -l -n -i eth2 icmp >/tmp/seen 2>/tmp/tcpdump &)")
        newer.wait("grep -q listening /tmp/tcpdump", 60)
        guest.run(f"ping -c 4 -i 0.3 -w 30 {THERE} >/dev/null; sleep 1", 60)
        lines = newer.run("kill $(pidof tcpdump); while pidof tcpdump >/dev/null; do sleep 0.2; done; cat /tmp/seen")
        return tuple(len(set(re.findall(rf"{what}, id \d+, seq \d+", lines)))
                     for what in (f"{HERE} > {THERE}: ICMP echo request", f"{THERE} > {HERE}: ICMP echo reply"))

    assert seen() == (0, 0)
    newer.hvsh("Set-VMNetworkAdapter -VMName new -Name watch -PortMirroring Destination")
    guest.hvsh("Set-VMNetworkAdapter -VMName deb -Name lan -PortMirroring Source")
    assert seen() == (4, 4)
    guest.hvsh("Set-VMNetworkAdapter -VMName deb -Name lan -PortMirroring None")
    assert seen() == (0, 0)
    for end in (guest, newer):
        assert end.complaints() == []


def test_a_killed_worker_leaves_a_disk_that_is_whole(guest, host):
    guest.run("((while :; do dd if=/dev/urandom of=/var/tmp/k bs=256k count=32 conv=fsync 2>/dev/null; done) >/dev/null 2>&1 &) ; sleep 4; "
              "dd if=/dev/urandom of=/root/kept bs=1M count=4 conv=fsync 2>/dev/null; sync")
    expected = guest.run("md5sum /root/kept").split()[0]
    host.run(f"kill -9 {guest.worker_pid()}")
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
