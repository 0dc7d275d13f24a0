#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of the fuzz targets, corpus/TARGET/, from traces of guests, from disk images and from kernels:

    seeds.py BUILD [TRACE ...] [--kernel FILE ...] [--only TARGET ...] [--explore SECONDS]

BUILD is the folder of the host preset. How to get traces: README.md. What is in corpus/ already takes part. Of all
candidates those are kept that reach most, at most FILES_MAX and BYTES_MAX a target. With --explore each target runs for so
long first, from what there is, and what it finds takes part too.
"""

import argparse
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

import seeds_images
import seeds_traffic
import vmbus_trace

HERE = pathlib.Path(__file__).resolve().parent
FILES_MAX = 60
BYTES_MAX = 200 << 10
INPUT_BYTES_MAX = 8192


def put(folder, data):
    (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


def features(program, chosen, folder, scratch):
    """{file of the folder: what it reaches that neither the chosen ones nor smaller files do}, as the fuzzer's own merge counts."""
    control, base = scratch / "merge", scratch / "base"
    control.unlink(missing_ok=True)
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    for file in chosen:
        put(base, file.read_bytes())
    subprocess.run([program, "-merge=1", f"-merge_control_file={control}", f"-max_len={INPUT_BYTES_MAX}", base, folder],
                   cwd=scratch, capture_output=True, check=True)
    lines = control.read_text().splitlines()
    files = lines[2:2 + int(lines[0])]
    found = {}
    for line in lines[2 + len(files):]:
        word, number, *rest = line.split()
        file = pathlib.Path(files[int(number)])
        if word == "FT" and rest and file.parent == folder:
            found[file] = len(rest)
    return found


def choose(program, chosen, folder, scratch, share):
    """Adds those of the folder that add most for their size, as far as there is room."""
    found = features(program, chosen, folder, scratch)
    bytes_left = BYTES_MAX * share - sum(file.stat().st_size for file in chosen)
    for file in sorted(found, key=lambda file: (-found[file] / (file.stat().st_size + 200), file.name)):
        size = file.stat().st_size
        if len(chosen) < FILES_MAX * share and size <= bytes_left:
            chosen.append(file)
            bytes_left -= size


def explore(program, folder, finds, scratch, seconds):
    """With inputs no longer than those that there are. One that ends the target stays in the working directory."""
    longest = max((file.stat().st_size for file in folder.iterdir()), default=256)
    result = subprocess.run([program, finds, folder, f"-max_total_time={seconds}", f"-max_len={longest}",
                             f"-artifact_prefix={pathlib.Path.cwd()}/"], cwd=scratch, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ValueError(f"{program.name} failed:\n{result.stderr[-4000:]}")


def make(target, program, candidates, seconds):
    """Two thirds of the room are for what was given, the rest is for what was found too."""
    corpus = HERE / "corpus" / target
    chosen = []
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        folder, finds = scratch / "candidates", scratch / "finds"
        folder.mkdir()
        finds.mkdir()
        for old in corpus.glob("*"):
            put(folder, old.read_bytes())
        for data in candidates:
            if 0 < len(data) <= INPUT_BYTES_MAX:
                put(folder, data)
        if seconds:
            explore(program, folder, finds, scratch, seconds)
        before = [sum(1 for _ in where.iterdir()) for where in (folder, finds)]
        if not any(before):
            print(f"{target}: nothing to begin with")
            return
        for where, count, share in ((folder, before[0], 2 / 3 if seconds else 1), (finds, before[1], 1)):
            if count:
                choose(program, chosen, where, scratch, share)
        chosen = [file.read_bytes() for file in chosen]
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    for data in chosen:
        put(corpus, data)
    print(f"{target}: {len(chosen)} of {before[0]} and {before[1]} that were found, {sum(map(len, chosen))} bytes")


def main():
    parser = argparse.ArgumentParser(description="Makes the seeds of the fuzz targets.")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("traces", nargs="*", type=pathlib.Path)
    parser.add_argument("--kernel", action="extend", nargs="+", default=[])
    parser.add_argument("--only", action="append")
    parser.add_argument("--explore", type=int, default=0, metavar="SECONDS")
    args = parser.parse_args()
    vhdtool = (args.build / "parent/vhdtool/vhdtool").resolve()
    traces = [vmbus_trace.records(path.read_bytes()) for path in args.traces]
    makers = {target: lambda convert=convert: (data for trace in traces for data in convert(trace))
              for target, convert in seeds_traffic.TARGETS.items()}
    makers |= {"vhd": lambda: seeds_images.vhd(vhdtool), "vhdx": lambda: seeds_images.vhdx(vhdtool),
               "bzimage": lambda: seeds_images.bzimage(args.kernel), "vsc": lambda: ()}
    for target in args.only or makers:
        make(target, (args.build / f"tests/fuzz/{target}_fuzz").resolve(), makers[target](), args.explore)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"seeds.py: {error}")
