#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Enforces the "only user of" rules of owners.txt on C and assembler sources, comments left out."""

import pathlib
import re
import sys

import sources

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)


def read_rules(text):
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, where, owners = (part.strip() for part in line.split("::"))
            yield re.compile(pattern), where.split(), owners.split()


def below(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def blank(found):
    # Line ends stay, so that the numbers of the lines do.
    return re.sub(r"[^\n]", " ", found[0])


def check(root, rules):
    for path in sources.walk(root, {".c", ".h", ".S"}):
        name = path.relative_to(root).as_posix()
        code = None
        for pattern, where, owners in rules:
            if not below(name, where) or below(name, owners):
                continue
            code = code if code is not None else COMMENT.sub(blank, path.read_text(errors="replace"))
            for number, line in enumerate(code.splitlines(), 1):
                found = pattern.search(line)
                if found:
                    yield f"{name}:{number}: {found[0]} belongs to {' '.join(owners) or 'another room'}"


def main():
    rules = list(read_rules(pathlib.Path(__file__).with_name("owners.txt").read_text()))
    return sources.finish("owners", list(check(sources.SOURCE, rules)))


if __name__ == "__main__":
    sys.exit(main())
