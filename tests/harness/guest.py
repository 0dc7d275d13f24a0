# SPDX-License-Identifier: Apache-2.0
"""A Debian child as one object for a test: its hvsh name, its shell, its address."""

import re

import debian
from children import Child
from report import Failure
from shell import ChildShell

# What any Debian says that has no PCI and no sound, on an emulated processor; that its balloon does what it is told; that a
# DVD drive is no ATA device, which udev asks of every drive that the driver calls SPC-3.
HARMLESS = re.compile(r"Speculative Return Stack|srso|PCI: (Fatal: No config|System does not support)|Power-on or device reset|"
                      r"hv_balloon: (Balloon|Using|Max)|hv_storvsc .* cmd 0x85 status: scsi 0x2 |hrtimer: interrupt took|"
                      r"Capacity data has changed|autofs4|systemd\[1\]: |supports timestamps until|process '.*' started with executable stack")
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
        self.take_shell()
        return self

    def take_shell(self):
        """The shell on its console, anew after each boot."""
        if self.shell:
            self.shell.close()
        self.shell = ChildShell(self.host.connect(self.name))
        self.run("dmesg -n 1")		# the kernel's lines stay out of what commands print

    def run(self, command, timeout=90):
        return self.shell.run(command, timeout)

    def wait(self, condition, seconds=120):
        """Until a condition of the guest's shell holds."""
        self.run(f"u=$((SECONDS + {seconds})); until {condition}; do [ $SECONDS -lt $u ] || break; sleep 0.2; done; {condition}", seconds + 60)

    def address(self):
        return ADDRESS.search(self.run("networkctl --no-legend list >/dev/null; for i in $(seq 60); do "
                                       "ip -4 -o addr | grep -q ' 10\\.' && break; sleep 1; done; ip -4 -o addr"))[0]

    def reaches(self, address):
        """As soon as there is an answer; to find that there is none takes longer."""
        return self.shell.execute(f"ping -c 1 -i 0.5 -w 20 {address} >/dev/null")[0] == 0

    def misses(self, address):
        return self.shell.execute(f"ping -c 2 -i 0.5 -w 2 {address} >/dev/null")[0] != 0

    def worker_pid(self):
        """Process id of its worker in the parent."""
        return int(self.host.run(f"for p in $(pidof vmwp); do grep -q {self.child.guid} /proc/$p/cmdline && echo $p; done; true"))

    def assigned_mib(self):
        """What memory it has at the moment, as the host sees it."""
        return int(re.search(r"MemoryAssigned\s*:\s*(\d+)", self.hvsh(f"Get-VM {self.name} | select MemoryAssigned"))[1]) >> 20

    def complaints(self):
        """What its kernel has warned of since this was asked last."""
        lines = self.run("dmesg -c -l warn,err,crit,alert,emerg").splitlines()
        return [line for line in lines if line.strip() and not HARMLESS.search(line)]

    def unbound_devices(self):
        """Devices of the bus without a driver; and the drivers of the others, as often as they are there."""
        listing = self.run("for d in /sys/bus/vmbus/devices/*; do echo $(cat $d/class_id) $(readlink $d/driver | sed 's,.*/,,'); done")
        devices = [line.split() for line in listing.splitlines() if line.strip()]
        return [d[0] for d in devices if len(d) != 2], [d[1] for d in devices if len(d) == 2]

    def remove(self):
        if self.shell:
            self.shell.close()
        self.child.remove()
        self.host.run(f"rm -f {debian.disk_of(self.name)}")
