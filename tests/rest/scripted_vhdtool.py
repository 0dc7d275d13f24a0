#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for vhdtool (parent/vhdtool) with files of its own kind: "SCRIPTED" and a line of JSON, which is what
`inspect` prints, then nothing. Members beside those of the contract say how it behaves:
  "hang"  it never answers      "noise"  it prints no end      "crash"  it ends by a signal      "print"  it prints that
"""
import json
import os
import re
import signal
import stat
import sys
import time
import uuid

MAGIC = b"SCRIPTED "
HEAD = 65536


def fail(text):
    print("vhdtool: " + text, file=sys.stderr)
    sys.exit(1)


def options(words, several=()):
    """--name VALUE pairs; there are no other words."""
    found = {name: [] for name in several}
    for name, value in zip(words[::2], words[1::2], strict=True):
        if not name.startswith("--"):
            fail("a word too many: " + name)
        if name[2:] in several:
            found[name[2:]].append(int(value))
        else:
            found[name[2:]] = value
    return found


def check_process(fds):
    """Nothing but what the command names may be inherited; no privileges."""
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue
        if int(name) not in {0, 1, 2, *fds} and not target.startswith("/proc/"):
            fail("inherited descriptor %s: %s" % (name, target))
    if os.geteuid() == 0 or os.getegid() == 0:
        fail("it runs as root")
    for fd in fds:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            fail("descriptor %d is no file" % fd)


def read(fd):
    head = os.pread(fd, HEAD, 0)
    if not head.startswith(MAGIC):
        fail("it has no header of a virtual hard disk")
    what = json.loads(head[len(MAGIC):].split(b"\n")[0])
    if what.get("hang"):
        time.sleep(600)
    while what.get("noise"):
        print("x" * 4096)
    if what.get("crash"):
        os.kill(os.getpid(), signal.SIGKILL)
    if "print" in what:
        print(what["print"])
        sys.exit(0)
    return what


def write(fd, what):
    os.ftruncate(fd, 0)
    os.pwrite(fd, MAGIC + json.dumps(what).encode() + b"\n", 0)
    os.ftruncate(fd, HEAD)


def make(fd, found, size, parent=None):
    if os.fstat(fd).st_size:
        fail("the new file is not empty")
    if found["format"] == "raw":
        os.ftruncate(fd, size)
        return
    if size > 1 << 46:
        fail("the size is too large")
    what = {"format": found["format"], "type": found["type"], "virtual_bytes": size, "file_bytes": HEAD,
            "block_bytes": int(found.get("block-size", 0 if found["type"] == "fixed" else 1 << 25)),
            "logical_bytes": int(found.get("logical", 512)), "physical_bytes": int(found.get("physical", 4096)),
            "id": str(uuid.uuid4()).upper()}
    what["disk_id"] = what["id"]
    if parent:
        what["parent"] = parent
    write(fd, what)


def inspect(words):
    found = options(words)
    fd = int(found["fd"])
    check_process([fd])
    what = read(fd)
    print(json.dumps({k: v for k, v in what.items() if k != "bad"}))


def create(words):
    found = options(words)
    fd, size, parent = int(found["fd"]), int(found.get("size", 0)), None
    fds = [fd]
    if "parent-fd" in found:
        fds.append(int(found["parent-fd"]))
        above = read(fds[1])
        size = size or above["virtual_bytes"]
        parent = {"paths": [found["parent"]], "id": above["id"]}
        if not found["path"].startswith("/"):
            fail("the child's path is not whole")
    check_process(fds)
    make(fd, found, size, parent)


def resize(words):
    found = options(words)
    fd = int(found["fd"])
    check_process([fd])
    size = int(found["size"])
    if found["format"] == "raw":
        os.ftruncate(fd, size)
        return
    what = read(fd)
    if what["type"] == "fixed" and size < what["virtual_bytes"]:
        fail("it would lose data")
    what["virtual_bytes"] = size
    write(fd, what)


def convert(words):
    found = options(words, ("parent-fd",))
    source, target = int(found["fd"]), int(found["to-fd"])
    check_process([source, target, *found["parent-fd"]])
    if found["source-format"] == "raw":
        size = os.fstat(source).st_size
    else:
        what = read(source)
        size = what["virtual_bytes"]
        if bool(found["parent-fd"]) != ("parent" in what):
            fail("parents are missing")
    make(target, found, size)


def merge(words):
    found = options(words, ("parent-fd",))
    check_process([int(found["fd"]), *found["parent-fd"]])
    child, parent = read(int(found["fd"])), read(found["parent-fd"][0])
    if child["parent"]["id"] != parent["id"] or len(found["parent-fd"]) != (2 if "parent" in parent else 1):
        fail("these are not its parents")
    write(found["parent-fd"][0], dict(parent, merged=child["id"]))


def check(words):
    found = options(words)
    fd = int(found["fd"])
    check_process([fd])
    if found["format"] != "raw" and read(fd).get("bad"):
        fail("block 7 is allocated twice")


if __name__ == "__main__":
    if not re.fullmatch("inspect|create|resize|convert|merge|check", sys.argv[1]):
        fail("unknown command " + sys.argv[1])
    globals()[sys.argv[1]](sys.argv[2:])
