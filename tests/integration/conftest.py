# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests: one shared host for most of them, hosts of their own for the rest.

Several workers share the tests (pytest-xdist), each with a shared host that only it knows. Tests that hold more than the
host in common, as a child that a fixture of their module starts, name an `xdist_group`: one worker has all of a group.
"""

import os
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from host import Host  # noqa: E402  the path has to be set first

TRACE_BYTES_MAX = 256 << 20


# The longest first, the shortest last: then all workers end at about the same time.
LONGEST = ("test_debian", "test_twenty_lives", "test_parent_works", "test_vmbus.py", "test_a_hostile_guest", "test_crashes",
           "test_child", "test_parent", "test_machine", "test_isolation")


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="the long tests, and no others")


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: takes long; runs with --soak only")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    soak = config.getoption("--soak")
    others = [item for item in items if bool(item.get_closest_marker("soak")) != soak]
    if others:
        config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
    items.sort(key=lambda item: next((place for place, part in enumerate(LONGEST) if part in item.nodeid), len(LONGEST)))


@pytest.fixture(scope="session")
def shared_machine():
    """A host with two processors for all tests that leave it as they found it."""
    host = Host("shared-" + os.environ.get("PYTEST_XDIST_WORKER", "gw0"), cpus=2).boot()
    traces = os.environ.get("UNDERCROFT_TRACES")		# a directory: what children's guests say on VMBus is left there
    if traces:
        host.trace()
    yield host
    if traces and host.healthy():
        host.fetch_traces(pathlib.Path(traces), TRACE_BYTES_MAX)
    host.close()


@pytest.fixture
def host(shared_machine):
    """The shared host, without children; booted anew after a test that broke it."""
    if not shared_machine.healthy():
        shared_machine.close()
        shared_machine.boot()
    yield shared_machine
    broken = shared_machine.settle()
    if broken:
        shared_machine.close()
        pytest.fail(f"the test left the host broken: {broken}", pytrace=False)


@pytest.fixture
def own_host(request):
    """A function that boots a host of the test's own with the given options."""
    hosts = []

    def boot(**options):
        hosts.append(Host(re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-"), **options))
        return hosts[-1].boot()

    yield boot
    for host in hosts:
        host.close()
