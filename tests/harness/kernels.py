# SPDX-License-Identifier: Apache-2.0
"""The stock Debian kernel: its version, its image and its modules, for the parent and for children.

The version is that of the installed headers, against which vid.ko is built. The kernel itself is taken where it is
installed; elsewhere its package is unpacked below the build tree, because installing a kernel would change how the
developer's own machine boots.
"""

import dataclasses
import pathlib
import re
import subprocess

import paths
from report import Failure, run_logged, step

LOG = paths.BUILD_LOGS / "kernel.log"


@dataclasses.dataclass
class Kernel:
    version: str			# 6.1.0-NN-amd64
    image: pathlib.Path			# bzImage
    tree: pathlib.Path			# directory that holds lib/modules/VERSION

    @property
    def headers(self):
        return pathlib.Path("/usr/src") / f"linux-headers-{self.version}"


def _dependency():
    """(kernel version, package version) that linux-headers-amd64 stands for."""
    result = subprocess.run(["dpkg-query", "-W", "-f", "${Depends}", "linux-headers-amd64"],
                            capture_output=True, text=True, check=False)
    found = re.search(r"linux-headers-(\S+) \(= (\S+)\)", result.stdout)
    if not found:
        raise Failure("package linux-headers-amd64 is not installed: run ./undercroft build")
    return found[1], found[2]


def _in_tree(version, tree):
    kernel = Kernel(version, tree / f"boot/vmlinuz-{version}", tree)
    complete = kernel.image.exists() and (tree / f"lib/modules/{version}/modules.dep").exists()
    return kernel if complete else None


def _unpack(version, package_version, tree):
    """Downloads the kernel's package and unpacks it; nothing is installed."""
    tree.mkdir(parents=True, exist_ok=True)
    package = f"linux-image-{version}"
    run_logged(["apt-get", "-q", "download", f"{package}={package_version}"], LOG, cwd=tree)
    archives = list(tree.glob(f"{package}_*.deb"))
    run_logged(["dpkg-deb", "-x", archives[0], tree], LOG)
    run_logged(["depmod", "-b", tree, version], LOG)
    for archive in archives:
        archive.unlink()


def find():
    """The kernel to use, unpacked first where it is not there yet."""
    version, package_version = _dependency()
    tree = paths.KERNELS / version
    kernel = _in_tree(version, pathlib.Path("/")) or _in_tree(version, tree)
    if kernel:
        return kernel
    with step(f"fetching the stock kernel linux-image-{version}"):
        _unpack(version, package_version, tree)
    kernel = _in_tree(version, tree)
    if not kernel:
        raise Failure(f"linux-image-{version} was unpacked to {tree}, but holds no kernel; log: {LOG}")
    return kernel
