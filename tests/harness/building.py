# SPDX-License-Identifier: Apache-2.0
"""Builds everything that the machine needs: hypervisor, daemons, kernel module, parent image."""

import hashlib
import os
import pathlib
import struct

import kernels
import paths
from report import Failure, note, run_logged, step

EFI_LIMIT_KIB = 1024
EFI_AIM_KIB = 256


def _cmake(preset, targets=()):
    directory = paths.BUILD / preset
    log = paths.BUILD_LOGS / f"{preset}.log"
    log.unlink(missing_ok=True)
    if not (directory / "build.ninja").exists():
        run_logged(["cmake", "--preset", preset, "-B", directory], log, cwd=paths.SOURCE)
    argv = ["cmake", "--build", directory, "--parallel", str(os.cpu_count() or 1)]
    if targets:
        argv += ["--target", *targets]
    run_logged(argv, log)


def pe_image_size(path):
    """Bytes that a PE32+ image takes in memory (SizeOfImage)."""
    data = path.read_bytes()
    header = struct.unpack_from("<I", data, 0x3c)[0]
    if data[:2] != b"MZ" or data[header:header + 4] != b"PE\0\0":
        raise Failure(f"{path} is no PE32+ image")
    return struct.unpack_from("<I", data, header + 24 + 56)[0]


def build_efi():
    with step("building undercroft.efi"):
        _cmake("efi")
    file_kib = paths.EFI.stat().st_size / 1024
    note(f"undercroft.efi: {file_kib:.0f} KiB, {pe_image_size(paths.EFI) / 1024:.0f} KiB in memory "
         f"(aim {EFI_AIM_KIB}, limit {EFI_LIMIT_KIB})")
    if file_kib > EFI_LIMIT_KIB:
        raise Failure(f"undercroft.efi is larger than {EFI_LIMIT_KIB} KiB")


def build_host():
    with step("building daemons and shell"):
        _cmake("host")


def build_sanitized():
    with step("building unit tests with sanitizers"):
        _cmake("host-asan")


def build_vid(kernel):
    with step(f"building vid.ko for {kernel.version}"):
        log = paths.BUILD_LOGS / "vid.log"
        log.unlink(missing_ok=True)
        if not kernel.headers.exists():
            raise Failure(f"{kernel.headers} is missing: package linux-headers-{kernel.version}")
        run_logged(["make", "-C", paths.SOURCE / "parent/vid", f"OUT={paths.VID.parent}", f"KERNEL={kernel.version}"], log)


def build_guest_root(kernel_list):
    """A Debian root file system for children, once for each set of what it is made of."""
    recipe = [paths.SOURCE / "parent/image/guest_root.py", *sorted((paths.SOURCE / "parent/image/guest").iterdir()),
              paths.SOURCE / "parent/image/child-modules.txt"]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in recipe))
    digest.update(" ".join(kernel.version for kernel in kernel_list).encode())
    mark = paths.GUEST_ROOT.with_suffix(".recipe")
    if paths.GUEST_ROOT.exists() and mark.exists() and mark.read_text() == digest.hexdigest():
        return
    with step("making a Debian root file system for children"):
        log = paths.BUILD_LOGS / "guest-root.log"
        log.unlink(missing_ok=True)
        raw = paths.GUEST_ROOT.with_suffix(".img")
        argv = ["/usr/bin/python3", "-B", recipe[0], "--out", raw]
        for kernel in kernel_list:
            argv += ["--modules", f"{kernel.version}:{kernel.tree}"]
        run_logged(argv, log)
        paths.GUEST_ROOT.unlink(missing_ok=True)
        run_logged([paths.VHDTOOL, "convert", "--format", "vhdx", "--type", "dynamic", "--block-size", str(2 * 2**20), raw,
                    paths.GUEST_ROOT], log)
        raw.unlink()
        mark.write_text(digest.hexdigest())


def build_image(kernel, newer, out=paths.IMAGE):
    with step("building the parent image"):
        argv = ["/usr/bin/python3", "-B", paths.SOURCE / "parent/image/build.py", "--out", out,
                "--kernel-version", kernel.version, "--kernel-image", kernel.image, "--kernel-tree", kernel.tree]
        argv += ["--efi", paths.EFI, "--vid", paths.VID, "--disk", paths.GUEST_ROOT]
        argv += ["--child-kernel", f"{newer.version}:{newer.image}:{newer.tree}"]
        for program in (paths.VMMS, paths.VMWP, paths.VHDTOOL, paths.VID_PROBE, paths.DNSMASQ, paths.SOCAT):
            argv += ["--program", program]
        for guest in sorted(paths.GUESTS.glob("*.bin")):
            argv += ["--guest", guest]
        log = paths.BUILD_LOGS / "image.log"
        log.unlink(missing_ok=True)
        run_logged(argv, log)


def build_all():
    """All that the machine is made of. Fast when nothing changed."""
    pathlib.Path(paths.BUILD).mkdir(parents=True, exist_ok=True)
    kernel, newer = kernels.find(), kernels.find_newer()
    build_efi()
    build_host()
    build_vid(kernel)
    build_guest_root([kernel, newer])
    build_image(kernel, newer)
    return kernel
