# SPDX-License-Identifier: Apache-2.0
"""The bench itself: image, console and power button work with no hypervisor at all, and a machine that cannot be
lifted boots as if the hypervisor were not there."""

import pytest


def test_the_parent_image_boots_without_the_hypervisor(own_host):
    host = own_host(lifted=False, cpus=2)
    assert host.run("nproc").strip() == "2"
    assert host.execute("exit_with() { return $1; }; exit_with 7") == (7, "")
    assert host.run("stat -c '%a %u' /run/undercroft/token").split() == ["600", "0"]
    assert host.kernel_complaints() == []
    assert host.execute("test -c /dev/mshv")[0] == 1
    assert host.machine.power_off(), "the power button did not end the parent in order"




@pytest.mark.parametrize("feature, word", [("svm", "SVM"), ("npt", "nested paging")])
def test_a_machine_that_cannot_be_lifted_says_why_and_boots(own_host, feature, word):
    host = own_host(expect="unlifted", cpus=1, cpu_without=(feature,))
    lines = [line for line in host.machine.hypervisor_log.read_text().splitlines() if "cannot lift" in line]
    assert len(lines) == 1 and word in lines[0], lines
    assert host.kernel_complaints() == []
