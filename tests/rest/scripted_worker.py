#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A worker without a virtual machine: speaks schemas/worker/worker_msg.h and does what its command line says.

Words of boot.command_line (separated by blanks):
  start=refuse     answer start with an error        start=exit2     write a reason and exit 2
  start=hang       do not answer start               stop=ignore     do not answer stop
  control=garbage  send no JSON after start          control=long    send more than a packet may hold
  plug=refuse     take no device and no disk         plug=hold       guests keep devices until "let go" is typed
  plug=hang       do not answer about devices
What the console is sent, line by line:
  poweroff  triple  crash  panic  reset              end or reset as a guest would
  devices                                            print the configuration's devices, with what begins each image
  write FD TEXT                                      write to an image
  let go                                             of the devices that were to be removed
  event JSON                                         send as an event (members "event" and "instance" are added)
  calls                                              print the calls of devices so far
  on TYPE.CALL JSON                                  answer that call so from now on: {"error": CODE}, or
                                                     {"events": [...]}, what follows the answer, or by pool of
                                                     KVP {"pools": {POOL: [...]}}, or by adapter {"adapters":
                                                     {ADAPTER: [...]}}; null: answer nothing
  reconnect                                          drop the control connection
  anything else is echoed
"""
import argparse
import array
import fcntl
import json
import os
import re
import selectors
import signal
import socket
import stat
import struct
import sys
import time

MSG_MAX = 65536
BACKLOG = 65536


def check(condition, text):
    if not condition:
        print("scripted worker: " + text, file=sys.stderr)
        sys.exit(1)


TUNGETVNETHDRSZ = 0x800454d7
GUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
SINGLE = ("heartbeat", "shutdown", "timesync", "kvp", "vss", "fcopy", "keyboard")

# What a call may and must have, besides "instance" and "call".
IP = {"adapter": str, "family": str, "dhcp": bool, "addresses": str, "subnets": str, "gateways": str,
      "dns_servers": str}
CALLS = {
    "shutdown.request": {"action": str, "force": bool, "timeout_s": int, "text": str},
    "kvp.get": {"pool": str, "key": str}, "kvp.enumerate": {"pool": str},
    "kvp.set": {"pool": str, "key": str, "value": str}, "kvp.delete": {"pool": str, "key": str},
    "kvp.get_ip": {"adapter": str, "family": str}, "kvp.set_ip": IP,
    "vss.freeze": {"timeout_s": int, "frozen_max_s": int}, "vss.thaw": {},
    "fcopy.copy": {"fd": int, "directory": str, "name": str, "overwrite": bool, "create_path": bool},
    "fcopy.cancel": {}, "memory.set_target": {"mib": int},
    "scsi.resize": {"lun": int, "bytes": int},
}
POOLS = ("external", "guest", "auto", "auto_external")


def check_members(thing, required, optional=()):
    check(isinstance(thing, dict), "no object: %r" % (thing,))
    names = set(thing)
    check(set(required) <= names <= set(required) | set(optional), "members of %r" % (thing,))


FORMATS = ("raw", "vhd", "vhdx")


def check_file(fd, read_only):
    check(type(fd) is int and fd >= 0, "descriptor")
    mode = os.fstat(fd).st_mode
    check(stat.S_ISREG(mode) or stat.S_ISBLK(mode), "an image that is no file and no device")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    check(flags & os.O_ACCMODE == (os.O_RDONLY if read_only else os.O_RDWR), "an image opened in another way")
    check(not flags & os.O_NONBLOCK, "an image that does not block")


def check_image(image, read_only):
    """The descriptors of an image with its parents."""
    check(image["format"] in FORMATS, "format")
    check_file(image["fd"], read_only)
    parents = image.get("parents", [])
    check(len(parents) <= 64, "number of parents")
    for parent in parents:
        check_members(parent, ("fd", "format"))
        check(parent["format"] in FORMATS, "format of a parent")
        check_file(parent["fd"], True)
    return [image["fd"], *(parent["fd"] for parent in parents)]


def check_lun(lun):
    """The descriptors of its image."""
    check_members(lun, ("lun", "kind", "fd", "format", "id"), ("read_only", "direct", "parents"))
    fd, read_only = lun["fd"], lun.get("read_only", False)
    check(type(lun["lun"]) is int and 0 <= lun["lun"] <= 63, "lun number")
    check(lun["kind"] in ("disk", "dvd") and lun["format"] in FORMATS, "kind and format of a lun")
    check(type(fd) is int and GUID.fullmatch(lun["id"]), "fd and id of a lun")
    check(type(read_only) is bool and type(lun.get("direct", False)) is bool, "flags of a lun")
    if fd == -1:
        check(lun["kind"] == "dvd" and not lun.get("parents"), "a disk without an image")
        return []
    check(read_only or lun["kind"] == "disk", "a dvd that can be written")
    return check_image(lun, read_only)


def check_nic(nic):
    """The descriptors of its queues."""
    check_members(nic, ("type", "instance", "name", "mac", "mtu", "taps"),
                  ("link", "link_mbps", "mac_spoofing", "guard_dhcp", "guard_router"))
    check(GUID.fullmatch(nic["instance"]) and isinstance(nic["name"], str), "instance and name of a nic")
    check(re.fullmatch("[0-9A-F]{2}(-[0-9A-F]{2}){5}", nic["mac"]), "mac %r" % nic["mac"])
    check(type(nic["mtu"]) is int and 576 <= nic["mtu"] <= 9000, "mtu")
    check(nic.get("link", "up") in ("up", "down"), "link")
    check(all(type(nic.get(name, False)) is bool for name in ("mac_spoofing", "guard_dhcp", "guard_router")), "policy")
    check(isinstance(nic["taps"], list) and 1 <= len(nic["taps"]) <= 8, "number of taps")
    for fd in nic["taps"]:
        check(os.readlink("/proc/self/fd/%d" % fd) == "/dev/net/tun", "a tap that is none")
        check(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK, "a tap that blocks")
        check(struct.unpack("i", fcntl.ioctl(fd, TUNGETVNETHDRSZ, b"\0" * 4))[0] == 12, "header of a tap")
    return nic["taps"]


def check_devices(devices):
    """Against the DEVICE entries of the contract; the inherited descriptors of images and taps."""
    fds, once = [], []
    check(len([d for d in devices if d.get("type") == "nic"]) <= 8, "number of nics")
    controllers = [d for d in devices if d.get("type") == "scsi"]
    check(len(controllers) <= 4, "number of controllers")
    for device in devices:
        kind = device.get("type")
        if kind == "com":
            check_members(device, ("type", "port"))
            check(device["port"] == 1, "port")
            once.append(kind)
        elif kind == "scsi":
            check_members(device, ("type", "instance", "luns"))
            check(GUID.fullmatch(device["instance"]), "instance of a controller")
            for lun in device["luns"]:
                fds += check_lun(lun)
            numbers = [lun["lun"] for lun in device["luns"]]
            check(len(set(numbers)) == len(numbers), "a lun twice")
        elif kind == "hvsock":
            check_members(device, ("type", "instance", "listen_fd", "directory_fd"))
            check(GUID.fullmatch(device["instance"]), "instance of hvsock")
            check(stat.S_ISSOCK(os.fstat(device["listen_fd"]).st_mode), "no socket to listen on")
            folder = os.fstat(device["directory_fd"])
            check(stat.S_ISDIR(folder.st_mode) and not folder.st_mode & 0o027, "folder of VM sockets")
            fds += [device["listen_fd"], device["directory_fd"]]
            once.append(kind)
        elif kind == "memory":
            check_members(device, ("type", "instance", "minimum_mib", "maximum_mib"))
            check(GUID.fullmatch(device["instance"]), "instance of memory")
            check(0 < device["minimum_mib"] <= device["maximum_mib"], "bounds of memory")
            once.append(kind)
        elif kind == "nic":
            fds += check_nic(device)
        else:
            check(kind in SINGLE, "unknown device %r" % kind)
            check_members(device, ("type", "instance"))
            check(GUID.fullmatch(device["instance"]), "instance of " + kind)
            once.append(kind)
    check(len(set(once)) == len(once), "a device twice")
    ids = [d["instance"] for d in devices if "instance" in d] + [l["id"] for c in controllers for l in c["luns"]]
    check(len(set(ids)) == len(ids), "a GUID twice")
    check(len(set(fds)) == len(fds), "a descriptor twice")
    return fds


class Worker:
    def __init__(self, options):
        self.config = json.loads(os.fdopen(options.config_fd, "rb").read())
        check(self.config["version"] == 1 and self.config["id"] == options.id, "configuration does not fit --id")
        check(1 <= self.config["processors"]["count"] <= 64, "processor count")
        check(self.config["memory"]["startup_mib"] > 0, "memory")
        check(self.config["boot"]["kind"] == "linux", "boot kind")
        self.fds = check_devices(self.config["devices"])
        self.devices = {d["instance"]: d for d in self.config["devices"] if "instance" in d}
        for device in self.devices.values():
            if device["type"] == "memory":
                check(device["minimum_mib"] <= self.config["memory"]["startup_mib"] <= device["maximum_mib"],
                      "startup memory out of bounds")
        self.calls = []
        self.numbers = {}
        self.number_controllers()
        # A guest without drivers and daemons.
        self.answers = {name: {"error": "not_ready"} for name in CALLS if name != "scsi.resize"}
        self.nics = [d for d in self.config["devices"] if d["type"] == "nic"]
        check(stat.S_ISREG(os.fstat(options.kernel_fd).st_mode), "kernel is no regular file")
        check(os.fstat(options.mshv_fd) is not None, "no device")
        if options.trace_fd is not None:
            os.write(options.trace_fd, b"TRACE\n")
        self.check_descriptors(options)
        words = self.config["boot"]["command_line"].split()
        self.script = dict(word.split("=", 1) for word in words if "=" in word)
        self.state = "created"
        self.reason = None
        self.ran_ms = 0.0
        self.since = None
        self.control = None
        self.leaving = []
        self.clients = []
        self.backlog = b""
        self.line = b""
        self.selector = selectors.DefaultSelector()
        self.control_listener = socket.socket(fileno=options.control_fd)
        self.console_listener = socket.socket(fileno=options.console_fd)
        self.selector.register(self.control_listener, selectors.EVENT_READ, self.accept_control)
        self.selector.register(self.console_listener, selectors.EVENT_READ, self.accept_console)
        initrd = "with" if options.initrd_fd is not None else "without"
        self.banner = "scripted kernel %s, %s initrd\r\n" % (
            os.pread(options.kernel_fd, 64, 0).decode(errors="replace").strip(), initrd)

    def disks(self):
        """The descriptors of images, now."""
        modes = {fd: os.fstat(fd).st_mode for fd in check_devices(self.config["devices"])}
        return [fd for fd, mode in modes.items() if stat.S_ISREG(mode) or stat.S_ISBLK(mode)]

    def check_descriptors(self, options):
        """Nothing but what the contract lists may be inherited."""
        known = {0, 1, 2, options.control_fd, options.console_fd, options.mshv_fd, options.kernel_fd,
                 options.initrd_fd, options.trace_fd, *self.fds}
        for name in os.listdir("/proc/self/fd"):
            fd = int(name)
            try:
                target = os.readlink("/proc/self/fd/" + name)
            except OSError:
                continue
            if fd not in known and not target.startswith("/proc/"):
                check(False, "inherited descriptor %d: %s" % (fd, target))

    # -- control

    def accept_control(self, listener):
        connection, _ = listener.accept()
        self.drop_control()
        self.control = connection
        self.selector.register(connection, selectors.EVENT_READ, self.read_control)
        self.event()

    def drop_control(self):
        if self.control:
            self.selector.unregister(self.control)
            self.control.close()
            self.control = None

    def send(self, message):
        if self.control:
            try:
                self.control.send(json.dumps(message).encode())
            except OSError:
                self.drop_control()

    def event(self):
        self.send({"event": "state", "state": self.state, "reason": self.reason})

    def read_control(self, connection):
        try:
            packet, ancillary, _, _ = connection.recvmsg(MSG_MAX + 1, socket.CMSG_SPACE(64 * 4))
        except OSError:
            packet, ancillary = b"", []
        fds = array.array("i")
        for level, kind, data in ancillary:
            check((level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS), "ancillary data")
            fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        try:
            self.take_packet(packet, list(fds))
        finally:
            for fd in fds:
                os.close(fd)

    def take_packet(self, packet, fds):
        self.received = fds
        if not packet:
            self.drop_control()
            return
        request = json.loads(packet)
        handler = getattr(self, "do_" + request["method"], None)
        if not handler:
            self.error(request, "unknown_method", "no method " + request["method"])
            return
        handler(request)

    def result(self, request, value=None):
        self.send({"id": request["id"], "result": value or {}})

    def error(self, request, code, message):
        self.send({"id": request["id"], "error": {"code": code, "message": message}})

    def uptime_ms(self):
        return int(self.ran_ms + ((time.monotonic() - self.since) * 1000 if self.since else 0))

    def change(self, state, reason):
        if self.since:
            self.ran_ms += (time.monotonic() - self.since) * 1000
        self.since = time.monotonic() if state == "running" else None
        self.state, self.reason = state, reason
        self.event()

    def do_status(self, request):
        self.result(request, {"state": self.state, "pid": os.getpid(), "uptime_ms": self.uptime_ms(),
                              "cpu_time_100ns": self.uptime_ms() * 5000, "memory_mib":
                              self.config["memory"]["startup_mib"], "reason": self.reason})

    def do_start(self, request):
        how = self.script.get("start")
        if how == "hang":
            return
        if how == "exit2":
            print("first line", file=sys.stderr)
            print("kernel image has no boot header", file=sys.stderr, flush=True)
            os._exit(2)
        if how == "refuse":
            self.error(request, "start_failed", "no memory for the child")
            return
        if self.state != "created":
            self.error(request, "invalid_state", "not in state created")
            return
        self.change("running", "started")
        self.result(request)
        self.write(self.banner.encode())
        if self.script.get("control") == "garbage":
            self.control.send(b"this is no JSON")
        if self.script.get("control") == "long":
            self.control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MSG_MAX)
            self.control.send(json.dumps({"event": "x" * MSG_MAX}).encode())

    def do_pause(self, request):
        self.step(request, ("running",), "paused", "paused")

    def do_resume(self, request):
        self.step(request, ("paused",), "running", "resumed")

    def do_reset(self, request):
        self.ran_ms = 0.0
        self.step(request, ("running", "paused"), "running", "guest_reset")
        self.write(self.banner.encode())

    def do_device(self, request):
        params = request["params"]
        device = self.devices.get(params["instance"])
        if not device:
            self.error(request, "not_found", "no device " + params["instance"])
            return
        if device["type"] == "scsi":
            self.call_scsi(request, device)
            return
        if device["type"] == "nic":
            self.call_nic(request, params)
            return
        name = "%s.%s" % (device["type"], params["call"])
        check(name in CALLS, "unknown call " + name)
        wanted = {"instance": str, "call": str, **CALLS[name]}
        check(set(params) == set(wanted), "members of %r" % (params,))
        check(all(type(params[member]) is kind for member, kind in wanted.items()), "types of %r" % (params,))
        check(params.get("pool", "auto") in POOLS, "pool of %r" % (params,))
        seen = {"name": name, **{"file" if k == "name" else k: v for k, v in params.items()
                                 if k not in ("instance", "call")}}
        if "fd" in params:
            check(params["fd"] < len(self.received), "a descriptor that did not come")
            fd = self.received[params["fd"]]
            check(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY, "a source that can be written")
            seen["content"] = os.pread(fd, 64, 0).decode(errors="replace")
        self.calls.append(seen)
        answer = self.answers[name]
        if answer is None:
            return
        if "error" in answer:
            self.error(request, answer["error"], "scripted")
            return
        self.result(request)
        for event in (answer["pools"][params["pool"]] if "pools" in answer else
                      answer["adapters"][params["adapter"]] if "adapters" in answer else answer["events"]):
            if event in ("poweroff", "reset"):
                self.obey(event)
            else:
                self.device_event(device, event)

    def device_event(self, device, event):
        self.send({"event": "device", "instance": device["instance"], "type": device["type"], **event})

    def call_nic(self, request, params):
        nic = self.devices[params["instance"]]
        check(params.get("call") == "set", "call of a nic")
        check_members(params, ("instance", "call"), ("link", "mac_spoofing", "guard_dhcp", "guard_router"))
        check(params.get("link", "up") in ("up", "down", "moved"), "link")
        if "link" in params:
            nic["link"] = "down" if params["link"] == "down" else "up"
        self.write(b"<set %s>\n" % json.dumps({"nic": self.nics.index(nic), **params}, sort_keys=True).encode())
        self.result(request)

    def send_frame(self, nic, text):
        """To everybody, in a protocol of its own."""
        mac = bytes.fromhex(self.nics[nic]["mac"].replace("-", ""))
        os.write(self.nics[nic]["taps"][0], bytes(12) + b"\xff" * 6 + mac + b"\x88\xb5" + text.encode().ljust(46, b"\0"))

    def receive_frames(self, nic):
        texts = []
        for fd in self.nics[nic]["taps"]:
            try:
                while True:
                    frame = os.read(fd, 2048)[12:]
                    if frame[12:14] == b"\x88\xb5":
                        texts.append(frame[14:].rstrip(b"\0").decode())
            except BlockingIOError:
                pass
        return texts

    def step(self, request, allowed, state, reason):
        if self.state not in allowed:
            self.error(request, "invalid_state", "state is " + self.state)
            return
        self.change(state, reason)
        self.result(request)

    # -- devices

    def plugs(self, request):
        """Whether the script lets devices change; answers if not."""
        how = self.script.get("plug")
        if how == "refuse":
            self.error(request, "unsupported", "the guest's driver cannot")
        return how not in ("refuse", "hang")

    def take_files(self, image):
        """Indices of the packet's descriptors become descriptors; each must be named once."""
        files = [image, *image.get("parents", [])]
        check(sorted(f["fd"] for f in files) == list(range(len(self.received))), "descriptors of the packet")
        for file in files:
            file["fd"] = fcntl.fcntl(self.received[file["fd"]], fcntl.F_DUPFD_CLOEXEC, 0)

    @staticmethod
    def drop_files(image):
        for file in [image, *image.get("parents", [])]:
            if file["fd"] >= 0:
                os.close(file["fd"])

    def do_add_device(self, request):
        check_members(request["params"], ("device",))
        device = request["params"]["device"]
        if device["type"] == "nic":
            check(device["taps"] == list(range(len(self.received))), "taps of the packet")
            check(device["link"] == "down", "frames before the tap is in its switch")
        else:
            check(device["type"] == "scsi" and not device["luns"] and not self.received, "a controller comes empty")
        if not self.plugs(request):
            return
        if device["type"] == "nic":
            device["taps"] = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0) for fd in self.received]
            self.nics.append(device)
        self.config["devices"].append(device)
        self.number_controllers()
        self.devices[device["instance"]] = device
        check_devices(self.config["devices"])
        self.result(request)

    def do_remove_device(self, request):
        check_members(request["params"], ("instance",))
        device = self.devices.get(request["params"]["instance"])
        if not device:
            self.error(request, "not_found", "no such device")
            return
        if not self.plugs(request):
            return
        self.result(request)
        self.leaving.append(device)
        self.write(b"<leaving>\r\n")
        if self.script.get("plug") != "hold":
            self.let_go()

    def let_go(self):
        for device in self.leaving:
            if device["type"] == "nic":
                for fd in device["taps"]:
                    os.close(fd)
                self.nics.remove(device)
            for lun in device.get("luns", []):
                self.drop_files(lun)
            self.config["devices"].remove(device)
            del self.devices[device["instance"]]
            self.number_controllers()
            self.device_event(device, {"what": "removed"})
        self.leaving = []

    def call_scsi(self, request, device):
        params = request["params"]
        if params["call"] == "resize":
            self.resize_disk(request, device)
            return
        if not self.plugs(request):
            return
        call = getattr(self, "scsi_" + params["call"])
        luns = {lun["lun"]: lun for lun in device["luns"]}
        if call(params, device["luns"], luns):
            check_devices(self.config["devices"])
            self.result(request)
        else:
            self.error(request, "invalid_params", "no such lun, or it is taken")

    def scsi_add_lun(self, params, luns, by_number):
        check_members(params, ("instance", "call", "lun"))
        lun = params["lun"]
        if lun["lun"] in by_number:
            return False
        if lun["fd"] >= 0:
            self.take_files(lun)
        luns.append(lun)
        return True

    def scsi_remove_lun(self, params, luns, by_number):
        check_members(params, ("instance", "call", "lun"))
        lun = by_number.get(params["lun"])
        if lun:
            self.drop_files(lun)
            luns.remove(lun)
        return lun

    def scsi_set_medium(self, params, _, by_number):
        check_members(params, ("instance", "call", "lun", "medium"))
        lun, medium = by_number.get(params["lun"]), params["medium"]
        if not lun or lun["kind"] != "dvd":
            return False
        self.drop_files(lun)
        if medium:
            check_members(medium, ("fd", "format"), ("parents",))
            self.take_files(medium)
        lun.update(medium or {"fd": -1, "format": "raw"})
        return True

    def scsi_refresh(self, params, _, by_number):
        check_members(params, ("instance", "call", "lun"))
        lun = by_number.get(params["lun"])
        if lun:
            self.write(b"<size %d>\r\n" % os.fstat(lun["fd"]).st_size)
        return lun

    def resize_disk(self, request, device):
        """As it is told ("on scsi.resize ..."), else as disks do: VHDs keep their size, none becomes smaller."""
        params = request["params"]
        check_members(params, ("instance", "call", "lun", "bytes"))
        check(type(params["bytes"]) is int, "bytes of a disk")
        lun, = [lun for lun in device["luns"] if lun["lun"] == params["lun"]]
        event = {"what": "resized", "lun": params["lun"], "bytes": params["bytes"], "error": None, "message": None}
        answer = self.answers.get("scsi.resize", {"events": [event]})
        if "scsi.resize" not in self.answers:
            head = os.pread(lun["fd"], 65536, 0).split(b"\n")[0]
            what = {"virtual_bytes": os.fstat(lun["fd"]).st_size} if lun["format"] == "raw" else json.loads(head[9:])
            if lun["format"] == "vhd":
                answer = {"error": "unsupported", "message": "a disk of this format keeps its size while it is in use"}
            elif params["bytes"] < what["virtual_bytes"]:
                answer = {"error": "unsupported", "message": "it is not made smaller while it is in use"}
            elif lun["format"] == "raw":
                os.ftruncate(lun["fd"], params["bytes"])
            else:
                os.pwrite(lun["fd"], head[:9] + json.dumps({**what, "virtual_bytes": params["bytes"]}).encode() + b"\n", 0)
        if "error" in answer:
            self.error(request, answer["error"], answer.get("message", "scripted"))
            return
        if answer.get("early"):
            self.device_event(device, event)
        self.result(request)
        for told in answer["events"]:
            self.device_event(device, {**event, **told})

    def number_controllers(self):
        """A number belongs to a controller until it is gone; others get the lowest free one."""
        present = [d["instance"] for d in self.config["devices"] if d["type"] == "scsi"]
        self.numbers = {i: n for i, n in self.numbers.items() if i in present}
        for instance in present:
            if instance not in self.numbers:
                self.numbers[instance] = min(set(range(len(present))) - set(self.numbers.values()))

    def do_stats(self, request):
        check_members(request["params"], ("from",))
        first = request["params"]["from"]
        counted = [{"name": "bus", "instance": None, "unit": None, "counters": {"port_reads": 1}, "histograms": {}}]
        for controller in self.config["devices"]:
            for lun in controller["luns"] if controller["type"] == "scsi" else ():
                counted.append({
                    "name": "scsi%d:%d" % (self.numbers[controller["instance"]], lun["lun"]),
                    "instance": controller["instance"], "unit": lun["lun"],
                    "counters": {"reads": 3, "read_bytes": (lun["lun"] + 1) << 18},
                    "histograms": {"read_latency_us_log2": [0, 2, 0, 1], "write_latency_us_log2": []}})
        for number, nic in enumerate(self.nics):
            for queue in range(len(nic["taps"])):
                counted.append({
                    "name": "nic%d:%d" % (number, queue), "instance": nic["instance"], "unit": queue, "histograms": {},
                    "counters": {"tx_unicast": 3, "tx_broadcast": 1, "tx_bytes": 400 + queue, "rx_multicast": 2,
                                 "rx_bytes": 100, "tx_waits": 9, "rx_filtered": 7}})
        part = counted[first:first + 2]     # no more fit into a packet
        result = {"devices": part, "vps": []}
        if first + len(part) < len(counted):
            result["next"] = first + len(part)
        self.result(request, result)

    def do_stop(self, request):
        if self.script.get("stop") == "ignore":
            return
        self.result(request)
        self.end("turned_off", 0)

    def end(self, reason, status):
        self.change("stopped", reason)
        sys.stderr.flush()
        os._exit(status)

    # -- console

    def accept_console(self, listener):
        connection, _ = listener.accept()
        try:
            connection.sendall(self.backlog)
        except OSError:
            connection.close()
            return
        self.clients.append(connection)
        self.selector.register(connection, selectors.EVENT_READ, self.read_console)

    def write(self, data):
        self.backlog = (self.backlog + data)[-BACKLOG:]
        for client in list(self.clients):
            try:
                client.sendall(data)
            except OSError:
                self.drop_client(client)

    def drop_client(self, client):
        self.selector.unregister(client)
        self.clients.remove(client)
        client.close()

    def read_console(self, connection):
        try:
            data = connection.recv(4096)
        except OSError:
            data = b""
        if not data:
            self.drop_client(connection)
            return
        self.write(data)
        self.line += data
        while b"\n" in self.line or b"\r" in self.line:
            cut = min(i for i in (self.line.find(b"\n"), self.line.find(b"\r")) if i >= 0)
            word, self.line = self.line[:cut].strip().decode(errors="replace"), self.line[cut + 1:]
            self.obey(word)

    def obey(self, word):
        if word == "poweroff":
            self.end("guest_power_off", 0)
        elif word == "triple":
            self.end("triple_fault", 3)
        elif word == "panic":
            self.end("guest_crash", 1)
        elif word == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif word == "reset":
            self.ran_ms = 0.0
            self.change("running", "guest_reset")
        elif word == "reconnect":
            self.drop_control()
        elif word == "calls":
            self.write(b"<" + json.dumps(self.calls).encode() + b">\n")
        elif word.startswith("on "):
            _, name, answer = word.split(" ", 2)
            check(name in CALLS, "unknown call " + name)
            self.answers[name] = json.loads(answer)
            self.write(b"<set>\n")
        elif word.startswith("event "):
            event = json.loads(word.split(" ", 1)[1])
            device, = [d for d in self.devices.values() if d["type"] == event["type"]]
            self.device_event(device, event)
            self.write(b"<sent>\n")
        elif word == "devices":
            heads = {fd: os.pread(fd, 16, 0).decode(errors="replace") for fd in self.disks()}
            self.write(b"<" + json.dumps([self.config["devices"], heads]).encode() + b">\n")
        elif word == "let go":
            self.let_go()
        elif word.startswith("send "):
            _, nic, text = word.split(" ", 2)
            self.send_frame(int(nic), text)
            self.write(b"<sent>\n")
        elif word.startswith("receive "):
            self.write(b"<received %s>\n" % json.dumps(self.receive_frames(int(word.split()[1]))).encode())
        elif word.startswith("write "):
            _, fd, text = word.split(" ", 2)
            os.pwrite(int(fd), text.encode(), 0)
            self.write(b"<written>\n")

    def run(self):
        while True:
            for key, _ in self.selector.select():
                key.data(key.fileobj)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    for name in ("config", "control", "console", "mshv", "kernel"):
        parser.add_argument("--%s-fd" % name, type=int, required=True)
    parser.add_argument("--initrd-fd", type=int)
    parser.add_argument("--trace-fd", type=int)
    Worker(parser.parse_args()).run()


if __name__ == "__main__":
    main()
