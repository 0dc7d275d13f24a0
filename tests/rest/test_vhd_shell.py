# SPDX-License-Identifier: Apache-2.0
"""hvsh: virtual hard disk files, and drives of machines that run."""
import json
import os

from test_hot_plug import luns
from test_shell import rows


def objects(service, *words):
    return [json.loads(line) for line in service.hvsh("-Json", *words, check=0).stdout.splitlines()]


def test_virtual_hard_disks(service):
    base, child, fixed = (service.disks + "/" + name for name in ("base.vhdx", "child.vhdx", "fixed.vhd"))
    new, = objects(service, "New-VHD", "-Path", base, "-SizeBytes", "10GB", "-Dynamic", "-BlockSizeBytes", "1MB",
                   "-LogicalSectorSizeBytes", "4096")
    assert {n: new[n] for n in ("Path", "VhdFormat", "VhdType", "Size", "BlockSize", "LogicalSectorSize", "ParentPath",
                                "Attached")} == {
        "Path": base, "VhdFormat": "VHDX", "VhdType": "Dynamic", "Size": 10 << 30, "BlockSize": 1 << 20,
        "LogicalSectorSize": 4096, "ParentPath": "", "Attached": False}
    assert objects(service, "New-VHD", base.replace("base", "b2"), "1GB", "-Fixed")[0]["VhdType"] == "Fixed"
    below, = objects(service, "New-VHD", child, "-ParentPath", base)
    assert below["VhdType"] == "Differencing" and below["ParentPath"] == base and below["Size"] == 10 << 30
    assert service.hvsh("Resize-VHD", base, "20GB", check=0).stdout == ""
    assert objects(service, "Resize-VHD", base, "30GB", "-Passthru")[0]["Size"] == 30 << 30
    assert service.hvsh("Convert-VHD", child, fixed, "-VHDType", "fixed", check=0).stdout == ""
    both = objects(service, "Get-VHD", child + "," + fixed)
    assert [(v["VhdFormat"], v["VhdType"]) for v in both] == [("VHDX", "Differencing"), ("VHD", "Fixed")]
    assert rows(service.hvsh("Test-VHD", base, check=0).stdout) == [{"Path": base, "Result": "True"}]
    assert objects(service, "Merge-VHD", child, base, "-Passthru")[0]["Path"] == base
    assert not os.path.exists(child)
    bad = service.hvsh("Test-VHD", service.vhd("bad.vhdx", bad=True), check=1)
    assert "block 7" in bad.stderr and rows(bad.stdout)[0]["Result"] == "False"
    for words, text in ((("New-VHD", "/etc/x.vhdx", "1GB"), "disk-directories"),
                        (("New-VHD", service.disks + "/x.vhdx"), "-SizeBytes"),
                        (("New-VHD", service.disks + "/x.vhdx", "1GB", "-Fixed", "-Dynamic"), "exclude"),
                        (("New-VHD", service.disks + "/x.vhdx", "1GB", "-Differencing"), "-ParentPath"),
                        (("New-VHD", base, "1GB"), "already"),
                        (("Convert-VHD", base, fixed + ".vhd", "-VHDType", "x"), "none of Fixed"),
                        (("Get-VHD", service.disks + "/gone.vhdx"), "no such file"),
                        (("Get-VHD",), "-Path is missing"), (("Resize-VHD", base), "-SizeBytes is missing"),
                        (("-c", "Get-VMHost | Get-VHD"), "has no path")):
        assert text in service.hvsh(*words, check=1).stderr, words


def test_a_machine_with_a_new_disk(service):
    path = service.disks + "/web.vhdx"
    service.hvsh("New-VM", "web", "-KernelPath", service.kernel, "-NewVHDPath", path, "-NewVHDSizeBytes", "40GB", check=0)
    assert service.read_vhd(path)["virtual_bytes"] == 40 << 30
    service.hvsh("Start-VM", "web", check=0)
    vhd, = objects(service, "-c", "Get-VM web | Get-VMHardDiskDrive | Get-VHD")
    assert vhd["Path"] == path and vhd["Attached"] is True
    assert "go together" in service.hvsh("New-VM", "x", "-NewVHDPath", path, check=1).stderr
    assert "already" in service.hvsh("New-VM", "x", "-NewVHDPath", path, "-NewVHDSizeBytes", "1GB", check=1).stderr
    assert len(service.vms()) == 1


def test_drives_of_a_running_machine(service):
    service.hvsh("New-VM", "a", "-KernelPath", service.kernel, check=0)
    service.hvsh("Start-VM", "a", check=0)
    vm = service.vms()[0]["Name"]
    path, iso = service.image("a.img", "DISK"), service.image("b.iso", "MEDIUM")
    added = service.hvsh("Add-VMHardDiskDrive", "a", "-Path", path, "-Passthru", check=0)
    assert rows(added.stdout)[0]["Path"] == path
    assert luns(service, vm) == [[(0, "disk", "DISK")]]
    new = service.disks + "/new.vhdx"
    service.hvsh("-c", "New-VHD %s 1GB | Add-VMHardDiskDrive -VMName a" % new, check=0)
    assert [d["Path"] for d in objects(service, "Get-VMHardDiskDrive", "a")] == [path, new]
    assert rows(service.hvsh("Add-VMScsiController", "a", "-Passthru", check=0).stdout)[0]["ControllerNumber"] == "1"
    service.hvsh("Add-VMDvdDrive", "a", "-ControllerNumber", "1", check=0)
    service.hvsh("Set-VMDvdDrive", "a", "-Path", iso, check=0)
    assert luns(service, vm)[1] == [(0, "dvd", "MEDIUM")]
    service.hvsh("Set-VMDvdDrive", "a", "-Path", "", check=0)
    assert luns(service, vm)[1] == [(0, "dvd", None)]
    service.hvsh("Remove-VMHardDiskDrive", "a", "SCSI", "0", "0", check=0)
    service.hvsh("Remove-VMScsiController", "a", "1", check=0)
    assert [len(c) for c in luns(service, vm)] == [1] and os.path.exists(path)
