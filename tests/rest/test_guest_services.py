# SPDX-License-Identifier: Apache-2.0
"""Integration components of running machines: what guests tell, and what is asked of them."""
import json
import os
import socket
import stat

import pytest

from conftest import SERVICE, Service, wait_until
from test_devices import devices, of_type, properties_of
from test_resources import problem

GUESTS = "classes/Msvm_%s/instances"


@pytest.fixture
def quick():
    """A service whose guests have two seconds to shut down."""
    s = Service({"shutdown-timeout": "2"})
    try:
        yield s.start()
    except BaseException:
        print(s.read_log())
        raise
    finally:
        s.destroy()


def running(service, name="vm", **settings):
    vm = service.define(name, **settings)
    service.start_vm(vm)
    return vm


def component(service, kind):
    found = service.instances("Msvm_%sComponent" % kind)
    return found[0] if found else None


def call(service, kind, method, body=None):
    """A component's method; the answer, and its job when there is one."""
    answer = service.call(component(service, kind)["self"] + "/methods/" + method, body)
    return service.wait_job(answer.headers["Location"]) if answer.status_code == 202 else answer


def summary(service):
    return service.vms()[0]


def items(texts):
    return {i["properties"]["Name"]: i["properties"]["Data"] for i in texts}


# -- heartbeat

def test_a_heartbeat_is_shown(service):
    vm = running(service)
    assert component(service, "Heartbeat")["properties"]["OperationalStatus"] == [12]
    assert summary(service)["Heartbeat"] == 12
    service.guest_event(vm, "heartbeat", "status", status=2, application=2)
    heartbeat = wait_until(lambda: (h := component(service, "Heartbeat")["properties"])["OperationalStatus"] == [2, 2]
                           and h, "the heartbeat is heard")
    assert heartbeat["StatusDescriptions"] == ["OK", "OK"] and heartbeat["SystemName"] == vm
    assert summary(service)["Heartbeat"] == 2 and summary(service)["ApplicationHealth"] == 2
    assert component(service, "Shutdown")["properties"]["OperationalStatus"] == [2]
    service.guest_event(vm, "heartbeat", "status", status=13, application=0)
    wait_until(lambda: summary(service)["Heartbeat"] == 13, "it is lost")
    # Figures that make no sense are no trouble.
    service.guest_event(vm, "heartbeat", "status", status=-1, application="x")
    wait_until(lambda: summary(service)["Heartbeat"] == 12, "nonsense is no contact")
    # Another guest has to be heard anew.
    service.guest_event(vm, "heartbeat", "status", status=2, application=0)
    wait_until(lambda: summary(service)["Heartbeat"] == 2, "the heartbeat is heard")
    service.type_line(vm, "reset").close()
    wait_until(lambda: summary(service)["Heartbeat"] == 12, "a reset ends it")
    service.request_state(vm, 3)
    assert component(service, "Heartbeat") is None and summary(service)["Heartbeat"] is None


def test_components_are_parts_of_their_machine(service):
    vm = running(service)
    parts = service.get("classes/Msvm_ComputerSystem/instances/%s/associators" % vm,
                        params={"AssocClass": "Msvm_SystemDevice"})["instances"]
    assert {p["class"] for p in parts} == {"Msvm_%sComponent" % c for c in (
        "Heartbeat", "Shutdown", "TimeSync", "KvpExchange", "Vss")}
    assert all(p["properties"]["DeviceID"].startswith("Microsoft:%s\\" % vm) for p in parts)


# -- shutdown

def test_a_guest_shuts_down(service):
    vm = running(service)
    service.guest_answers(vm, "shutdown.request", {"events": [{"what": "accepted"}, {"what": "ended", "end": "left"},
                                                              "poweroff"]})
    assert {4, 10} <= set(service.vm(vm)["AvailableRequestedStates"])
    job = service.request_state(vm, 4)
    assert job["JobState"] == 7 and job["JobType"] == 16, job
    off = service.vm(vm)
    assert off["EnabledState"] == 3 and off["StatusDescriptions"] == ["Operating normally"]


def test_what_the_guest_is_told(service):
    vm = running(service)
    service.guest_answers(vm, "shutdown.request", {"events": [{"what": "ended", "end": "refused",
                                                               "status": 0x80004005}]})
    job = call(service, "Shutdown", "InitiateShutdown", {"Force": False, "Reason": "test's end"})
    assert job["JobState"] == 10 and "refused (0x80004005)" in job["ErrorDescription"], job
    assert service.vm(vm)["EnabledState"] == 2
    job = call(service, "Shutdown", "InitiateReboot", {"Reason": "again"})
    assert job["JobState"] == 10 and job["JobType"] == 29
    assert call(service, "Shutdown", "InitiateHibernate")["JobState"] == 10
    assert service.guest_calls(vm) == [
        {"name": "shutdown.request", "action": action, "force": False, "timeout_s": 300, "text": text}
        for action, text in (("power_off", "test's end"), ("restart", "again"), ("hibernate", ""))]
    problem(call(service, "Shutdown", "InitiateShutdown", {"Reason": "a\nb"}), 400, field="Reason")
    for code, text in (("busy", "busy"), ("unsupported", "cannot"), ("not_ready", "does not answer")):
        service.guest_answers(vm, "shutdown.request", {"error": code})
        assert text in call(service, "Shutdown", "InitiateShutdown", {})["ErrorDescription"]


def test_a_guest_restarts(service):
    vm = running(service)
    service.guest_answers(vm, "shutdown.request", {"events": [{"what": "accepted"}, "reset"]})
    job = service.request_state(vm, 10)
    assert job["JobState"] == 7 and job["JobType"] == 29, job
    assert service.vm(vm)["EnabledState"] == 2


def test_a_guest_that_does_not_go(quick):
    vm = running(quick)
    quick.guest_answers(vm, "shutdown.request", {"events": [{"what": "accepted"}]})
    answer = quick.ask_state(vm, 4)
    wait_until(lambda: quick.vm(vm)["EnabledState"] == 4, "it shuts down")
    problem(quick.ask_state(vm, 9), 409)
    job = quick.wait_job(answer.headers["Location"])
    assert job["JobState"] == 10 and "did not shut down within 2 seconds" in job["ErrorDescription"]
    assert quick.vm(vm)["EnabledState"] == 2
    # By force it is turned off, or reset.
    assert call(quick, "Shutdown", "InitiateReboot", {"Force": True})["JobState"] == 7
    assert quick.vm(vm)["EnabledState"] == 2
    quick.guest_answers(vm, "shutdown.request", {"events": [{"what": "ended", "end": "timed_out", "status": 0}]})
    assert call(quick, "Shutdown", "InitiateShutdown", {"Force": True})["JobState"] == 7
    assert quick.vm(vm)["EnabledState"] == 3


def test_turning_off_wins_over_shutting_down(service):
    vm = running(service)
    service.guest_answers(vm, "shutdown.request", {"events": [{"what": "accepted"}]})
    answer = service.ask_state(vm, 4)
    wait_until(lambda: service.vm(vm)["EnabledState"] == 4, "it shuts down")
    assert service.request_state(vm, 3)["JobState"] == 7
    assert service.wait_job(answer.headers["Location"])["JobState"] == 8
    assert service.vm(vm)["EnabledState"] == 3


def test_a_guest_that_dies_instead(service):
    vm = running(service)
    service.guest_answers(vm, "shutdown.request", None)
    answer = service.ask_state(vm, 4)
    wait_until(lambda: service.vm(vm)["EnabledState"] == 4, "it shuts down")
    service.type_line(vm, "triple").close()
    job = service.wait_job(answer.headers["Location"])
    assert job["JobState"] == 10 and "triple fault" in job["ErrorDescription"]


def test_without_the_component(service):
    vm = service.define()
    setting, = service.instances("Msvm_ShutdownComponentSettingData")
    service.change("Msvm_ShutdownComponentSettingData", setting["properties"]["InstanceID"], EnabledState=3)
    service.start_vm(vm)
    for requested in (4, 10):
        document = problem(service.ask_state(vm, requested), 501)
        assert "integration component" in document["detail"]
        assert requested not in service.vm(vm)["AvailableRequestedStates"]
    assert component(service, "Shutdown") is None


# -- key-value pair exchange

AUTO = [["OSName", "Debian GNU/Linux"], ["NetworkAddressIPv4", "10.0.0.7;192.168.1.2"], ["OSVersion", "6.1.0"]]


def enumerated(items):
    return [{"what": "done", "call": "enumerate", "error": None, "status": 0, "items": list(items)}]


def ready(service, vm, auto=AUTO, guest=(), external=()):
    service.guest_answers(vm, "kvp.enumerate", {"pools": {
        "auto": enumerated(auto), "guest": enumerated(guest), "external": enumerated(external)}})
    for name in ("set", "delete", "set_ip"):
        service.guest_answers(vm, "kvp." + name, {"events": [
            {"what": "done", "call": name, "error": None, "status": 0, "items": []}]})
    service.guest_event(vm, "kvp", "ready", ready=True)
    wait_until(lambda: items(component(service, "KvpExchange")["properties"]["GuestIntrinsicExchangeItems"]),
               "the guest's items are read")


def test_what_the_guest_says_of_itself(service):
    vm = running(service)
    kvp = component(service, "KvpExchange")["properties"]
    assert kvp["OperationalStatus"] == [12] and kvp["GuestIntrinsicExchangeItems"] == []
    ready(service, vm, guest=[["load", "3"]])
    kvp = wait_until(lambda: (k := component(service, "KvpExchange")["properties"])["GuestExchangeItems"] and k,
                     "the guest's own items are read")
    assert kvp["OperationalStatus"] == [2] and items(kvp["GuestExchangeItems"]) == {"load": "3"}
    item = kvp["GuestIntrinsicExchangeItems"][0]
    assert item["class"] == "Msvm_KvpExchangeDataItem" and item["properties"]["Source"] == 2
    assert items(kvp["GuestIntrinsicExchangeItems"]) == dict(AUTO)
    assert summary(service)["GuestOperatingSystem"] == "Debian GNU/Linux"
    pools = wait_until(lambda: len(p := [c["pool"] for c in service.guest_calls(vm) if c["name"] == "kvp.enumerate"])
                       >= 3 and p, "all pools are read")
    assert pools[:3] == ["external", "auto", "guest"]
    own = {c["key"]: c["value"] for c in service.guest_calls(vm) if c.get("pool") == "auto_external"}
    assert own["VirtualMachineId"] == vm and own["VirtualMachineName"] == "vm" and own["HostName"] == socket.gethostname()
    service.guest_event(vm, "kvp", "ready", ready=False)
    wait_until(lambda: component(service, "KvpExchange")["properties"]["OperationalStatus"] == [12], "it is gone")


def test_items_that_are_no_items_are_passed_over(service):
    vm = running(service)
    ready(service, vm, auto=[["OSName", "x"], ["a"], "b", [1, 2], None, ["OSName", "y"]])
    found = component(service, "KvpExchange")["properties"]["GuestIntrinsicExchangeItems"]
    assert items(found) == {"OSName": "y"}


def kvp(service, vm, method, *data):
    answer = service.call(SERVICE + method, {
        "TargetSystem": "/api/v2/classes/Msvm_ComputerSystem/instances/CreationClassName=Msvm_ComputerSystem,Name=" + vm,
        "DataItems": [{"class": "Msvm_KvpExchangeDataItem", "properties": d} for d in data]})
    return service.wait_job(answer.headers["Location"]) if answer.status_code == 202 else answer


def host_items(service):
    setting, = service.instances("Msvm_KvpExchangeComponentSettingData")
    return tuple(items(setting["properties"][name]) for name in ("HostExchangeItems", "HostOnlyItems"))


def test_items_of_the_host(service):
    vm = service.define()
    assert kvp(service, vm, "AddKvpItems", {"Name": "a", "Data": "1"}, {"Name": "b", "Data": "2", "Source": 4}).ok
    assert host_items(service) == ({"a": "1"}, {"b": "2"})
    problem(kvp(service, vm, "AddKvpItems", {"Name": "a", "Data": "3"}), 400, field="DataItems[0].Name")
    problem(kvp(service, vm, "ModifyKvpItems", {"Name": "c", "Data": "3"}), 400, field="DataItems[0].Name")
    problem(kvp(service, vm, "RemoveKvpItems", {"Name": "c"}), 400, field="DataItems[0].Name")
    problem(kvp(service, vm, "AddKvpItems", {"Name": "d", "Data": "x", "Source": 2}), 400, field="DataItems[0].Source")
    problem(kvp(service, vm, "AddKvpItems", {"Name": "d"}), 400, field="DataItems[0].Data")
    problem(kvp(service, vm, "AddKvpItems", {"Data": "x"}), 400, field="DataItems[0].Name")
    service.stop()
    service.start()
    assert host_items(service) == ({"a": "1"}, {"b": "2"})

    # They reach the guest once it is there, and when they change.
    service.start_vm(vm)
    ready(service, vm)

    def told():
        return [(c["name"], c.get("key"), c.get("value")) for c in service.guest_calls(vm)
                if c["name"] in ("kvp.set", "kvp.delete") and c["pool"] == "external"]
    assert told() == [("kvp.set", "a", "1")]
    assert kvp(service, vm, "ModifyKvpItems", {"Name": "a", "Data": "ü" * 1023})["JobState"] == 7
    assert kvp(service, vm, "RemoveKvpItems", {"Name": "a"}, {"Name": "b"})["JobState"] == 7
    assert told()[1:] == [("kvp.set", "a", "ü" * 1023), ("kvp.delete", "a", None)]
    assert host_items(service) == ({}, {})
    problem(kvp(service, vm, "AddKvpItems", {"Name": "a", "Data": "😀" * 512}), 400)

    service.guest_answers(vm, "kvp.set", {"events": [{"what": "done", "call": "set", "error": "refused",
                                                      "status": 0x80070057, "items": []}]})
    job = kvp(service, vm, "AddKvpItems", {"Name": "z", "Data": "1"})
    assert job["JobState"] == 10 and "0x80070057" in job["ErrorDescription"], job


def test_items_that_a_guest_kept(service):
    """What was taken away while the guest was not there is taken from it when it comes."""
    vm = service.define()
    kvp(service, vm, "AddKvpItems", {"Name": "a", "Data": "1"}, {"Name": "b", "Data": "2", "Source": 4})
    service.start_vm(vm)
    ready(service, vm, external=[["a", "0"], ["b", "0"], ["c", "0"]])

    def told():
        return {(c["name"], c["key"]) for c in service.guest_calls(vm) if c.get("pool") == "external" and "key" in c}
    wait_until(lambda: told() == {("kvp.set", "a"), ("kvp.delete", "b"), ("kvp.delete", "c")}, "it has what it should")


def test_addresses_inside_the_guest(service):
    vm = running(service)
    adapter = "A0000000-0000-4000-8000-00000000000B"

    def configure(**properties):
        answer = service.call(SERVICE + "SetGuestNetworkAdapterConfiguration", {
            "ComputerSystem": "/api/v2/classes/Msvm_ComputerSystem/instances/CreationClassName=Msvm_ComputerSystem,"
                              "Name=" + vm,
            "NetworkConfiguration": [{"class": "Msvm_GuestNetworkAdapterConfiguration", "properties": {
                "InstanceID": "Microsoft:GuestNetwork\\%s\\%s" % (vm, adapter), **properties}}]})
        return service.wait_job(answer.headers["Location"]) if answer.status_code == 202 else answer
    job = configure(IPAddresses=["10.0.0.2"], Subnets=["255.255.255.0"])
    assert job["JobState"] == 10 and "does not answer" in job["ErrorDescription"]
    ready(service, vm)
    assert configure(IPAddresses=["10.0.0.2", "10.0.0.3"], Subnets=["255.255.255.0", "255.255.255.0"],
                     DefaultGateways=["10.0.0.1"], DNSServers=["10.0.0.1"])["JobState"] == 7
    assert configure(DHCPEnabled=True, ProtocolIFType=4097)["JobState"] == 7
    told = [c for c in service.guest_calls(vm) if c["name"] == "kvp.set_ip"]
    assert told[1:] == [
        {"name": "kvp.set_ip", "adapter": "{%s}" % adapter.lower(), "family": "ipv4", "dhcp": False,
         "addresses": "10.0.0.2;10.0.0.3", "subnets": "255.255.255.0;255.255.255.0", "gateways": "10.0.0.1",
         "dns_servers": "10.0.0.1"},
        {"name": "kvp.set_ip", "adapter": "{%s}" % adapter.lower(), "family": "ipv6", "dhcp": True,
         "addresses": "", "subnets": "", "gateways": "", "dns_servers": ""}]
    problem(configure(IPAddresses=["10.0.0.2;reboot"]), 400, field="IPAddresses")
    problem(configure(), 400, field="IPAddresses")
    problem(configure(DHCPEnabled=True, InstanceID="Microsoft:GuestNetwork\\x\\y"), 400, field="InstanceID")
    problem(configure(DHCPEnabled=True, ProtocolIFType=1), 400, field="ProtocolIFType")


# -- VSS

def test_freeze_and_thaw(service):
    vm = running(service)
    assert "does not answer" in call(service, "Vss", "Undercroft_Freeze")["ErrorDescription"]
    service.guest_answers(vm, "vss.freeze", {"events": [{"what": "frozen"}]})
    service.guest_answers(vm, "vss.thaw", {"events": [{"what": "thawed", "error": None}]})
    assert call(service, "Vss", "Undercroft_Freeze", {"Timeout": 5})["JobState"] == 7
    assert call(service, "Vss", "Undercroft_Thaw")["JobState"] == 7
    service.guest_answers(vm, "vss.thaw", {"events": [{"what": "thawed", "error": "late"}]})
    job = call(service, "Vss", "Undercroft_Thaw")
    assert job["JobState"] == 10 and "too late" in job["ErrorDescription"]
    service.guest_answers(vm, "vss.freeze", {"events": [{"what": "failed", "error": "timed_out", "status": 0}]})
    assert "in time" in call(service, "Vss", "Undercroft_Freeze")["ErrorDescription"]
    assert service.guest_calls(vm)[1] == {"name": "vss.freeze", "timeout_s": 5, "frozen_max_s": 60}
    problem(call(service, "Vss", "Undercroft_Freeze", {"Timeout": 0}), 400)
    # A request that is under way ends with its machine.
    service.guest_answers(vm, "vss.freeze", {"events": []})
    answer = service.call(component(service, "Vss")["self"] + "/methods/Undercroft_Freeze", {})
    service.request_state(vm, 3)
    assert "turned off" in service.wait_job(answer.headers["Location"])["ErrorDescription"]


# -- guest services

def copier(service):
    vm = service.define()
    setting, = service.instances("Msvm_GuestServiceInterfaceComponentSettingData")
    assert setting["properties"]["EnabledState"] == 3
    service.change(setting["class"], setting["properties"]["InstanceID"], EnabledState=2)
    service.start_vm(vm)
    return vm


def copy(service, *settings):
    path = service.instances("Msvm_GuestFileService")[0]["self"]
    answer = service.call(path + "/methods/CopyFilesToGuest", {"CopyFileToGuestSettings": [
        {"class": "Msvm_CopyFileToGuestSettingData", "properties": s} for s in settings]})
    return service.wait_job(answer.headers["Location"]) if answer.status_code == 202 else answer


def test_files_go_into_the_guest(service):
    vm = copier(service)
    one, two = service.write("files/one.txt", "ONE"), service.write("files/two.txt", "")
    job = copy(service, {"SourcePath": one, "DestinationPath": "/tmp/"})
    assert job["JobState"] == 10 and "does not answer" in job["ErrorDescription"]
    service.guest_answers(vm, "fcopy.copy", {"events": [{"what": "done", "error": None, "status": 0, "bytes": 3}]})
    job = copy(service, {"SourcePath": one, "DestinationPath": "/tmp/"},
               {"SourcePath": two, "DestinationPath": "/a/b/c", "OverwriteExisting": True, "CreateFullPath": True})
    assert job["JobState"] == 7 and job["JobType"] == 180, job
    assert service.guest_calls(vm)[1:] == [
        {"name": "fcopy.copy", "fd": 0, "directory": directory, "file": file, "overwrite": flag, "create_path": flag,
         "content": content}
        for directory, file, flag, content in (("/tmp", "one.txt", False, "ONE"), ("/a/b", "c", True, ""))]
    service.guest_answers(vm, "fcopy.copy", {"events": [{"what": "done", "error": "refused", "status": 0x80070050,
                                                         "bytes": 0}]})
    job = copy(service, {"SourcePath": one, "DestinationPath": "/tmp/"})
    assert job["JobState"] == 10 and "0x80070050" in job["ErrorDescription"]


def test_files_that_may_not(service):
    copier(service)
    one = service.write("files/one.txt", "ONE")
    os.symlink("/etc/passwd", service.files + "/link")
    os.mkfifo(service.files + "/fifo")
    for source in ("/etc/passwd", service.files + "/link", service.files + "/fifo", service.files + "/none",
                   service.files + "/../files/one.txt", service.files):
        problem(copy(service, {"SourcePath": source, "DestinationPath": "/tmp/"}), 400, field="SourcePath")
    for destination in ("tmp/x", "", "/tmp/..", "/tmp/a\nb", "/" + "x" * 300):
        problem(copy(service, {"SourcePath": one, "DestinationPath": destination}), 400, field="DestinationPath")
    problem(copy(service, {"SourcePath": one}), 400, field="DestinationPath")
    problem(copy(service), 400, field="CopyFileToGuestSettings")


# -- VM sockets

def test_the_folder_of_vm_sockets(service):
    vm = service.define()
    path = "%s/run/workers/%s.hvsock" % (service.root, vm)
    service.start_vm(vm)
    told, = of_type(devices(service, vm)[0], "hvsock")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o2750
    assert stat.S_ISSOCK(os.stat(path + "/connect").st_mode) and told["listen_fd"] != told["directory_fd"]
    with socket.socket(socket.AF_UNIX) as offered:
        folder = os.open(path, os.O_PATH)
        offered.bind("/proc/self/fd/%d/service" % folder)
        os.close(folder)
        service.request_state(vm, 3)
        # Who offers a service may go on to.
        assert os.listdir(path) == ["service"]
    os.unlink(path + "/service")
    service.start_vm(vm)
    service.request_state(vm, 3)
    assert not os.path.exists(path)


# -- dynamic memory

def memory(service):
    setting, = service.instances("Msvm_MemorySettingData")
    return setting["properties"]


def test_bounds_of_dynamic_memory(service):
    vm = service.define()
    before = memory(service)
    assert not before["DynamicMemoryEnabled"] and (before["Reservation"], before["Limit"]) == ("512", "1048576")

    def change(**properties):
        return service.change("Msvm_MemorySettingData", before["InstanceID"], **properties)
    problem(change(DynamicMemoryEnabled=True), 400, field="Reservation")
    problem(change(DynamicMemoryEnabled=True, Reservation="128", Limit="254"), 400, field="Limit")
    problem(change(Reservation="3"), 400, field="Reservation")
    problem(change(TargetMemoryBuffer=4), 400, field="TargetMemoryBuffer")
    problem(change(Weight=10001), 400, field="Weight")
    assert change(**{k: v for k, v in before.items() if v is not None and k != "InstanceID"}).status_code == 200
    assert memory(service) == before
    assert change(DynamicMemoryEnabled=True, Reservation="128", Limit="1024", TargetMemoryBuffer=50,
                  Weight=9000).status_code == 200
    after = memory(service)
    assert (after["Reservation"], after["VirtualQuantity"], after["Limit"]) == ("128", "256", "1024")
    problem(change(VirtualQuantity="64"), 400, field="Reservation")
    service.stop()
    service.start()
    assert memory(service) == after
    service.start_vm(vm)
    told, = of_type(devices(service, vm)[0], "memory")
    assert (told["minimum_mib"], told["maximum_mib"]) == (128, 1024)


def dynamic(service):
    vm = service.define()
    assert service.change("Msvm_MemorySettingData", memory(service)["InstanceID"], DynamicMemoryEnabled=True,
                          Reservation="128", Limit="1024").status_code == 200
    service.start_vm(vm)
    return vm


def test_memory_of_a_running_guest(service):
    vm = dynamic(service)
    service.guest_event(vm, "memory", "status", assigned_mib=400, target_mib=400, demand_mib=300, available_mib=100,
                        hot_add=True, balloon=True)
    found = wait_until(lambda: (s := summary(service))["Undercroft_MemoryDemand"] == "300" and s, "memory is shown")
    assert found["MemoryUsage"] == "400" and found["MemoryAvailable"] == 25 and found["AvailableMemoryBuffer"] == 166
    service.guest_event(vm, "memory", "status", assigned_mib=2 ** 62, target_mib=-1, demand_mib=2 ** 63 - 1,
                        available_mib=None)
    wait_until(lambda: int(summary(service)["Undercroft_MemoryDemand"]) > 1024, "nonsense is bounded")


def test_a_guest_gets_what_it_needs(service):
    vm = dynamic(service)
    service.guest_answers(vm, "memory.set_target", {"events": []})
    service.guest_event(vm, "memory", "status", assigned_mib=256, target_mib=256, demand_mib=250, available_mib=6,
                        hot_add=True, balloon=True)
    targets = wait_until(lambda: [c["mib"] for c in service.guest_calls(vm)], "a target is set")
    # Demand and a fifth above it, as far as the host has it.
    assert 256 < targets[0] <= 302
    assert all(128 <= target <= 1024 for target in targets)


# -- what may come at any time

def test_events_that_make_no_sense(service):
    vm = running(service)
    for event in ({"type": "kvp", "what": "done"}, {"type": "kvp", "what": "done", "call": 7},
                  {"type": "vss", "what": "frozen"}, {"type": "vss", "what": "thawed", "error": 1},
                  {"type": "shutdown", "what": "ended"}, {"type": "shutdown", "what": "ended", "end": "left"},
                  {"type": "heartbeat", "what": "dance"}, {"type": "timesync", "what": "x"}):
        service.script(vm, "event " + json.dumps(event))
    assert service.vm(vm)["HealthState"] == 5 and service.vm(vm)["EnabledState"] == 2


def test_a_restarted_service_hears_the_guest_again(service):
    vm = running(service)
    service.guest_answers(vm, "vss.freeze", {"events": []})
    answer = service.call(component(service, "Vss")["self"] + "/methods/Undercroft_Freeze", {})
    assert answer.status_code == 202
    service.stop()
    service.start()
    assert service.wait_job(answer.headers["Location"])["JobState"] == 10
    ready(service, vm)
    assert summary(service)["GuestOperatingSystem"] == "Debian GNU/Linux"
