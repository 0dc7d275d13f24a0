# SPDX-License-Identifier: Apache-2.0
"""Network adapters that come to a running machine and go."""
import json

from conftest import wait_until
from test_devices import of_type
from test_hot_plug import job_of
from test_network import (ADAPTER, CONNECTION, adapter, defined, network, output,  # pylint: disable=unused-import
                          properties_of, reaches, told)
from test_resources import problem

PORT = "Msvm_SyntheticEthernetPort"


def nics(service, vm):
    """As the worker has them now."""
    return of_type(json.loads(service.script(vm, "devices", rb"<\[\[.*\]>"))[0], "nic")


def taps():
    return output("ip -o link").count("uct")


def running(service, name="vm", **settings):
    vm = service.define(name, **settings)
    service.start_vm(vm)
    return vm


def test_adapters_come_and_go(network):
    lab = defined(network, "lab")
    one, two = running(network, "one"), running(network, "two")
    made = {}
    for vm in (one, two):
        answer = network.add(vm, *adapter(lab, ElementName="front"))
        assert job_of(network, answer)["JobType"] == 30
        made[vm], connection = answer.json()["ResultingResourceSettings"]
        assert properties_of(network, connection)["HostResource"] == [lab]
        nic, = nics(network, vm)
        assert (nic["name"], nic["link"], len(nic["taps"])) == ("front", "up", 1)
        assert nic["mac"].replace("-", "") == properties_of(network, made[vm])["Address"]
    assert taps() == 2 and reaches(network, one, two, "hello") and reaches(network, two, one, "welcome")
    # A second one, of no switch; the first one goes on.
    second, = (a := network.add(one, *adapter(label="x"))).json()["ResultingResourceSettings"]
    job_of(network, a)
    assert [n["link"] for n in nics(network, one)] == ["up", "down"] and reaches(network, one, two, "still")
    answer = network.add(one, {"class": CONNECTION, "properties": {"Parent": second, "HostResource": [lab]}})
    assert answer.status_code == 200, answer.text
    wait_until(lambda: told(network, one)[-1].get("link") == "up", "the second is connected")
    assert job_of(network, network.remove(made[one]))["JobType"] == 32
    problem(network.request("GET", made[one]), 404)
    assert [n["name"] for n in nics(network, one)] == ["Network Adapter"] and taps() == 2
    assert reaches(network, one, two, "by the other")
    # After a restart everything is as it was.
    network.stop()
    network.start()
    assert reaches(network, two, one, "again") and len(network.instances(ADAPTER)) == 2
    job_of(network, network.remove(second))
    assert nics(network, one) == [] and taps() == 1


def test_adapters_come_with_changes_of_others(network):
    lab = defined(network, "lab")
    vm = network.define()
    first, = network.added(vm, *adapter())
    network.start_vm(vm)
    job_of(network, network.add(vm, *adapter(lab), {"class": CONNECTION, "properties": {"Parent": first, "HostResource": [lab]}}))
    assert len(network.instances(CONNECTION)) == 2 and len(nics(network, vm)) == 2
    assert told(network, vm)[0]["nic"] == 0 and told(network, vm)[0]["link"] == "up"
    job_of(network, network.remove(*[i["self"] for i in network.instances(ADAPTER)]))
    assert nics(network, vm) == [] and taps() == 0 and network.instances(CONNECTION) == []


def test_what_the_worker_refuses_is_not_kept(network):
    vm = network.define(command_line="plug=refuse")
    nic, = network.added(vm, *adapter(ElementName="front"))
    network.start_vm(vm)
    before = network.instances("CIM_SettingData")
    job = job_of(network, network.add(vm, *adapter(defined(network, "lab"))), 10)
    assert job["ErrorDescription"] == "Network adapter 'Network Adapter': the guest's driver cannot (unsupported)"
    job = job_of(network, network.remove(nic), 10)
    assert job["ErrorDescription"] == "Network adapter 'front': the guest's driver cannot (unsupported)"
    assert [i for i in network.instances("CIM_SettingData") if vm in i["self"]] == before and taps() == 1


def test_a_guest_that_holds_its_adapter(network):
    vm = network.define(command_line="plug=hold")
    first, second = (network.added(vm, *adapter(label=n))[0] for n in "ab")
    network.start_vm(vm)
    job = network.remove(first).headers["Location"]
    assert "are changing" in problem(network.add(vm, *adapter()), 409, returnValue=32774)["detail"]
    wait_until(lambda: b"<leaving>" in network.console_log(vm), "the worker is asked")
    network.type_line(vm, "let go").close()
    assert network.wait_job(job)["JobState"] == 7 and len(network.instances(ADAPTER)) == 1
    # The service was restarted while it waited; what the guest let go of afterwards is gone all the same.
    job = network.remove(second).headers["Location"]
    wait_until(lambda: network.console_log(vm).count(b"<leaving>") == 2, "the worker is asked")
    network.kill()
    network.start()
    assert network.get(job)["properties"]["JobState"] == 10 and len(network.instances(ADAPTER)) == 1
    network.type_line(vm, "let go").close()
    wait_until(lambda: network.instances(ADAPTER) == [], "the adapter is gone")


def test_a_worker_that_dies_or_stops_while_it_is_asked(network):
    vm = running(network, command_line="plug=hang")
    job = network.add(vm, *adapter()).headers["Location"]
    network.type_line(vm, "crash").close()
    assert network.wait_job(job)["JobState"] == 10 and network.instances(ADAPTER) == [] and taps() == 0
    network.start_vm(vm)
    job = network.add(vm, *adapter()).headers["Location"]
    network.stop()
    network.start()
    assert network.get(job)["properties"]["JobState"] == 10 and network.instances(ADAPTER) == [] and taps() == 0
    assert network.vm(vm)["EnabledState"] == 2


def test_adapters_of_running_machines_are_devices(network):
    lab = defined(network, "lab")
    vm = network.define()
    network.added(vm, *adapter(lab, ElementName="front", Address="020000000001", StaticMacAddress=True))
    network.added(vm, *adapter(ElementName="back"))
    answer = network.change("Msvm_ProcessorSettingData", "Microsoft:%s\\Processor" % vm, VirtualQuantity="2")
    assert answer.status_code == 200, answer.text
    assert network.instances(PORT) == []
    network.start_vm(vm)

    def ports():
        return {i["properties"]["ElementName"]: i["properties"] for i in network.instances(PORT)}
    front = wait_until(lambda: (p := ports()["front"])["Undercroft_BytesSent"] != "0" and p, "statistics come")
    assert (front["PermanentAddress"], front["NetworkAddresses"]) == ("020000000001", ["020000000001"])
    assert (front["EnabledState"], front["OperationalStatus"], front["Speed"]) == (2, [2], "10000000000")
    # Of two queues.
    assert (front["Undercroft_PacketsSent"], front["Undercroft_BytesSent"]) == ("8", "801")
    assert (front["Undercroft_PacketsReceived"], front["Undercroft_BytesReceived"]) == ("4", "200")
    assert (ports()["back"]["EnabledState"], ports()["back"]["Speed"]) == (3, "0")
    parts = network.get("classes/Msvm_ComputerSystem/instances/%s/associators" % vm,
                        params={"AssocClass": "Msvm_SystemDevice", "ResultClass": PORT})["instances"]
    assert {p["properties"]["ElementName"] for p in parts} == {"front", "back"}
    network.request_state(vm, 3)
    assert network.instances(PORT) == []


def test_the_shell_plugs_adapters(network):
    defined(network, "lab")
    vm = running(network)
    hvsh = lambda text, check=0: network.hvsh("-Json", "-c", text, check=check)
    made = json.loads(hvsh("Add-VMNetworkAdapter vm -SwitchName lab -Passthru").stdout)
    assert (made["Name"], made["SwitchName"], made["Status"]) == ("Network Adapter", "lab", "Ok")
    hvsh("Add-VMNetworkAdapter vm -Name back -StaticMacAddress 020000000007")
    assert [n["mac"] for n in nics(network, vm)][1] == "02-00-00-00-00-07"
    hvsh("Get-VMNetworkAdapter vm back | Remove-VMNetworkAdapter")
    assert [n["name"] for n in nics(network, vm)] == ["Network Adapter"]
    hvsh("Remove-VMNetworkAdapter vm 'Network Adapter'")
    assert nics(network, vm) == [] and taps() == 0
