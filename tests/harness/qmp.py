# SPDX-License-Identifier: Apache-2.0
"""A small client of QEMU's control socket (QMP)."""

import json
import socket


class QmpError(Exception):
    """The emulator refused a command, or its control socket is gone."""


class Qmp:
    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(str(path))
            self.stream = self.socket.makefile("rw", encoding="utf-8", newline="\n")
            self._read()
            self.command("qmp_capabilities")
        except (OSError, QmpError) as error:
            self.socket.close()
            raise QmpError(f"{path}: {error}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        line = self.stream.readline()
        if not line:
            raise QmpError("connection closed")
        return json.loads(line)

    def command(self, name, **arguments):
        """Sends one command and returns its answer; events on the way are dropped."""
        request = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        self.stream.write(json.dumps(request) + "\n")
        self.stream.flush()
        while True:
            answer = self._read()
            if "error" in answer:
                raise QmpError(f"{name}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def monitor(self, line):
        """A command of the human monitor, for what QMP itself lacks."""
        return self.command("human-monitor-command", **{"command-line": line})

    def close(self):
        self.stream.close()
        self.socket.close()
