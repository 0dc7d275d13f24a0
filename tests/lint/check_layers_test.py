#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that check_layers.py catches what it is there to catch, with the real layers.txt and files of its own."""

import pathlib
import tempfile
import unittest

import check_layers

RULES = check_layers.Layers(pathlib.Path(__file__).with_name("layers.txt").read_text())


class CheckLayers(unittest.TestCase):
    def problems(self, files):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            return list(check_layers.check(root, RULES))

    def test_an_allowed_include_passes(self):
        self.assertEqual(self.problems({"schemas/hv/hv_types.h": "#include <stdint.h>\n",
                                        "hypervisor/core/vp.c": '#include "core/vp.h"\n#include "hv/hv_types.h"\n',
                                        "hypervisor/core/vp.h": "#include <stdbool.h>\n"}), [])

    def test_the_core_may_not_see_a_vendor(self):
        found = self.problems({"hypervisor/svm/vmcb.h": "", "hypervisor/core/vp.c": '#include "svm/vmcb.h"\n'})
        self.assertEqual(found, ["hypervisor/core/vp.c:1: hypervisor/core may not include hypervisor/svm/vmcb.h"])

    def test_a_relative_path_is_no_way_around(self):
        found = self.problems({"hypervisor/svm/vmcb.h": "", "hypervisor/core/vp.c": '#include "../svm/vmcb.h"\n'})
        self.assertEqual(len(found), 1)

    def test_the_core_may_not_use_a_hosted_libc(self):
        found = self.problems({"hypervisor/core/vp.c": "#include <stdio.h>\n"})
        self.assertEqual(found, ["hypervisor/core/vp.c:1: hypervisor/core may not include <stdio.h>"])

    def test_the_service_may_not_see_the_worker(self):
        found = self.problems({"parent/worker/worker.h": "",
                               "mgmt-service/vmms/vm.c": '#include "../../parent/worker/worker.h"\n'})
        self.assertEqual(len(found), 1)

    def test_the_shell_may_not_see_the_daemon(self):
        found = self.problems({"mgmt-service/store/store.h": "", "mgmt-service/cli/main.c": '#include "store/store.h"\n'})
        self.assertEqual(len(found), 1)

    def test_the_two_ends_of_vmbus_share_no_code(self):
        found = self.problems({"vsp/vmbus/ring.h": "", "vsc/vmbus/ring.c": '#include "../../vsp/vmbus/ring.h"\n'})
        self.assertEqual(len(found), 1)

    def test_an_include_that_is_nowhere_is_a_problem(self):
        found = self.problems({"vsp/vmbus/ring.c": '#include "gone.h"\n'})
        self.assertEqual(found, ['vsp/vmbus/ring.c:1: "gone.h" is found nowhere'])

    def test_a_file_outside_all_layers_is_a_problem(self):
        found = self.problems({"hypervisor/attic/old.c": "#include <stdint.h>\n"})
        self.assertEqual(found, ["hypervisor/attic/old.c:1: lies in no layer of layers.txt"])

    def test_a_broken_rule_is_refused(self):
        with self.assertRaises(ValueError):
            check_layers.Layers("hypervisor/core may use everything\n")


if __name__ == "__main__":
    unittest.main()
