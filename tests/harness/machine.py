# SPDX-License-Identifier: Apache-2.0
"""The machine that the host runs on: QEMU with UEFI firmware, one per run directory.

    RUN/state.json               pid, port and options of the running machine
    RUN/token                    bearer token of the API, readable by its owner only
    RUN/esp.img, data.img        boot partition (fresh each time) and data disk (kept on request)
    RUN/qmp.sock, console.sock   control socket of the emulator, first serial port of the parent
    RUN/logs/                    parent-console.log, vmms.log, hypervisor.log (port 0xe9), qemu.log

The emulator is a child of nobody in particular: it goes on after the program that started it, and is found again by
state.json. It ends when the machine powers off or resets (-no-reboot).
"""

import dataclasses
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time

import paths
from qmp import Qmp, QmpError
from report import Failure, tail

OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
API_PORT = 8006
DEFAULT_PORT = 18006
PORT_TAKEN = "ould not set up host forwarding rule"	# as the emulator says it, at its start and in its monitor
QMP_TIMEOUT = 20

# What the emulator would warn about or gets wrong is switched off: features it drops, MONITOR (MWAIT with ECX != 0
# faults), XSAVE (it has no XSETBV intercept, so the guest's XCR0 changes unseen) and CMPXCHG16B (hypervisor/README.md).
TCG_CPU = ("EPYC,-monitor,-xsave,-avx,-avx2,-f16c,-fma,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,"
           "-topoext,-nrip-save,-xsavec,-xsaveopt,-xgetbv1,-cx16")


@dataclasses.dataclass
class Options:
    cpus: int = 2
    memory_mib: int = 3072
    numa: int = 1
    disk: str | None = None		# data disk; RUN/data.img without
    accel: str = "tcg"
    keep: bool = False			# go on with the data disk of the last run
    lifted: bool = True
    port: int | None = None		# of the API on the loopback; the first free one without
    icount: bool = False		# one instruction is one nanosecond; one processor only
    cpu_without: tuple = ()		# features that the processors shall lack: ("svm",)
    extra: tuple = ()			# more arguments for the emulator


def parse_size_mib(text):
    """'3G', '2048M' or plain MiB."""
    found = re.fullmatch(r"(\d+)([MmGg]?)(?:i?[Bb])?", text)
    if not found:
        raise Failure(f"'{text}' is not a memory size: use 2048M or 3G")
    return int(found[1]) * (1024 if found[2] in ("G", "g") else 1)


def check_options(options):
    if not 1 <= options.cpus <= 64:
        raise Failure("--cpus takes 1 to 64")
    if not 1 <= options.numa <= options.cpus:
        raise Failure("--numa takes 1 up to the number of processors: each node has one at least")
    if options.memory_mib < 1024:
        raise Failure("--memory takes 1024M or more")
    if options.icount and options.cpus != 1:
        raise Failure("instruction counting works with one processor only")
    if options.accel == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Failure("--accel kvm: /dev/kvm is missing or not open to this user")


def free_ports(first):
    """Ports of the loopback that nobody has. Another machine may still take one first: then the next has to do."""
    for port in range(first, first + 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
    raise Failure(f"no free port from {first} on")


def numa_arguments(options):
    if options.numa == 1:
        return []
    arguments = []
    for node in range(options.numa):
        size = options.memory_mib // options.numa + (options.memory_mib % options.numa if node == 0 else 0)
        cpus = [c for c in range(options.cpus) if c * options.numa // options.cpus == node]
        arguments += ["-object", f"memory-backend-ram,id=m{node},size={size}M",
                      "-numa", f"node,nodeid={node},cpus={cpus[0]}-{cpus[-1]},memdev=m{node}"]
    for a in range(options.numa):
        for b in range(a + 1, options.numa):
            arguments += ["-numa", f"dist,src={a},dst={b},val=20"]
    return arguments


def accel_arguments(options):
    if options.accel == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    # One thread for all processors: with one each, FXRSTOR and XRSTOR on any processor write the flags of processor 0 back
    # without a lock, and its nested paging bit gets lost or comes back at VMRUN and #VMEXIT (hypervisor/README.md).
    arguments = ["-accel", "tcg,thread=single", "-cpu", TCG_CPU + "".join(f",-{f}" for f in options.cpu_without)]
    if options.icount:
        arguments += ["-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01T00:00:00,clock=vm", "-seed", "1"]
    return arguments


class Machine:
    def __init__(self, run_directory=paths.RUN):
        self.run = pathlib.Path(run_directory)
        self.logs = self.run / "logs"
        self.state_file = self.run / "state.json"
        self.token_file = self.run / "token"
        self.console_socket = self.run / "console.sock"
        self.qmp_socket = self.run / "qmp.sock"
        self.console_log = self.logs / "parent-console.log"
        self.hypervisor_log = self.logs / "hypervisor.log"
        self.process = None

    # State

    def state(self):
        """What state.json says, when the emulator it names is really running; else None."""
        try:
            state = json.loads(self.state_file.read_text())
            command_line = pathlib.Path(f"/proc/{state['pid']}/cmdline").read_bytes()
        except (OSError, ValueError, KeyError):
            return None
        if self.process and self.process.poll() is not None:
            return None
        return state if str(self.run / "vars.fd").encode() in command_line else None

    def running(self):
        return self.state() is not None

    def api_url(self):
        state = self.state()
        return f"http://127.0.0.1:{state['port']}/api/v2" if state else None

    # Start

    def start(self, options):
        """Starts the emulator; returns at once. The caller waits for what it needs."""
        if self.running():
            raise Failure(f"a machine is already running in {self.run}")
        check_options(options)
        self._prepare(options)
        for port in [options.port] if options.port else free_ports(DEFAULT_PORT):
            self._start_emulator(options, port)
            if self._wait_for_qmp():
                return
            reason = tail(self.logs / "qemu.log", 1)
            self._forget()
            if options.port or PORT_TAKEN not in reason:
                raise Failure(f"QEMU did not start: {reason}")

    def _start_emulator(self, options, port):
        argv = self._arguments(options, port)
        self.qmp_socket.unlink(missing_ok=True)
        with open(self.logs / "qemu.log", "wb") as log:
            log.write((" ".join(argv) + "\n").encode())
            log.flush()
            # A session of its own: an interrupt typed at the terminal is for the program that waits, not for the machine.
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.run, start_new_session=True)
        self.state_file.write_text(json.dumps({"pid": self.process.pid, "port": port, "started": time.time(),
                                               "options": dataclasses.asdict(options)}) + "\n")

    def _prepare(self, options):
        self.run.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()
        for path in (self.qmp_socket, self.console_socket, self.state_file):
            path.unlink(missing_ok=True)
        self._write_token()
        shutil.copyfile(OVMF_VARS, self.run / "vars.fd")
        self._make_esp(options)
        disk = self._data_disk(options)
        if not disk.exists() or not (options.keep or options.disk):
            # Sparse, so that an empty disk costs neither time nor space.
            subprocess.run(["cp", "--sparse=always", str(paths.IMAGE / "data.img"), str(disk)], check=True)

    def _make_esp(self, options):
        esp = self.run / "esp.img"
        shutil.copyfile(paths.IMAGE / "esp.img", esp)
        if not options.lifted:
            # The same loader, kernel and disk; only the lift is left out.
            text = (paths.IMAGE / "undercroft.conf").read_text()
            conf = self.run / "undercroft.conf"
            conf.write_text(re.sub(r"(?m)^options = (.*)$", r"options = \1 lift=off", text))
            subprocess.run(["mcopy", "-o", "-i", str(esp), str(conf), "::/undercroft.conf"], check=True)

    def _data_disk(self, options):
        return pathlib.Path(options.disk).resolve() if options.disk else self.run / "data.img"

    def _write_token(self):
        self.token_file.unlink(missing_ok=True)
        with open(os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_hex(32))

    def _arguments(self, options, port):
        def drive(name, path):
            return ["-drive", f"if=none,id={name},format=raw,file={path}", "-device"]

        argv = ["qemu-system-x86_64", "-machine", "q35", "-smp", str(options.cpus), "-m", f"{options.memory_mib}M",
                *accel_arguments(options), *numa_arguments(options),
                "-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot",
                # Relative, as the name of a socket may have 107 bytes and no more.
                "-qmp", f"unix:{self.qmp_socket.name},server=on,wait=off",
                "-chardev", f"socket,id=console,path={self.console_socket.name},server=on,wait=off,"
                            f"logfile={self.console_log}",
                "-serial", "chardev:console",
                "-chardev", f"file,id=daemon,path={self.logs / 'vmms.log'}", "-serial", "chardev:daemon",
                "-chardev", f"file,id=hypervisor,path={self.hypervisor_log}",
                "-device", "isa-debugcon,iobase=0xe9,chardev=hypervisor",
                "-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}",
                "-drive", f"if=pflash,format=raw,file={self.run / 'vars.fd'}",
                "-netdev", f"user,id=net0,hostfwd=tcp:127.0.0.1:{port}-:{API_PORT}",
                "-device", "virtio-net-pci,netdev=net0,romfile=",
                "-fw_cfg", f"name=opt/undercroft/token,file={self.token_file}",
                *drive("esp", self.run / "esp.img"), "virtio-blk-pci,drive=esp,bootindex=1",
                *drive("data", self._data_disk(options)), "virtio-blk-pci,drive=data"]
        return argv + list(options.extra)

    def _wait_for_qmp(self):
        """False when the emulator ended. It answers only when all its devices are there, ports included."""
        deadline = time.monotonic() + QMP_TIMEOUT
        while self.process.poll() is None:
            try:
                Qmp(self.qmp_socket, QMP_TIMEOUT).close()
                return True
            except QmpError:
                time.sleep(0.05)
            if time.monotonic() > deadline:
                self.kill()
                raise Failure(f"QEMU did not answer on its control socket within {QMP_TIMEOUT} s")
        return False

    # Use

    def forward(self, guest_port):
        """Makes one more port of the parent reachable; returns its number on the loopback of this machine."""
        for port in free_ports(DEFAULT_PORT + 1000):
            with Qmp(self.qmp_socket) as qmp:
                answer = qmp.monitor(f"hostfwd_add net0 tcp:127.0.0.1:{port}-:{guest_port}").strip()
            if not answer:
                return port
            if PORT_TAKEN not in answer:
                raise Failure(f"port {guest_port} of the parent cannot be forwarded: {answer}")

    def wait_console(self, pattern, timeout):
        """Waits until the console's log holds a match; returns it. Raises Failure when the machine ends or time is up."""
        compiled = re.compile(pattern)
        deadline = time.monotonic() + timeout
        while True:
            ended = not self.running()
            try:
                text = self.console_log.read_text(errors="replace")
            except OSError:
                text = ""
            found = compiled.search(text)
            if found:
                return found
            if ended:
                raise Failure(f"the machine ended before '{pattern}' appeared; {self.where()}")
            if time.monotonic() > deadline:
                raise Failure(f"'{pattern}' did not appear within {timeout} s; {self.where()}")
            time.sleep(0.2)

    def where(self):
        """Where to look, and how the emulator ended if it was a child of this program and did."""
        status = self.process.poll() if self.process else None
        ended = "" if status is None else f"QEMU ended with status {status}; "
        return f"{ended}logs: {self.logs}"

    # End

    def _wait_end(self, timeout):
        deadline = time.monotonic() + timeout
        while self.running():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def power_off(self, timeout=60):
        """Presses the power button; when the parent does not end in time, pulls the plug. True when it ended by itself."""
        deadline = time.monotonic() + timeout
        clean = not self.running()
        while not clean and time.monotonic() < deadline:
            # Again and again: a press is lost while nobody listens to the button yet.
            try:
                with Qmp(self.qmp_socket) as qmp:
                    qmp.command("system_powerdown")
            except (QmpError, OSError):
                pass
            clean = self._wait_end(min(8, deadline - time.monotonic()))
        if not clean:
            self.kill()
        self._forget()
        return clean

    def kill(self):
        state = self.state()
        if state:
            os.kill(state["pid"], signal.SIGKILL)
            self._wait_end(10)
        self._forget()

    def _forget(self):
        if self.process:
            self.process.wait(10)
            self.process = None
        self.state_file.unlink(missing_ok=True)
