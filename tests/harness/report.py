# SPDX-License-Identifier: Apache-2.0
"""What the entry script says: each step with the time it took, each failure with its reason and its log."""

import contextlib
import subprocess
import sys
import time

TAIL_LINES = 40


class Failure(Exception):
    """A step that could not be done. The text says why and where to look."""


@contextlib.contextmanager
def step(what):
    """Prints `what`, then how long the block took."""
    print(f"==> {what}", flush=True)
    began = time.monotonic()
    yield
    print(f"    {time.monotonic() - began:.1f} s", flush=True)


def note(text):
    print(f"    {text}", flush=True)


def tail(path, lines=TAIL_LINES):
    """The last lines of a text file, or what is wrong with it."""
    try:
        with open(path, "rb") as source:
            source.seek(0, 2)
            source.seek(max(0, source.tell() - 65536))
            text = source.read().decode(errors="replace")
    except OSError as error:
        return str(error)
    return "\n".join(text.replace("\r", "").splitlines()[-lines:])


def run_logged(argv, log, cwd=None, timeout=1800, env=None):
    """Runs a program with its output in a log file; raises Failure with the end of the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = [str(a) for a in argv]
    with open(log, "ab") as out:
        out.write(("+ " + " ".join(argv) + "\n").encode())
        out.flush()
        try:
            status = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                                    timeout=timeout, env=env, check=False).returncode
        except subprocess.TimeoutExpired:
            raise Failure(f"{argv[0]} did not end within {timeout} s; log: {log}") from None
        except OSError as error:
            raise Failure(f"{argv[0]}: {error.strerror}; log: {log}") from None
    if status != 0:
        sys.stderr.write(tail(log) + "\n")
        raise Failure(f"{argv[0]} ended with status {status}; log: {log}")
