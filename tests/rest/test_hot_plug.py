# SPDX-License-Identifier: Apache-2.0
"""Disks, DVD media, drives and controllers of a machine that runs."""
import json
import os
import re

import pytest

from conftest import SERVICE, wait_until
from test_devices import (CONTROLLER, DISK, DISK_IMAGE, DVD, DVD_IMAGE, IMAGE, RESOURCE, disk, of_type, properties_of,
                          setting)
from test_resources import problem


def told(service, vm):
    """The controllers as the worker has them now, and what each image begins with."""
    before = service.console_log(vm).count(b"<[[")
    service.type_line(vm, "devices").close()
    log = wait_until(lambda: service.console_log(vm) if service.console_log(vm).count(b"<[[") > before and
                     service.console_log(vm).rstrip().endswith(b">") else None, "the worker tells its devices")
    found, heads = json.loads(re.findall(rb"<(\[\[.*\])>", log)[-1])
    return of_type(found, "scsi"), {int(fd): head.rstrip("\0") for fd, head in heads.items()}


def luns(service, vm):
    """By controller: number, kind, what the image begins with."""
    controllers, heads = told(service, vm)
    return [sorted((l["lun"], l["kind"], heads.get(l["fd"])) for l in c["luns"]) for c in controllers]


def job_of(service, answer, state=7):
    assert answer.status_code == 202, answer.text
    assert answer.json()["returnValue"] == 4096
    job = service.wait_job(answer.headers["Location"])
    assert job["JobState"] == state, job
    return job


def plugged(service, vm, *settings):
    answer = service.add(vm, *settings)
    job_of(service, answer)
    return answer.json()["ResultingResourceSettings"]


@pytest.fixture
def running(service):
    """A running machine with an empty controller."""
    vm = service.define()
    controller, = service.added(vm, setting(CONTROLLER))
    service.start_vm(vm)
    return vm, controller


def test_disks_come_and_go(service, running):
    vm, controller = running
    drive, image = plugged(service, vm, *disk(controller, service.image("a.img", "FIRST"), AddressOnParent="5"))
    assert luns(service, vm) == [[(5, "disk", "FIRST")]]
    assert properties_of(service, image)["HostResource"] == [service.disks + "/a.img"]
    plugged(service, vm, *disk(controller, service.vhd("b.vhdx", parent=service.vhd("base.vhdx")), Access=1))
    lun = [l for l in told(service, vm)[0][0]["luns"] if l["lun"] == 0][0]
    assert lun["format"] == "vhdx" and len(lun["parents"]) == 1 and lun["read_only"]
    # Another image in the same drive is another disk.
    first = [l["id"] for l in told(service, vm)[0][0]["luns"] if l["lun"] == 5]
    answer = service.change(IMAGE, properties_of(service, image)["InstanceID"],
                            HostResource=[service.image("c.img", "SECOND")])
    assert job_of(service, answer)["JobType"] == 31
    assert (5, "disk", "SECOND") in luns(service, vm)[0]
    assert first != [l["id"] for l in told(service, vm)[0][0]["luns"] if l["lun"] == 5]
    # The first one is free for others now; the second is not.
    other = service.define("other")
    for path, expected in ((service.disks + "/c.img", 10), (service.disks + "/a.img", 7)):
        c, = service.added(other, setting(CONTROLLER))
        service.added(other, *disk(c, path))
        job = service.request_state(other, 2)
        assert job["JobState"] == expected, job
        if expected == 10:
            assert 'in use by the virtual machine "vm"' in job["ErrorDescription"]
            service.remove(c)
    assert job_of(service, service.remove(drive))["JobType"] == 32
    problem(service.request("GET", drive), 404)
    assert [l[0] for l in luns(service, vm)[0]] == [0]
    # All of it is there after restarts of the service and of the machine.
    service.stop()
    service.start()
    assert [l[0] for l in luns(service, vm)[0]] == [0]
    service.request_state(vm, 3)
    service.start_vm(vm)
    assert [l[0] for l in luns(service, vm)[0]] == [0]


def test_media_are_changed(service, running):
    vm, controller = running
    drive, = plugged(service, vm, setting(DVD, Parent=controller))
    assert luns(service, vm) == [[(0, "dvd", None)]]
    image, = plugged(service, vm, setting(DVD_IMAGE, Parent=drive, HostResource=[service.image("1.iso", "ONE")]))
    same = [l["id"] for l in told(service, vm)[0][0]["luns"]]
    assert luns(service, vm) == [[(0, "dvd", "ONE")]]
    job_of(service, service.change(IMAGE, properties_of(service, image)["InstanceID"],
                                   HostResource=[service.image("2.iso", "TWO")]))
    assert luns(service, vm) == [[(0, "dvd", "TWO")]]
    # The same one once more, for a guest that has ejected it: it is opened anew.
    os.replace(service.image("3.iso", "AGAIN"), service.disks + "/2.iso")
    job_of(service, service.change(IMAGE, properties_of(service, image)["InstanceID"],
                                   HostResource=[service.disks + "/2.iso"]))
    assert luns(service, vm) == [[(0, "dvd", "AGAIN")]]
    job_of(service, service.remove(image))
    assert luns(service, vm) == [[(0, "dvd", None)]]
    assert same == [l["id"] for l in told(service, vm)[0][0]["luns"]]
    job_of(service, service.remove(drive))
    assert luns(service, vm) == [[]]


def test_a_hard_drive_without_a_disk_is_nothing_to_a_guest(service, running):
    vm, controller = running
    drive, = plugged(service, vm, setting(DISK, Parent=controller))
    assert luns(service, vm) == [[]] and properties_of(service, drive)["AddressOnParent"] == "0"
    image, = plugged(service, vm, setting(DISK_IMAGE, Parent=drive, HostResource=[service.image("a.img", "DISK")]))
    assert luns(service, vm) == [[(0, "disk", "DISK")]]
    job_of(service, service.remove(image))
    assert luns(service, vm) == [[]] and properties_of(service, drive)["AddressOnParent"] == "0"


def test_controllers_come_and_go(service, running):
    vm, first = running
    second, drive, _ = plugged(service, vm, setting(CONTROLLER, InstanceID="c"),
                               *disk("c", service.image("a.img", "DISK")))
    assert luns(service, vm) == [[], [(0, "disk", "DISK")]]
    assert told(service, vm)[0][1]["instance"] == properties_of(service, second)["VirtualSystemIdentifiers"][0]
    job_of(service, service.remove(first))
    assert luns(service, vm) == [[(0, "disk", "DISK")]] and properties_of(service, second)["Address"] == "0"
    job_of(service, service.remove(second))
    assert luns(service, vm) == [] and service.instances(RESOURCE) == []
    problem(service.request("GET", drive), 404)


def test_a_paused_machine_changes_too(service, running):
    vm, controller = running
    service.request_state(vm, 9)
    plugged(service, vm, *disk(controller, service.image("a.img", "DISK")))
    service.request_state(vm, 9 if service.vm(vm)["EnabledState"] == 2 else 2)
    assert luns(service, vm) == [[(0, "disk", "DISK")]]


def test_what_the_worker_refuses_is_not_kept(service):
    vm = service.define(command_line="plug=refuse")
    controller, = service.added(vm, setting(CONTROLLER))
    drive, _ = service.added(vm, *disk(controller, service.image("a.img", "DISK"), AddressOnParent="3"))
    service.start_vm(vm)
    before = service.instances("CIM_ResourceAllocationSettingData")
    job = job_of(service, service.add(vm, *disk(controller, service.image("b.img"))), 10)
    assert job["ErrorDescription"] == ("Hard Drive on SCSI controller number 0 at location 0: "
                                       "the guest's driver cannot (unsupported)")
    job = job_of(service, service.remove(drive), 10)
    assert job["ErrorDescription"].startswith("Hard Drive on SCSI controller number 0 at location 3: ")
    job = job_of(service, service.remove(controller), 10)
    assert job["ErrorDescription"].startswith("SCSI controller number 0: ")
    assert service.instances("CIM_ResourceAllocationSettingData") == before
    # Its file is nobody's again.
    other = service.define("other")
    c, = service.added(other, setting(CONTROLLER))
    service.added(other, *disk(c, service.disks + "/b.img"))
    service.start_vm(other)


def test_files_that_cannot_be_had(service, running):
    vm, controller = running
    holder = service.define("holder")
    c, = service.added(holder, setting(CONTROLLER))
    service.added(holder, *disk(c, service.image("held.img")))
    service.start_vm(holder)
    job = job_of(service, service.add(vm, *disk(controller, service.disks + "/held.img")), 10)
    assert job["ErrorDescription"].endswith('held.img is in use by the virtual machine "holder"')
    problem(service.add(vm, *disk(controller, service.disks + "/gone.img")), 400, field="HostResource")
    problem(service.add(vm, *disk(controller, service.vhd("x.vhdx", crash=True))), 400, field="HostResource")
    assert luns(service, vm) == [[]] and len(service.instances(IMAGE)) == 1


def test_a_guest_that_holds_its_controller(service):
    vm = service.define(command_line="plug=hold")
    first, second = service.added(vm, setting(CONTROLLER), setting(CONTROLLER))
    service.start_vm(vm)
    job = service.remove(first).headers["Location"]
    document = problem(service.add(vm, setting(DVD, Parent=second)), 409, returnValue=32774)
    assert "are changing" in document["detail"]
    assert service.get(job)["properties"]["JobState"] == 4
    assert properties_of(service, first)["Address"] == "0"
    wait_until(lambda: b"<leaving>" in service.console_log(vm), "the worker is asked")
    service.type_line(vm, "let go").close()
    assert service.wait_job(job)["JobState"] == 7
    assert properties_of(service, second)["Address"] == "0"
    # Turned off while it is asked to let go: the controller stays.
    job = service.remove(second).headers["Location"]
    service.request_state(vm, 3)
    assert service.wait_job(job)["JobState"] == 10 and properties_of(service, second)["Address"] == "0"


def test_a_controller_that_goes_after_all(service):
    """The service was restarted while it waited; what the guest let go of afterwards is gone all the same."""
    vm = service.define(command_line="plug=hold")
    controller, = service.added(vm, setting(CONTROLLER))
    service.start_vm(vm)
    job = service.remove(controller).headers["Location"]
    wait_until(lambda: b"<leaving>" in service.console_log(vm), "the worker is asked")
    service.kill()
    service.start()
    assert service.get(job)["properties"]["JobState"] == 10 and len(service.instances(RESOURCE)) == 1
    service.type_line(vm, "let go").close()
    wait_until(lambda: service.instances(RESOURCE) == [], "the controller is gone")


def test_a_worker_that_dies_or_stops_while_it_is_asked(service):
    vm = service.define(command_line="plug=hang")
    controller, = service.added(vm, setting(CONTROLLER))
    service.start_vm(vm)
    job = service.add(vm, setting(DVD, Parent=controller)).headers["Location"]
    service.type_line(vm, "crash").close()
    assert service.wait_job(job)["JobState"] == 10
    assert len(service.instances(RESOURCE)) == 1
    service.start_vm(vm)
    job = service.add(vm, setting(DVD, Parent=controller)).headers["Location"]
    service.stop()
    service.start()
    assert service.get(job)["properties"]["JobState"] == 10
    assert len(service.instances(RESOURCE)) == 1 and service.vm(vm)["EnabledState"] == 2


def test_several_changes_in_one_call(service, running):
    vm, controller = running
    one, _, two, medium = plugged(service, vm, *disk(controller, service.image("1.img", "ONE")),
                                  setting(DVD, InstanceID="dvd", Parent=controller),
                                  setting(DVD_IMAGE, Parent="dvd", HostResource=[service.image("m.iso", "MEDIUM")]))
    assert luns(service, vm) == [[(0, "disk", "ONE"), (1, "dvd", "MEDIUM")]]
    job_of(service, service.remove(one, medium))
    assert luns(service, vm) == [[(1, "dvd", None)]]
    # Machines that run are changed one by one.
    other = service.define("other")
    c, = service.added(other, setting(CONTROLLER))
    answer = service.remove(two, c)
    assert "a call of its own" in problem(answer, 501, field="ResourceSettings")["detail"]
    assert os.path.exists(service.disks + "/1.img") and len(service.instances(RESOURCE)) == 3


def test_what_the_worker_counts(service, running):
    vm, controller = running
    drive, _ = plugged(service, vm, *disk(controller, service.image("a.img"), AddressOnParent="7"))

    def found():
        return [i["properties"] for i in service.instances("Undercroft_DeviceStatistics")
                if i["properties"]["ElementName"] == "scsi0:7"]
    counted, = wait_until(found, "statistics come")
    assert counted["SystemName"] == vm and counted["SettingID"] == properties_of(service, drive)["InstanceID"]
    assert dict(zip(counted["CounterNames"], counted["CounterValues"])) == {"reads": "3", "read_bytes": "2097152"}
    assert counted["Unit"] == 7 and counted["DeviceInstance"] in counted["SettingID"]
    assert counted["InstanceID"] == "Microsoft:%s\\Statistics\\%s\\7" % (vm, counted["DeviceInstance"])
    assert counted["ReadLatency"] == ["0", "2", "0", "1"] + ["0"] * 20 and counted["WriteLatency"] == ["0"] * 24
    measured = json.loads(service.hvsh("-Json", "Measure-VM", "vm", check=0).stdout)
    assert measured["AggregatedDiskDataRead"] == 2 << 20 and measured["AggregatedIOCount"] == 3
    assert [d["Name"] for d in measured["HardDiskMetrics"]] == ["scsi0:7"]
    assert measured["DiskLatencyMedian"] == 3 and measured["DiskLatency99"] == 15
    metrics, = measured["HardDiskMetrics"]
    assert (metrics["ReadLatencyMedian"], metrics["ReadLatency99"], metrics["WriteLatency99"]) == (3, 15, None)
    table = service.hvsh("Measure-VM", "vm", check=0).stdout
    assert "DiskRead(M)" in table and "99%(us)" in table
    platform, = [i["properties"] for i in service.instances("Undercroft_DeviceStatistics")
                 if i["properties"]["ElementName"] == "bus"]
    assert [platform[name] for name in ("SettingID", "DeviceInstance", "Unit", "ReadLatency")] == [None] * 4
    service.request_state(vm, 3)
    assert service.instances("Undercroft_DeviceStatistics") == []


def test_counters_stay_with_their_drives(service, running):
    vm, first = running
    second, = plugged(service, vm, setting(CONTROLLER))
    drives = plugged(service, vm, *disk(second, service.image("b.img"), AddressOnParent="1"))[:1]
    job_of(service, service.remove(first))
    # The worker's name of the first one is free again; in the settings the new one comes last.
    third, = plugged(service, vm, setting(CONTROLLER))
    for number in range(3):
        drives += plugged(service, vm, *disk(third, service.image("c%d.img" % number), AddressOnParent="%d" % number))[:1]

    def by_setting():
        found = [i["properties"] for i in service.instances("Undercroft_DeviceStatistics")]
        found = {p["SettingID"]: p["ElementName"] for p in found if p["SettingID"]}
        return found if len(found) == 4 else None
    ids = [properties_of(service, drive)["InstanceID"] for drive in drives]
    assert wait_until(by_setting, "all are counted") == dict(zip(ids, ["scsi1:1", "scsi0:0", "scsi0:1", "scsi0:2"]))
