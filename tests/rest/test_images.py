# SPDX-License-Identifier: Apache-2.0
"""Virtual hard disk files: as drives, and through Msvm_ImageManagementService, with a scripted vhdtool."""
import os
import subprocess
import time

import pytest

from conftest import VMMS, wait_until
from test_devices import CONTROLLER, DISK, DISK_IMAGE, DVD, devices, disk, of_type, setting
from test_resources import problem

IMAGES = "classes/Msvm_ImageManagementService/instances/vhdsvc/methods/"
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4


def with_disk(service, path, **properties):
    vm = service.define()
    controller, = service.added(vm, setting(CONTROLLER))
    service.added(vm, *disk(controller, path, **properties))
    return vm


def lun_of(service, vm):
    service.start_vm(vm)
    told, heads = devices(service, vm)
    return of_type(told, "scsi")[0]["luns"][0], heads


def failed_start(service, vm):
    job = service.request_state(vm, 2)
    assert job["JobState"] == 10 and service.vm(vm)["EnabledState"] == 3, job
    return job["ErrorDescription"]


def ask(service, method, **arguments):
    return service.call(IMAGES + method, arguments)


def done(service, method, **arguments):
    """Asks, and waits for the job's end; its properties."""
    answer = ask(service, method, **arguments)
    assert answer.status_code == 202, answer.text
    assert "/classes/Msvm_StorageJob/instances/" in answer.json()["Job"]
    return service.wait_job(answer.headers["Location"])


def data(**properties):
    return {"class": "Msvm_VirtualHardDiskSettingData", "properties": properties}


def looked(service, path):
    answer = ask(service, "GetVirtualHardDiskSettingData", Path=path)
    assert answer.status_code == 200, answer.text
    return answer.json()["SettingData"]["properties"]


def test_the_format_goes_by_the_name(service):
    for name, made in (("a.vhdx", "vhdx"), ("a.VHD", "vhd"), ("a.avhdx", "vhdx")):
        lun, _ = lun_of(service, with_disk(service, service.vhd(name)))
        assert (lun["format"], lun.get("parents", []), lun["read_only"]) == (made, [], False)
    # What a guest writes at the beginning of a raw disk does not make it another kind of disk.
    path = service.vhd("b.vhdx", parent_paths=["/etc/passwd"])
    os.rename(path, service.disks + "/b.img")
    lun, heads = lun_of(service, with_disk(service, service.disks + "/b.img"))
    assert lun["format"] == "raw" and heads[lun["fd"]].startswith("SCRIPTED")


def test_a_chain_of_parents(service):
    os.mkdir(service.disks + "/bases")
    base = service.vhd("bases/base.vhdx")
    middle = service.vhd("bases/middle.vhdx", parent=base, parent_paths=["/nowhere/base.vhdx", ".\\base.vhdx"])
    # The relative path leads nowhere: the absolute one does.
    leaf = service.vhd("leaf.vhdx", parent=middle, parent_paths=[middle, "C:\\x\\middle.vhdx", "../middle.vhdx"])
    vm, other = with_disk(service, leaf), with_disk(service, service.vhd("second.vhdx", parent=middle,
                                                                        parent_paths=["bases/./middle.vhdx"]))
    lun, heads = lun_of(service, vm)
    assert [p["format"] for p in lun["parents"]] == ["vhdx", "vhdx"]
    assert len({lun["fd"], *(p["fd"] for p in lun["parents"])}) == 3
    # Parents are shared by those who read them, and held against those who would write.
    service.start_vm(other)
    writer = with_disk(service, base)
    assert "is in use" in failed_start(service, writer)
    for one in (vm, other):
        service.request_state(one, 3)
    service.start_vm(writer)
    text = failed_start(service, vm)
    assert base in text and "in use" in text


@pytest.mark.parametrize("name, members, text", [
    ("x.vhdx", {"format": "vhd"}, "the file is vhd, which its name does not say"),
    ("x.vhd", {"format": "raw"}, "the file is raw"),
    ("x.vhdx", {"crash": True}, "vhdtool was ended by signal 9"),
    ("x.vhdx", {"noise": True}, "it printed too much"),
    ("x.vhdx", {"print": ""}, "vhdtool does not say what it is"),
    ("x.vhdx", {"print": "[]"}, "vhdtool does not say what it is"),
    ("x.vhdx", {"virtual_bytes": -1}, "vhdtool does not say what it is"),
    ("x.vhdx", {"type": "differencing"}, "vhdtool does not say what it is"),
    ("x.vhdx", {"parent_paths": ["/etc/passwd"]}, "its parent /etc/passwd is no virtual hard disk file"),
    ("x.vhdx", {"parent_paths": ["/etc/x.vhdx"]}, "is not below an allowed directory"),
    ("x.vhdx", {"parent_paths": ["../../../../../../../../x.vhdx"]}, "cannot be a file of this host"),
    ("x.vhdx", {"parent_paths": ["C:\\base.vhdx"]}, "cannot be a file of this host"),
    ("x.vhdx", {"parent_paths": ["\\\\server\\base.vhdx"]}, "cannot be a file of this host"),
    ("x.vhdx", {"parent_paths": ["gone.vhdx"]}, "gone.vhdx: there is no such file"),
    ("x.vhdx", {"parent_paths": ["x.vhdx"]}, "the chain of its parents leads back to it"),
    ("x.vhdx", {"parent_paths": ["\u0007"]}, "it does not say where its parent is"),
])
def test_files_that_are_no_disk(service, name, members, text):
    path = service.vhd(name, **members)
    vm = service.define()
    controller, = service.added(vm, setting(CONTROLLER))
    document = problem(service.add(vm, *disk(controller, path)), 400, field="HostResource")
    assert path in document["detail"] and text in document["detail"]
    # And at the start, when the file was a good one before.
    good = service.vhd("good.vhdx" if name.endswith("x") else "good.vhd")
    service.added(vm, *disk(controller, good))
    os.rename(path, good)
    if "leads back" not in text:
        assert text in failed_start(service, vm)


def test_a_tool_that_hangs_holds_nobody(service):
    path = service.vhd("slow.vhdx")
    vm = with_disk(service, path)
    service.vhd("slow.vhdx", hang=True)
    job = service.ask_state(vm, 2).headers["Location"]
    begin = time.monotonic()
    assert service.vm(vm)["EnabledState"] == 10 and time.monotonic() - begin < 5
    # The start is given up, and the machine is off at once.
    service.request_state(vm, 3)
    assert service.vm(vm)["EnabledState"] == 3 and service.wait_job(job)["JobState"] == 8
    begin = time.monotonic()
    service.stop()
    assert time.monotonic() - begin < 5
    service.start()
    assert "it took too long" in failed_start(service, vm)


def test_loops_wrong_parents_and_long_chains(service):
    first = service.vhd("0.vhdx")
    one = service.vhd("one.vhdx", parent_paths=["two.vhdx"], id="00000000-0000-4000-8000-000000000001")
    two = service.vhd("two.vhdx", parent=one)
    service.vhd("one.vhdx", parent=two, id="00000000-0000-4000-8000-000000000001")
    child = service.vhd("child.vhdx", parent=first)
    service.vhd("0.vhdx")
    for i in range(1, 67):
        service.vhd("%d.vhdx" % i, parent=service.disks + "/%d.vhdx" % (i - 1))
    for path, text in ((one, "leads back to it"), (child, "is not the parent that"),
                       (service.disks + "/66.vhdx", "more than 64 parents")):
        answer = ask(service, "GetVirtualHardDiskSettingData", Path=path)
        assert text in problem(answer, 500)["detail"]
    lun, _ = lun_of(service, with_disk(service, service.disks + "/64.vhdx"))
    assert len(lun["parents"]) == 64


def test_create_look_and_resize(service):
    path = service.disks + "/new.vhdx"
    job = done(service, "CreateVirtualHardDisk", VirtualDiskSettingData=data(
        Path=path, Type=DYNAMIC, Format=3, MaxInternalSize=str(10 << 30), BlockSize=1 << 20, LogicalSectorSize=4096))
    assert job["JobState"] == 7 and job["JobType"] == 1 and job["Name"] == "Creating Virtual Hard Disk", job
    what = looked(service, path)
    assert {n: what[n] for n in ("Path", "Type", "Format", "MaxInternalSize", "BlockSize", "LogicalSectorSize",
                                 "PhysicalSectorSize", "ParentPath", "ParentIdentifier")} == {
        "Path": path, "Type": 3, "Format": 3, "MaxInternalSize": str(10 << 30), "BlockSize": 1 << 20,
        "LogicalSectorSize": 4096, "PhysicalSectorSize": 4096, "ParentPath": None, "ParentIdentifier": None}
    child = service.disks + "/child.vhdx"
    assert done(service, "CreateVirtualHardDisk", VirtualDiskSettingData=data(
        Path=child, Type=DIFFERENCING, ParentPath=path))["JobState"] == 7
    below = looked(service, child)
    assert (below["ParentPath"], below["ParentIdentifier"], below["MaxInternalSize"]) == (
        path, what["VirtualDiskId"], str(10 << 30))
    raw = service.disks + "/new.img"
    assert done(service, "CreateVirtualHardDisk", VirtualDiskSettingData=data(
        Path=raw, Type=FIXED, MaxInternalSize=1 << 20))["JobState"] == 7
    assert os.path.getsize(raw) == 1 << 20 and looked(service, raw)["Format"] is None
    job = done(service, "ResizeVirtualHardDisk", Path=path, MaxInternalSize=str(20 << 30))
    assert job["JobState"] == 7 and job["JobType"] == 4
    assert looked(service, path)["MaxInternalSize"] == str(20 << 30)
    assert done(service, "ValidateVirtualHardDisk", Path=child)["JobState"] == 7
    state = ask(service, "GetVirtualHardDiskState", Path=path).json()["State"]["properties"]
    assert state["FileSize"] == "65536" and state["InUse"] is False and state["Alignment"] == 1
    service.start_vm(with_disk(service, child))
    for used in (path, child):
        assert ask(service, "GetVirtualHardDiskState", Path=used).json()["State"]["properties"]["InUse"] is True
    job = done(service, "ResizeVirtualHardDisk", Path=path, MaxInternalSize=str(30 << 30))
    assert job["JobState"] == 10 and job["ErrorCode"] == 32774 and "in use" in job["ErrorDescription"]
    assert len(service.instances("Msvm_StorageJob")) == 6
    assert {i["class"] for i in service.instances("CIM_ConcreteJob")} == {"Msvm_StorageJob", "Msvm_ConcreteJob"}


def test_a_raw_disk_that_is_only_read_grows_below(service):
    path = service.image("grows.img")
    vm = with_disk(service, path, Access=1)
    service.start_vm(vm)
    assert done(service, "ResizeVirtualHardDisk", Path=path, MaxInternalSize=2 << 20)["JobState"] == 7
    wait_until(lambda: b"<size 2097152>" in service.console_log(vm), "the worker looks at the size")
    job = done(service, "ResizeVirtualHardDisk", Path=path, MaxInternalSize=1 << 20)
    assert job["JobState"] == 10 and "not shrink below" in job["ErrorDescription"]
    assert os.path.getsize(path) == 2 << 20


def test_a_running_machine_resizes_its_disks_itself(service):
    raw, vhdx, vhd = service.image("used.img"), service.vhd("used.vhdx"), service.vhd("used.vhd")
    for path in (raw, vhdx):
        service.start_vm(with_disk(service, path))
        job = done(service, "ResizeVirtualHardDisk", Path=path, MaxInternalSize=str(2 << 30))
        assert job["JobState"] == 7 and job["JobType"] == 4, job
        assert looked(service, path)["MaxInternalSize"] == str(2 << 30)
        job = done(service, "ResizeVirtualHardDisk", Path=path, MaxInternalSize=1 << 20)
        assert job["JobState"] == 10 and job["ErrorDescription"] == (
            path + ": it is not made smaller while it is in use (unsupported)"), job
        assert looked(service, path)["MaxInternalSize"] == str(2 << 30)
    service.start_vm(with_disk(service, vhd))
    job = done(service, "ResizeVirtualHardDisk", Path=vhd, MaxInternalSize=str(2 << 30))
    assert job["JobState"] == 10 and "keeps its size while it is in use" in job["ErrorDescription"], job
    for bytes_, text in ((0, "multiple of 512"), ((1 << 30) + 1, "multiple of 512"), ((64 << 40) + 512, "up to 64 TB")):
        answer = ask(service, "ResizeVirtualHardDisk", Path=vhdx, MaxInternalSize=str(bytes_))
        assert text in problem(answer, 400)["detail"]


def test_resizes_end_as_the_worker_says(service):
    path = service.vhd("told.vhdx")
    vm = with_disk(service, path)
    service.start_vm(vm)

    def resized(answer, bytes_=2 << 30):
        service.guest_answers(vm, "scsi.resize", answer)
        return done(service, "ResizeVirtualHardDisk", Path=path, MaxInternalSize=str(bytes_))

    assert resized({"events": [{}]})["JobState"] == 7
    assert resized({"events": [], "early": True})["JobState"] == 7
    # Of others, and of none.
    assert resized({"events": [{"lun": 5}, {"bytes": 512}, {"bytes": "x"}, {"error": "x"}]})["JobState"] == 10
    job = resized({"events": [{"error": "failed", "message": "No space left on device"}]})
    assert job["JobState"] == 10 and job["ErrorDescription"] == path + ": No space left on device (failed)", job
    job = resized({"error": "busy"})
    assert job["JobState"] == 10 and job["ErrorDescription"] == path + ": scripted (busy)", job
    # Two at once, and a machine that goes meanwhile.
    service.guest_answers(vm, "scsi.resize", {"events": []})
    jobs = [ask(service, "ResizeVirtualHardDisk", Path=path, MaxInternalSize=str(n << 30)).headers["Location"] for n in (3, 4)]
    service.request_state(vm, 3)
    for job in map(service.wait_job, jobs):
        assert job["JobState"] == 10 and "turned off" in job["ErrorDescription"], job
    job = done(service, "ResizeVirtualHardDisk", Path=path, MaxInternalSize=str(3 << 30))
    assert job["JobState"] == 7 and service.read_vhd(path)["virtual_bytes"] == 3 << 30, job


def test_convert(service):
    base = service.vhd("base.vhdx")
    child = service.vhd("child.vhdx", parent=base)
    for name, kind in (("flat.vhd", FIXED), ("other.vhdx", DYNAMIC), ("flat.raw", FIXED)):
        path = service.disks + "/" + name
        job = done(service, "ConvertVirtualHardDisk", SourcePath=child,
                   VirtualDiskSettingData=data(Path=path, Type=kind))
        assert job["JobState"] == 7 and job["JobType"] == 6, job
        assert looked(service, path)["MaxInternalSize"] == str(1 << 30) and looked(service, path)["Type"] == kind
    job = done(service, "ConvertVirtualHardDisk", SourcePath=child,
               VirtualDiskSettingData=data(Path=service.disks + "/other.vhdx", Type=DYNAMIC))
    assert job["JobState"] == 10 and "there is a file of this name already" in job["ErrorDescription"]


def test_merge(service):
    base = service.vhd("base.vhdx")
    middle = service.vhd("middle.vhdx", parent=base)
    child = service.vhd("child.vhdx", parent=middle)
    job = done(service, "MergeVirtualHardDisk", SourcePath=child, DestinationPath=base)
    assert job["JobState"] == 10 and f"{base} is not the parent of {child}" in job["ErrorDescription"]
    vm = with_disk(service, child)
    service.start_vm(vm)
    for source, destination in ((child, middle), (middle, base)):
        job = done(service, "MergeVirtualHardDisk", SourcePath=source, DestinationPath=destination)
        assert job["JobState"] == 10 and job["ErrorCode"] == 32774 and "in use" in job["ErrorDescription"], job
        assert os.path.exists(source) and "merged" not in service.read_vhd(destination)
    service.request_state(vm, 3)
    for source, destination in ((child, middle), (middle, base)):
        merged = service.read_vhd(source)["id"]
        job = done(service, "MergeVirtualHardDisk", SourcePath=source, DestinationPath=destination)
        assert job["JobState"] == 7 and job["JobType"] == 5 and job["Name"] == "Merging Virtual Hard Disk", job
        assert service.read_vhd(destination)["merged"] == merged and not os.path.exists(source)


def test_jobs_that_fail_leave_nothing(service):
    path = service.disks + "/no.vhdx"
    job = done(service, "CreateVirtualHardDisk",
               VirtualDiskSettingData=data(Path=path, Type=DYNAMIC, MaxInternalSize=str(64 << 40)))
    assert job["JobState"] == 7
    os.unlink(path)
    parent = service.vhd("parent.vhdx", virtual_bytes=1 << 47)
    job = done(service, "CreateVirtualHardDisk",
               VirtualDiskSettingData=data(Path=path, Type=DIFFERENCING, ParentPath=parent))
    assert job["JobState"] == 10 and job["ErrorDescription"] == path + ": the size is too large", job
    error = service.call(service.instances("Msvm_StorageJob")[-1]["self"] + "/methods/GetErrorEx").json()
    assert error["returnValue"] == 0
    assert not os.path.exists(path)
    for wrong, text in ((service.disks + "/missing/no.vhdx", "there is no such directory"),
                        (service.vhd("taken.vhdx"), "already")):
        job = done(service, "CreateVirtualHardDisk",
                   VirtualDiskSettingData=data(Path=wrong, Type=DYNAMIC, MaxInternalSize=1 << 30))
        assert job["JobState"] == 10 and text in job["ErrorDescription"], job
    assert service.read_vhd(service.disks + "/taken.vhdx")["type"] == "dynamic"
    job = done(service, "ValidateVirtualHardDisk", Path=service.vhd("bad.vhdx", bad=True))
    assert job["JobState"] == 10 and "block 7 is allocated twice" in job["ErrorDescription"]
    job = done(service, "ValidateVirtualHardDisk", Path=service.vhd("loop.vhdx", parent_paths=["loop.vhdx"]))
    assert job["JobState"] == 10 and "leads back" in job["ErrorDescription"]


def test_work_is_cut_off_with_the_service(service):
    """The program ends with the service; after the restart the job says what happened, and no half file stays."""
    parent = service.vhd("parent.vhdx")
    path = service.disks + "/child.vhdx"
    source = service.image("source.img")
    service.vhd("parent.vhdx", id=service.read_vhd(parent)["id"], hang=True)
    job = ask(service, "ValidateVirtualHardDisk", Path=parent).headers["Location"]
    service.stop()
    service.start()
    ended = service.get(job)["properties"]
    assert ended["JobState"] == 10 and "stops" in ended["ErrorDescription"], ended
    job = ask(service, "ValidateVirtualHardDisk", Path=parent).headers["Location"]
    service.kill()
    service.start()
    ended = service.get(job)["properties"]
    assert ended["JobState"] == 10 and "restarted" in ended["ErrorDescription"], ended
    assert not os.path.exists(path) and os.path.exists(source)
    tool = os.path.join(service.root, "vhdtool")
    wait_until(lambda: subprocess.run(["pgrep", "-f", tool], capture_output=True, check=False).returncode,
               "no vhdtool is left")


def test_what_is_refused_at_once(service):
    path, big = service.disks + "/x.vhdx", str(1 << 30)
    base = service.vhd("base.vhdx")

    def create(field, status=400, **properties):
        problem(ask(service, "CreateVirtualHardDisk", VirtualDiskSettingData=data(**properties)), status, field=field)
    create("Path", Type=3, MaxInternalSize=big)
    create("Path", Type=3, MaxInternalSize=big, Path="/etc/x.vhdx")
    create("Path", Type=3, MaxInternalSize=big, Path=service.disks + "/../x.vhdx")
    create("Path", Type=3, MaxInternalSize=big, Path=path, Format=2)
    create("Format", Type=3, MaxInternalSize=big, Path=path, Format=4)
    create("Type", MaxInternalSize=big, Path=path)
    create("Type", Type=3, MaxInternalSize=big, Path=service.disks + "/x.img")
    create("MaxInternalSize", Type=3, Path=path)
    create("MaxInternalSize", Type=3, Path=path, MaxInternalSize=1000)
    create("MaxInternalSize", Type=3, Path=path, MaxInternalSize=str((64 << 40) + 512))
    create("LogicalSectorSize", Type=3, Path=path, MaxInternalSize=big, LogicalSectorSize=1024)
    create("ParentPath", Type=4, Path=path)
    create("ParentPath", Type=4, Path=path, ParentPath="/etc/x.vhdx")
    create("ParentPath", Type=4, Path=service.disks + "/x.vhd", ParentPath=base)
    create("ParentPath", Type=3, Path=path, MaxInternalSize=big, ParentPath=base)
    create("VirtualDiskId", 501, Type=3, Path=path, MaxInternalSize=big, VirtualDiskId="x")
    problem(ask(service, "ConvertVirtualHardDisk", SourcePath=base, VirtualDiskSettingData=data(Type=4, Path=path)), 501,
            field="Type")
    problem(ask(service, "ConvertVirtualHardDisk", SourcePath="/etc/a.vhdx",
                VirtualDiskSettingData=data(Type=3, Path=path)), 400, field="SourcePath")
    for method in ("ResizeVirtualHardDisk", "ValidateVirtualHardDisk", "GetVirtualHardDiskState"):
        more = {"MaxInternalSize": big} if method.startswith("Resize") else {}
        problem(ask(service, method, Path="relative.vhdx", **more), 400, field="Path")
    assert os.listdir(service.disks) == ["base.vhdx"] and service.instances("Msvm_StorageJob") == []


def test_the_tool_of_the_configuration(service):
    run = subprocess.run([VMMS, "--config", service.config, "--vhdtool", "/nothere", "--check-config"],
                         capture_output=True, text=True, timeout=20, check=False)
    assert run.returncode == 1 and "vhdtool = /nothere" in run.stderr
    os.unlink(service.root + "/vhdtool")
    vm = service.define()
    controller, = service.added(vm, setting(CONTROLLER))
    answer = service.add(vm, *disk(controller, service.vhd("a.vhdx")))
    assert "vhdtool cannot be executed" in problem(answer, 400)["detail"]
    # Raw disks do without.
    service.added(vm, *disk(controller, service.image("a.img")))
    service.start_vm(vm)
