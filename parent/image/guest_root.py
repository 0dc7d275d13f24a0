#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the root file system of a Debian guest from packages: a raw ext4 image, without kernel and boot loader.

Modules of the kernel that it will be booted with lie beside the ones of others below /lib/modules. Needs no privileges:
mmdebstrap uses a user namespace where it is not root.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

import build

HERE = pathlib.Path(__file__).resolve().parent / "guest"
FEATURES = "filetype,sparse_super,large_file,extent,dir_index,uninit_bg"
BLOCK_BYTES = 4096
INODES = 32768
INODE_BYTES = 256
LABEL = "uc-root"


def make_modules(trees, target):
    """The modules that a guest may want, of each (version, tree), as they lie below lib/modules."""
    names = build.read_list(HERE.parent / "child-modules.txt")
    for version, tree in trees:
        build.install_modules(target, tree, version, names)
        build.run("/sbin/depmod", "-b", target, version)	# kmod's index, which a small image does without


def mmdebstrap(suite, modules, out):
    packages = ",".join(line.split()[0] for line in build.read_list(HERE / "packages.txt"))
    build.run("mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", f"--include={packages}",
              '--aptopt=Acquire::Languages "none"',
              "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
              "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/info/*",
              f"--customize-hook=copy-in {modules}/lib/modules /usr/lib",
              f"--customize-hook={HERE}/setup \"$1\"", suite, out)


def make_image(archive, image, mib):
    """A tight ext2 first, which genext2fs makes without being root, and from it an ext4 of the wanted size."""
    blocks = archive.stat().st_size // BLOCK_BYTES * 5 // 4
    build.run("genext2fs", "-B", BLOCK_BYTES, "-b", blocks, "-N", INODES, "-a", archive, image)
    build.run("/sbin/tune2fs", "-O", FEATURES, "-L", LABEL, image)
    # Status 1: it has done what it was told.
    check = subprocess.run(["/sbin/e2fsck", "-fyD", image], capture_output=True, text=True, check=False)
    if check.returncode > 1:
        raise SystemExit(f"e2fsck failed with status {check.returncode}: {check.stdout.strip()}")
    build.run("/sbin/tune2fs", "-I", INODE_BYTES, image)
    build.run("/sbin/tune2fs", "-j", image)
    with open(image, "r+b") as file:
        file.truncate(mib * 2**20)
    build.run("/sbin/resize2fs", image)


def parse_arguments():
    parser = argparse.ArgumentParser(description="Makes the root file system of a Debian guest.")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--suite", default="bookworm")
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--modules", action="append", default=[], metavar="VERSION:TREE", help="of a kernel to boot it with")
    return parser.parse_args()


def main():
    args = parse_arguments()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.parent) as name:
        work = pathlib.Path(name)
        work.chmod(0o755)
        make_modules([(v, pathlib.Path(t)) for v, t in (m.split(":", 1) for m in args.modules)], work / "modules")
        mmdebstrap(args.suite, work / "modules", work / "root.tar")
        make_image(work / "root.tar", work / "root.img", args.mib)
        shutil.move(work / "root.img", args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
