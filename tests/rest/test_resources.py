# SPDX-License-Identifier: Apache-2.0
"""Classes, instances, filters, walks, changes, and each refusal as a problem document."""
import json
import stat
import os
import socket
import subprocess

import pytest
import requests

from conftest import SERVICE, VMMS

PROBLEM = "application/problem+json"


def problem(answer, status, **members):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == PROBLEM
    document = answer.json()
    assert document["status"] == status and document["title"] and document["detail"]
    for name, value in members.items():
        assert document.get(name) == value, document
    return document


def test_token_file_is_the_owner_s(service):
    mode = os.stat(service.root + "/state/token").st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(os.stat(service.root + "/state/vmms.db").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(service.root + "/run/workers").st_mode) == 0o700


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer x", "Basic dXNlcjpwYXNz", "Bearer " + "0" * 64])
def test_wrong_token(service, header):
    headers = {"Authorization": header} if header else {}
    for path in ("classes", "openapi.json", "nothing/here"):
        answer = requests.get(service.base + path, headers=headers, timeout=10)
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_unknown_things_are_404(service):
    vm = service.define()
    for path in ("/", "/api/v2", "/api/v3/classes", "classes/Nope", "classes/Nope/instances",
                 "classes/Msvm_ComputerSystem/instances/nobody",
                 "classes/Msvm_ConcreteJob/instances/%2F", "classes/Msvm_ConcreteJob/instances/%zz",
                 "classes/Msvm_ComputerSystem/instances/Name=a", "classes/Msvm_Error/instances/a",
                 "classes/Msvm_ComputerSystem/instances/%s/console" % vm):
        problem(service.request("GET", path), 404)
    problem(service.call("classes/Msvm_ComputerSystem/instances/%s/methods/Dance" % vm), 404)
    problem(service.ask_state("00000000-0000-0000-0000-000000000000", 2), 404)


def test_wrong_method_names_the_right_ones(service):
    answer = service.request("PUT", "classes/Msvm_ConcreteJob/instances/x")
    problem(answer, 405)
    assert answer.headers["Allow"] == "GET, PATCH, DELETE"
    problem(service.request("POST", "classes"), 405)


def test_both_bases_serve_the_same(service):
    vm = service.define()
    path = "classes/Msvm_ComputerSystem/instances/" + vm
    one = service.get(path)
    two = service.get("/cimrs/root%2Fvirtualization%2Fv2/" + path)
    assert one == two and one["self"].startswith("/api/v2/")


def test_schema_is_served(service):
    names = {c["name"] for c in service.get("classes")["classes"]}
    assert {"Msvm_ComputerSystem", "Msvm_ConcreteJob", "CIM_ManagedElement"} <= names
    c = service.get("classes/msvm_computersystem")
    assert c["superclass"] == "CIM_ComputerSystem"
    keys = [p["name"] for p in c["properties"] if p["key"]]
    assert set(keys) == {"CreationClassName", "Name"}
    state = [p for p in c["properties"] if p["name"] == "EnabledState"][0]
    assert state["type"] == "uint16" and state["values"]["2"] == "Enabled"
    method = [m for m in c["methods"] if m["name"] == "RequestStateChange"][0]
    assert method["mayReturnJob"] and method["parameters"][0]["required"]


def test_openapi_covers_what_is_served(service):
    document = service.get("openapi.json")
    assert document["openapi"].startswith("3.1")
    for c in service.get("classes")["classes"]:
        assert c["name"] in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        concrete = path.replace("{class}", "Msvm_ComputerSystem").replace("{key}", "nobody")
        for method in operations:
            answer = service.request(method.upper(), concrete.lstrip("/"), json={} if method == "post" else None)
            # Any answer but "no such path" or "no such method": the routes are there.
            assert answer.status_code != 405, (method, path)
            if answer.status_code == 404:
                assert "nothing at this path" not in answer.text, path

    def refs(node):
        if isinstance(node, dict):
            if "$ref" in node:
                yield node["$ref"]
            for value in node.values():
                yield from refs(value)
        elif isinstance(node, list):
            for value in node:
                yield from refs(value)
    for ref in set(refs(document)):
        node = document
        for part in ref.lstrip("#/").split("/"):
            assert part in node, ref
            node = node[part]


def test_a_defined_machine_has_its_parts(service):
    vm = service.define("näme", InitialRamdiskPath=service.initrd)
    assert vm == vm.upper() and len(vm) == 36
    system = service.vm(vm)
    assert system["ElementName"] == "näme" and system["EnabledState"] == 3
    assert system["Description"] == "Microsoft Virtual Machine"
    assert system["HealthState"] == 5 and system["StatusDescriptions"] == ["Operating normally"]
    assert system["OnTimeInMilliseconds"] == "0" and system["AvailableRequestedStates"] == [2]
    memory = service.get("classes/Msvm_MemorySettingData/instances/Microsoft:%s%%5CMemory" % vm)["properties"]
    assert memory["VirtualQuantity"] == "256" and memory["AllocationUnits"] == "byte * 2^20"
    cpu = service.get("classes/Msvm_ProcessorSettingData/instances/Microsoft:%s%%5CProcessor" % vm)["properties"]
    assert cpu["VirtualQuantity"] == "1" and cpu["ResourceType"] == 3
    direct = service.get("classes/Undercroft_LinuxKernelDirectSettingData/instances/Microsoft:%s%%5CLinuxKernelDirect"
                         % vm)["properties"]
    assert direct["KernelPath"] == service.kernel and direct["InitialRamdiskPath"] == service.initrd


def test_paths_that_clients_walk(service):
    vm, other = service.define("one"), service.define("two")
    system = "classes/Msvm_ComputerSystem/instances/" + vm

    def names(path, **params):
        return sorted(i["class"] for i in service.get(path, params=params)["instances"])
    assert names(system + "/associators", AssocClass="Msvm_SettingsDefineState") == ["Msvm_VirtualSystemSettingData"]
    found = service.get(system + "/associators", params={"ResultClass": "Msvm_VirtualSystemSettingData"})["instances"]
    assert [i["properties"]["VirtualSystemIdentifier"] for i in found] == [vm]
    settings = found[0]["self"]
    assert names(settings + "/associators", AssocClass="Msvm_VirtualSystemSettingDataComponent") == [
        "Msvm_GuestServiceInterfaceComponentSettingData",
        "Msvm_HeartbeatComponentSettingData", "Msvm_KvpExchangeComponentSettingData", "Msvm_MemorySettingData",
        "Msvm_ProcessorSettingData", "Msvm_SerialPortSettingData", "Msvm_ShutdownComponentSettingData",
        "Msvm_TimeSyncComponentSettingData", "Msvm_VssComponentSettingData", "Undercroft_LinuxKernelDirectSettingData"]
    assert names(settings + "/associators", ResultClass="Msvm_MemorySettingData", Role="groupcomponent",
                 ResultRole="PartComponent") == ["Msvm_MemorySettingData"]
    assert names(settings + "/associators", Role="PartComponent") == []
    assert "Msvm_SummaryInformation" in names(system + "/associators")
    links = service.get(system + "/references")["instances"]
    assert {i["class"] for i in links} == {"Msvm_SettingsDefineState", "Msvm_HostedDependency",
                                           "Msvm_ComputerSystemSummaryInformation"}
    for link in links:
        assert service.get(link["self"])["properties"] == link["properties"]
        assert vm in json.dumps(link) and other not in json.dumps(link)
    host = service.get("classes/Msvm_ComputerSystem/instances",
                       params={"$filter": "Caption eq 'Hosting Computer System'"})["instances"]
    assert len(host) == 1
    assert names(host[0]["self"] + "/associators", AssocClass="Msvm_HostedDependency") == ["Msvm_ComputerSystem"] * 2
    assert names(host[0]["self"] + "/associators", AssocClass="Msvm_HostedService") == [
        "Msvm_VirtualEthernetSwitchManagementService", "Msvm_VirtualSystemManagementService"]
    problem(service.request("GET", system + "/associators?AssocClass=Nope"), 400, field="AssocClass")


def test_filter_selection_and_pages(service):
    for i in range(7):
        service.define("vm %d" % i)
    path = "classes/Msvm_SummaryInformation/instances"
    found = service.get(path, params={"$filter": "ElementName eq 'VM 3'", "$properties": "ElementName,EnabledState"})
    assert [i["properties"] for i in found["instances"]] == [{"ElementName": "vm 3", "EnabledState": 3}]
    seen, page = [], service.get(path, params={"$max": "3", "$filter": "EnabledState eq 3"})
    sizes = []
    while True:
        sizes.append(len(page["instances"]))
        seen += [i["properties"]["ElementName"] for i in page["instances"]]
        if "next" not in page:
            break
        page = service.get(page["next"])
    assert sizes == [3, 3, 1] and sorted(seen) == ["vm %d" % i for i in range(7)]
    problem(service.request("GET", path + "?$filter=Nope%20eq%201"), 400, field="$filter")
    problem(service.request("GET", path + "?$properties=Nope"), 400, field="$properties")
    problem(service.request("GET", path + "?$max=many"), 400, field="$max")
    problem(service.request("GET", path + "?$class=near"), 400, field="$class")
    base = service.get("classes/CIM_ResourceAllocationSettingData/instances")["instances"]
    assert len(base) == 70
    assert service.get("classes/CIM_ResourceAllocationSettingData/instances?$class=exact")["instances"] == []


@pytest.mark.parametrize("body, field", [
    ('{"SystemSettings":', "body"),
    ('[1]', "body"),
    ('{"SystemSettings":{"properties":{"ElementName":5}}}', "SystemSettings.ElementName"),
    ('{"SystemSettings":{"properties":{"Nope":5}}}', "SystemSettings.Nope"),
    ('{"SystemSettings":{"properties":{"ElementName":""}}}', "ElementName"),
    ('{"SystemSettings":{"properties":{"ElementName":"a\\nb"}}}', "ElementName"),
    ('{"Settings":{}}', "Settings"),
    ('{}', "SystemSettings"),
    ('{"SystemSettings":{"properties":{}},"ResourceSettings":[{"class":"Msvm_MemorySettingData",'
     '"properties":{"VirtualQuantity":"31"}}]}', "VirtualQuantity"),
    ('{"SystemSettings":{"properties":{}},"ResourceSettings":[{"class":"Msvm_ProcessorSettingData",'
     '"properties":{"VirtualQuantity":65}}]}', "VirtualQuantity"),
    ('{"SystemSettings":{"properties":{}},"ResourceSettings":[{"class":'
     '"Undercroft_LinuxKernelDirectSettingData","properties":{"KernelPath":"/etc/passwd"}}]}', "KernelPath"),
    ('{"SystemSettings":{"properties":{}},"ResourceSettings":[{"class":'
     '"Undercroft_LinuxKernelDirectSettingData","properties":{"CommandLine":"x"}}]}', "KernelPath"),
    ('{"SystemSettings":{"properties":{}},"ResourceSettings":[{"class":'
     '"Undercroft_LinuxKernelDirectSettingData","properties":{"KernelPath":"%K","CommandLine":"%L"}}]}',
     "ResourceSettings[0].CommandLine"),
])
def test_wrong_json_names_the_field(service, body, field):
    body = body.replace("%K", service.kernel).replace("%L", "x" * 2048)
    answer = service.request("POST", SERVICE + "DefineSystem", data=body,
                             headers={"Content-Type": "application/json"})
    problem(answer, 400, field=field, returnValue=32773, methodName="DefineSystem")
    assert service.vms() == []


def test_settings_that_nothing_backs_are_refused(service):
    answer = service.call(SERVICE + "DefineSystem", {"SystemSettings": {"properties": {"SecureBootEnabled": True}}})
    problem(answer, 501, field="SecureBootEnabled", returnValue=32770)
    vm = service.define()
    memory = service.get("classes/Msvm_MemorySettingData/instances/Microsoft:%s%%5CMemory" % vm)
    # What was read may be sent back as it is, with one change.
    memory["properties"]["VirtualQuantity"] = "512"
    answer = service.call(SERVICE + "ModifyResourceSettings", {"ResourceSettings": [memory]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["ResultingResourceSettings"] == [memory["self"]]
    assert service.get(memory["self"])["properties"]["VirtualQuantity"] == "512"
    memory = service.get(memory["self"])
    memory["properties"]["HugePagesEnabled"] = True
    problem(service.call(SERVICE + "ModifyResourceSettings", {"ResourceSettings": [memory]}), 501,
            field="HugePagesEnabled")


def test_names_and_notes_change(service):
    vm = service.define("before")
    settings = {"properties": {"InstanceID": "Microsoft:" + vm, "ElementName": "after", "Notes": ["a", "b"]}}
    assert service.call(SERVICE + "ModifySystemSettings", {"SystemSettings": settings}).status_code == 200
    assert service.vm(vm)["ElementName"] == "after"
    vssd = service.get("classes/Msvm_VirtualSystemSettingData/instances/Microsoft:" + vm)["properties"]
    assert vssd["Notes"] == ["a", "b"]
    settings["properties"]["InstanceID"] = "Microsoft:nobody"
    problem(service.call(SERVICE + "ModifySystemSettings", {"SystemSettings": settings}), 404, field="InstanceID")


def test_direct_boot_is_added_and_removed(service):
    answer = service.call(SERVICE + "DefineSystem", {"SystemSettings": {"properties": {"ElementName": "bare"}}})
    vm = answer.json()["ResultingSystem"].rsplit("=", 1)[1]
    job = service.request_state(vm, 2)
    assert job["JobState"] == 10 and "nothing to boot" in job["ErrorDescription"]
    setting = {"class": "Undercroft_LinuxKernelDirectSettingData", "properties": {"KernelPath": service.kernel}}
    vssd = "/api/v2/classes/Msvm_VirtualSystemSettingData/instances/Microsoft:" + vm
    body = {"AffectedConfiguration": vssd, "ResourceSettings": [setting]}
    answer = service.call(SERVICE + "AddResourceSettings", body)
    assert answer.status_code == 200, answer.text
    reference = answer.json()["ResultingResourceSettings"][0]
    problem(service.call(SERVICE + "AddResourceSettings", body), 400, field="ResourceSettings")
    assert service.get(reference)["properties"]["KernelPath"] == service.kernel
    answer = service.call(SERVICE + "RemoveResourceSettings", {"ResourceSettings": [reference]})
    assert answer.status_code == 200, answer.text
    problem(service.request("GET", reference), 404)
    memory = "/api/v2/classes/Msvm_MemorySettingData/instances/Microsoft:%s%%5CMemory" % vm
    problem(service.call(SERVICE + "RemoveResourceSettings", {"ResourceSettings": [memory]}), 501)


def test_patch_needs_the_right_tag(service):
    vm = service.define()
    path = "classes/Undercroft_LinuxKernelDirectSettingData/instances/Microsoft:%s%%5CLinuxKernelDirect" % vm
    body = {"properties": {"CommandLine": "quiet"}}
    read = service.request("GET", path)
    etag = read.headers["ETag"]
    assert service.request("GET", path, headers={"If-None-Match": etag}).status_code == 304
    problem(service.request("PATCH", path, json=body), 428, field="If-Match")
    problem(service.request("PATCH", path, json=body, headers={"If-Match": '"0000000000000000"'}), 412)
    answer = service.request("PATCH", path, json=body, headers={"If-Match": etag})
    assert answer.status_code == 200 and answer.json()["properties"]["CommandLine"] == "quiet"
    assert answer.headers["ETag"] != etag
    problem(service.request("PATCH", path, json=body, headers={"If-Match": etag}), 412)
    problem(service.request("PATCH", path, json={"properties": {"ResourceType": 4}}, headers={"If-Match": "*"}), 400,
            field="ResourceType")
    problem(service.request("PATCH", path, json={"properties": {"KernelPath": "/etc/passwd"}},
                            headers={"If-Match": "*"}), 400, field="KernelPath")
    problem(service.request("PATCH", "classes/Msvm_ComputerSystem/instances/" + vm, json={"properties": {}},
                            headers={"If-Match": "*"}), 405)


def test_limits(service):
    big = b'{"SystemSettings": "' + b"x" * (1024 * 1024) + b'"}'
    headers = {"Content-Type": "application/json"}
    try:
        problem(service.request("POST", SERVICE + "DefineSystem", data=big, headers=headers), 413)
    except requests.ConnectionError:
        pass        # refused on its headers, closed while the body was on its way

    def chunks():
        for _ in range(300):
            yield b"x" * 4096
    try:
        problem(service.request("POST", SERVICE + "DefineSystem", data=chunks(), headers=headers), 413)
    except requests.ConnectionError:
        pass
    problem(service.request("POST", SERVICE + "DefineSystem", data="<x/>", headers={"Content-Type": "text/xml"}), 415)
    answer = service.request("GET", "classes", headers={"X-Long": "y" * 100000})
    assert answer.status_code in (413, 431)
    s = socket.create_connection(("127.0.0.1", service.port), timeout=10)
    s.sendall(b"\0\1\2 nonsense\r\n\r\n")
    s.close()
    s = socket.create_connection(("127.0.0.1", service.port), timeout=10)
    s.sendall(b"GARBAGE\r\n\r\n")
    assert b" 400 " in s.recv(100) or s.recv(100) == b""
    s.close()
    assert service.get("classes")


def test_destroy(service):
    vm = service.define()
    path = "/api/v2/classes/Msvm_ComputerSystem/instances/CreationClassName=Msvm_ComputerSystem,Name=" + vm
    service.start_vm(vm)
    problem(service.call(SERVICE + "DestroySystem", {"AffectedSystem": path}), 409, currentState=2, returnValue=32775)
    service.request_state(vm, 3)
    assert service.call(SERVICE + "DestroySystem", {"AffectedSystem": path}).status_code == 200
    assert service.vms() == []
    problem(service.call(SERVICE + "DestroySystem", {"AffectedSystem": path}), 404)
    host = service.get("classes/Msvm_VirtualSystemManagementService/instances/vmms")["properties"]["SystemName"]
    problem(service.call(SERVICE + "DestroySystem", {"AffectedSystem": path.replace(vm, host)}), 404)
    problem(service.call(SERVICE + "DestroySystem", {"AffectedSystem": "nowhere"}), 400, field="AffectedSystem")


def test_machines_survive_the_service(service):
    service.define("persistent", InitialRamdiskPath=service.initrd)
    before = service.vms(), service.instances("CIM_SettingData")
    service.stop()
    service.start()
    assert (service.vms(), service.instances("CIM_SettingData")) == before


def test_a_token_that_others_may_read_is_refused(service):
    service.stop()
    os.chmod(service.root + "/state/token", 0o644)
    done = subprocess.run([VMMS, "--config", service.config], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "0600" in done.stderr
    os.chmod(service.root + "/state/token", 0o600)
    service.start()


def test_the_command_line_of_the_service(service):
    run = lambda *words: subprocess.run([VMMS, *words], capture_output=True, text=True, timeout=20)
    assert run("--version").stdout.startswith("vmms (Undercroft)")
    assert run("--config", service.config, "--check-config").returncode == 0
    wrong = run("--config", service.config, "--vmwp", "/nothere", "--check-config")
    assert wrong.returncode == 1 and "vmwp = /nothere" in wrong.stderr
    broken = service.write("broken.conf", "listen-port = 1\nlisten = 2\n")
    wrong = run("--config", broken, "--check-config")
    assert wrong.returncode == 2 and broken + ":2: unknown key" in wrong.stderr
