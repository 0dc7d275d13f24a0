# SPDX-License-Identifier: Apache-2.0
"""The shell on a child's console, as a person at Connect-VM has it."""

import itertools
import re

import pexpect

from report import Failure

LOGIN_TRIES = 30
LOGIN_WAIT = 2

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class ChildShell:
    numbers = itertools.count(1)		# never twice: a new session begins with what older ones left on the screen

    def __init__(self, session):
        """`session`: a pexpect session of Connect-VM. Waits until there is a shell: a system that says that it is up may
        still be logging in."""
        self.session = session
        for _ in range(LOGIN_TRIES):
            session.sendline("")
            if session.expect([r"# (?:\x1b\[6n)?$", pexpect.TIMEOUT], timeout=LOGIN_WAIT) == 0:
                return
        raise Failure(f"no shell on the child's console: {session.buffer[-200:]!r}")

    def execute(self, command, timeout=60):
        """Status and output of a command."""
        number = next(self.numbers)
        self.session.sendline(f"echo uc{number}'B'; {command}; echo uc{number}'E' $?")
        self.session.expect(rf"uc{number}B\r+\n(.*)uc{number}E (\d+)\r", timeout=timeout)
        return int(self.session.match[2]), ESCAPES.sub("", self.session.match[1].replace("\r", ""))

    def run(self, command, timeout=60):
        """Output of a command; another status than 0 is a Failure."""
        status, output = self.execute(command, timeout)
        if status != 0:
            raise Failure(f"{command}: status {status}: {output}")
        return output

    def close(self):
        self.session.close(force=True)
