# SPDX-License-Identifier: Apache-2.0
"""Writes a directory tree as an initramfs archive (cpio "newc").

Done here rather than with cpio(1) because every file has to belong to root, whoever builds the image, and because
two builds of the same tree have to be the same bytes.
Layout: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import os
import stat

MAGIC = b"070701"
TRAILER = "TRAILER!!!"


def _pad(out):
    out.write(b"\0" * (-out.tell() % 4))


def _write_entry(out, ino, name, mode, data, nlink=1):
    raw_name = name.encode() + b"\0"
    fields = [ino, mode, 0, 0, nlink, 0, len(data), 0, 0, 0, 0, len(raw_name), 0]
    out.write(MAGIC + b"".join(b"%08x" % field for field in fields))
    out.write(raw_name)
    _pad(out)
    out.write(data)
    _pad(out)


def write_tree(out, root):
    """Appends everything below `root` to the seekable binary file `out`, which starts at a multiple of 4."""
    ino = 1
    for directory, subdirectories, files in os.walk(root):
        subdirectories.sort()
        links = [d for d in subdirectories if os.path.islink(os.path.join(directory, d))]
        if directory != str(root):
            mode = stat.S_IFDIR | stat.S_IMODE(os.stat(directory).st_mode)
            _write_entry(out, ino, os.path.relpath(directory, root), mode, b"", nlink=2)
            ino += 1
        for name in sorted(files + links):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                data = os.readlink(path).encode()
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as source:
                    data = source.read()
            else:
                raise ValueError(f"{path}: only directories, files and symbolic links belong in an image")
            _write_entry(out, ino, os.path.relpath(path, root), status.st_mode, data)
            ino += 1
    _write_entry(out, 0, TRAILER, 0, b"")
    out.write(b"\0" * (-out.tell() % 512))
