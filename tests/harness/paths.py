# SPDX-License-Identifier: Apache-2.0
"""Where things lie: the source tree, the build tree and a run directory."""

import os
import pathlib

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("UNDERCROFT_BUILD_DIR", SOURCE / "build")).resolve()

IMAGE = BUILD / "image"
KERNELS = BUILD / "kernels"
GUEST_ROOT = BUILD / "guest/debian.vhdx"
BUILD_LOGS = BUILD / "logs"
RUN = BUILD / "run"

EFI = BUILD / "efi/hypervisor/undercroft.efi"
VID = BUILD / "vid/vid.ko"
VMMS = BUILD / "host/mgmt-service/vmms"
HVSH = BUILD / "host/mgmt-service/hvsh"
VMWP = BUILD / "host/parent/worker/vmwp"
VHDTOOL = BUILD / "host/parent/vhdtool/vhdtool"
DNSMASQ = pathlib.Path("/usr/sbin/dnsmasq")
SOCAT = pathlib.Path("/usr/bin/socat")
VID_PROBE = BUILD / "host/parent/libvid/vid-probe"
GUESTS = BUILD / "host/tests/guests"
