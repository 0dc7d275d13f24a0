# SPDX-License-Identifier: Apache-2.0
"""Stock Debian kernels: version, image and modules. One for the parent and for children, and a newer one for children.

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
RELEASE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
NEWER_SUFFIX = "-cloud-amd64"


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


def _unpack(version, package_version, tree, apt_options=()):
    """Downloads the kernel's package and unpacks it; nothing is installed."""
    tree.mkdir(parents=True, exist_ok=True)
    package = f"linux-image-{version}"
    run_logged(["apt-get", "-q", *apt_options, "download", f"{package}={package_version}"], LOG, cwd=tree)
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


def _backports(directory):
    """Options that let apt see the release's backports, from the mirror that the machine uses, and nothing else; lists
    and caches lie in the build tree."""
    targets = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"],
                             capture_output=True, text=True, check=True).stdout
    mirrors = [line.split()[0] for line in targets.splitlines() if line.split()[1:] == [RELEASE]]
    if not mirrors:
        raise Failure(f"apt knows no mirror of {RELEASE}: the newer kernel cannot be fetched")
    for part in ("state/lists/partial", "cache/archives/partial"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    sources = directory / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirrors[0]} {RELEASE}-backports main\n")
    return ["-o", f"Dir::State={directory}/state", "-o", f"Dir::Cache={directory}/cache", "-o", "Dir::State::status=/dev/null",
            "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-", "-o", "APT::Sandbox::User=root",
            "-o", "Acquire::Languages=none"]


def find_newer():
    """A kernel of the release's backports, in the variant for virtual machines; fetched once."""
    for known in sorted(paths.KERNELS.glob(f"*{NEWER_SUFFIX}")):
        kernel = _in_tree(known.name, known)
        if kernel:
            return kernel
    with step("fetching a newer stock kernel"):
        paths.KERNELS.mkdir(parents=True, exist_ok=True)
        options = _backports(paths.KERNELS / "apt")
        run_logged(["apt-get", "-q", *options, "update"], LOG)
        shown = subprocess.run(["apt-cache", *options, "show", "linux-image-cloud-amd64"], capture_output=True, text=True, check=True)
        found = re.search(r"linux-image-(\S+) \(= (\S+)\)", shown.stdout)
        if not found:
            raise Failure("linux-image-cloud-amd64 of the backports names no kernel")
        _unpack(found[1], found[2], paths.KERNELS / found[1], options)
    kernel = _in_tree(found[1], paths.KERNELS / found[1])
    if not kernel:
        raise Failure(f"linux-image-{found[1]} was unpacked, but holds no kernel; log: {LOG}")
    return kernel
