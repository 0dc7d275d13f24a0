# SPDX-License-Identifier: Apache-2.0
"""./undercroft demo: from nothing to an unmodified Debian in a child partition."""

import subprocess
import time

import pexpect

import building
import cli
import debian
import paths
from children import Child
from machine import Machine, Options
from report import Failure, note, step
from shell import ChildShell

NAME = "demo"
ADDRESS_TIMEOUT = 90


def hvsh_of(machine):
    """Runs one line of hvsh; what it complains of is a Failure."""
    def hvsh(line):
        result = subprocess.run([str(paths.HVSH), "-c", line], env=cli.hvsh_environment(machine), capture_output=True,
                                text=True, check=False)
        if result.returncode != 0:
            raise Failure(f"hvsh: {line}: {result.stderr.strip()}")
        return result.stdout
    return hvsh


def start_child(machine, hvsh):
    """Defines and starts the child; returns it and when it was started."""
    api = cli.api_of(machine)
    with step(f"creating and starting child '{NAME}': root disk on a VHDX, adapter on a NAT switch"):
        old = Child.find(api, NAME)
        if old:
            old.remove()
        debian.switch(hvsh)
        debian.define(hvsh, NAME)
        child = Child.find(api, NAME)
        began = time.monotonic()
        child.start()
        note(f"child {child.guid}")
    return child, began


def wait_for_address(machine, hvsh):
    """What Get-VM shows once the guest has told its address."""
    with step("waiting for the child's heartbeat and address"):
        deadline = time.monotonic() + ADDRESS_TIMEOUT
        while True:
            shown = hvsh(f"Get-VM {NAME}")
            if debian.GATEWAY.rsplit(".", 1)[0] in shown:
                return shown
            if time.monotonic() > deadline:
                raise Failure(f"Get-VM shows no address of the child; {machine.where()}:\n{shown}")
            time.sleep(1)


def fetch_from_parent(machine):
    """The child fetches a page from a server in the parent, the management service itself."""
    with step("the child fetches a page from the parent over TCP"):
        shell = ChildShell(pexpect.spawn(str(paths.HVSH), ["-c", f"Connect-VM -Name {NAME}"], encoding="utf-8",
                                         codec_errors="replace", env=cli.hvsh_environment(machine), timeout=30))
        try:
            answer = shell.run(f"curl -sS -m 30 http://{debian.GATEWAY}:8006/api/v2/classes")
        finally:
            shell.close()
        note(" ".join(answer.split())[:100])


def keep_console(machine, child):
    """Leaves the child's console among the logs; a failure must not hide the reason that led here."""
    path = machine.logs / f"child-{NAME}.log"
    try:
        path.write_text(child.console_text())
    except (Failure, OSError) as error:
        path.write_text(f"console not available: {error}\n")


def wait_for_child(machine, child):
    with step("waiting for the child's user land"):
        try:
            found = child.wait_console(debian.READY, debian.BOOT_TIMEOUT)
        except (Failure, OSError) as error:
            raise Failure(f"{error}; {machine.where()}") from None
        finally:
            keep_console(machine, child)
    return found[1]


def check():
    """The form without questions: everything from start to end, one line of result."""
    machine = Machine(paths.BUILD / "run-check")
    machine.kill()
    building.build_all()
    cli.boot(machine, Options())
    try:
        hvsh = hvsh_of(machine)
        child, began = start_child(machine, hvsh)
        version = wait_for_child(machine, child)
        seconds = time.monotonic() - began
        print(wait_for_address(machine, hvsh).rstrip())
        fetch_from_parent(machine)
        with step("asking the child to shut down"):
            hvsh(f"Stop-VM {NAME}")
            child.destroy()
        with step("shutting the host down"):
            if not machine.power_off():
                raise Failure(f"the parent did not power off in time; {machine.where()}")
    finally:
        machine.kill()
    print(f"child partition: Linux {version} reached its user land in {seconds:.1f} s")
    return 0


def show():
    """The form for people: leaves the host running and gives the child's console."""
    machine = Machine()
    if not machine.running():
        building.build_all()
        cli.boot(machine, Options())
    hvsh = hvsh_of(machine)
    child, _ = start_child(machine, hvsh)
    wait_for_child(machine, child)
    print(child.console_text().replace("\r", ""))
    print(wait_for_address(machine, hvsh).rstrip())
    fetch_from_parent(machine)
    cli.show_status(cli.status_of(machine))
    note("the child's console follows; Ctrl-] leaves it, the host stays up until ./undercroft down")
    return subprocess.run([str(paths.HVSH), "-c", f"Connect-VM -Name {NAME}"], env=cli.hvsh_environment(machine),
                          check=False).returncode
