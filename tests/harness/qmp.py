# SPDX-License-Identifier: Apache-2.0
"""A small client of QEMU's control socket (QMP)."""

import json
import os
import socket


class QmpError(Exception):
    """The emulator refused a command, or its control socket is gone."""


def connect_unix(path, timeout=None):
    """Connects to a Unix socket, however long the path of its folder is: an address holds 107 bytes only."""
    folder = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


class Qmp:
    def __init__(self, path, timeout=20):
        try:
            self.socket = connect_unix(str(path), timeout)
        except OSError as error:
            raise QmpError(f"{path}: {error.strerror}") from None
        try:
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
