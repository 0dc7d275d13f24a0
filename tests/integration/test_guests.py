# SPDX-License-Identifier: Apache-2.0
"""Micro-guests as children: each checks one behaviour of the machine that it sees, and prints its verdict last.

tests/guests/manifest.json says what each needs, which last line it has to print, and how it has to end. A guest that
skips where a verdict is expected has failed: here everything that it asks for is there.
"""

import json
import re

import pytest

import paths
from children import DISABLED, IMAGES

MANIFEST = json.loads((paths.SOURCE / "tests/guests/manifest.json").read_text())["guests"]
TIMEOUT = 240


def start(host, guest, number):
    run = guest["runs"][number]
    return host.start_child(f"{guest['name']}{number}", memory_mib=guest["memory_mib"], processors=guest["processors"],
                            kernel=f"{IMAGES}/guests/{guest['name']}.bin", initrd=None, command_line=run["command_line"])


def ending(host, child):
    """How the service says that the worker ended: by the reason of its last event, or by its exit status."""
    log = (host.machine.logs / "vmms.log").read_text(errors="replace")
    lines = [line for line in log.splitlines() if f"vm={child.guid}" in line]
    reasons = [found[1] for line in lines if (found := re.search(r'worker\.state .* state=4 reason="(\w*)"', line))]
    if reasons:
        return reasons[-1]
    return "triple_fault" if any("worker.gone" in line and "triple fault" in line for line in lines) else None


def finish(host, child, run):
    child.wait_state(DISABLED, TIMEOUT)
    console = child.console_text().replace("\r", "").rstrip("\n")
    assert console.splitlines()[-1:] == [run["last_line"]], console
    assert ending(host, child) == run["worker_reason"]
    assert "not ok:" not in console


@pytest.mark.parametrize("guest", MANIFEST, ids=lambda guest: guest["name"])
def test_guest(host, guest):
    for number, run in enumerate(guest["runs"]):
        finish(host, start(host, guest, number), run)
        host.remove_children()


@pytest.mark.parametrize("guest", [g for g in MANIFEST if len(g["runs"]) > 1], ids=lambda guest: guest["name"])
def test_guests_beside_each_other(host, guest):
    """Two children at the same time look for each other's traces: in memory, in registers."""
    children = [start(host, guest, number) for number in range(len(guest["runs"]))]
    for child, run in zip(children, guest["runs"]):
        finish(host, child, run)


def test_every_guest_is_in_the_manifest():
    built = {path.stem for path in paths.GUESTS.glob("*.bin")}
    assert built == {guest["name"] for guest in MANIFEST}
