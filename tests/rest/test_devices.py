# SPDX-License-Identifier: Apache-2.0
"""SCSI controllers, drives, images and integration components: as resources, and as what the worker is given."""
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys

import pytest

from conftest import HERE, SERVICE, wait_until
from test_resources import problem

RESOURCE, IMAGE = "Msvm_ResourceAllocationSettingData", "Msvm_StorageAllocationSettingData"
CONTROLLER, DISK, DVD, DISK_IMAGE, DVD_IMAGE = (
    (6, "Microsoft:Hyper-V:Synthetic SCSI Controller"), (17, "Microsoft:Hyper-V:Synthetic Disk Drive"),
    (16, "Microsoft:Hyper-V:Synthetic DVD Drive"), (31, "Microsoft:Hyper-V:Virtual Hard Disk"),
    (31, "Microsoft:Hyper-V:Virtual CD/DVD Disk"))
COMPONENTS = {"heartbeat": "Heartbeat", "shutdown": "Shutdown", "timesync": "TimeSync", "kvp": "KvpExchange",
              "vss": "Vss"}


def setting(kind, **properties):
    return {"class": IMAGE if kind[0] == 31 else RESOURCE,
            "properties": {"ResourceType": kind[0], "ResourceSubType": kind[1], **properties}}


def disk(parent, path, drive=DISK, **properties):
    """A drive with an image in it."""
    place = {name: properties.pop(name) for name in ("AddressOnParent",) if name in properties}
    image = DISK_IMAGE if drive is DISK else DVD_IMAGE
    return (setting(drive, InstanceID="drive", Parent=parent, **place),
            setting(image, Parent="drive", HostResource=[path], **properties))


def properties_of(service, path):
    return service.get(path)["properties"]


def devices(service, vm):
    """What the worker of a running machine was told, and what each image begins with, by descriptor."""
    service.type_line(vm, "devices").close()
    found = wait_until(lambda: re.search(rb"<(\[\[.*\])>", service.console_log(vm)), "the worker tells its devices")
    told, heads = json.loads(found.group(1))
    return told, {int(fd): head.rstrip("\0") for fd, head in heads.items()}


def of_type(told, kind):
    return [d for d in told if d["type"] == kind]


def test_storage_is_a_tree_of_settings(service):
    vm = service.define()
    path, iso = service.image("a.img"), service.image("b.iso")
    controller, = service.added(vm, setting(CONTROLLER))
    c = properties_of(service, controller)
    guid = c["VirtualSystemIdentifiers"][0]
    assert c["InstanceID"] == "Microsoft:%s\\%s\\0" % (vm, guid) and len(guid) == 36
    assert c["ElementName"] == "SCSI Controller" and c["Parent"] is None and c["Address"] == "0"

    drive, = service.added(vm, setting(DISK, Parent=controller, AddressOnParent="7"))
    d = properties_of(service, drive)
    assert d["InstanceID"] == "Microsoft:%s\\%s\\0\\7\\D" % (vm, guid)
    assert d["Parent"] == controller and d["AddressOnParent"] == "7" and d["ResourceType"] == 17
    image, = service.added(vm, setting(DISK_IMAGE, Parent=drive, HostResource=[path]))
    i = properties_of(service, image)
    assert i["InstanceID"] == "Microsoft:%s\\%s\\0\\7\\L" % (vm, guid)
    assert i["Parent"] == drive and i["HostResource"] == [path] and i["Access"] == 3 and i["CachingMode"] == 2

    # Without a location, the first free one; with labels, a chain in one call.
    made = service.added(vm, *disk(controller, iso, DVD))
    assert [properties_of(service, m)["InstanceID"].rsplit("\\", 2)[1:] for m in made] == [["0", "D"], ["0", "L"]]
    assert properties_of(service, made[1])["Access"] == 1

    settings = "classes/Msvm_VirtualSystemSettingData/instances/Microsoft:" + vm
    parts = [p["self"] for p in service.get(settings + "/associators", params={"ResultClass": RESOURCE})["instances"]]
    assert set(parts) == {controller, drive, made[0]}
    before = service.instances("CIM_SettingData")
    service.stop()
    service.start()
    assert service.instances("CIM_SettingData") == before


def test_a_machine_is_defined_with_its_disk(service):
    path = service.image("a.img")
    drive, image = disk("scsi", path)
    settings = [setting(CONTROLLER, InstanceID="scsi"), drive, image,
                {"class": "Msvm_HeartbeatComponentSettingData", "properties": {"EnabledState": 3}}]
    answer = service.call(SERVICE + "DefineSystem", {
        "SystemSettings": {"properties": {"ElementName": "a"}}, "ResourceSettings": settings})
    assert answer.status_code == 200, answer.text
    assert [i["properties"]["HostResource"] for i in service.instances(IMAGE)] == [[path]]
    assert [i["properties"]["EnabledState"] for i in service.instances("Msvm_HeartbeatComponentSettingData")] == [3]
    # One bad part, and there is no machine.
    settings[2]["properties"]["HostResource"] = [path + ".missing"]
    answer = service.call(SERVICE + "DefineSystem", {
        "SystemSettings": {"properties": {"ElementName": "b"}}, "ResourceSettings": settings})
    problem(answer, 400, field="HostResource")
    assert len(service.vms()) == 1


def test_parents_are_named_in_three_ways(service):
    vm = service.define()
    controller, = service.added(vm, setting(CONTROLLER))
    instance_id = properties_of(service, controller)["InstanceID"]
    object_path = '\\\\ANY\\root\\virtualization\\v2:%s.InstanceID="%s"' % (RESOURCE, instance_id.replace("\\", "\\\\"))
    for parent in (controller, instance_id, instance_id.lower(), object_path,
                   controller.replace("/api/v2", "/cimrs/root%2Fvirtualization%2Fv2")):
        drive, = service.added(vm, setting(DISK, Parent=parent))
        assert properties_of(service, drive)["Parent"] == controller
    # An image may come as the other class.
    image = setting(DISK_IMAGE, Parent=drive, HostResource=[service.image("a.img")])
    image["class"] = RESOURCE
    made, = service.added(vm, image)
    assert "/%s/" % IMAGE in made


def test_everything_that_can_be_wrong_has_its_sentence(service):
    vm, other = service.define("one"), service.define("two")
    path, iso = service.image("a.img"), service.image("b.iso")
    controller, = service.added(vm, setting(CONTROLLER))
    drive, image = service.added(vm, *disk(controller, path, AddressOnParent="3"))
    dvd, = service.added(vm, setting(DVD, Parent=controller))
    empty, = service.added(vm, setting(DISK, Parent=controller))
    theirs, = service.added(other, setting(CONTROLLER))
    os.mkdir(service.disks + "/folder")
    os.mkfifo(service.disks + "/fifo")
    os.symlink("/etc/passwd", service.disks + "/link.img")
    before = service.instances("CIM_SettingData")

    def wrong(added, field, text, status=400):
        document = problem(service.add(vm, added), status, field=field)
        assert text in document["detail"], document["detail"]
        assert service.instances("CIM_SettingData") == before

    wrong(setting(DISK), "Parent", "Parent is required")
    wrong(setting(DISK, Parent=theirs), "Parent", "names nothing in this virtual machine")
    wrong(setting(DISK, Parent="nothing"), "Parent", "names nothing")
    wrong(setting(DISK, Parent="/api/v2/nowhere"), "ResourceSettings[0].Parent", "must be the path of an instance")
    wrong(setting(DISK, Parent=drive), "Parent", "must be a SCSI controller, and this is a Hard Drive")
    wrong(setting(DISK_IMAGE, Parent=controller, HostResource=[path]), "Parent", "must be a drive")
    wrong(setting(DISK_IMAGE, Parent=image, HostResource=[path]), "Parent", "must be a drive")
    wrong(setting(DISK_IMAGE, Parent=drive, HostResource=[path]), "Parent", "has an image already")
    wrong(setting(DISK_IMAGE, Parent=dvd, HostResource=[path]), "Parent", "does not go into a DVD Drive")
    wrong(setting(DVD_IMAGE, Parent=empty, HostResource=[iso]), "Parent", "does not go into a Hard Drive")
    wrong(setting(DISK, Parent=controller, AddressOnParent="3"), "AddressOnParent", "location 3 is taken by a hard drive")
    for address in ("64", "-1", "x", "", "3 ", "99999999999999999999"):
        wrong(setting(DISK, Parent=controller, AddressOnParent=address), "AddressOnParent", "from 0 to 63")
    wrong(setting(DISK_IMAGE, Parent=empty), "HostResource", "is required")
    for paths in ([], [path, path], [""]):
        wrong(setting(DISK_IMAGE, Parent=empty, HostResource=paths), "HostResource", "one path")
    for bad, text in (("missing.img", "there is no such file"), ("folder", "it is a directory"),
                      ("fifo", "neither a file nor a block device"), ("link.img", "symbolic link leads out"),
                      ("a.img", "attached to this virtual machine already, at controller 0 location 3")):
        wrong(setting(DISK_IMAGE, Parent=empty, HostResource=[service.disks + "/" + bad]), "HostResource", text)
    wrong(setting(DVD_IMAGE, Parent=dvd, HostResource=[service.disks + "/folder"]), "HostResource", "it is a directory")
    wrong(setting(DISK_IMAGE, Parent=empty, HostResource=[service.image("odd.img", size=513)]), "HostResource",
          "513 bytes, is no multiple of 512")
    wrong(setting(DVD_IMAGE, Parent=dvd, HostResource=[service.image("odd.iso", size=512)]), "HostResource",
          "no multiple of 2048")
    wrong(setting(DISK_IMAGE, Parent=empty, HostResource=[service.image("none.img", size=0)]), "HostResource", "is empty")
    wrong(setting(DISK_IMAGE, Parent=empty, HostResource=[service.image("x.vmdk")]), "HostResource", "not supported")
    wrong(setting(DISK_IMAGE, Parent=empty, HostResource=[service.image("x.vhdx")]), "HostResource",
          "x.vhdx: it has no header of a virtual hard disk")
    wrong(setting(DVD_IMAGE, Parent=dvd, HostResource=[service.vhd("dvd.vhdx")]), "HostResource",
          "a virtual hard disk is no DVD")
    for outside in ("/etc/passwd", "a.img", service.disks + "/../kernels/vmlinuz"):
        wrong(setting(DISK_IMAGE, Parent=empty, HostResource=[outside]), "HostResource", "disk-directories")
    wrong(setting(DISK_IMAGE, Parent=empty, HostResource=[path], Access=2), "Access", "read/write")
    wrong(setting(DVD_IMAGE, Parent=dvd, HostResource=[iso], Access=3), "Access", "can only be read")
    wrong(setting(DISK_IMAGE, Parent=empty, HostResource=[path], CachingMode=4), "CachingMode", "CachingMode must be")
    wrong(setting(DISK_IMAGE, Parent=empty, HostResource=[path], IOPSLimit="5"), "IOPSLimit", "cannot be changed", 501)
    wrong(setting((18, "Microsoft:Hyper-V:Physical Disk Drive"), Parent=controller), "ResourceSubType",
          "cannot be added", 501)
    wrong(setting((16, DISK[1]), Parent=controller), "ResourceType", "is 17")
    wrong({"class": RESOURCE, "properties": {}}, "ResourceSubType", "required")
    wrong({"class": RESOURCE, "properties": {"ResourceType": 10}}, "ResourceType", "cannot be added", 501)
    wrong({"class": "Msvm_KvpExchangeComponentSettingData", "properties": {}}, "ResourceSettings", "already")


def test_counts_are_bounded(service):
    vm = service.define()
    controllers = service.added(vm, *[setting(CONTROLLER)] * 4)
    assert [properties_of(service, c)["Address"] for c in controllers] == ["0", "1", "2", "3"]
    document = problem(service.add(vm, setting(CONTROLLER)), 400, field="ResourceSettings")
    assert "at most 4" in document["detail"]
    assert len(service.added(vm, *[setting(DISK, Parent=controllers[1])] * 64)) == 64
    assert "all 64 locations" in problem(service.add(vm, setting(DISK, Parent=controllers[1])), 400,
                                         field="Parent")["detail"]
    assert len(service.added(vm, *[setting(DISK, Parent=controllers[2])] * 64)) == 64
    # A controller goes with its drives, and those behind it move up.
    assert service.remove(controllers[1]).status_code == 200
    assert properties_of(service, controllers[2])["Address"] == "1"
    assert len([r for r in service.instances(RESOURCE) if r["properties"]["ResourceType"] == 17]) == 64


def test_changes_and_removals(service):
    vm = service.define()
    first, second, iso = service.image("1.img"), service.image("2.img"), service.image("b.iso")
    controller, = service.added(vm, setting(CONTROLLER))
    drive, image = service.added(vm, *disk(controller, first))
    what = properties_of(service, image)
    # What was read may come back as it is, with a change.
    what.update(HostResource=[second], Access=1, CachingMode=3)
    answer = service.call(SERVICE + "ModifyResourceSettings",
                          {"ResourceSettings": [{"class": IMAGE, "properties": what}]})
    assert answer.status_code == 200 and answer.json()["ResultingResourceSettings"] == [image], answer.text
    now = properties_of(service, image)
    assert (now["HostResource"], now["Access"], now["CachingMode"]) == ([second], 1, 3)
    problem(service.change(IMAGE, what["InstanceID"], HostResource=[iso + "x"]), 400, field="HostResource")
    problem(service.change(IMAGE, what["InstanceID"], Parent=controller), 501, field="Parent")
    problem(service.change(RESOURCE, what["InstanceID"], AddressOnParent="5"), 404, field="ResourceSettings")
    where = properties_of(service, drive)["InstanceID"]
    problem(service.change(RESOURCE, where, AddressOnParent="5"), 501, field="AddressOnParent")
    # All or nothing: the second change is bad.
    answer = service.call(SERVICE + "ModifyResourceSettings", {"ResourceSettings": [
        {"class": IMAGE, "properties": {"InstanceID": what["InstanceID"], "HostResource": [first]}},
        {"class": "Msvm_ProcessorSettingData",
         "properties": {"InstanceID": "Microsoft:%s\\Processor" % vm, "VirtualQuantity": "65"}}]})
    problem(answer, 400, field="VirtualQuantity")
    assert properties_of(service, image)["HostResource"] == [second]

    problem(service.remove(image, image + "x"), 404)
    assert service.remove(drive, image).status_code == 200
    problem(service.request("GET", image), 404)
    assert [i["properties"]["ResourceType"] for i in service.instances(RESOURCE)] == [6]
    drive, image = service.added(vm, *disk(controller, first))
    assert service.remove(image).status_code == 200
    assert properties_of(service, drive)["InstanceID"] == where
    problem(service.remove("/api/v2/classes/Msvm_ShutdownComponentSettingData/instances/"
                           "Microsoft:%s%%5C9F8233AC-BE49-4C79-8EE3-E7E1985B2077" % vm), 501)


def test_the_worker_gets_what_is_configured(service):
    vm = service.define(InitialRamdiskPath=service.initrd)
    writable, fixed = service.image("w.img", "WRITABLE"), service.image("r.img", "FIXED")
    iso = service.image("b.iso", "MEDIUM")
    one, two = service.added(vm, setting(CONTROLLER), setting(CONTROLLER))
    service.added(vm, *disk(one, writable, AddressOnParent="5"))
    service.added(vm, *disk(one, fixed, Access=1, CachingMode=3))
    service.added(vm, setting(DVD, Parent=two), setting(DISK, Parent=two))
    service.added(vm, *disk(two, iso, DVD, AddressOnParent="63"))
    service.start_vm(vm)
    told, heads = devices(service, vm)

    controllers = of_type(told, "scsi")
    assert [c["instance"] for c in controllers] == [
        properties_of(service, c)["VirtualSystemIdentifiers"][0] for c in (one, two)]
    luns = [[(l["lun"], l["kind"], heads.get(l["fd"]), l["read_only"], l["direct"]) for l in c["luns"]]
            for c in controllers]
    assert luns == [[(0, "disk", "FIXED", True, True), (5, "disk", "WRITABLE", False, False)],
                    [(0, "dvd", None, True, False), (63, "dvd", "MEDIUM", True, False)]]
    assert controllers[1]["luns"][0]["fd"] == -1
    for kind in ("keyboard", *COMPONENTS):
        assert len(of_type(told, kind)) == 1, kind

    # What the worker writes is in the file; identifiers stay the same over restarts of machine and service.
    service.type_line(vm, "write %d NEW TEXT" % controllers[0]["luns"][1]["fd"]).close()
    wait_until(lambda: b"<written>" in service.console_log(vm), "the worker writes")
    with open(writable, "rb") as image:
        assert image.read(8) == b"NEW TEXT"
    service.request_state(vm, 3)
    service.stop()
    service.start()
    service.start_vm(vm)
    assert devices(service, vm)[0] == told


def test_as_many_disks_as_there_may_be(service):
    vm = service.define()
    paths = [service.image("%03d.img" % i, "DISK %03d" % i, 4096) for i in range(256)]
    for c in service.added(vm, *[setting(CONTROLLER)] * 4):
        drives = [setting(DISK, InstanceID="d%d" % i, Parent=c) for i in range(64)]
        images = [setting(DISK_IMAGE, Parent="d%d" % i, HostResource=[paths.pop(0)]) for i in range(64)]
        service.added(vm, *drives, *images)
    service.start_vm(vm)
    told, heads = devices(service, vm)
    luns = [(heads[l["fd"]], l["lun"]) for c in of_type(told, "scsi") for l in c["luns"]]
    assert luns == [("DISK %03d" % i, i % 64) for i in range(256)]


def test_another_image_is_another_disk(service):
    vm = service.define()
    first, second, iso = service.image("1.img"), service.image("2.img"), service.image("b.iso")
    controller, = service.added(vm, setting(CONTROLLER))
    _, image = service.added(vm, *disk(controller, first))
    _, medium = service.added(vm, *disk(controller, iso, DVD))

    def ids():
        service.start_vm(vm)
        told, _ = devices(service, vm)
        service.request_state(vm, 3)
        return [l["id"] for l in of_type(told, "scsi")[0]["luns"]]
    before = ids()
    for which, path in ((image, second), (medium, service.image("c.iso"))):
        answer = service.change(IMAGE, properties_of(service, which)["InstanceID"], HostResource=[path])
        assert answer.status_code == 200, answer.text
    after = ids()
    assert before[0] != after[0] and before[1] == after[1]


def test_a_running_machine_keeps_what_cannot_change(service):
    """Its storage can (test_hot_plug.py); the rest cannot, alone or together with storage."""
    vm = service.define()
    controller, = service.added(vm, setting(CONTROLLER))
    service.start_vm(vm)
    kernel = {"class": "Undercroft_LinuxKernelDirectSettingData", "properties": {"KernelPath": service.kernel}}
    for answer in (service.add(vm, kernel), service.add(vm, setting(DISK, Parent=controller), kernel),
                   service.change("Msvm_ProcessorSettingData", "Microsoft:%s\\Processor" % vm, VirtualQuantity="2")):
        document = problem(answer, 409, currentState=2, returnValue=32775)
        assert document["availableStates"]
    assert len(service.instances(RESOURCE)) == 1


def test_a_disk_is_written_by_one(service):
    one, two, three = service.define("one"), service.define("two"), service.define("three")
    path, iso = service.image("shared.img"), service.image("shared.iso")
    os.link(path, service.disks + "/alias.img")
    for vm, image, access in ((one, path, 3), (two, path, 3), (three, service.disks + "/alias.img", 1)):
        controller, = service.added(vm, setting(CONTROLLER))
        service.added(vm, *disk(controller, image, Access=access))
        service.added(vm, *disk(controller, iso, DVD))
    pid = service.start_vm(one)["ProcessID"]
    job = service.request_state(two, 2)
    assert job["JobState"] == 10 and job["ErrorDescription"].endswith('is in use by the virtual machine "one"'), job
    job = service.request_state(three, 2)
    assert job["JobState"] == 10 and "is in use by a program that writes to it" in job["ErrorDescription"], job
    # The worker holds it, not the service.
    service.kill()
    service.start()
    assert service.vm(one)["ProcessID"] == pid
    assert service.request_state(two, 2)["JobState"] == 10
    service.request_state(one, 3)
    service.start_vm(three)
    assert "in use" in service.request_state(two, 2)["ErrorDescription"]
    service.request_state(three, 3)
    service.start_vm(two)


def test_a_disk_that_others_hold(service):
    vm = service.define()
    path = service.image("a.img")
    controller, = service.added(vm, setting(CONTROLLER))
    service.added(vm, *disk(controller, path))
    hold = "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(1,flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        assert "in use by a program" in service.request_state(vm, 2)["ErrorDescription"]
    finally:
        holder.communicate(b"\n")
    service.start_vm(vm)


@pytest.fixture
def loop_device(service):
    """A block device of 1 MiB below the allowed directory."""
    made = subprocess.run(["losetup", "--find", "--show", service.image("back.img", "DEVICE")], capture_output=True, text=True)
    if made.returncode:
        pytest.skip("no loop device: " + made.stderr.strip())
    device = made.stdout.strip()
    node = service.disks + "/device"
    os.mknod(node, 0o600 | stat.S_IFBLK, os.stat(device).st_rdev)
    yield node
    subprocess.run(["losetup", "--detach", device], check=False)


def test_a_block_device_is_a_disk(service, loop_device):
    one, two = service.define("one"), service.define("two")
    for vm in (one, two):
        controller, = service.added(vm, setting(CONTROLLER))
        service.added(vm, *disk(controller, loop_device))
    service.start_vm(one)
    told, heads = devices(service, one)
    assert heads == {of_type(told, "scsi")[0]["luns"][0]["fd"]: "DEVICE"}
    job = service.request_state(two, 2)
    assert job["JobState"] == 10 and job["ErrorDescription"].endswith('is in use by the virtual machine "one"'), job
    service.request_state(one, 3)
    service.start_vm(two)


@pytest.mark.parametrize("spoil, text", [
    (os.unlink, "there is no such file"),
    (lambda path: os.truncate(path, 1000), "no multiple of 512"),
    (lambda path: (os.unlink(path), os.mkdir(path)), "it is a directory"),
    (lambda path: (os.unlink(path), os.symlink("/etc/passwd", path)), "symbolic link"),
])
def test_images_are_looked_at_again_at_the_start(service, spoil, text):
    vm = service.define()
    path = service.image("a.img")
    controller, = service.added(vm, setting(CONTROLLER))
    service.added(vm, *disk(controller, path))
    spoil(path)
    job = service.request_state(vm, 2)
    assert job["JobState"] == 10 and path in job["ErrorDescription"] and text in job["ErrorDescription"], job
    assert service.worker_pids() == [] and service.vm(vm)["EnabledState"] == 3


def test_other_formats_are_refused_at_the_start_too(service):
    vm = service.define()
    controller, = service.added(vm, setting(CONTROLLER))
    service.added(vm, *disk(controller, service.image("a.img")))
    path = service.image("a.VMDK")
    service.stop()
    with sqlite3.connect(service.root + "/state/vmms.db") as db:
        db.execute("UPDATE scsi_drive SET path = ?", (path,))
    service.start()
    assert "format is not supported" in service.request_state(vm, 2)["ErrorDescription"]


def test_integration_components_are_switched(service):
    vm = service.define()
    for kind, name in COMPONENTS.items():
        class_name = "Msvm_%sComponentSettingData" % name
        component, = service.instances(class_name)
        instance_id = component["properties"]["InstanceID"]
        assert component["properties"]["EnabledState"] == 2 and instance_id.startswith("Microsoft:%s\\" % vm)
        problem(service.change(class_name, instance_id, EnabledState=1), 400, field="EnabledState")
        assert service.change(class_name, instance_id, EnabledState=3).status_code == 200
        assert properties_of(service, component["self"])["EnabledState"] == 3
        service.start_vm(vm)
        told, _ = devices(service, vm)
        assert {d["type"] for d in told} == {"com", "keyboard", "hvsock", *COMPONENTS} - {kind}
        problem(service.change(class_name, instance_id, EnabledState=2), 409, currentState=2)
        service.request_state(vm, 3)
        assert service.change(class_name, instance_id, EnabledState=2).status_code == 200
    problem(service.change("Msvm_HeartbeatComponentSettingData", instance_id, EnabledState=2), 404)


def test_instances_are_where_guests_look_for_them(service):
    one, two = service.define("one"), service.define("two")
    told = []
    for vm in (one, two):
        service.start_vm(vm)
        told.append({d["type"]: d.get("instance") for d in devices(service, vm)[0]})
    assert told[0] == told[1] == {
        "com": None, "keyboard": "D34B2567-B9B6-42B9-8778-0A4EC0B955BF",
        "heartbeat": "FD149E91-82E0-4A7D-AFA6-2A4166CBD7C0", "shutdown": "B6650FF7-33BC-4840-8048-E0676786F393",
        "timesync": "2DD1CE17-079E-403C-B352-A1921EE207EE", "kvp": "242FF919-07DB-4180-9C2E-B86CB68C8C55",
        "vss": "2450EE40-33BF-4FBD-892E-9FB06E9214CF", "hvsock": "A5201C21-2770-4C11-A68E-F182EDB29220"}


def test_an_old_store_gains_the_new_tables(service):
    """Machines of the first schema have all components and no storage."""
    vm = service.define()
    service.stop()
    with sqlite3.connect(service.root + "/state/vmms.db") as db:
        for table in ("scsi_drive", "scsi_controller", "vm_integration", "vm_kvp", "nic_acl", "nic",
                      "ethernet_switch"):
            db.execute("DROP TABLE " + table)
        for column in ("dynamic", "minimum_mib", "maximum_mib", "buffer_percent", "weight"):
            db.execute("ALTER TABLE vm_memory DROP COLUMN " + column)
        db.execute("PRAGMA user_version = 1")
    service.start()
    assert service.vm(vm)["ElementName"] == "vm"
    assert [i["properties"]["EnabledState"] for i in service.instances("Msvm_KvpExchangeComponentSettingData")] == [2]
    service.added(vm, setting(CONTROLLER))
    service.start_vm(vm)


# -- the stand-in worker itself: what it would not take

def refused(device_list):
    script = "import sys; sys.path.insert(0, %r); import scripted_worker as w; w.check_devices(%r)" % (HERE, device_list)
    done = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True, timeout=20)
    return done.returncode != 0


def test_the_stand_in_knows_the_contract():
    guid, other = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
    lun = {"lun": 0, "kind": "dvd", "fd": -1, "format": "raw", "id": guid}

    def scsi(*luns):
        return {"type": "scsi", "instance": other, "luns": list(luns)}
    assert not refused([{"type": "com", "port": 1}, scsi(lun), {"type": "kvp", "instance": guid.replace("1", "3")}])
    for wrong in ([scsi({**lun, "lun": 64})], [scsi({**lun, "kind": "disk"})], [scsi({**lun, "x": 1})],
                  [scsi(lun, lun)], [scsi({**lun, "id": "x"})], [{"type": "mouse", "instance": guid}],
                  [{"type": "kvp", "instance": guid}] * 2, [{"type": "com", "port": 1}] * 2,
                  [scsi({**lun, "id": other})], [{**scsi(), "instance": "00000000-0000-4000-8000-00000000000%d" % i}
                                                 for i in range(5)]):
        assert refused(wrong), wrong
