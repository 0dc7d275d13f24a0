# SPDX-License-Identifier: Apache-2.0
"""Micro-guests: each is started as a child, checks one behaviour of the machine that it sees, and prints its verdict.

The last line on the console is PASS, FAIL <why>, SKIP <why> or ERROR <why>; ERROR means that the guest itself is broken.
"""

import pytest

import paths
from children import IMAGES

VERDICT = r"(?m)^(PASS|FAIL|SKIP|ERROR)\b([^\r\n]*)"
GUESTS = sorted(path.stem for path in paths.GUESTS.glob("*.bin"))


def test_there_are_guests():
    assert GUESTS, f"no micro-guest in {paths.GUESTS}"


@pytest.mark.parametrize("name", GUESTS)
def test_guest(host, name):
    child = host.start_child(f"guest-{name}", memory_mib=64, kernel=f"{IMAGES}/guests/{name}.bin", initrd=None,
                             command_line="")
    found = child.wait_console(VERDICT, 120)
    if found[1] == "SKIP":
        pytest.skip(found[2].strip())
    assert found[1] == "PASS", f"{found[0]}\n{child.console_text()}"
