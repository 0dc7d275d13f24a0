# SPDX-License-Identifier: Apache-2.0
"""Addresses that guests have on their network adapters."""
import json

from conftest import wait_until
from test_guest_services import AUTO, ready, summary
from test_network import adapter, defined, network, properties_of  # pylint: disable=unused-import

CONFIGURATION = "Msvm_GuestNetworkAdapterConfiguration"


def colons(mac):
    return ":".join(mac[i:i + 2] for i in range(0, 12, 2))


def answer(error=None, status=0, **ip):
    lists = {"addresses": "", "subnets": "", "gateways": "", "dns_servers": "", "dhcp": False, **ip}
    return [{"what": "done", "call": "get_ip", "error": error, "status": status, "items": [],
             "ip": None if error else {"adapter": "", **lists}}]


def configurations(service):
    return {i["properties"]["InstanceID"]: i["properties"] for i in service.instances(CONFIGURATION)}


def heard(service, instance_id):
    return wait_until(lambda: (c := configurations(service)[instance_id])["IPAddresses"] and c, "the guest's addresses")


def test_addresses_of_each_adapter(network):
    switch = defined(network, "lab")
    vm = network.define()
    nics = [properties_of(network, network.added(vm, *adapter(switch, ElementName=name))[0]) for name in ("a", "b", "c")]
    ids = ["Microsoft:GuestNetwork\\" + n["InstanceID"].partition(":")[2] for n in nics]
    assert set(configurations(network)) == set(ids)
    assert all(c["IPAddresses"] == [] and c["ProtocolIFType"] == 0 for c in configurations(network).values())
    assert summary(network)["Undercroft_IPAddresses"] == []
    network.start_vm(vm)
    macs = [colons(n["Address"]) for n in nics]
    network.guest_answers(vm, "kvp.get_ip", {"adapters": {
        # As Linux' daemon answers.
        macs[0]: answer(addresses="10.0.0.7;10.0.0.8;fe80::0215:5dff:fe00:1", subnets="255.255.255.0;255.0.0.0;/64",
                        gateways="10.0.0.1;", dns_servers="10.0.0.1;10.0.0.1;junk;", dhcp=True),
        # No family but the first, and what is no address.
        macs[1]: answer(addresses="x;10.0.0.7 ; 192.168.1.2;" + "9" * 300, subnets="1.1.1.1;255.0.0.0;255.255.0.0;2.2.2.2"),
        macs[2]: answer("refused", 0x80041002)}})
    # Addresses of a machine with several adapters belong to none of them until it says so.
    ready(network, vm, auto=AUTO)
    first, second = heard(network, ids[0]), heard(network, ids[1])
    assert first["IPAddresses"] == ["10.0.0.7", "10.0.0.8", "fe80::215:5dff:fe00:1"]
    assert first["Subnets"] == ["255.255.255.0", "255.0.0.0", "/64"]
    assert (first["DefaultGateways"], first["DNSServers"]) == (["10.0.0.1"], ["10.0.0.1"])
    assert first["DHCPEnabled"] and first["ProtocolIFType"] == 4098
    assert second["IPAddresses"] == ["10.0.0.7", "192.168.1.2"] and second["Subnets"] == ["255.0.0.0", "255.255.0.0"]
    assert not second["DHCPEnabled"] and second["ProtocolIFType"] == 4096
    wait_until(lambda: ("kvp.get_ip", macs[2]) in [(c["name"], c.get("adapter")) for c in network.guest_calls(vm)],
               "all adapters are asked for")
    asked = [(c["adapter"], c["family"]) for c in network.guest_calls(vm) if c["name"] == "kvp.get_ip"]
    assert asked == [(macs[0], "ipv4"), (macs[1], "ipv4"), (macs[2], "ipv4"), (macs[1], "ipv6")]
    assert configurations(network)[ids[2]]["IPAddresses"] == []
    everything = ["10.0.0.7", "10.0.0.8", "fe80::215:5dff:fe00:1", "192.168.1.2"]
    assert summary(network)["Undercroft_IPAddresses"] == everything
    parts = network.get("classes/Msvm_SyntheticEthernetPortSettingData/instances/%s/associators"
                        % nics[0]["InstanceID"].replace("\\", "%5C"), params={"ResultClass": CONFIGURATION})["instances"]
    assert [p["properties"]["InstanceID"] for p in parts] == [ids[0]]

    network.guest_event(vm, "heartbeat", "status", status=2, application=0)
    rows = [json.loads(line) for line in network.hvsh("-Json", "-c", "Get-VMNetworkAdapter vm", check=0).stdout.splitlines()]
    assert {r["Name"]: r["IPAddresses"] for r in rows} == {"a": first["IPAddresses"], "b": second["IPAddresses"], "c": []}
    table = wait_until(lambda: "OkApplicationsUnknown" in (t := network.hvsh("-c", "Get-VM", check=0).stdout) and t,
                       "the heartbeat")
    assert "Heartbeat" in table and "IPAddresses" in table and "10.0.0.7, 10.0.0.8" in table
    network.request_state(vm, 3)
    assert summary(network)["Undercroft_IPAddresses"] == []
    assert all(c["IPAddresses"] == [] for c in configurations(network).values())


def test_a_guest_that_cannot_tell_adapters_apart(network):
    vm = network.define()
    network.added(vm, *adapter(defined(network, "lab")))
    network.start_vm(vm)
    ready(network, vm, auto=[["OSName", "old"], ["NetworkAddressIPv4", "10.0.0.7;192.168.1.2"],
                             ["NetworkAddressIPv6", "fe80::1"]])
    only, = configurations(network)
    assert heard(network, only)["IPAddresses"] == ["10.0.0.7", "192.168.1.2", "fe80::1"]
    assert summary(network)["Undercroft_IPAddresses"] == ["10.0.0.7", "192.168.1.2", "fe80::1"]


def test_addresses_that_come_a_little_later(network):
    vm = network.define()
    network.added(vm, *adapter(defined(network, "lab")))
    network.start_vm(vm)
    network.guest_answers(vm, "kvp.get_ip", {"events": answer(addresses="fe80::1", subnets="/64")})
    ready(network, vm, auto=[["OSName", "booting"]])
    only, = configurations(network)
    assert heard(network, only)["IPAddresses"] == ["fe80::1"]
    network.guest_answers(vm, "kvp.get_ip", {"events": answer(addresses="10.0.0.7;fe80::1", subnets="255.0.0.0;/64")})
    wait_until(lambda: configurations(network)[only]["IPAddresses"] == ["10.0.0.7", "fe80::1"], "the address", 10)
