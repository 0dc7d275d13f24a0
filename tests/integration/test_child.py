# SPDX-License-Identifier: Apache-2.0
"""An unmodified Debian kernel in a child finds a Hyper-V below itself, keeps time by it, and ends in every way it should."""

import re
import time

import pytest

from children import DISABLED, ENABLED

READY = r"UNDERCROFT-CHILD-READY (\S+) ([0-9.]+)"
BOOT_TIMEOUT = 300


@pytest.fixture
def shell(host):
    """A running child and its console as Connect-VM gives it."""
    child = host.start_child("shell")
    child.wait_console(READY, BOOT_TIMEOUT)
    session = host.connect("shell")
    session.sendline("")
    session.expect("child# ", timeout=30)
    session.sendline("stty -echo; dmesg -n 1")
    session.expect("child# ", timeout=30)
    yield session
    session.close(force=True)


def ask(session, command, timeout=60):
    """Output of a command in the child's shell."""
    session.sendline(f"echo B''EGIN; {command}; echo E''ND")
    session.expect(r"BEGIN\r*\n(?s:(.*?))END\r*\n", timeout=timeout)
    return session.match[1].replace("\r", "")


def interrupts(session, label):
    """Sum over the processors of the line of /proc/interrupts that starts with the label."""
    for line in ask(session, "cat /proc/interrupts").splitlines():
        words = line.split()
        if words and words[0] == label:
            return sum(int(word) for word in words[1:] if word.isdigit())
    return None


def test_the_kernel_finds_hyper_v(host):
    child = host.start_child("facts")
    version = child.wait_console(READY, BOOT_TIMEOUT)[1]
    console = child.console_text()
    assert version == host.run("uname -r").strip(), "the child runs another kernel than the one that was given"
    assert "Hypervisor detected: Microsoft Hyper-V" in console
    flags = re.search(r"Hyper-V: privilege flags low (0x[0-9a-f]+), high (0x[0-9a-f]+), hints (0x[0-9a-f]+)", console)
    assert flags, "the kernel did not print the privilege flags"
    low = int(flags[1], 16)
    # TLFS, partition privileges: reference counter, SynIC, synthetic timers, hypercall MSRs, VP index, reference TSC.
    for bit, what in ((1, "reference counter"), (2, "SynIC"), (3, "synthetic timers"), (5, "hypercall"), (6, "VP index"),
                      (9, "reference TSC")):
        assert low & 1 << bit, f"privilege missing: {what}"
    assert re.search(r"--- current clock source\r?\n(hyperv_clocksource_tsc_page|tsc)\r?\n", console)
    assert re.search(r"--- clock events\r?\n(?:.*\r?\n)*?Hyper-V clockevent", console)
    assert not re.search(r"Call Trace|WARNING: CPU|BUG:|unchecked MSR", console)


def test_the_synthetic_timer_ticks(shell):
    before = interrupts(shell, "HVS:")
    assert before is not None, "no line of the synthetic timer in /proc/interrupts"
    ask(shell, "sleep 2")
    assert interrupts(shell, "HVS:") - before > 20
    assert not interrupts(shell, "LOC:"), "the local APIC's timer is used although there is a synthetic one"


def test_sleep_takes_as_long_as_in_the_parent(host, shell):
    """10 s +- 2 %, by the parent's clock. Three tries, because the machine below the bench has other things to do."""
    deviations = []
    for _ in range(3):
        shell.sendline("echo B''EGIN; sleep 10; echo E''ND")
        shell.expect("BEGIN", timeout=30)
        began = host.uptime()
        shell.expect("END", timeout=30)
        deviations.append(host.uptime() - began - 10)
        if abs(deviations[-1]) <= 0.2:
            return
    pytest.fail(f"sleep 10 deviated by {deviations} s")


def test_a_child_with_two_processors(host):
    child = host.start_child("two", processors=2)
    child.wait_console(READY, BOOT_TIMEOUT)
    console = child.console_text()
    assert re.search(r"--- processors\r?\n2\r?\n", console)
    assert not re.search(r"Call Trace|WARNING: CPU|BUG:", console)


def test_it_is_turned_off_over_rest(host):
    child = host.start_child("off")
    child.wait_console(READY, BOOT_TIMEOUT)
    assert child.enabled_state() == ENABLED
    child.turn_off()
    assert child.enabled_state() == DISABLED
    assert host.worker_pids() == []
    child.start()
    child.wait_state(ENABLED, 30)


def test_it_powers_itself_off(host):
    child = host.start_child("self", command_line="console=ttyS0 panic=-1 uc.then=poweroff")
    child.wait_console(READY, BOOT_TIMEOUT)
    child.wait_state(DISABLED, 60)
    assert "Power down" in child.console_text()
    assert host.worker_pids() == []


def test_it_resets_itself(host):
    child = host.start_child("again", command_line="console=ttyS0 panic=-1 uc.then=reboot")
    child.wait_console(rf"(?s){READY}.*{READY}", 2 * BOOT_TIMEOUT)
    assert child.enabled_state() == ENABLED


def test_two_children_at_once(host):
    one = host.start_child("one", memory_mib=384)
    two = host.start_child("other", memory_mib=384)
    one.wait_console(READY, 2 * BOOT_TIMEOUT)
    two.wait_console(READY, 2 * BOOT_TIMEOUT)
    assert len(host.worker_pids()) == 2
    one.turn_off()
    assert two.enabled_state() == ENABLED
    session = host.connect("other")
    session.sendline("")
    session.expect("child# ", timeout=30)
    session.close(force=True)


def test_twenty_lives_leave_nothing_behind(host):
    host.start_child("first").wait_console("Linux version", 60)
    host.remove_children()
    held, memory = host.held(), host.memory_available_kib()
    for number in range(20):
        child = host.start_child(f"life{number}", memory_mib=256)
        child.wait_console("Linux version", 60)
        child.turn_off()
        host.remove_children()
    assert host.held() == held
    time.sleep(1)
    assert host.memory_available_kib() > memory - 4 * 1024		# 200 KiB in each life would show

    assert host.kernel_complaints() == []
