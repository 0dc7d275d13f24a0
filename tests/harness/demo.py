# SPDX-License-Identifier: Apache-2.0
"""./undercroft demo: from nothing to an unmodified Debian kernel in a child partition."""

import subprocess
import time

import building
import cli
import paths
from children import Child, COMMAND_LINE
from machine import Machine, Options
from report import Failure, note, step

NAME = "demo"
CHILD_TIMEOUT = 180
READY = r"UNDERCROFT-CHILD-READY (\S+) ([0-9.]+)"


def start_child(machine):
    """Defines and starts the child over REST; returns it and when it was started."""
    api = cli.api_of(machine)
    with step(f"creating and starting child '{NAME}' over {api.base}"):
        old = Child.find(api, NAME)
        if old:
            old.remove()
        child = Child.define(api, NAME, memory_mib=512, command_line=COMMAND_LINE)
        began = time.monotonic()
        child.start()
        note(f"child {child.guid}")
    return child, began


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
            found = child.wait_console(READY, CHILD_TIMEOUT)
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
        child, began = start_child(machine)
        version = wait_for_child(machine, child)
        seconds = time.monotonic() - began
        with step("removing the child"):
            child.turn_off()
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
    child, _ = start_child(machine)
    wait_for_child(machine, child)
    print(child.console_text().replace("\r", ""))
    cli.show_status(cli.status_of(machine))
    note("the child's console follows; Ctrl-] leaves it, the host stays up until ./undercroft down")
    return subprocess.run([str(paths.HVSH), "-c", f"Connect-VM -Name {NAME}"], env=cli.hvsh_environment(machine),
                          check=False).returncode
