# SPDX-License-Identifier: Apache-2.0
"""./undercroft test: builds, runs every test, and adds them all up in the last line."""

import os
import subprocess
import xml.etree.ElementTree as ElementTree

import building
import paths
from report import note, step

RESULTS = paths.BUILD / "results"
TEST_TIMEOUT = 300
HOSTS_MAX = 4
HOSTS_MEMORY = 6 * 2**30		# of one worker's: a shared host, and one that a test boots beside it


def _count(path):
    """(passed, failed, skipped) of a JUnit file; a missing or broken file is one failure."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return 0, 1, 0
    suites = [root] if root.tag == "testsuite" else list(root)
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0)) + int(suite.get("disabled", 0))
    return total - failed - skipped, failed, skipped


def _run(argv, result):
    """Runs a test program that writes a JUnit file. Its own status counts too, in case the file says less."""
    result.unlink(missing_ok=True)
    status = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, cwd=paths.SOURCE, check=False).returncode
    passed, failed, skipped = _count(result)
    if status != 0 and failed == 0:
        failed = 1
    return passed, failed, skipped


def run_host_tests():
    result = RESULTS / "host.xml"
    return _run(["ctest", "--test-dir", paths.BUILD / "host-asan", "--output-on-failure", "--no-tests=error",
                 "--parallel", str(os.cpu_count() or 1), "--timeout", TEST_TIMEOUT, "--output-junit", result], result)


def _workers():
    """An emulated host keeps one processor busy, however many it has itself."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(os.cpu_count() or 1, HOSTS_MAX, memory // HOSTS_MEMORY))


def run_integration_tests(keyword, soak):
    result = RESULTS / "integration.xml"
    workers = 1 if soak else _workers()		# what takes long prints what it measures
    argv = ["/usr/bin/python3", "-B", "-m", "pytest", "-v", "-p", "no:cacheprovider", paths.SOURCE / "tests/integration",
            f"--junit-xml={result}", "--durations=12", "--durations-min=10", "--dist=loadgroup",
            f"--numprocesses={workers if workers > 1 else 0}"]
    if keyword:
        argv += ["-k", keyword]
    if soak:
        argv += ["--soak"]
    return _run(argv, result)


def run_all(keyword=None, soak=False):
    """Without a keyword everything; with one only the integration tests that match. Soak: the long ones instead."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    building.build_all()
    totals = []
    if not keyword and not soak:
        building.build_sanitized()
        with step("unit, lint and REST tests on this machine"):
            totals.append(run_host_tests())
    with step("integration tests under QEMU"):
        totals.append(run_integration_tests(keyword, soak))
    passed, failed, skipped = (sum(column) for column in zip(*totals))
    if skipped:
        note(f"{skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
