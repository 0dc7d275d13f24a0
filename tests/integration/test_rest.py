# SPDX-License-Identifier: Apache-2.0
"""The API as a stranger meets it: refusals are problem documents, the shell tells the same as the wire."""

import json
import os
import stat
import uuid

from children import Child


def problem(answer, status):
    """Checks an RFC 9457 problem document and returns it."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    return document


def test_the_token_is_readable_by_its_owner_only(host):
    mode = os.stat(host.machine.token_file).st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert host.run("stat -c %a /run/undercroft/token").strip() == "600"


def test_a_wrong_token_is_refused(host):
    problem(host.api.request("GET", "classes", token="0" * 64), 401)
    problem(host.api.request("GET", "classes", token=""), 401)


def test_a_wrong_body_names_the_field(host):
    child = host.define_child("wrong")
    method = host.api.get(child.uri)["methods"]["RequestStateChange"]
    document = problem(host.api.request("POST", method, {"RequestedState": "on"}), 400)
    assert "RequestedState" in json.dumps(document)


def test_an_unknown_child_is_not_found(host):
    problem(host.api.request("GET", f"classes/Msvm_ComputerSystem/instances/{str(uuid.uuid4()).upper()}"), 404)


def test_a_running_child_cannot_be_started(host):
    child = host.start_child("twice")
    method = host.api.get(child.uri)["methods"]["RequestStateChange"]
    problem(host.api.request("POST", method, {"RequestedState": 2}), 409)


def test_a_kernel_that_is_none_is_refused_with_a_reason(host):
    host.run("echo no kernel >/var/lib/undercroft/images/bad")
    status, _, errors = host.hvsh("New-VM -Name bad -MemoryStartupBytes 256MB -KernelPath /var/lib/undercroft/images/bad "
                                  "| Start-VM")
    if status == 0:
        status, _, errors = host.hvsh("Start-VM -Name bad")
    assert status != 0
    assert "kernel" in errors.lower() or "bzImage" in errors
    Child.find(host.api, "bad").remove()


def test_the_shell_creates_starts_lists_and_removes(host):
    name = "byshell"
    status, _, errors = host.hvsh(f"New-VM -Name {name} -MemoryStartupBytes 256MB "
                                  "-KernelPath /var/lib/undercroft/images/vmlinuz "
                                  "-InitialRamdiskPath /var/lib/undercroft/images/child-initrd.img "
                                  "-CommandLine 'console=ttyS0 panic=-1'")
    assert status == 0, errors
    host.children.append(Child.find(host.api, name))
    assert host.hvsh(f"Start-VM -Name {name}")[0] == 0
    table = host.hvsh("Get-VM")[1]
    head, *rows = [line for line in table.splitlines() if line.strip()]
    assert head.split()[:3] == ["Name", "State", "CPUUsage(%)"]
    assert any(row.split()[:2] == [name, "Running"] for row in rows)
    status, out, errors = host.hvsh(f"Get-VM -Name {name} -Json")
    assert status == 0, errors
    assert name in out and json.loads(out.splitlines()[0])
    assert host.hvsh(f"Stop-VM -Name {name} -TurnOff")[0] == 0
    assert host.hvsh(f"Remove-VM -Name {name} -Force")[0] == 0
    assert Child.find(host.api, name) is None
