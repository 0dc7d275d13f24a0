# SPDX-License-Identifier: Apache-2.0
"""A root shell on the parent's first serial port, driven by pexpect over the emulator's socket."""

import itertools
import re
import time

import pexpect
from pexpect import fdpexpect

from qmp import connect_unix

PROMPT = "parent# "


class ShellError(Exception):
    """A command in the parent ended with another status than 0, or not at all."""


class Console:
    """One client at a time: the emulator takes the next connection when this one is closed."""

    def __init__(self, path, timeout=30):
        self.path = str(path)
        self.serial = itertools.count(1)
        self.socket = connect_unix(self.path)
        self.child = fdpexpect.fdspawn(self.socket.fileno(), encoding="utf-8", codec_errors="replace")
        self._take_shell(timeout)

    def _take_shell(self, timeout):
        """Finds the shell's prompt, whatever was printed or typed before, and makes it plain: no echo, no kernel lines."""
        deadline = time.monotonic() + timeout
        for attempt in itertools.count():
            # An interrupt too early would hit the new shell in its profile, which sets the prompt.
            self.child.send("\n" if attempt < 3 else "\x03\n")
            if self.child.expect([re.escape(PROMPT), pexpect.TIMEOUT], timeout=3) == 0:
                break
            if time.monotonic() > deadline:
                raise ShellError(f"no shell answers on {self.path}")
        self.run("stty -echo; dmesg -n 4; unset HISTFILE")

    def execute(self, command, timeout=60):
        """Runs a shell command; returns (status, output). The output has plain line ends and no marker."""
        tag = f"uc{next(self.serial)}"
        # The quotes keep the marker out of the echo of the command itself.
        self.child.send(f"echo {tag}'B'; {{ {command}\n}} 2>&1; echo {tag}'E' $?\n")
        try:
            self.child.expect(f"{tag}B\r*\n(?s:(.*?)){tag}E (\\d+)\r*\n", timeout=timeout)
        except pexpect.TIMEOUT:
            self.child.send("\x03")
            raise ShellError(f"'{command}' did not end within {timeout} s; so far: {self.child.before!r}") from None
        except (pexpect.EOF, OSError):
            raise ShellError(f"the machine ended during '{command}'") from None
        return int(self.child.match[2]), self.child.match[1].replace("\r", "")

    def run(self, command, timeout=60):
        """As execute(), but any status other than 0 is an error."""
        status, output = self.execute(command, timeout)
        if status != 0:
            raise ShellError(f"'{command}' ended with status {status}: {output.strip()}")
        return output

    def close(self):
        self.socket.close()
