# SPDX-License-Identifier: Apache-2.0
"""Disk images and kernels of others as inputs of the fuzz targets vhd, vhdx and bzimage: what is not zero in small images that
qemu-img and vhdtool make, and the headers of kernels."""

import pathlib
import subprocess
import tempfile

PIECE_MAX = 255
GAP = 8					# zeroes that are worth a new piece
MIB = 1 << 20
BZIMAGE_HEADER, BZIMAGE_HEADER_BYTES = 0x1f1, 0xa0


def _pieces(data, place_order):
    """(place in three bytes, length, bytes) of all that is not zero."""
    out, at = b"", 0
    while at < len(data):
        if data[at] == 0:
            at += 1
            continue
        end = data.find(bytes(GAP), at, at + PIECE_MAX)
        piece = data[at:end if end > 0 else at + PIECE_MAX].rstrip(b"\0")
        out += at.to_bytes(3, place_order) + bytes((len(piece),)) + piece
        at += len(piece)
    return out


class _Maker:
    """Images in a folder of their own, so that no image names another place."""

    def __init__(self, vhdtool, folder):
        self.vhdtool = str(vhdtool)
        self.folder = pathlib.Path(folder)

    def run(self, *argv):
        subprocess.run([str(a) for a in argv], cwd=self.folder, check=True, capture_output=True)

    def qemu(self, kind, size, options=""):
        self.run("qemu-img", "create", "-q", "-f", kind, *(["-o", options] if options else []), "image", size)
        return self.take()

    def own(self, kind, *options, write=()):
        self.run(self.vhdtool, "create", "--format", kind, *options, "image")
        for offset in write:
            self.run("qemu-io", "-f", {"vhd": "vpc"}.get(kind, kind), "-c", f"write -P 0x5a {offset} 512", "image")
        return self.take()

    def converted(self, kind, *options):
        """Of a disk with a few blocks in use."""
        with open(self.folder / "source", "wb") as source:
            source.truncate(4 * MIB)
            for offset in (0, MIB, 4 * MIB - 512):
                source.seek(offset)
                source.write(b"seed" * 4)
        self.run(self.vhdtool, "convert", "--source-format", "raw", "--format", kind, *options, "source", "image")
        return self.take()

    def take(self):
        image = self.folder / "image"
        data = image.read_bytes()
        image.unlink()
        return data


def vhd(vhdtool):
    with tempfile.TemporaryDirectory() as folder:
        maker = _Maker(vhdtool, folder)
        maker.run(vhdtool, "create", "--format", "vhd", "--type", "dynamic", "--size", 4 * MIB, "parent.vhd")
        images = [
            maker.qemu("vpc", 64 << 10, "subformat=fixed,force_size=on"),
            maker.qemu("vpc", 8 * MIB, "subformat=dynamic"),
            maker.own("vhd", "--type", "dynamic", "--size", 4 * MIB),
            maker.own("vhd", "--type", "dynamic", "--size", 4 * MIB, "--block-size", 64 << 10),
            maker.own("vhd", "--type", "fixed", "--size", 64 << 10),
            maker.own("vhd", "--type", "differencing", "--size", 4 * MIB, "--parent", "parent.vhd"),
            maker.converted("vhd", "--type", "dynamic", "--block-size", 16 << 10),
        ]
        for data in images:
            if len(data) <= 256 << 10:
                yield b"\xff" + (len(data) // 512).to_bytes(2, "little") + _pieces(data, "little")


def vhdx(vhdtool):
    with tempfile.TemporaryDirectory() as folder:
        maker = _Maker(vhdtool, folder)
        maker.run(vhdtool, "create", "--format", "vhdx", "--type", "dynamic", "--size", 4 * MIB, "parent.vhdx")
        images = [
            maker.qemu("vhdx", 8 * MIB),
            maker.qemu("vhdx", 4 * MIB, "subformat=fixed"),
            maker.qemu("vhdx", 8 * MIB, "block_size=1M,log_size=2M"),
            maker.own("vhdx", "--type", "dynamic", "--size", 8 * MIB),
            maker.own("vhdx", "--type", "dynamic", "--size", 8 * MIB, "--logical", 4096, "--physical", 4096),
            maker.own("vhdx", "--type", "fixed", "--size", 4 * MIB),
            maker.own("vhdx", "--type", "differencing", "--size", 4 * MIB, "--parent", "parent.vhdx"),
            maker.own("vhdx", "--type", "dynamic", "--size", 8 * MIB, "--block-size", MIB, write=(0, 3 * MIB)),
            maker.converted("vhdx", "--type", "dynamic", "--block-size", MIB),
        ]
        for number, data in enumerate(images):
            units = -(-len(data) // 65536)
            if units > 255:
                units, data = 255, data[:255 * 65536]
            for how in (0x84, 0xa4) if number == 6 else (0x80, 0x90, 0xa0):
                yield bytes((how, units)) + _pieces(data, "big")


def bzimage(kernels):
    for kernel in kernels:
        yield pathlib.Path(kernel).read_bytes()[BZIMAGE_HEADER:BZIMAGE_HEADER + BZIMAGE_HEADER_BYTES]
