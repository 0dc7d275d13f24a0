# SPDX-License-Identifier: Apache-2.0
"""Children of a host, over its REST API: define, start, watch the console, turn off, destroy."""

import re
import time

from api import ApiError, JOB_COMPLETED, JOB_DONE_STATES
from report import Failure

ENABLED = 2			# EnabledState and RequestedState
DISABLED = 3
RESET = 11
RETURN_OK = 0
RETURN_JOB_STARTED = 4096
IMAGES = "/var/lib/undercroft/images"
KERNEL = f"{IMAGES}/vmlinuz"
INITRD = f"{IMAGES}/child-initrd.img"
COMMAND_LINE = "console=ttyS0 panic=-1"
JOB_TIMEOUT = 120
GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def wait_job(api, job, timeout=JOB_TIMEOUT):
    """Long-polls a job to its end; a job that ends otherwise than well is a Failure with the job's own words."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        state = api.get(f"{job}?wait=10")
        properties = state.get("properties", state)
        if int(properties["JobState"]) in JOB_DONE_STATES:
            if int(properties["JobState"]) != JOB_COMPLETED:
                raise Failure(f"job {properties.get('Name') or job}: "
                              f"{properties.get('ErrorDescription') or properties.get('JobStatus')}")
            return properties
    raise Failure(f"job {job} did not end within {timeout} s")


def invoke(api, method_uri, arguments, wait=True):
    """Calls a method and waits for its job, if it answers with one. Returns the answer's out parameters."""
    answer = api.call("POST", method_uri, arguments)
    body = answer.json()
    if answer.status == 202 and wait:
        wait_job(api, answer.headers["Location"])
    return body


def instances(api, class_name):
    """All instances of a class, page by page."""
    found = []
    page = api.get(f"classes/{class_name}/instances")
    while True:
        found += page["instances"]
        if not page.get("next"):
            return found
        page = api.get(page["next"])


def embedded(class_name, **properties):
    """An embedded instance, as arguments of methods hold it."""
    return {"class": class_name, "properties": properties}


def _service_methods(api):
    services = instances(api, "Msvm_VirtualSystemManagementService")
    if len(services) != 1:
        raise Failure(f"one management service expected, {len(services)} found")
    return services[0]["methods"]


class Child:
    def __init__(self, api, uri):
        self.api = api
        self.uri = uri
        self.guid = GUID.search(uri)[0].upper()
        self.port = None

    @classmethod
    def define(cls, api, name, memory_mib=512, processors=1, kernel=KERNEL, initrd=INITRD, command_line=COMMAND_LINE):
        direct = {"KernelPath": kernel, "CommandLine": command_line}
        if initrd:
            direct["InitialRamdiskPath"] = initrd
        settings = [embedded("Msvm_ProcessorSettingData", VirtualQuantity=str(processors)),
                    embedded("Msvm_MemorySettingData", VirtualQuantity=str(memory_mib)),
                    embedded("Undercroft_LinuxKernelDirectSettingData", **direct)]
        body = invoke(api, _service_methods(api)["DefineSystem"],
                      {"SystemSettings": embedded("Msvm_VirtualSystemSettingData", ElementName=name),
                       "ResourceSettings": settings})
        return cls(api, body["ResultingSystem"])

    @classmethod
    def find(cls, api, name):
        """The child of that name, or None."""
        for instance in instances(api, "Msvm_ComputerSystem"):
            if instance["properties"]["ElementName"] == name:
                return cls(api, instance["self"])
        return None

    def properties(self):
        return self.api.get(self.uri)["properties"]

    def enabled_state(self):
        return int(self.properties()["EnabledState"])

    def request_state(self, state, wait=True):
        method = self.api.get(self.uri)["methods"]["RequestStateChange"]
        return invoke(self.api, method, {"RequestedState": state}, wait)

    def start(self):
        self.request_state(ENABLED)

    def turn_off(self):
        self.request_state(DISABLED)

    def destroy(self):
        invoke(self.api, _service_methods(self.api)["DestroySystem"], {"AffectedSystem": self.uri})

    def remove(self):
        """Turns off and destroys, whatever state it is in; nothing happens when it is gone already."""
        try:
            if self.enabled_state() != DISABLED:
                self.turn_off()
            self.destroy()
        except ApiError as error:
            if error.status != 404:
                raise

    def wait_state(self, state, timeout):
        deadline = time.monotonic() + timeout
        while True:
            now = self.enabled_state()
            if now == state:
                return
            if time.monotonic() > deadline:
                raise Failure(f"the child's EnabledState is {now}, not {state}, after {timeout} s")
            time.sleep(0.3)

    def _serial_port(self):
        if not self.port:
            for instance in instances(self.api, "Msvm_SerialPortSettingData"):
                if self.guid in instance["properties"]["InstanceID"].upper():
                    self.port = instance["self"]
                    break
            else:
                raise Failure(f"child {self.guid} has no serial port")
        return self.port

    def console_text(self):
        """All that the child wrote to its first serial port, as far as the service keeps it."""
        return self.api.call("GET", f"{self._serial_port()}/console/log").body.decode(errors="replace")

    def wait_console(self, pattern, timeout):
        """Waits until the console log holds a match, and returns it."""
        compiled = re.compile(pattern)
        deadline = time.monotonic() + timeout
        while True:
            text = self.console_text()
            found = compiled.search(text)
            if found:
                return found
            if time.monotonic() > deadline:
                last = "\n".join(text.replace("\r", "").splitlines()[-15:])
                raise Failure(f"'{pattern}' did not appear on the child's console within {timeout} s; its end:\n{last}")
            time.sleep(0.5)
