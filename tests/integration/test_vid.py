# SPDX-License-Identifier: Apache-2.0
"""Driver and hypervisor under children of a few bytes of code each: vid-probe, run in the parent."""


def test_the_probe_finds_nothing_wrong(host):
    held = host.held()
    status, output = host.execute("vid-probe", timeout=300)
    verdicts = [line for line in output.splitlines() if line.startswith(("ok ", "not ok "))]
    assert status == 0, output
    assert len(verdicts) > 5 and all(line.startswith("ok ") for line in verdicts), output
    assert host.held() == held
    assert host.kernel_complaints() == []
