# SPDX-License-Identifier: Apache-2.0
"""vhdtool as the management service runs it: what it prints, what it refuses, and that qemu-img agrees about contents."""

import json
import os
import random
import resource
import shutil
import struct
import subprocess

import pytest

VHDTOOL = os.environ["UC_VHDTOOL"]
MIB = 1 << 20
BYTES = 20 * MIB + 512		# whole sectors, not whole blocks
QEMU_NAMES = {"vhd": "vpc", "vhdx": "vhdx"}
every_format = pytest.mark.parametrize("kind", ["vhd", "vhdx"])


def vhdtool(*arguments, status=0, **options):
    result = subprocess.run([VHDTOOL, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120, **options)
    assert result.returncode == status, result.stderr
    return result.stderr if status else result.stdout and json.loads(result.stdout)


def qemu_img(*arguments):
    if not shutil.which("qemu-img"):
        pytest.skip("no qemu-img")
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True, timeout=120)


def patch(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def put_block(kind, image, block, data):
    """A block of 1 MiB into a differencing image, as if a guest had written it."""
    whole = image.read_bytes()
    if kind == "vhdx":
        image.write_bytes(whole + data)
        patch(image, 3 * MIB + 8 * block, struct.pack("<Q", len(whole) | 6))
    else:
        bat, = struct.unpack_from(">Q", whole, 512 + 16)
        image.write_bytes(whole[:-512] + bytes(256 * [255]) + bytes(256) + data + whole[-512:])
        patch(image, bat + 4 * block, struct.pack(">I", (len(whole) - 512) // 512))


@pytest.fixture(name="source")
def make_source(tmp_path):
    """A raw disk with holes, with data at its begin, inside, and in its last sector."""
    path = tmp_path / "source.raw"
    with open(path, "wb") as file:
        file.truncate(BYTES)
        for offset, count in ((0, 100_000), (5 * MIB - 700, 3 * MIB), (BYTES - 512, 512)):
            file.seek(offset)
            file.write(random.Random(offset).randbytes(count))
    return path


def qemu_accepts(kind, image, source):
    if kind == "vhdx":		# it has no check of VHD
        qemu_img("check", "-f", "vhdx", image)
    qemu_img("compare", "-f", "raw", "-F", QEMU_NAMES[kind], source, image)


@every_format
@pytest.mark.parametrize("layout", ["fixed", "dynamic"])
def test_qemu_reads_what_was_written(tmp_path, source, kind, layout):
    image = tmp_path / "image"
    vhdtool("convert", "--source-format", "raw", "--format", kind, "--type", layout, source, image)
    qemu_accepts(kind, image, source)
    info = vhdtool("inspect", image)
    assert (info["format"], info["type"], info["virtual_bytes"]) == (kind, layout, BYTES)
    assert info["file_bytes"] == image.stat().st_size
    assert info["parent"] is None
    assert vhdtool("check", image)["lost_bytes"] == 0


@every_format
@pytest.mark.parametrize("layout", ["fixed", "dynamic"])
def test_what_qemu_wrote_is_read(tmp_path, source, kind, layout):
    image, back = tmp_path / "image", tmp_path / "back.raw"
    options = f"subformat={layout}" + (",force_size=on" if kind == "vhd" else "")
    qemu_img("convert", "-f", "raw", "-O", QEMU_NAMES[kind], "-o", options, source, image)
    assert vhdtool("inspect", image)["virtual_bytes"] == BYTES
    assert vhdtool("check", image)["notes"] == []
    vhdtool("convert", "--format", "raw", image, back)
    assert back.read_bytes() == source.read_bytes()


def test_a_differencing_image_stands_on_its_parent_alone(tmp_path, source):
    base, other, child = tmp_path / "base.vhd", tmp_path / "other.vhd", tmp_path / "child.vhd"
    vhdtool("convert", "--format", "vhd", source, base)
    vhdtool("create", "--format", "vhd", "--size", BYTES, other)
    vhdtool("create", "--format", "vhd", "--type", "differencing", "--parent", base, child)
    info = vhdtool("inspect", child)
    assert info["parent"] == {"paths": [str(base), "base.vhd"], "id": vhdtool("inspect", base)["id"]}
    assert "without its parent" in vhdtool("convert", "--format", "raw", child, tmp_path / "a", status=1)
    assert "the parent that is wanted" in vhdtool("convert", "--parent", other, "--format", "raw", child, tmp_path / "b", status=1)
    vhdtool("convert", "--parent", base, "--format", "raw", child, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == source.read_bytes()


def test_the_formats_become_each_other(tmp_path, source):
    vhd, vhdx, again, back = (tmp_path / name for name in ("a.vhd", "b.vhdx", "c.vhd", "back.raw"))
    vhdtool("convert", "--format", "vhd", source, vhd)
    vhdtool("convert", "--format", "vhdx", "--block-size", MIB, "--physical", 512, vhd, vhdx)
    qemu_accepts("vhdx", vhdx, source)
    info = vhdtool("inspect", vhdx)
    assert (info["logical_bytes"], info["physical_bytes"], info["block_bytes"]) == (512, 512, MIB)
    vhdtool("convert", "--format", "vhd", vhdx, again)
    vhdtool("convert", "--format", "raw", again, back)
    assert back.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("kind", ["raw", "vhd", "vhdx"])
def test_zeroes_take_no_space(tmp_path, kind):
    source, image = tmp_path / "source.raw", tmp_path / "image"
    with open(source, "wb") as file:
        file.truncate(256 * MIB)
        file.write(bytes(8 * MIB))	# written zeroes are zeroes
        file.seek(100 * MIB)
        file.write(b"x" * 4096)
    size = ["--block-size", 2 * MIB] if kind != "raw" else []
    vhdtool("convert", "--format", kind, *size, source, image)
    assert image.stat().st_blocks * 512 < 3 * MIB
    assert kind == "raw" or image.stat().st_size < 8 * MIB


def test_sectors_keep_their_size(tmp_path):
    source, image = tmp_path / "source.vhdx", tmp_path / "image.vhdx"
    vhdtool("create", "--format", "vhdx", "--size", 8 * MIB, "--logical", 4096, source)
    vhdtool("convert", "--format", "vhdx", source, image)
    info = vhdtool("inspect", image)
    assert (info["logical_bytes"], info["physical_bytes"]) == (4096, 4096)
    assert "sectors of 4096" in vhdtool("convert", "--format", "vhd", source, tmp_path / "x", status=1)
    assert "sectors of 512" in vhdtool("convert", "--format", "raw", source, tmp_path / "y", status=1)


def test_a_differencing_vhdx_knows_its_parent(tmp_path, source):
    base, child, below = tmp_path / "base.vhdx", tmp_path / "child.avhdx", tmp_path / "below" / "grandchild.avhdx"
    below.parent.mkdir()
    vhdtool("convert", "--format", "vhdx", source, base)
    vhdtool("create", "--format", "vhdx", "--type", "differencing", "--parent", base, child)
    linkage = vhdtool("inspect", base)["id"]
    assert vhdtool("inspect", child)["parent"] == {"paths": [".\\base.vhdx", str(base)], "id": linkage}
    assert vhdtool("inspect", child)["virtual_bytes"] == BYTES
    vhdtool("create", "--format", "vhdx", "--type", "differencing", "--size", 40 * MIB, "--parent", child, below)
    assert vhdtool("inspect", below)["parent"]["paths"] == [str(child)]
    vhdtool("convert", "--parent", child, "--parent", base, "--format", "raw", below, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == source.read_bytes() + bytes(40 * MIB - BYTES)
    assert vhdtool("inspect", base)["id"] == linkage
    assert "smaller than its parent" in vhdtool("create", "--format", "vhdx", "--type", "differencing", "--size", MIB,
                                                "--parent", base, tmp_path / "b", status=1)


def test_a_differencing_vhdx_refuses_another_parent(tmp_path, source):
    base, other, child = tmp_path / "base.vhdx", tmp_path / "other.vhdx", tmp_path / "child.vhdx"
    for path in (base, other):
        vhdtool("convert", "--format", "vhdx", source, path)
    vhdtool("create", "--format", "vhdx", "--type", "differencing", "--parent", base, child)
    assert "needs its parent" in vhdtool("convert", "--format", "raw", child, tmp_path / "a", status=1)
    assert "the parent that is wanted" in vhdtool("convert", "--parent", other, "--format", "raw", child, tmp_path / "b", status=1)
    vhd = tmp_path / "base.vhd"
    vhdtool("convert", "--format", "vhd", source, vhd)
    assert "not a VHDX" in vhdtool("create", "--format", "vhdx", "--type", "differencing", "--parent", vhd, tmp_path / "c", status=1)


def test_descriptors_with_a_path_make_a_relative_one(tmp_path, source):
    base, child = tmp_path / "base.vhdx", tmp_path / "child.vhdx"
    vhdtool("convert", "--format", "vhdx", source, base)
    with open(base, "rb") as below, open(child, "w+b") as file:
        fds = [below.fileno(), file.fileno()]
        vhdtool("create", "--format", "vhdx", "--type", "differencing", "--parent", "/elsewhere/b/base.vhdx", "--parent-fd", fds[0],
                "--path", "/elsewhere/child.vhdx", "--fd", fds[1], pass_fds=fds)
    assert vhdtool("inspect", child)["parent"]["paths"] == [".\\b\\base.vhdx", "/elsewhere/b/base.vhdx"]


def test_a_parent_that_nobody_would_find_is_refused(tmp_path, source):
    (tmp_path / "a").mkdir()
    vhdtool("convert", "--format", "vhdx", source, tmp_path / "base.vhdx")
    error = vhdtool("create", "--format", "vhdx", "--type", "differencing", "--parent", "base.vhdx", "a/child.vhdx", status=1,
                    cwd=tmp_path)
    assert "whole path" in error


@every_format
@pytest.mark.parametrize("layout", ["fixed", "dynamic"])
def test_a_larger_image_has_zeroes_behind(tmp_path, source, kind, layout):
    image, back = tmp_path / "image", tmp_path / "back.raw"
    vhdtool("convert", "--format", kind, "--type", layout, *(["--block-size", 4 * MIB] if layout == "dynamic" else []), source, image)
    vhdtool("resize", "--size", BYTES + 30 * MIB, image)
    info = vhdtool("inspect", image)
    assert (info["type"], info["virtual_bytes"]) == (layout, BYTES + 30 * MIB)
    assert vhdtool("check", image)["lost_bytes"] == 0
    vhdtool("convert", "--format", "raw", image, back)
    assert back.read_bytes() == source.read_bytes() + bytes(30 * MIB)
    qemu_accepts(kind, image, back)
    error = vhdtool("resize", "--size", BYTES, image, status=1)
    assert "smaller" in error
    vhdtool("resize", "--size", BYTES + 30 * MIB, image)


def test_what_lies_behind_the_end_of_a_vhdx_is_not_in_the_larger_one(tmp_path, source):
    image, back = tmp_path / "image.vhdx", tmp_path / "back.raw"
    vhdtool("convert", "--format", "vhdx", "--type", "fixed", "--block-size", MIB, source, image)
    with open(image, "r+b") as file:
        file.seek(-(MIB - 512), os.SEEK_END)
        file.write(b"x" * 4096)
    vhdtool("resize", "--size", BYTES + 2 * MIB, image)
    vhdtool("convert", "--format", "raw", image, back)
    assert back.read_bytes() == source.read_bytes() + bytes(2 * MIB)


@pytest.mark.parametrize("layout", ["dynamic", "differencing"])
def test_a_bat_without_room_moves(tmp_path, source, layout):
    base, image, raw = tmp_path / "base.vhdx", tmp_path / "image.vhdx", tmp_path / "back.raw"
    vhdtool("convert", "--format", "vhdx", "--block-size", MIB, "--size", 100 << 30, source, base)
    if layout == "differencing":
        vhdtool("create", "--format", "vhdx", "--type", "differencing", "--block-size", MIB, "--parent", base, image)
    else:
        base.rename(image)
    old = vhdtool("inspect", image)
    vhdtool("resize", "--size", 101 << 30, image)
    assert image.stat().st_size == old["file_bytes"]
    vhdtool("resize", "--size", 300 << 30, image)
    new = vhdtool("inspect", image)
    assert new["file_bytes"] == old["file_bytes"] + 3 * MIB		# 300 Ki entries, and a few
    assert (new["disk_id"], new["parent"]) == (old["disk_id"], old["parent"])
    assert new["id"] != old["id"]
    assert vhdtool("check", image) == {"format": "vhdx", "blocks": 6 if layout == "dynamic" else 0, "lost_bytes": MIB, "notes": []}
    if layout == "dynamic":
        qemu_img("check", "-f", "vhdx", image)
        qemu_img("dd", "-f", "vhdx", "-O", "raw", "bs=1M", "count=21", f"if={image}", f"of={raw}")	# all of it takes a minute
        assert raw.read_bytes() == source.read_bytes() + bytes(21 * MIB - BYTES)


def test_a_descriptor_does_as_well(tmp_path):
    image = tmp_path / "image.vhd"
    vhdtool("create", "--format", "vhd", "--size", BYTES, "--block-size", 65536, image)
    with open(image, "rb") as file:
        assert vhdtool("inspect", "--fd", file.fileno(), pass_fds=[file.fileno()])["block_bytes"] == 65536


def test_a_named_format_counts_and_not_what_a_guest_wrote(tmp_path):
    image = tmp_path / "disk.raw"
    vhdtool("create", "--format", "vhd", "--type", "fixed", "--size", MIB, image)
    assert vhdtool("inspect", "--format", "raw", image)["virtual_bytes"] == MIB + 512
    assert vhdtool("inspect", image)["virtual_bytes"] == MIB


def test_a_broken_image_is_one_line(tmp_path, source):
    image = tmp_path / "image.vhd"
    vhdtool("convert", "--format", "vhd", source, image)
    with open(image, "r+b") as file:
        file.seek(1536)
        file.write(struct.pack(">I", 1))	# the first block lies on the header
    for command in ("check", "convert"):
        more = ["--format", "raw"] if command == "convert" else []
        error = vhdtool(command, *more, image, *([tmp_path / "x"] if more else []), status=1)
        assert error == "vhdtool: VHD: the block at sector 1 lies on another or on the tables\n"



def test_a_broken_vhdx_is_one_line(tmp_path, source):
    whole, image = tmp_path / "whole.vhdx", tmp_path / "image.vhdx"
    vhdtool("convert", "--format", "vhdx", "--block-size", MIB, source, whole)
    first, = struct.unpack_from("<Q", whole.read_bytes(), 3 * MIB)
    for entries, words in (((first, first), "overlaps something else"), ((3 * MIB | 6,), "overlaps something else"),
                           ((MIB << 30 | 6,), "lies outside the file"), ((first | 7,), "is in state 7"), ((4,), "is in state 4")):
        shutil.copy(whole, image)
        patch(image, 3 * MIB, struct.pack(f"<{len(entries)}Q", *entries))
        error = vhdtool("check", image, status=1)
        assert words in error and error.startswith("vhdtool: ") and error.count("\n") == 1
    shutil.copy(whole, image)
    os.truncate(image, whole.stat().st_size - 4096)
    assert "ends beyond the end of the file" in vhdtool("check", image, status=1)
    for place in (64 << 10, 128 << 10):
        patch(image, place, b"HEAD")
    assert "both headers are damaged" in vhdtool("check", image, status=1)


def test_one_damaged_copy_is_a_note(tmp_path, source):
    image = tmp_path / "image.vhdx"
    vhdtool("convert", "--format", "vhdx", source, image)
    assert vhdtool("check", image)["notes"] == []
    patch(image, 192 << 10, b"REGI")
    patch(image, (64 << 10) + 100, b"x")
    notes = vhdtool("check", image)["notes"]
    assert len(notes) == 2 and "headers" in notes[0] and "region tables" in notes[1]
    vhdtool("convert", "--format", "raw", image, tmp_path / "back.raw")
    assert (tmp_path / "back.raw").read_bytes() == source.read_bytes()
    vhdtool("resize", "--size", 64 * MIB, image)		# writes both headers anew
    assert len(vhdtool("check", image)["notes"]) == 1


@pytest.fixture(name="family")
def make_family(tmp_path, source):
    """Of a format: a base, its child and its grandchild, which have changed; and what the grandchild holds, a raw file."""
    def make(kind):
        base, child, below = (tmp_path / name for name in ("base", "child", "below"))
        vhdtool("convert", "--format", kind, "--block-size", MIB, "--size", 20 * MIB + 512, source, base)
        for parent, image in ((base, child), (child, below)):
            vhdtool("create", "--format", kind, "--type", "differencing", "--block-size", MIB, "--parent", parent, image)
            if image == child:
                put_block(kind, image, 3, b"c" * MIB)
                put_block(kind, image, 6, bytes(MIB))
        put_block(kind, below, 3, b"b" * (MIB // 2) + b"c" * (MIB // 2))
        put_block(kind, below, 12, b"b" * MIB)
        disk = tmp_path / "expected.raw"
        vhdtool("convert", "--parent", child, "--parent", base, "--format", "raw", below, disk)
        assert disk.read_bytes() != source.read_bytes()
        return base, child, below, disk.read_bytes()
    return make


@every_format
def test_a_merge_moves_a_childs_blocks_into_its_parent(tmp_path, family, kind):
    base, child, below, expected = family(kind)
    vhdtool("merge", "--parent", child, "--parent", base, below)
    vhdtool("convert", "--parent", base, "--format", "raw", child, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == expected
    vhdtool("merge", "--parent", base, child)
    vhdtool("convert", "--format", "raw", base, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == expected
    assert vhdtool("check", base)["lost_bytes"] == 0
    qemu_accepts(kind, base, tmp_path / "b")
    if kind == "vhdx":		# in a VHD nothing tells
        assert "the parent that is wanted" in vhdtool("convert", "--parent", base, "--format", "raw", child, tmp_path / "c", status=1)


@every_format
def test_a_merge_that_was_cut_off_can_be_done_again(tmp_path, family, kind):
    base, child, below, expected = family(kind)
    room = child.stat().st_size + MIB // 2

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    error = vhdtool("merge", "--parent", child, "--parent", base, below, status=1, preexec_fn=limit, restore_signals=False)
    assert "writing" in error
    for image in (below, child):
        parents = [child, base] if image == below else [base]
        words = [word for parent in parents for word in ("--parent", parent)]
        vhdtool("convert", *words, "--format", "raw", image, tmp_path / f"{image.name}.raw")
    assert (tmp_path / "below.raw").read_bytes() == expected != (tmp_path / "child.raw").read_bytes()
    vhdtool("merge", "--parent", child, "--parent", base, below)
    vhdtool("convert", "--parent", base, "--format", "raw", child, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == expected


def test_what_cannot_be_merged(tmp_path, source, family):
    base, child, below, _ = family("vhdx")
    before = base.read_bytes()
    assert "the parent that is wanted" in vhdtool("merge", "--parent", base, below, status=1)
    assert "only a differencing image" in vhdtool("merge", "--parent", source, base, status=1)
    assert "only a differencing image" in vhdtool("merge", "--parent", base, source, status=1)
    vhdtool("resize", "--size", 40 * MIB, child)
    assert "its parent only" in vhdtool("merge", "--parent", base, child, status=1)
    assert base.read_bytes() == before


@pytest.mark.parametrize("arguments", [
    ("merge", "a"), ("merge", "--parent", "a"),
    (), ("frobnicate",), ("inspect",), ("inspect", "a", "b"), ("inspect", "--size", "1", "a"), ("create", "a"),
    ("create", "--format", "vhd", "a"), ("create", "--format", "zip", "--size", "512", "a"),
    ("create", "--format", "vhd", "--size", "-1", "a"), ("create", "--format", "vhd", "--size", "1x", "a"),
    ("create", "--format", "vhd", "--type", "differencing", "a"), ("create", "--format", "vhd", "--type", "thin", "a"),
    ("convert", "a"), ("convert", "a", "b"), ("inspect", "--fd", "99999999999", "a"),
])
def test_bad_usage_is_status_2(tmp_path, arguments):
    (tmp_path / "a").touch()
    vhdtool(*arguments, status=2, cwd=tmp_path)


def test_nothing_is_overwritten(tmp_path, source):
    assert "exists" in vhdtool("create", "--format", "vhd", "--size", BYTES, source, status=1)
    assert "exists" in vhdtool("convert", "--format", "vhd", source, source, status=1)
