# SPDX-License-Identifier: Apache-2.0
"""Debian in a child: its root on a VHDX of its own over the common one, an adapter on a switch, all integration components."""

from children import IMAGES
from report import Failure

DISKS = "/var/lib/undercroft/disks"
ROOT = f"{DISKS}/debian.vhdx"
READY = r"UNDERCROFT-CHILD-READY (\S+) ([0-9.]+)"
BOOT_TIMEOUT = 600
MODULES = "hv_utils,hv_storvsc,sd_mod,sr_mod,ext4,isofs,hv_netvsc,hv_balloon,hv_sock,hyperv_keyboard"
COMMAND_LINE = f"console=ttyS0 panic=-1 uc.modules={MODULES} uc.root=LABEL=uc-root"
SWITCH = "nat"
SUBNET = "10.77.0.0/24"
GATEWAY = "10.77.0.1"


def switch(hvsh):
    """A NAT switch, if there is none yet. `hvsh` runs one line and returns its output."""
    if SWITCH not in hvsh("Get-VMSwitch"):
        hvsh(f"New-VMSwitch {SWITCH} -SwitchType NAT -NATSubnetAddress {SUBNET}")


def disk_of(name):
    return f"{DISKS}/{name}-root.vhdx"


def has_disk(hvsh, path):
    try:
        return bool(hvsh(f"Get-VHD {path}"))
    except Failure:
        return False


def reload(times):
    """A command: the network's driver goes and comes, that often."""
    return f"for i in $(seq {times}); do modprobe -r hv_netvsc && modprobe hv_netvsc || break; done; [ $i = {times} ] && [ -d /sys/module/hv_netvsc ]"


def bind_again(times):
    """A command: the driver of dynamic memory lets go of its device and takes it again. It cannot be unloaded."""
    return (f"cd /sys/bus/vmbus/drivers/hv_balloon; device=$(ls -d *-*-*); for i in $(seq {times}); do echo $device >unbind && "
            f"echo $device >bind || break; done; [ $i = {times} ] && [ -d $device ]")


def define(hvsh, name, memory="512MB", processors=1, kernel="vmlinuz"):
    """A machine that is off; it goes on with a root disk that it had before. `hvsh` fails with a Failure."""
    if not has_disk(hvsh, disk_of(name)):
        hvsh(f"New-VHD -Path {disk_of(name)} -ParentPath {ROOT} -Differencing")
    hvsh(f"New-VM {name} -MemoryStartupBytes {memory} -ProcessorCount {processors} -SwitchName {SWITCH} "
         f"-KernelPath {IMAGES}/{kernel} -InitialRamdiskPath {IMAGES}/child-initrd.img -CommandLine '{COMMAND_LINE}'")
    hvsh(f"Add-VMScsiController -VMName {name}")
    hvsh(f"Add-VMHardDiskDrive -VMName {name} -Path {disk_of(name)}")
    hvsh(f"Enable-VMIntegrationService -VMName {name} -Name 'Guest Service Interface'")
