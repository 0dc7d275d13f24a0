#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every source file names its licence: GPL-2.0-only in the kernel module, Apache-2.0 elsewhere."""

import re
import sys

import sources

SUFFIXES = {".c", ".h", ".S", ".py", ".sh", ".l", ".y", ".mof", ".cmake", ".sql", ".asl", ".lds", ".ld"}
NAMES = {"CMakeLists.txt", "Kbuild", "Makefile", "undercroft", "run", "init", "child-init"}
LICENCE = re.compile(r"SPDX-License-Identifier: ([\w.\-]+(?: OR [\w.\-]+)*)")


def wants_licence(path):
    if path.suffix in SUFFIXES or path.name in NAMES:
        return True
    with open(path, "rb") as source:
        return source.read(2) == b"#!"


def problem_with(path):
    head = "\n".join(path.read_text(errors="replace").splitlines()[:5])
    found = LICENCE.search(head)
    if not found:
        return "no SPDX-License-Identifier in the first five lines"
    relative = path.relative_to(sources.SOURCE).as_posix()
    wanted = "GPL-2.0-only" if relative.startswith("parent/vid/") else "Apache-2.0"
    return None if wanted in found[1].split(" OR ") else f"licence {found[1]}, not {wanted}"


def main():
    files = list(sources.walk()) + [sources.SOURCE / "CMakeLists.txt", sources.SOURCE / "undercroft"]
    problems = []
    for path in files:
        problem = problem_with(path) if wants_licence(path) else None
        if problem:
            problems.append(f"{path.relative_to(sources.SOURCE)}: {problem}")
    return sources.finish("licences", problems)


if __name__ == "__main__":
    sys.exit(main())
