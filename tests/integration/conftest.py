# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the integration tests: one shared host for most of them, hosts of their own for the rest."""

import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from host import Host  # noqa: E402  the path has to be set first


@pytest.fixture(scope="session")
def shared_machine():
    """A host with two processors for all tests that leave it as they found it."""
    host = Host("shared", cpus=2).boot()
    yield host
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
