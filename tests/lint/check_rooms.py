#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tree has the shape that ARCHITECTURE.md draws: seven rooms that explain themselves, and no file without a noun."""

import subprocess
import sys

import sources

TOP_FOLDERS = set(sources.ROOMS) | {"bench", "build", ".git", ".ci"}
NO_NOUN = {"util", "utils", "common", "misc", "helper", "helpers", "manager"}
LINES_MAX = 1000


def check():
    for room in sources.ROOMS:
        for name in ("README.md", "CMakeLists.txt"):
            if not (sources.SOURCE / room / name).is_file():
                yield f"{room}/{name} is missing"
    listing = subprocess.run(["git", "-c", f"safe.directory={sources.SOURCE}", "ls-files"], cwd=sources.SOURCE,
                             capture_output=True, text=True, check=False)
    tracked = {line.split("/")[0] for line in listing.stdout.splitlines() if "/" in line}
    for folder in sorted(tracked - TOP_FOLDERS):
        yield f"{folder}/: no such room"
    for path in sources.walk():
        name = path.relative_to(sources.SOURCE)
        if path.stem in NO_NOUN:
            yield f"{name}: name it after what it holds"
        if path.suffix in {".c", ".h", ".S", ".py"}:
            lines = len(path.read_text(errors="replace").splitlines())
            if lines > LINES_MAX:
                yield f"{name}: {lines} lines, more than {LINES_MAX}"


if __name__ == "__main__":
    sys.exit(sources.finish("rooms", list(check())))
