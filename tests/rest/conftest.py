# SPDX-License-Identifier: Apache-2.0
"""A real vmms in a directory of its own, with the scripted worker in place of vmwp."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import pytest
import requests

HERE = os.path.dirname(os.path.abspath(__file__))
VMMS = os.environ["UC_VMMS"]
HVSH = os.environ["UC_HVSH"]
SERVICE = "classes/Msvm_VirtualSystemManagementService/instances/vmms/methods/"
WAIT = 20


def wait_until(condition, what, seconds=WAIT):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("not within %d s: %s" % (seconds, what))


class Service:
    def __init__(self, settings=None):
        self.root = tempfile.mkdtemp(prefix="uc-rest-")
        os.chmod(self.root, 0o755)
        self.kernels = os.path.join(self.root, "kernels")
        os.mkdir(self.kernels)
        self.kernel = self.write("kernels/vmlinuz", "KERNEL-IMAGE")
        self.initrd = self.write("kernels/initrd.img", "INITRD")
        self.disks = os.path.join(self.root, "disks")
        os.mkdir(self.disks)
        self.files = os.path.join(self.root, "files")
        os.mkdir(self.files)
        worker = os.path.join(self.root, "vmwp")
        shutil.copy(os.path.join(HERE, "scripted_worker.py"), worker)
        os.chmod(worker, 0o755)
        shutil.copy(os.path.join(HERE, "scripted_vhdtool.py"), os.path.join(self.root, "vhdtool"))
        os.chmod(os.path.join(self.root, "vhdtool"), 0o755)
        self.settings = {
            "listen-port": "0", "rundir": self.root + "/run", "statedir": self.root + "/state", "vmwp": worker,
            "worker-user": "nobody", "mshv-device": self.write("mshv", ""), "kernel-directories": self.kernels,
            "disk-directories": self.disks, "guest-file-directories": self.files, "log-level": "debug"}
        self.settings.update(settings or {})
        self.config = self.write("vmms.conf", "".join("%s = %s\n" % item for item in self.settings.items()))
        self.log = os.path.join(self.root, "vmms.log")
        self.process = None
        self.session = requests.Session()
        self.session.trust_env = False

    def write(self, name, text):
        path = os.path.join(self.root, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, 0o666)
        return path

    def image(self, name, text="", size=1 << 20):
        """An image of that size which begins with the text; its path."""
        path = self.write("disks/" + name, text)
        os.truncate(path, size)
        return path

    def vhd(self, name, parent=None, parent_paths=None, **members):
        """A file of the scripted vhdtool; its path. `parent`: what read_vhd() gives of another."""
        what = {"format": "vhdx" if name.lower().endswith("x") else "vhd", "type": "dynamic", "virtual_bytes": 1 << 30,
                "file_bytes": 65536, "block_bytes": 1 << 25, "logical_bytes": 512, "physical_bytes": 4096,
                "id": str(uuid.uuid4()).upper()}
        if parent or parent_paths:
            what["type"] = "differencing"
            what["parent"] = {"paths": parent_paths or [os.path.basename(parent)],
                              "id": self.read_vhd(parent)["id"] if parent else what["id"]}
        what.update(members)
        return self.image(name, "SCRIPTED " + json.dumps(what) + "\n", 65536)

    @staticmethod
    def read_vhd(path):
        with open(path, "rb") as image:
            return json.loads(image.readline()[len(b"SCRIPTED "):])

    def start(self):
        with open(self.log, "ab") as log:
            offset = log.tell()
            self.process = subprocess.Popen([VMMS, "--config", self.config], stderr=log)

        def ready():
            assert self.process.poll() is None, self.read_log()
            return re.search(r"vmms\.ready .*port=(\d+)", self.read_log(offset))
        self.port = int(wait_until(ready, "vmms is ready").group(1))
        with open(self.root + "/state/token", encoding="ascii") as token:
            self.token = token.read().strip()
        self.base = "http://127.0.0.1:%d/api/v2/" % self.port
        self.session.headers["Authorization"] = "Bearer " + self.token
        return self

    def read_log(self, offset=0):
        with open(self.log, "rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(WAIT) == 0, self.read_log()

    def destroy(self):
        """Ends the service and every worker it left, then the directory."""
        if self.process and self.process.poll() is None:
            try:
                for vm in self.vms():
                    if vm["EnabledState"] != 3:
                        self.request_state(vm["Name"], 3)
            except (requests.RequestException, AssertionError):
                pass
            try:
                self.stop()
            finally:
                self.end_workers()
        else:
            self.end_workers()
        shutil.rmtree(self.root, ignore_errors=True)

    def end_workers(self):
        for pid in self.worker_pids():
            os.kill(pid, signal.SIGKILL)

    def worker_pids(self):
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open("/proc/%s/cmdline" % name, "rb") as cmdline:
                    words = cmdline.read().split(b"\0")
            except OSError:
                continue
            if self.settings["vmwp"].encode() in words:
                found.append(int(name))
        return found

    # -- REST

    def request(self, method, path, **options):
        if not path.startswith("/"):
            path = "/api/v2/" + path
        return self.session.request(method, "http://127.0.0.1:%d%s" % (self.port, path), timeout=WAIT + 60, **options)

    def get(self, path, **options):
        answer = self.request("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(self, path, body=None):
        return self.request("POST", path, json=body if body is not None else {})

    def instances(self, class_name, **params):
        return self.get("classes/%s/instances" % class_name, params=params)["instances"]

    def vms(self):
        return [i["properties"] for i in self.instances("Msvm_SummaryInformation")]

    def vm(self, vm_id):
        return self.get("classes/Msvm_ComputerSystem/instances/" + vm_id)["properties"]

    def define(self, name="vm", command_line="console=ttyS0", **settings):
        resources = [{"class": "Undercroft_LinuxKernelDirectSettingData",
                      "properties": {"KernelPath": self.kernel, "CommandLine": command_line, **settings}},
                     {"class": "Msvm_MemorySettingData", "properties": {"VirtualQuantity": "256"}}]
        answer = self.call(SERVICE + "DefineSystem", {
            "SystemSettings": {"properties": {"ElementName": name}}, "ResourceSettings": resources})
        assert answer.status_code == 200, answer.text
        assert answer.json()["returnValue"] == 0
        return answer.json()["ResultingSystem"].rsplit("=", 1)[1]

    def add(self, vm_id, *settings):
        """AddResourceSettings; the answer."""
        return self.call(SERVICE + "AddResourceSettings", {
            "AffectedConfiguration": "/api/v2/classes/Msvm_VirtualSystemSettingData/instances/Microsoft:" + vm_id,
            "ResourceSettings": list(settings)})

    def added(self, vm_id, *settings):
        """The paths of what was added."""
        answer = self.add(vm_id, *settings)
        assert answer.status_code == 200, answer.text
        return answer.json()["ResultingResourceSettings"]

    def change(self, class_name, instance_id, **properties):
        return self.call(SERVICE + "ModifyResourceSettings", {"ResourceSettings": [
            {"class": class_name, "properties": {"InstanceID": instance_id, **properties}}]})

    def remove(self, *paths):
        return self.call(SERVICE + "RemoveResourceSettings", {"ResourceSettings": list(paths)})

    def ask_state(self, vm_id, requested):
        return self.call("classes/Msvm_ComputerSystem/instances/%s/methods/RequestStateChange" % vm_id,
                         {"RequestedState": requested})

    def request_state(self, vm_id, requested):
        """Asks, and waits for the job; the job's properties."""
        answer = self.ask_state(vm_id, requested)
        assert answer.status_code == 202, answer.text
        assert answer.json()["returnValue"] == 4096
        assert answer.headers["Location"] == answer.json()["Job"]
        return self.wait_job(answer.headers["Location"])

    def wait_job(self, location):
        def ended():
            job = self.get(location, params={"wait": "5"})["properties"]
            return job if job["JobState"] in (7, 8, 9, 10) else None
        return wait_until(ended, "job ends")

    def start_vm(self, vm_id):
        job = self.request_state(vm_id, 2)
        assert job["JobState"] == 7, job
        return self.vm(vm_id)

    def serial(self, vm_id):
        return "classes/Msvm_SerialPortSettingData/instances/Microsoft:%s%%5CCOM1" % vm_id

    def console_log(self, vm_id):
        answer = self.request("GET", self.serial(vm_id) + "/console/log")
        assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain")
        return answer.content

    def console(self, vm_id, token=None):
        """A connected socket after 101, and what came with the answer."""
        s = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)
        s.sendall(("GET /api/v2/%s/console HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                   "Connection: Upgrade\r\nUpgrade: undercroft-console\r\n\r\n"
                   % (self.serial(vm_id), token or self.token)).encode())
        data = b""
        while b"\r\n\r\n" not in data:
            part = s.recv(4096)
            assert part, data
            data += part
        head, rest = data.split(b"\r\n\r\n", 1)
        return s, head.decode(), rest

    def type_line(self, vm_id, line):
        s, head, _ = self.console(vm_id)
        assert head.startswith("HTTP/1.1 101"), head
        s.sendall(line.encode() + b"\n")
        return s

    def script(self, vm_id, line, answer=rb"<[a-z]+>|<\[.*\]>"):
        """Has the scripted worker obey a line; what it printed between < and >."""
        before = len(self.console_log(vm_id))
        self.type_line(vm_id, line).close()
        def found():
            # Its echo comes first, and may hold anything.
            rest = self.console_log(vm_id)[before:].partition(b"\n")[2]
            return re.search(rb"^(" + answer + rb")\r?$", rest, re.MULTILINE)
        return wait_until(found, "the worker obeys " + line).group(1).decode()[1:-1]

    def guest_answers(self, vm_id, call, answer):
        self.script(vm_id, "on %s %s" % (call, json.dumps(answer)))

    def guest_event(self, vm_id, kind, what, **members):
        self.script(vm_id, "event " + json.dumps({"type": kind, "what": what, **members}))

    def guest_calls(self, vm_id):
        return json.loads(self.script(vm_id, "calls"))

    def hvsh(self, *words, stdin=None, check=None):
        environment = dict(os.environ, UNDERCROFT_API="http://127.0.0.1:%d" % self.port,
                           UNDERCROFT_TOKEN_FILE=self.root + "/state/token")
        done = subprocess.run([HVSH, *words], env=environment, input=stdin if stdin is not None else "",
                              capture_output=True, text=True, timeout=WAIT + 40)
        if check is not None:
            assert done.returncode == check, (words, done.stdout, done.stderr)
        return done


@pytest.fixture
def service():
    s = Service()
    try:
        yield s.start()
    except BaseException:
        print(s.read_log(), file=sys.stderr)
        raise
    finally:
        s.destroy()
