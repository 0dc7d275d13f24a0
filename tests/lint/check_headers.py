#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every header of schemas/ compiles alone, with the host's compiler and, where it names no Linux header, with the
UEFI toolchain: two ABIs have to agree on the same layouts."""

import re
import subprocess
import sys
import tempfile

import sources

FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c", "-I", str(sources.SOURCE / "schemas")]
HOST = "gcc"
EFI = "x86_64-w64-mingw32-gcc"


def needs_linux(path):
    """Whether a header includes a Linux header when it is compiled outside the kernel, itself or through another."""
    names = re.findall(r'#\s*include\s+([<"][^>"]+)[>"]', path.read_text())
    if any(name.startswith("<linux/ioctl") or name.startswith("<sys/") for name in names):
        return True
    inner = [sources.SOURCE / "schemas" / name[1:] for name in names if name.startswith('"')]
    return any(needs_linux(header) for header in inner if header.exists() and header != path)


def compile_alone(compiler, path):
    with tempfile.NamedTemporaryFile("w", suffix=".c") as unit:
        # Twice: the include guard is part of the contract.
        unit.write(f'#include "{path}"\n#include "{path}"\n')
        unit.flush()
        result = subprocess.run([compiler, *FLAGS, unit.name], capture_output=True, text=True, check=False)
    return result.stderr.strip() if result.returncode else None


def main():
    problems = []
    headers = list(sources.walk(suffixes={".h"}, rooms=("schemas",)))
    for path in headers:
        for compiler in [HOST] if needs_linux(path) else [HOST, EFI]:
            error = compile_alone(compiler, path)
            if error:
                problems.append(f"{path.relative_to(sources.SOURCE)} alone with {compiler}:\n{error}")
    if not headers:
        problems.append("no header found below schemas/")
    return sources.finish(f"{len(headers)} contracts", problems)


if __name__ == "__main__":
    sys.exit(main())
