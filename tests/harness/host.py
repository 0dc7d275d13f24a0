# SPDX-License-Identifier: Apache-2.0
"""A whole host as one object for a test: the machine, the parent's shell, the REST API, the children."""

import functools
import http.server
import pathlib
import re
import socket
import subprocess
import threading
import time

import pexpect

import paths
from api import Api, ApiError
from children import Child
from console import Console, ShellError
from machine import Machine, Options
from report import Failure

BOOT_TIMEOUT = 300
READY = r"UNDERCROFT-PARENT-READY (\S+) (\S+) (\w+)"
TRACE_DIRECTORY = "/var/lib/undercroft/traces"
TRACE_PORT = 9100
LOOPBACK = "10.0.2.2"		# this machine's, as the emulator's network shows it to the parent
DEBUGFS = "/sys/kernel/debug/undercroft"

# What a stock kernel warns about on this emulator with nothing below it, and what it says of any module from outside
# its own tree. Everything else of level "warning" or worse is ours.
KNOWN_WARNINGS = (
    r"Speculative Return Stack Overflow",
    r"mtrr: your CPUs had inconsistent",
    r"Unstable clock detected|If you want to keep using the local clock|trace_clock=local|on the kernel command line",
    r"^\[[^\]]*\](\s+#\d+)+$",			# second half of "smp: ... #1 #2", wrapped
    r"tsc: Unable to calibrate against PIT|tsc: using.*reference calibration|tsc: PIT calibration",
    r"hrtimer: interrupt took \d+ ns",	# the emulator's processors take turns: one may stand still in its timer interrupt
    r"vid: not loaded: this kernel is not the root partition",
    r"vid: loading out-of-tree module taints kernel",
    r"vid: module verification failed: signature and/or required key missing",
)
# And where the emulator's own timers tick for it, when they come late.
KNOWN_UNLIFTED = (r"APIC calibration not consistent with PM-Timer",)
TRACES = re.compile(r"Call Trace|WARNING: CPU|BUG: |Oops|rcu: INFO|soft lockup|hung_task|general protection|unchecked MSR")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Gives files and says nothing of it."""

    def log_message(self, *_):
        pass


class Host:
    def __init__(self, name, lifted=True, expect=None, **options):
        """`expect` says how the parent shall come up, "lifted" or "unlifted", where that is not what was asked for."""
        self.name = name
        self.expect = expect or ("lifted" if lifted else "unlifted")
        self.options = Options(lifted=lifted, **options)
        self.machine = Machine(paths.BUILD / "run-tests" / name)
        self.console = None
        self.api = None
        self.children = []

    # Life

    def boot(self):
        self.machine.kill()
        self.children = []
        self.machine.start(self.options)
        found = self.machine.wait_console(READY, BOOT_TIMEOUT)
        if found[3] != self.expect:
            raise Failure(f"the parent came up {found[3]}, not {self.expect}; {self.machine.where()}")
        self.console = Console(self.machine.console_socket)
        self.api = Api(self.machine.api_url(), self.machine.token_file.read_text().strip())
        if not self.api.wait_alive(BOOT_TIMEOUT, self.machine.running):
            raise Failure(f"the API did not answer; {self.machine.where()}")
        return self

    def healthy(self):
        return self.console is not None and self.machine.running() and self.api.alive() and not self.traces()

    def traces(self):
        """The first line of the parent's console that tells of a fault of its kernel, or None."""
        found = TRACES.search(self.machine.console_log.read_text(errors="replace"))
        return found and found[0]

    def settle(self):
        """Removes what a test left; returns why the host cannot be used any more, or None."""
        if not self.machine.running():
            return f"the machine ended; {self.machine.where()}"
        try:
            self.remove_children()
        except (OSError, ApiError, Failure) as error:
            return f"{error}; {self.machine.where()}"
        return self.traces()

    def close(self):
        if self.console:
            self.console.close()
            self.console = None
        self.machine.kill()

    # The parent

    def run(self, command, timeout=60):
        """Runs a command in the parent's root shell; returns its output. Another status than 0 is a ShellError."""
        return self.console.run(command, timeout)

    def execute(self, command, timeout=60):
        return self.console.execute(command, timeout)

    def put(self, source, target, timeout=120):
        """Copies a file of this machine into the parent."""
        source = pathlib.Path(source)
        handler = functools.partial(QuietHandler, directory=str(source.parent))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                self.run(f"mkdir -p {pathlib.PurePosixPath(target).parent} && "
                         f"wget -q -O {target} http://{LOOPBACK}:{server.server_port}/{source.name}", timeout)
            finally:
                server.shutdown()

    def uptime(self):
        """The parent's own clock, in seconds."""
        return float(self.run("cut -d' ' -f1 /proc/uptime"))

    def memory_available_kib(self):
        """What the parent could give away, after everything that can be dropped was dropped.

        Free pages that a processor keeps at hand are not in MemAvailable, and go up and down by some 10 MiB.
        """
        self.run("sync; echo 3 >/proc/sys/vm/drop_caches")
        kept = sum(int(pages) for pages in re.findall(r"^\s+count:\s+(\d+)", self.run("cat /proc/zoneinfo"), re.M))
        return int(re.search(r"MemAvailable:\s+(\d+)", self.run("cat /proc/meminfo"))[1]) + 4 * kept

    def kernel_complaints(self):
        """Lines of the parent's log of level warning or worse that a stock kernel would not print here, and traces."""
        complaints = []
        known = KNOWN_WARNINGS + (KNOWN_UNLIFTED if self.expect == "unlifted" else ())
        log = self.run("dmesg -r")
        (self.machine.logs / "parent-dmesg.log").write_text(log)
        for line in log.splitlines():
            found = re.match(r"<(\d+)>(.*)", line)
            if not found:
                continue
            serious = int(found[1]) & 7 <= 4 or TRACES.search(found[2])
            if serious and not any(re.search(pattern, found[2]) for pattern in known):
                complaints.append(found[2])
        return complaints

    def counters(self, file):
        """The "name value" lines of one file below the VID's debugfs directory."""
        lines = self.run(f"cat {DEBUGFS}/{file}").splitlines()
        return {name: int(value) for name, value in (line.split() for line in lines)}

    def held(self):
        """What VID and hypervisor hold for children at the moment: equal before and after a child's life."""
        own = self.counters("hypervisor")
        below = {f"hypervisor.{name}": own[name] for name in ("partitions", "vps", "deposited_pages", "mapped_pages")}
        return {**self.counters("live"), **below}

    # Traces

    def trace(self):
        """Makes the management service keep a trace of each child's bus from now on."""
        old = self.run("pidof vmms").strip()
        self.run(f"mkdir -p {TRACE_DIRECTORY}; echo 'trace-vmbus = {TRACE_DIRECTORY}' >>/etc/undercroft/vmms.conf; kill {old}")
        deadline = time.monotonic() + 60
        while self.execute("pidof vmms")[1].strip() in ("", old) or not self.api.alive():
            if time.monotonic() > deadline:
                raise Failure(f"the management service did not come back; {self.machine.where()}")
            time.sleep(0.5)

    def fetch_traces(self, directory, bytes_max):
        """Copies what was traced into a directory of this machine: the first bytes of each."""
        port = self.machine.forward(TRACE_PORT)
        for name in self.run(f"ls {TRACE_DIRECTORY}").split():
            self.run(f"(head -c {bytes_max} {TRACE_DIRECTORY}/{name} | nc -l -p {TRACE_PORT}) >/dev/null 2>&1 &")
            (directory / name).write_bytes(self._receive(port))

    def _receive(self, port):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            # The forwarded port takes the connection also while nobody listens in the parent yet.
            with socket.create_connection(("127.0.0.1", port), timeout=30) as stream, stream.makefile("rb") as file:
                try:
                    data = file.read()
                except OSError:
                    data = b""
            if data:
                return data
            time.sleep(0.5)
        raise Failure(f"no trace came out of the parent; {self.machine.where()}")

    # Children

    def define_child(self, name, **settings):
        child = Child.define(self.api, name, **settings)
        self.children.append(child)
        return child

    def start_child(self, name, **settings):
        child = self.define_child(name, **settings)
        child.start()
        return child

    def remove_children(self):
        children, self.children = self.children, []
        for child in children:
            child.remove()

    def worker_pids(self):
        """Process ids of all workers in the parent."""
        return sorted(int(pid) for pid in self.execute("pidof vmwp")[1].split())

    def hvsh(self, command, timeout=60):
        """Runs one command line of the shell on this machine; returns (status, standard output, standard error)."""
        result = subprocess.run([str(paths.HVSH), "-c", command], env=self.hvsh_environment(), capture_output=True,
                                text=True, timeout=timeout, check=False)
        return result.returncode, result.stdout, result.stderr

    def hvsh_environment(self):
        return {"PATH": "/usr/bin:/bin", "TERM": "dumb", "HOME": str(self.machine.run),
                "UNDERCROFT_API": self.machine.api_url(), "UNDERCROFT_TOKEN_FILE": str(self.machine.token_file)}

    def connect(self, name):
        """The child's console as a person has it: Connect-VM in a terminal. The caller closes it."""
        return pexpect.spawn(str(paths.HVSH), ["-c", f"Connect-VM -Name {name}"], env=self.hvsh_environment(),
                             encoding="utf-8", codec_errors="replace", timeout=30)
