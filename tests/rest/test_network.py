# SPDX-License-Identifier: Apache-2.0
"""Virtual switches and network adapters, with real bridges and taps in a network namespace of each test's own."""
import ctypes
import json
import os
import re
import subprocess

import pytest

from conftest import SERVICE, Service, wait_until
from test_resources import problem

CLONE_NEWNET = 0x40000000
SWITCHES = "classes/Msvm_VirtualEthernetSwitchManagementService/instances/nvspwmi/methods/"
SETTING, PORT, ADAPTER, CONNECTION, NAT = (
    "Msvm_VirtualEthernetSwitchSettingData", "Msvm_ExternalEthernetPort", "Msvm_SyntheticEthernetPortSettingData",
    "Msvm_EthernetPortAllocationSettingData", "Undercroft_NatSwitchSettingData")


def output(command):
    return subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


@pytest.fixture
def network():
    """A service in a new namespace; whoever is in this thread is in it too."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if libc.unshare(CLONE_NEWNET):
        pytest.skip("no network namespace: " + os.strerror(ctypes.get_errno()))
    s = None
    try:
        output("ip link set lo up")
        s = Service()
        yield s.start()
    except BaseException:
        if s:
            print(s.read_log())
        raise
    finally:
        if s:
            # What the service leaves running for its next self.
            for switch in s.instances(SETTING) if s.process and s.process.poll() is None else []:
                s.call(SWITCHES + "RemoveResourceSettings", {"ResourceSettings": [
                    i["self"] for i in s.instances(NAT)
                    if i["properties"]["InstanceID"].startswith(switch["properties"]["InstanceID"])]})
            s.destroy()
        libc.setns(before, CLONE_NEWNET)
        os.close(before)


def define(service, name, *resources):
    return service.call(SWITCHES + "DefineSystem", {
        "SystemSettings": {"properties": {"ElementName": name}}, "ResourceSettings": list(resources)})


def defined(service, name, *resources):
    answer = define(service, name, *resources)
    assert answer.status_code == 200, answer.text
    return answer.json()["ResultingSystem"]


def port_to(path):
    return {"class": CONNECTION, "properties": {"HostResource": [path]}}


def host(service):
    return next(i["self"] for i in service.instances("Msvm_ComputerSystem")
                if i["properties"]["Caption"] == "Hosting Computer System")


def nat(subnet):
    return {"class": NAT, "properties": {"SubnetAddress": subnet}}


def device_of(path):
    return "ucb" + path.rsplit("=", 1)[1][:8].lower()


def adapter(switch=None, label="nic", **properties):
    settings = [{"class": ADAPTER, "properties": {"InstanceID": label, **properties}}]
    if switch:
        settings.append({"class": CONNECTION, "properties": {"Parent": label, "HostResource": [switch]}})
    return settings


def properties_of(service, path):
    return service.get(path)["properties"]


def says(service, vm, word, pattern):
    """What the worker answers to a word, the last time it did."""
    seen = len(service.console_log(vm))
    service.type_line(vm, word).close()
    found = wait_until(lambda: re.findall(pattern, service.console_log(vm)[seen:]), "the worker answers " + word)
    return found[-1].decode()


def reaches(service, sender, receiver, text):
    says(service, receiver, "receive 0", rb"<received (\[.*\])>")
    says(service, sender, "send 0 " + text, rb"<(sent)>")
    return text in json.loads(says(service, receiver, "receive 0", rb"<received (\[.*\])>"))


def told(service, vm):
    """All `set` calls of adapters so far."""
    return [json.loads(t) for t in re.findall(rb"<set (\{.*?\})>", service.console_log(vm))]


def test_a_switch_is_a_bridge(network):
    switch = defined(network, "lab")
    device = device_of(switch)
    assert device in output("ip -d link show type bridge")
    system = properties_of(network, switch)
    assert system["ElementName"] == "lab" and system["OperationalStatus"] == [2]
    setting, = network.instances(SETTING)
    assert setting["properties"]["VirtualSystemIdentifier"] == system["Name"]
    answer = network.call(SWITCHES + "ModifySystemSettings", {"SystemSettings": {
        "properties": {"InstanceID": setting["properties"]["InstanceID"], "ElementName": "office", "Notes": ["a", "b"]}}})
    assert answer.status_code == 200, answer.text
    # To the host, and away from it.
    answer = network.call(SWITCHES + "AddResourceSettings", {
        "AffectedConfiguration": setting["self"], "ResourceSettings": [port_to(host(network))]})
    assert answer.status_code == 200, answer.text
    made, = answer.json()["ResultingResourceSettings"]
    assert properties_of(network, made)["HostResource"] == [host(network)]
    answer = network.call(SWITCHES + "RemoveResourceSettings", {"ResourceSettings": [made]})
    assert answer.status_code == 200, answer.text
    before = network.instances("CIM_SettingData"), network.instances("Msvm_VirtualEthernetSwitch")
    # Made again when it is gone after a restart.
    network.stop()
    output("ip link del " + device)
    network.start()
    assert device in output("ip link")
    assert (network.instances("CIM_SettingData"), network.instances("Msvm_VirtualEthernetSwitch")) == before
    assert network.call(SWITCHES + "DestroySystem", {"AffectedSystem": switch}).status_code == 200
    assert device not in output("ip link") and network.instances(SETTING) == []


def test_kinds_of_switches(network):
    output("ip link add eth1 type veth peer name wire; ip link set eth1 up; ip addr add 10.9.0.2/24 dev eth1")
    eth1 = next(i for i in network.instances(PORT) if i["properties"]["ElementName"] == "eth1")
    assert eth1["properties"]["IsBound"] is False
    external = defined(network, "out", port_to(eth1["self"]), port_to(host(network)))
    assert "master %s" % device_of(external) in output("ip link show eth1")
    assert "10.9.0.2/24" in output("ip addr show " + device_of(external))
    assert properties_of(network, eth1["self"])["IsBound"] is True
    ports = {i["properties"]["HostResource"][0] for i in network.instances(CONNECTION)}
    assert ports == {eth1["self"], host(network)}
    document = problem(define(network, "again", port_to(eth1["self"])), 409)
    assert "switch 'again': eth1 is already the network adapter of the switch 'out'" in document["detail"]
    translated = defined(network, "nat", port_to(host(network)), nat("10.77.0.0/24"))
    assert "10.77.0.1/24" in output("ip addr show " + device_of(translated))
    assert "masquerade" in output("nft list ruleset")
    for subnet, text in (("10.77.0.0/16", "overlaps with 10.77.0.0/24 of the switch 'nat'"),
                         ("10.9.0.0/24", "has an address in this network")):
        assert text in problem(define(network, "x", port_to(host(network)), nat(subnet)), 409)["detail"]
    document = problem(define(network, "x", port_to(host(network)), nat("10.1.1.1/24")), 400, field="SubnetAddress")
    assert "bits are set behind the prefix" in document["detail"]
    assert "has a port to the host" in problem(define(network, "x", nat("10.1.1.0/24")), 400)["detail"]
    assert "has a port to" in problem(define(network, "x", port_to(host(network)), port_to(host(network))), 400)["detail"]
    assert "must name one" in problem(define(network, "x", port_to(translated)), 400, field="HostResource")["detail"]
    assert len(network.instances(SETTING)) == 2
    assert network.call(SWITCHES + "DestroySystem", {"AffectedSystem": external}).status_code == 200
    assert "10.9.0.2/24" in output("ip addr show eth1")
    assert network.call(SWITCHES + "DestroySystem", {"AffectedSystem": translated}).status_code == 200
    assert "undercroft" not in output("nft list tables")


def test_adapters_are_settings(network):
    switch = defined(network, "lab")
    vm, other = network.define("one"), network.define("two")
    made = network.added(vm, *adapter(switch, ElementName="front"))
    nic, connection = (properties_of(network, path) for path in made)
    assert nic["ElementName"] == "front" and not nic["StaticMacAddress"]
    assert re.fullmatch("00155D[0-9A-F]{6}", nic["Address"])
    assert connection["Parent"] == made[0] and connection["HostResource"] == [switch]
    assert connection["LastKnownSwitchName"] == "lab" and connection["EnabledState"] == 2
    settings = "classes/Msvm_VirtualSystemSettingData/instances/Microsoft:" + vm
    for kind, path in ((ADAPTER, made[0]), (CONNECTION, made[1])):
        parts = network.get(settings + "/associators", params={"ResultClass": kind})["instances"]
        assert [p["self"] for p in parts] == [path]
    before = network.instances("CIM_SettingData")
    network.stop()
    network.start()
    assert network.instances("CIM_SettingData") == before

    def wrong(answer, field, text, status=400):
        document = problem(answer, status, field=field)
        assert text in document["detail"], document["detail"]
        assert network.instances("CIM_SettingData") == before

    change = lambda **p: network.change(ADAPTER, nic["InstanceID"], **p)
    wrong(change(Address="00155D000001"), "Address", "together with StaticMacAddress")
    wrong(change(Address="0015", StaticMacAddress=True), "Address", "12 hexadecimal digits")
    wrong(change(Address="010000000000", StaticMacAddress=True), "Address", "not of a group")
    wrong(change(ElementName=""), "ElementName", "must not be empty")
    wrong(network.add(other, *adapter(Address=nic["Address"], StaticMacAddress=True)), "Address", '"one" has this address')
    wrong(network.add(vm, {"class": CONNECTION, "properties": {"HostResource": [switch]}}), "Parent", "Parent is required")
    wrong(network.add(other, {"class": CONNECTION, "properties": {"Parent": made[0]}}), "Parent", "names no network adapter")
    wrong(network.add(vm, {"class": CONNECTION, "properties": {"Parent": made[0]}}), "Parent", "has a connection already")
    wrong(network.change(CONNECTION, connection["InstanceID"], HostResource=[made[0]]), "HostResource", "no virtual switch")
    wrong(network.call(SWITCHES + "DestroySystem", {"AffectedSystem": switch}), "AffectedSystem",
          "The switch 'lab' is in use by \"one\"", 409)
    assert change(Address="02-00-00-00-00-01", StaticMacAddress=True).status_code == 200
    assert properties_of(network, made[0])["Address"] == "020000000001"
    assert change(StaticMacAddress=False).status_code == 200
    assert properties_of(network, made[0])["Address"].startswith("00155D")
    network.added(vm, *[s for n in range(7) for s in adapter(label="n%d" % n)])
    assert "at most 8" in problem(network.add(vm, *adapter()), 400)["detail"]
    assert network.remove(made[0]).status_code == 200
    assert len(network.instances(ADAPTER)) == 7 and network.instances(CONNECTION) == []
    assert network.call(SWITCHES + "DestroySystem", {"AffectedSystem": switch}).status_code == 200


def test_machines_speak_over_their_switch(network):
    lab, other = defined(network, "lab"), defined(network, "other")
    one, two = network.define("one"), network.define("two")
    network.added(one, *adapter(lab))
    _, connection = network.added(two, *adapter(lab))
    connection = properties_of(network, connection)["InstanceID"]
    assert [v["VirtualSwitchNames"] for v in network.vms()] == [["lab"], ["lab"]]
    network.start_vm(one)
    network.start_vm(two)
    assert reaches(network, one, two, "hello") and reaches(network, two, one, "welcome")

    # The other switch, and none, while it runs.
    assert network.change(CONNECTION, connection, HostResource=[other]).status_code == 200
    assert wait_until(lambda: told(network, two), "the worker is told")[-1]["link"] == "moved"
    assert not reaches(network, one, two, "lost")
    assert network.change(CONNECTION, connection, HostResource=[]).status_code == 200
    wait_until(lambda: told(network, two)[-1].get("link") == "down", "link down")
    assert network.change(CONNECTION, connection, HostResource=[lab]).status_code == 200
    wait_until(lambda: told(network, two)[-1].get("link") == "up", "link up")
    assert reaches(network, one, two, "back")
    # What the guest was told with the adapter stays.
    nic = next(i["properties"]["InstanceID"] for i in network.instances(ADAPTER) if one in i["self"])
    problem(network.change(ADAPTER, nic, ElementName="x"), 409)

    # A restart of the service puts right what was undone meanwhile.
    network.kill()
    output("nft delete table bridge undercroft; ip link set %s down" % device_of(lab))
    for line in output("ip -o link show master " + device_of(lab)).splitlines():
        output("ip link set %s nomaster" % line.split()[1].rstrip(":"))
    network.start()
    assert reaches(network, one, two, "again")
    assert network.request_state(two, 3)["JobState"] == 7
    assert len(re.findall("uct", output("ip -o link"))) == 1


def test_features_of_a_port(network):
    lab = defined(network, "lab")
    one, two = network.define("one"), network.define("two")
    network.added(one, *adapter(lab))
    port, = [p for p in network.added(two, *adapter(lab)) if CONNECTION in p]

    def call(method, **body):
        return network.call(SERVICE + method, body)

    def feature(kind, **properties):
        return {"class": "Msvm_EthernetSwitchPort%sSettingData" % kind, "properties": properties}

    def added(*features):
        answer = call("AddFeatureSettings", AffectedConfiguration=port, FeatureSettings=list(features))
        assert answer.status_code == 200, answer.text
        return answer.json()["ResultingFeatureSettings"]

    network.start_vm(one)
    network.start_vm(two)
    security, bandwidth = added(feature("Security", EnableDhcpGuard=True, AllowMacSpoofing=True),
                                feature("Bandwidth", Limit="80000000", Reservation="8000000"))
    call_told = wait_until(lambda: told(network, two), "the worker is told")[-1]
    assert call_told["guard_dhcp"] and call_told["mac_spoofing"] and not call_told["guard_router"]
    device = "uct" + port.rsplit("/", 1)[1].split("%5C")[1][:8].lower()
    assert "rate 8Mbit ceil 80Mbit" in output("tc class show dev " + device)
    found = network.get(port + "/associators", params={"ResultClass": "Msvm_EthernetSwitchPortSecuritySettingData"})
    assert [i["self"] for i in found["instances"]] == [security]
    text = problem(call("AddFeatureSettings", AffectedConfiguration=port, FeatureSettings=[feature("Security")]), 400)
    assert "already" in text["detail"]
    deny, = added(feature("Acl", Action=2, Direction=1, AclType=1, Applicability=2,
                          RemoteAddress=network.instances(ADAPTER)[0]["properties"]["Address"]))
    mac = {i["properties"]["InstanceID"].split("\\")[0][10:]: i["properties"]["Address"] for i in network.instances(ADAPTER)}
    answer = call("ModifyFeatureSettings", FeatureSettings=[feature(
        "Acl", InstanceID=properties_of(network, deny)["InstanceID"], RemoteAddress=mac[one])])
    assert answer.status_code == 200, answer.text
    assert not reaches(network, one, two, "denied") and reaches(network, two, one, "allowed")
    assert call("RemoveFeatureSettings", FeatureSettings=[deny, bandwidth]).status_code == 200
    assert reaches(network, one, two, "undone")
    assert "htb" not in output("tc qdisc show dev " + device)

    def wrong(field, text, *features):
        document = problem(call("AddFeatureSettings", AffectedConfiguration=port, FeatureSettings=list(features)), 400,
                           field=field)
        assert text in document["detail"], document["detail"]

    wrong("AccessVlanId", "is required", feature("Vlan", OperationMode=1))
    wrong("AccessVlanId", "4094 is the switch's own", feature("Vlan", OperationMode=1, AccessVlanId=4094))
    wrong("OperationMode", "must be", feature("Vlan", OperationMode=7))
    wrong("TrunkVlanIdArray", "must be a VLAN", feature("Vlan", OperationMode=2, TrunkVlanIdArray=[1, 5000]))
    wrong("Limit", "below Reservation", feature("Bandwidth", Limit="1", Reservation="2"))
    wrong("RemoteAddress", "is no IPv4 address", feature("Acl", Action=1, Direction=1, AclType=2, RemoteAddress="::1"))
    wrong("RemoteAddress", "at most 32", feature("Acl", Action=1, Direction=1, AclType=2, RemoteAddress="10.0.0.0",
                                                 RemoteAddressPrefixLength=33))
    wrong("Direction", "are required", feature("Acl", Action=1))
    before = network.instances("Msvm_FeatureSettingData")
    assert len(before) == 1
    network.stop()
    network.start()
    assert network.instances("Msvm_FeatureSettingData") == before


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_shell_makes_networks(network):
    output("ip link add eth1 type veth peer name wire; ip link set eth1 up")
    hvsh = lambda text, check=0: network.hvsh("-Json", "-c", text, check=check)
    made, = rows(hvsh("New-VMSwitch lab -SwitchType Private -Notes 'for tests'"))
    assert (made["Name"], made["SwitchType"], made["Notes"]) == ("lab", "Private", "for tests")
    made, = rows(hvsh("New-VMSwitch out -NetAdapterName eth1 -AllowManagementOS $false"))
    assert (made["SwitchType"], made["NetAdapterName"], made["AllowManagementOS"]) == ("External", "eth1", False)
    made, = rows(hvsh("New-VMSwitch net -SwitchType NAT -NATSubnetAddress 10.77.0.0/24"))
    assert (made["SwitchType"], made["NATSubnetAddress"]) == ("NAT", "10.77.0.0/24")
    assert [s["Name"] for s in rows(hvsh("Get-VMSwitch -SwitchType External"))] == ["out"]
    changed, = rows(hvsh("Set-VMSwitch out -AllowManagementOS $true -Passthru"))
    assert changed["AllowManagementOS"] is True
    assert "SwitchType" in hvsh("New-VMSwitch bad -SwitchType Odd", 1).stderr

    hvsh("New-VM one 256MB -KernelPath %s -CommandLine console=ttyS0 -SwitchName lab" % network.kernel)
    nic, = rows(hvsh("Get-VMNetworkAdapter one"))
    assert (nic["Name"], nic["SwitchName"], nic["Status"]) == ("Network Adapter", "lab", "Ok")
    assert nic["MacAddress"].startswith("00155D") and nic["IPAddresses"] == []
    second, = rows(hvsh("Add-VMNetworkAdapter one -Name back -StaticMacAddress 020000000007 -Passthru"))
    assert (second["Name"], second["MacAddress"], second["SwitchName"]) == ("back", "020000000007", "")
    moved, = rows(hvsh("Get-VMNetworkAdapter one back | Connect-VMNetworkAdapter -SwitchName net -Passthru"))
    assert moved["SwitchName"] == "net"
    gone, = rows(hvsh("Disconnect-VMNetworkAdapter one back -Passthru"))
    assert gone["Status"] == "Disconnected"
    hvsh("Set-VMNetworkAdapter one 'Network Adapter' -DhcpGuard On -MaximumBandwidth 100000000 -PortMirroring Source")
    limit, = network.instances("Msvm_EthernetSwitchPortBandwidthSettingData")
    guard, = network.instances("Msvm_EthernetSwitchPortSecuritySettingData")
    assert limit["properties"]["Limit"] == "100000000"
    assert guard["properties"]["EnableDhcpGuard"] and guard["properties"]["MonitorMode"] == 2
    vlan, = rows(hvsh("Set-VMNetworkAdapterVlan one back -Trunk -AllowedVlanIdList 5-7,9 -NativeVlanId 3 -Passthru"))
    assert (vlan["Mode"], vlan["VlanList"], vlan["NativeVlanId"]) == ("Trunk", [5, 6, 7, 9], 3)
    vlans = rows(hvsh("Get-VMNetworkAdapterVlan one"))
    assert sorted(v["Mode"] for v in vlans) == ["Trunk", "Untagged"]
    acls = rows(hvsh("Add-VMNetworkAdapterAcl one back -Action Deny -Direction Both -RemoteIPAddress 10.0.0.0/8 -Passthru"))
    assert sorted((a["Direction"], a["Action"], a["RemoteAddress"]) for a in acls) == [
        ("Inbound", "Deny", "10.0.0.0/8"), ("Outbound", "Deny", "10.0.0.0/8")]
    hvsh("Remove-VMNetworkAdapterAcl one back -Action Deny -Direction Both -RemoteIPAddress 10.0.0.0/8")
    assert rows(hvsh("Get-VMNetworkAdapterAcl one")) == []
    assert "is in use by \"one\"" in hvsh("Remove-VMSwitch lab -Force", 1).stderr
    hvsh("Remove-VMNetworkAdapter one")
    hvsh("Remove-VMSwitch lab,out,net -Force")
    assert rows(hvsh("Get-VMSwitch")) == []
    assert "ucb" not in output("ip link")
