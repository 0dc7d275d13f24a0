# SPDX-License-Identifier: Apache-2.0
"""Any process may be killed at any time: afterwards the model and the machine agree, and nothing is left behind."""

import time

from children import DISABLED, ENABLED

READY = r"UNDERCROFT-CHILD-READY"
EARLY = "Linux version"
BOOT_TIMEOUT = 300


def wait_until(condition, timeout, what):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s"
        time.sleep(0.3)


def test_a_worker_killed_in_mid_boot_takes_only_its_child_along(host):
    held = host.held()
    bystander = host.start_child("bystander", memory_mib=256)
    pids = host.worker_pids()
    victim = host.start_child("victim", memory_mib=256)
    victim.wait_console(EARLY, 60)
    (pid,) = set(host.worker_pids()) - set(pids)
    host.run(f"kill -9 {pid}")
    victim.wait_state(DISABLED, 30)
    bystander.wait_console(READY, BOOT_TIMEOUT)
    assert bystander.enabled_state() == ENABLED

    victim.start()
    victim.wait_console(READY, BOOT_TIMEOUT)
    host.remove_children()
    assert host.held() == held
    assert host.kernel_complaints() == []


def test_the_service_finds_its_running_child_again(host):
    child = host.start_child("orphan")
    child.wait_console(READY, BOOT_TIMEOUT)
    workers = host.worker_pids()
    old = host.run("pidof vmms").strip()
    host.run(f"kill -9 {old}")
    wait_until(lambda: host.execute("pidof vmms")[1].strip() not in ("", old), 30, "restart of vmms")
    wait_until(host.api.alive, 60, "an answer of the new vmms")

    assert host.worker_pids() == workers, "the worker did not survive its manager"
    assert child.enabled_state() == ENABLED
    session = host.connect("orphan")
    session.sendline("")
    session.expect("child# ", timeout=30)
    session.close(force=True)
    child.turn_off()
    assert child.enabled_state() == DISABLED
    assert host.worker_pids() == []


def test_a_child_that_ends_while_the_service_is_away_is_off_afterwards(host):
    child = host.start_child("gone")
    child.wait_console(READY, BOOT_TIMEOUT)
    (pid,) = host.worker_pids()
    # The service is stopped, so that the worker's end meets nobody; then it is replaced.
    old = host.run("pidof vmms").strip()
    host.run(f"kill -STOP {old}; kill -9 {pid}; kill -9 {old}")
    wait_until(lambda: host.execute("pidof vmms")[1].strip() not in ("", old), 30, "restart of vmms")
    wait_until(host.api.alive, 60, "an answer of the new vmms")
    child.wait_state(DISABLED, 30)
