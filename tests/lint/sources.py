# SPDX-License-Identifier: Apache-2.0
"""Which files the lint programs look at: the sources of the rooms, without what a build leaves behind."""

import os
import pathlib

SOURCE = pathlib.Path(__file__).resolve().parents[2]
ROOMS = ("hypervisor", "parent", "vsp", "vsc", "mgmt-service", "schemas", "tests")
OUTSIDE = ("bench", ".ci")
SKIP = {"__pycache__", ".git", "build"}


def walk(root=SOURCE, suffixes=None, rooms=ROOMS + OUTSIDE):
    """Paths of source files below the rooms, sorted; `suffixes` None gives every file."""
    for room in rooms:
        for directory, subdirectories, files in os.walk(pathlib.Path(root) / room):
            subdirectories[:] = sorted(d for d in subdirectories if d not in SKIP)
            for name in sorted(files):
                path = pathlib.Path(directory) / name
                if suffixes is None or path.suffix in suffixes:
                    yield path


def finish(what, problems):
    """Prints the problems; returns the exit status."""
    for problem in problems:
        print(problem)
    print(f"{what}: {len(problems)} problem{'' if len(problems) == 1 else 's'}")
    return 1 if problems else 0
