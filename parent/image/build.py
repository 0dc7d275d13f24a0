#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the parent image from Debian packages: initramfs, boot partition and data disk.

    OUT/initrd.img          the parent: busybox, kernel modules, vid.ko, vmms, vmwp and their libraries
    OUT/child-initrd.img    the demonstration child: busybox and an init script
    OUT/vmlinuz             the stock kernel, for both
    OUT/esp.img             FAT32 with EFI/BOOT/BOOTX64.EFI (the hypervisor), kernel, initramfs, undercroft.conf
    OUT/data.img            ext4, LABEL=uc-data: images/ and disks/ for children, and room for the store

Needs no privileges: archives are written with root as owner, file systems are filled by mtools and mke2fs.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import cpio

HERE = pathlib.Path(__file__).resolve().parent
BUSYBOX = "/bin/busybox"
DIRECTORIES = ["dev", "proc", "sys", "run", "tmp", "root", "etc", "mnt", "var/lib/undercroft", "var/log", "bin", "sbin",
               "usr/bin", "usr/sbin"]
SPARE_ESP_MIB = 16


def run(*argv, **kwargs):
    result = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False, **kwargs)
    if result.returncode != 0:
        raise SystemExit(f"{argv[0]} failed with status {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def install(source, target, mode):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def make_skeleton(root):
    for directory in DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "var/run").symlink_to("/run")
    (root / "tmp").chmod(0o1777)
    (root / "root").chmod(0o700)


def install_busybox(root):
    install(BUSYBOX, root / "bin/busybox", 0o755)
    for applet in run(BUSYBOX, "--list-full").split():
        link = root / applet
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists() and not link.is_symlink():
            link.symlink_to("/bin/busybox")


def read_list(path):
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def install_modules(root, tree, version, names, extra=()):
    """Copies modules with all that they need from tree/lib/modules/VERSION and makes an index for modprobe."""
    target = root / "lib/modules" / version
    prefix = tree / "lib/modules" / version
    show = run("/sbin/modprobe", "-d", tree, "-S", version, "--show-depends", "-a", *names)
    for relative in re.findall(rf"^insmod \S*/lib/modules/{re.escape(version)}/(\S+)", show, re.MULTILINE):
        install(prefix / relative, target / relative, 0o644)
        if relative.endswith(".xz"):	# not every loader unpacks
            run("xz", "-df", target / relative)
    for path in extra:
        install(path, target / "extra" / path.name, 0o644)
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        install(prefix / index, target / index, 0o644)
    run("/sbin/depmod", "-b", root, version)
    # busybox reads the text indexes; the binary ones are for kmod.
    for binary in target.glob("modules.*.bin"):
        binary.unlink()


def install_program(root, source, name):
    """Copies a program and the shared libraries that the loader would take for it here."""
    install(source, root / "usr/sbin" / name, 0o755)
    for line in run("ldd", source).splitlines():
        if "not found" in line:
            raise SystemExit(f"{source}: library missing: {line.strip()}")
        found = re.search(r"(?:=> )?(/\S+) \(0x", line)
        if found:
            install(found[1], root / found[1].lstrip("/"), 0o755)


def write_initramfs(root, path):
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as out:
        cpio.write_tree(out, root)
    pathlib.Path(out.name).chmod(0o644)
    pathlib.Path(out.name).replace(path)


def build_parent(args, out):
    with tempfile.TemporaryDirectory(dir=out) as name:
        root = pathlib.Path(name)
        make_skeleton(root)
        install_busybox(root)
        shutil.copytree(HERE / "etc", root / "etc", dirs_exist_ok=True)
        extra = [args.vid] if args.vid else []
        install_modules(root, args.kernel_tree, args.kernel_version, read_list(HERE / "modules.txt"), extra)
        for program in args.program:
            install_program(root, program, program.name)
        # NAT switches: vmms starts it.
        install_program(root, "/usr/sbin/dnsmasq", "dnsmasq")
        (root / "init").symlink_to("/bin/busybox")
        write_initramfs(root, out / "initrd.img")


def build_child(args, out):
    with tempfile.TemporaryDirectory(dir=out) as name:
        root = pathlib.Path(name)
        make_skeleton(root)
        install_busybox(root)
        for version, tree in [(args.kernel_version, args.kernel_tree)] + [(v, t) for v, _, t in args.child_kernel]:
            install_modules(root, tree, version, read_list(HERE / "child-modules.txt"))
        install(HERE / "child-init", root / "init", 0o755)
        write_initramfs(root, out / "child-initrd.img")


def build_esp(args, out):
    esp = out / "esp.img"
    conf = out / "undercroft.conf"
    conf.write_text("# Read by the hypervisor before it starts the parent.\n"
                    "kernel = \\vmlinuz\n"
                    f"cmdline = initrd=\\initrd.img {args.cmdline}\n"
                    f"options = {args.options}\n")
    files = [(out / "vmlinuz", "::/vmlinuz"), (out / "initrd.img", "::/initrd.img"), (conf, "::/undercroft.conf")]
    if args.efi:
        files.append((args.efi, "::/EFI/BOOT/BOOTX64.EFI"))
    size_mib = sum(source.stat().st_size for source, _ in files) // 2**20 + SPARE_ESP_MIB
    esp.unlink(missing_ok=True)
    with open(esp, "wb") as image:
        image.truncate(max(size_mib, 48) * 2**20)
    run("/sbin/mkfs.vfat", "-F", "32", "-s", "1", "-n", "UC-ESP", esp)
    run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT")
    for source, target in files:
        run("mcopy", "-i", esp, source, target)


def build_data_disk(args, out):
    disk = out / "data.img"
    with tempfile.TemporaryDirectory(dir=out) as name:
        root = pathlib.Path(name)
        root.chmod(0o755)
        install(out / "vmlinuz", root / "images/vmlinuz", 0o644)
        install(out / "child-initrd.img", root / "images/child-initrd.img", 0o644)
        for version, image, _ in args.child_kernel:
            install(image, root / f"images/vmlinuz-{version}", 0o644)
        for guest in args.guest:
            install(guest, root / "images/guests" / guest.name, 0o644)
        for disk_image in args.disk:
            install(disk_image, root / "disks" / disk_image.name, 0o644)
        disk.unlink(missing_ok=True)
        run("/sbin/mke2fs", "-q", "-t", "ext4", "-L", "uc-data", "-E", "root_owner=0:0,lazy_itable_init=1",
            "-d", root, disk, f"{args.data_mib}M")


def child_kernel(text):
    version, image, tree = text.split(":")
    return version, pathlib.Path(image), pathlib.Path(tree)


def parse_arguments():
    parser = argparse.ArgumentParser(description="Builds the parent image.")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--kernel-version", required=True)
    parser.add_argument("--kernel-image", type=pathlib.Path, required=True)
    parser.add_argument("--kernel-tree", type=pathlib.Path, required=True, help="directory that holds lib/modules/VERSION")
    parser.add_argument("--child-kernel", type=child_kernel, action="append", default=[], metavar="VERSION:IMAGE:TREE",
                        help="another one that children may boot: images/vmlinuz-VERSION")
    parser.add_argument("--efi", type=pathlib.Path, help="undercroft.efi")
    parser.add_argument("--vid", type=pathlib.Path, help="vid.ko")
    parser.add_argument("--program", type=pathlib.Path, action="append", default=[], help="goes to /usr/sbin")
    parser.add_argument("--guest", type=pathlib.Path, action="append", default=[], help="goes to images/guests")
    parser.add_argument("--disk", type=pathlib.Path, action="append", default=[], help="goes to disks")
    parser.add_argument("--cmdline", default="console=ttyS0 loglevel=5 panic=-1", help="for the parent's kernel")
    parser.add_argument("--options", default="tsc=stable", help="for the hypervisor; see hypervisor/boot/config.c")
    parser.add_argument("--data-mib", type=int, default=8192)
    return parser.parse_args()


def main():
    args = parse_arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    install(args.kernel_image, args.out / "vmlinuz", 0o644)
    build_parent(args, args.out)
    build_child(args, args.out)
    build_esp(args, args.out)
    build_data_disk(args, args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
