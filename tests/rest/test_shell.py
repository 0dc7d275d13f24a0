# SPDX-License-Identifier: Apache-2.0
"""hvsh against the real service."""
import json
import os
import subprocess

import pexpect

from conftest import HVSH, wait_until


def rows(text):
    """The cells of a table, by heading."""
    lines = [line for line in text.splitlines() if line]
    head, rule = lines[0], lines[1]
    starts = [i for i in range(len(rule)) if rule[i] == "-" and (i == 0 or rule[i - 1] == " ")]
    ends = starts[1:] + [None]
    cut = lambda line: [line[a:b].strip() for a, b in zip(starts, ends)]
    return [dict(zip(cut(head), cut(line))) for line in lines[2:]]


def test_a_machine_from_new_to_remove(service):
    new = service.hvsh("New-VM", "-Name", "web1", "-MemoryStartupBytes", "512MB", "-KernelPath", service.kernel,
                       "-CommandLine", "console=ttyS0 quiet", "-ProcessorCount", "2", check=0)
    assert rows(new.stdout) == [{"Name": "web1", "State": "Off", "CPUUsage(%)": "0", "MemoryAssigned(M)": "0",
                                 "Uptime": "00:00:00", "Status": "Operating normally", "Heartbeat": "",
                                 "IPAddresses": "{}", "Version": "1.0"}]
    assert service.hvsh("start-vm", "web1", check=0).stdout == ""
    got = rows(service.hvsh("Get-VM", check=0).stdout)[0]
    assert got["State"] == "Running" and got["MemoryAssigned(M)"] == "512"
    again = service.hvsh("Start-VM", "web1", check=1)
    assert again.stdout == "" and "already" in again.stderr
    assert "integration component" in service.hvsh("Stop-VM", "web1", check=1).stderr
    service.hvsh("Suspend-VM", "web1", check=0)
    assert rows(service.hvsh("Get-VM", "-Name", "WEB*", check=0).stdout)[0]["State"] == "Paused"
    service.hvsh("Resume-VM", "web1", check=0)
    assert "-Force" in service.hvsh("Restart-VM", "web1", check=1).stderr
    service.hvsh("Restart-VM", "web1", "-Force", check=0)
    assert "off" in service.hvsh("Remove-VM", "web1", "-Force", check=1).stderr
    passed = service.hvsh("Stop-VM", "web1", "-TurnOff", "-Passthru", check=0)
    assert rows(passed.stdout)[0]["State"] == "Off"
    service.hvsh("Remove-VM", "web1", "-Force", check=0)
    missing = service.hvsh("Get-VM", "web1", check=1)
    assert missing.stdout == "" and '"web1"' in missing.stderr
    assert service.hvsh("Get-VM", check=0).stdout == ""


def test_settings(service):
    service.hvsh("New-VM", "a", "-KernelPath", service.kernel, check=0)
    service.hvsh("Set-VMProcessor", "a", "-Count", "3", check=0)
    assert rows(service.hvsh("Get-VMProcessor", "a", check=0).stdout) == [{"VMName": "a", "Count": "3"}]
    service.hvsh("Set-VMMemory", "-VMName", "a", "-StartupBytes", "1GB", check=0)
    memory = json.loads(service.hvsh("Get-VMMemory", "a", "-Json", check=0).stdout)
    assert memory["Startup"] == 1 << 30 and memory["DynamicMemoryEnabled"] is False
    service.hvsh("Set-VM", "a", "-Notes", "n", "-ProcessorCount", "4", "-CommandLine", "x y", "-InitialRamdiskPath",
                 service.initrd, "-NewVMName", "b", check=0)
    vm = json.loads(service.hvsh("-Json", "Get-VM", "b", check=0).stdout)
    assert vm["ProcessorCount"] == 4 and vm["Notes"] == "n"
    direct = json.loads(service.hvsh("-Json", "Get-CimInstance", "Undercroft_LinuxKernelDirectSettingData",
                                     check=0).stdout)
    assert direct["CommandLine"] == "x y" and direct["InitialRamdiskPath"] == service.initrd
    service.hvsh("Rename-VM", "b", "c", check=0)
    assert "-Count" in service.hvsh("Set-VMProcessor", "c", "-Count", "many", check=1).stderr
    assert "1 to 64" in service.hvsh("Set-VMProcessor", "c", "-Count", "65", check=1).stderr
    bare = service.hvsh("New-VM", "bare", check=0)
    assert "bare" in bare.stdout
    service.hvsh("Set-VM", "bare", "-KernelPath", service.kernel, check=0)
    service.hvsh("Start-VM", "bare", check=0)


def test_pipeline(service):
    for name in ("a1", "a2", "b1"):
        service.hvsh("New-VM", name, "-KernelPath", service.kernel, check=0)
    service.hvsh("-c", "Get-VM a* | Start-VM", check=0)
    running = service.hvsh("-c", "Get-VM | Where State -eq Running | Format-Table Name, State".replace(", ", ","),
                           check=0)
    assert sorted(r["Name"] for r in rows(running.stdout)) == ["a1", "a2"]
    listed = service.hvsh("-c", "Get-VM b1 | Format-List Name,State", check=0).stdout
    assert listed == "\nName  : b1\nState : Off\n\n"
    service.hvsh("-c", "Get-VM | Where State -eq Running | Stop-VM -TurnOff; Get-VM | Remove-VM -Force", check=0)
    assert service.vms() == []


def test_errors_do_not_stop_the_others(service):
    for name in ("a", "b"):
        service.hvsh("New-VM", name, "-KernelPath", service.kernel, check=0)
    service.hvsh("Start-VM", "a", check=0)
    failed = service.hvsh("Start-VM", "a,nobody,b", check=1)
    assert len(failed.stderr.splitlines()) == 2
    assert {v["EnabledState"] for v in service.vms()} == {2}
    for line in ("Nope-VM", "Get-VM -Nope", "Start-VM", "Get-VM |", "| Get-VM", "Get-VM 'x", "Get-VM a b"):
        assert service.hvsh("-c", line, check=1).stderr.startswith("hvsh: "), line


def test_lines_come_from_standard_input(service):
    done = service.hvsh(stdin="New-VM x -KernelPath %s\n# a comment\nGet-VM nobody\nGet-VM x -Json\n" % service.kernel)
    assert done.returncode == 1 and json.loads(done.stdout.splitlines()[-1])["Name"] == "x"


def test_where_the_service_is(service):
    token = service.root + "/state/token"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("UNDERCROFT")}
    run = lambda *words: subprocess.run([HVSH, *words], env=clean, capture_output=True, text=True, timeout=60)
    for server in ("http://127.0.0.1:%d" % service.port, "http://127.0.0.1:%d/api/v2/" % service.port):
        assert run("-Server", server, "-TokenFile", token, "Get-VMHost").returncode == 0
    wrong = service.write("wrong", "x" * 64)
    failed = run("-Server", "http://127.0.0.1:%d" % service.port, "-TokenFile", wrong, "Get-VM")
    assert failed.returncode == 1 and "bearer token" in failed.stderr
    assert run("-Server", "http://127.0.0.1:1", "-TokenFile", token, "Get-VM").returncode == 1
    assert "nothere" in run("-TokenFile", "/nothere", "Get-VM").stderr


def test_console_without_a_terminal(service):
    service.hvsh("New-VM", "a", "-KernelPath", service.kernel, check=0)
    assert "is off" in service.hvsh("Connect-VM", "a", check=1).stderr
    service.hvsh("Start-VM", "a", check=0)
    done = service.hvsh("Connect-VM", "a", stdin="hello\npoweroff\n", check=0)
    assert "scripted kernel" in done.stdout and "hello" in done.stdout
    wait_until(lambda: rows(service.hvsh("Get-VM", check=0).stdout)[0]["State"] == "Off", "the end is seen")


def test_console_and_prompt_on_a_terminal(service):
    service.hvsh("New-VM", "a", "-KernelPath", service.kernel, check=0)
    service.hvsh("Start-VM", "a", check=0)
    environment = dict(os.environ, UNDERCROFT_API="http://127.0.0.1:%d" % service.port,
                       UNDERCROFT_TOKEN_FILE=service.root + "/state/token", TERM="dumb")
    shell = pexpect.spawn(HVSH, env=environment, timeout=20, encoding="utf-8")
    shell.expect("hvsh> ")
    shell.sendline("Connect-VM a")
    shell.expect("Ctrl-]")
    shell.expect("scripted kernel")
    shell.send("some text\r")
    shell.expect("some text")
    shell.send("\x1d")
    shell.expect("hvsh> ")
    shell.sendline("Stop-VM a -TurnOff")
    shell.expect("hvsh> ")
    shell.sendline("Remove-VM a")
    shell.expect("Remove \"a\"")
    shell.sendline("n")
    shell.expect("hvsh> ")
    shell.sendline("Get-VM")
    shell.expect("Off")
    shell.expect("hvsh> ")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
    assert [v["ElementName"] for v in service.vms()] == ["a"]


def test_drives(service):
    first, second, iso = service.image("1.img"), service.image("2.img"), service.image("b.iso")
    new = service.hvsh("New-VM", "a", "-KernelPath", service.kernel, "-VHDPath", first, check=0)
    assert rows(new.stdout)[0]["Name"] == "a"
    disk = {"VMName": "a", "ControllerType": "SCSI", "ControllerNumber": "0", "ControllerLocation": "0",
            "DiskNumber": "", "Path": first}
    assert rows(service.hvsh("Get-VMHardDiskDrive", "a", check=0).stdout) == [disk]
    assert service.hvsh("Add-VMHardDiskDrive", "a", "SCSI", "0", "9", second, "-ReadOnly", check=0).stdout == ""
    service.hvsh("Add-VMScsiController", "a", check=0)
    added = service.hvsh("Add-VMHardDiskDrive", "-VMName", "a", "-ControllerNumber", "1", "-Path", service.image("3.img"),
                         "-Passthru", check=0)
    assert rows(added.stdout)[0]["ControllerNumber"] == "1"
    found = [json.loads(l) for l in service.hvsh("-Json", "Get-VMHardDiskDrive", "a", check=0).stdout.splitlines()]
    assert [(d["ControllerNumber"], d["ControllerLocation"], d["ReadOnly"]) for d in found] == [
        (0, 0, False), (0, 9, True), (1, 0, False)]
    assert found[1]["Name"] == "Hard Drive on SCSI controller number 0 at location 9"
    assert len(rows(service.hvsh("Get-VMHardDiskDrive", "a", "-ControllerLocation", "9", check=0).stdout)) == 1
    controllers = rows(service.hvsh("Get-VMScsiController", "a", check=0).stdout)
    assert [c["ControllerNumber"] for c in controllers] == ["0", "1"]
    assert controllers[1]["Drives"] == "{Hard Drive on SCSI controller number 1 at location 0}"

    service.hvsh("Add-VMDvdDrive", "a", check=0)
    dvd = {"VMName": "a", "ControllerType": "SCSI", "ControllerNumber": "0", "ControllerLocation": "1",
           "DvdMediaType": "None", "Path": ""}
    assert rows(service.hvsh("Get-VMDvdDrive", "a", check=0).stdout) == [dvd]
    changed = service.hvsh("Set-VMDvdDrive", "a", "-Path", iso, "-Passthru", check=0)
    assert rows(changed.stdout) == [{**dvd, "DvdMediaType": "ISO", "Path": iso}]
    other = service.image("c.iso")
    service.hvsh("-c", "Get-VMDvdDrive a | Set-VMDvdDrive -Path " + other, check=0)
    assert rows(service.hvsh("Get-VMDvdDrive", "a", check=0).stdout)[0]["Path"] == other
    service.hvsh("Set-VMDvdDrive", "a", "0", "1", "", check=0)
    assert rows(service.hvsh("Get-VMDvdDrive", "a", check=0).stdout) == [dvd]
    service.hvsh("Add-VMDvdDrive", "a", "1", "5", iso, check=0)
    assert "several" in service.hvsh("Set-VMDvdDrive", "a", "-Path", iso, check=1).stderr

    service.hvsh("Remove-VMDvdDrive", "a", "1", "5", check=0)
    service.hvsh("Remove-VMHardDiskDrive", "a", "SCSI", "0", "9", check=0)
    service.hvsh("-c", "Get-VM a | Get-VMHardDiskDrive -ControllerNumber 1 | Remove-VMHardDiskDrive", check=0)
    assert rows(service.hvsh("Get-VMHardDiskDrive", "a", check=0).stdout) == [disk]
    service.hvsh("Remove-VMScsiController", "a", "1", check=0)
    assert len(rows(service.hvsh("Get-VMScsiController", "a", check=0).stdout)) == 1


def test_drives_that_cannot_be(service):
    path = service.image("a.img")
    service.hvsh("New-VM", "a", "-KernelPath", service.kernel, check=0)
    bare = service.define("bare")
    for words, text in ((("Add-VMHardDiskDrive", "bare", "-Path", path), "Add-VMScsiController"),
                        (("Add-VMHardDiskDrive", "a", "-ControllerNumber", "3"), "no SCSI controller number 3"),
                        (("Add-VMHardDiskDrive", "a", "-ControllerType", "IDE"), '"IDE" is not supported'),
                        (("Add-VMHardDiskDrive", "a", "-ControllerLocation", "64"), "from 0 to 63"),
                        (("Add-VMHardDiskDrive", "a", "-Path", path + "x"), "there is no such file"),
                        (("Remove-VMHardDiskDrive", "a", "SCSI", "0", "0"), "no such hard drive"),
                        (("Remove-VMHardDiskDrive", "a"), "-ControllerType"),
                        (("Set-VMDvdDrive", "a", "-Path", path), "no such DVD drive"),
                        (("Remove-VMScsiController", "a", "2"), "no SCSI controller number 2"),
                        (("New-VM", "b", "-VHDPath", "/etc/passwd"), "disk-directories"),
                        (("-c", "Get-VM a | Remove-VMDvdDrive"), "is no DVD drive")):
        assert text in service.hvsh(*words, check=1).stderr, words
    assert service.hvsh("Get-VMHardDiskDrive", "a", check=0).stdout == ""
    assert service.vm(bare)["ElementName"] == "bare" and len(service.vms()) == 2


def test_integration_services(service):
    service.hvsh("New-VM", "a", "-KernelPath", service.kernel, check=0)
    found = rows(service.hvsh("Get-VMIntegrationService", "a", check=0).stdout)
    assert [(s["VMName"], s["Name"], s["Enabled"]) for s in found] == [
        ("a", n, str(n != "Guest Service Interface")) for n in (
            "Guest Service Interface", "Heartbeat", "Key-Value Pair Exchange", "Shutdown", "Time Synchronization", "VSS")]
    assert list(found[0]) == ["VMName", "Name", "Enabled", "PrimaryStatusDescription", "SecondaryStatusDescription"]

    def enabled():
        lines = service.hvsh("-Json", "Get-VMIntegrationService", "a", check=0).stdout.splitlines()
        return [json.loads(l)["Name"] for l in lines if json.loads(l)["Enabled"]]
    assert service.hvsh("Disable-VMIntegrationService", "Shutdown,Time*", "a", check=0).stdout == ""
    assert enabled() == ["Heartbeat", "Key-Value Pair Exchange", "VSS"]
    passed = service.hvsh("Enable-VMIntegrationService", "-VMName", "a", "-Name", "shutdown", "-Passthru", check=0)
    assert rows(passed.stdout)[0]["Enabled"] == "True"
    service.hvsh("-c", "Get-VM a | Disable-VMIntegrationService Heartbeat", check=0)
    service.hvsh("-c", "Get-VMIntegrationService a | Where Enabled -eq False | Enable-VMIntegrationService", check=0)
    assert len(enabled()) == 6
    assert 'no integration service "Nope"' in service.hvsh("Get-VMIntegrationService", "a", "Nope", check=1).stderr
    assert "is no integration service" in service.hvsh("-c", "Get-VM a | Enable-VMIntegrationService", check=1).stderr
    service.hvsh("Start-VM", "a", check=0)
    assert "is running" in service.hvsh("Disable-VMIntegrationService", "Shutdown", "a", check=1).stderr


def told(service, verb, *words):
    return [json.loads(line) for line in service.hvsh("-Json", verb, *words, check=0).stdout.splitlines()]


def test_guests_are_asked_to_go(service):
    service.hvsh("New-VM", "a", "-KernelPath", service.kernel, check=0)
    vm = service.vms()[0]["Name"]
    assert "off" in service.hvsh("Stop-VM", "a", check=1).stderr
    service.hvsh("Start-VM", "a", check=0)
    service.guest_answers(vm, "shutdown.request", {"events": [{"what": "accepted"}, "reset"]})
    assert "neither Reset nor Reboot" in service.hvsh("Restart-VM", "a", "-Type", "x", check=1).stderr
    service.hvsh("Restart-VM", "a", "-Type", "Reboot", check=0)
    service.guest_answers(vm, "shutdown.request", {"events": [{"what": "ended", "end": "refused", "status": 5}]})
    assert "refused (0x00000005)" in service.hvsh("Stop-VM", "a", check=1).stderr
    assert told(service, "Get-VM")[0]["State"] == "Running"
    assert "saved states" in service.hvsh("Stop-VM", "a", "-Save", check=1).stderr
    service.hvsh("Stop-VM", "a", "-Force", check=0)
    assert told(service, "Get-VM")[0]["State"] == "Off"
    service.hvsh("Start-VM", "a", check=0)
    service.guest_answers(vm, "shutdown.request", {"events": ["poweroff"]})
    passed = service.hvsh("Stop-VM", "a", "-Passthru", check=0)
    assert rows(passed.stdout)[0]["State"] == "Off"


def test_what_guests_say(service):
    service.hvsh("New-VM", "a", "-KernelPath", service.kernel, check=0)
    vm = service.vms()[0]["Name"]
    assert told(service, "Get-VM")[0]["Heartbeat"] == ""
    service.hvsh("Start-VM", "a", check=0)
    assert told(service, "Get-VM")[0]["Heartbeat"] == "NoContact"
    service.guest_event(vm, "heartbeat", "status", status=2, application=2)
    wait_until(lambda: told(service, "Get-VM")[0]["Heartbeat"] == "OkApplicationsHealthy", "the heartbeat is shown")
    services = {s["Name"]: s["PrimaryStatusDescription"] for s in told(service, "Get-VMIntegrationService", "a")}
    assert services["Heartbeat"] == "OK" and services["Key-Value Pair Exchange"] == "No Contact"
    assert services["Guest Service Interface"] == ""

    service.hvsh("Set-VMKvpItem", "a", "role", "db", check=0)
    service.hvsh("Set-VMKvpItem", "a", "role", "web", check=0)
    service.hvsh("Set-VMKvpItem", "a", "owner", "me", "-HostOnly", check=0)
    items = rows(service.hvsh("Get-VMKvpItem", "a", check=0).stdout)
    assert items == [{"VMName": "a", "Source": "Host", "Name": "role", "Data": "web"},
                     {"VMName": "a", "Source": "HostOnly", "Name": "owner", "Data": "me"}]
    assert [i["Name"] for i in told(service, "Get-VMKvpItem", "a", "-Name", "o*")] == ["owner"]
    service.hvsh("Remove-VMKvpItem", "a", "role", check=0)
    assert "no item of this name" in service.hvsh("Remove-VMKvpItem", "a", "role", check=1).stderr
    service.guest_answers(vm, "kvp.enumerate", {"events": [
        {"what": "done", "call": "enumerate", "error": None, "status": 0, "items": [["OSName", "Debian"]]}]})
    service.guest_event(vm, "kvp", "ready", ready=True)
    wait_until(lambda: told(service, "Get-VM")[0]["GuestOperatingSystem"] == "Debian", "the guest's items are read")
    assert ("Intrinsic", "OSName") in [(i["Source"], i["Name"]) for i in told(service, "Get-VMKvpItem", "a")]


def test_files_are_copied(service):
    service.hvsh("New-VM", "a", "-KernelPath", service.kernel, check=0)
    vm = service.vms()[0]["Name"]
    source = service.write("files/x", "X")
    words = ("Copy-VMFile", "a", "-SourcePath", source, "-DestinationPath", "/root/", "-FileSource")
    assert "Guest Service Interface" in service.hvsh(*words, "Host", check=1).stderr
    service.hvsh("Enable-VMIntegrationService", "Guest Service Interface", "a", check=0)
    service.hvsh("Start-VM", "a", check=0)
    assert "does not answer" in service.hvsh(*words, "Host", check=1).stderr
    assert "not supported" in service.hvsh(*words, "Guest", check=1).stderr
    service.guest_answers(vm, "fcopy.copy", {"events": [{"what": "done", "error": None, "status": 0, "bytes": 1}]})
    service.hvsh(*words, "Host", "-Force", "-CreateFullPath", check=0)
    call = service.guest_calls(vm)[-1]
    assert call["overwrite"] and call["create_path"] and (call["directory"], call["file"]) == ("/root", "x")


def test_dynamic_memory(service):
    service.hvsh("New-VM", "a", "-KernelPath", service.kernel, check=0)
    service.hvsh("Set-VMMemory", "a", "-DynamicMemoryEnabled", "$true", "-MinimumBytes", "512MB", "-StartupBytes", "1GB",
                 "-MaximumBytes", "4GB", "-Buffer", "25", "-Priority", "80", check=0)
    memory, = told(service, "Get-VMMemory", "a")
    assert {k: memory[k] for k in memory if k != "VMId"} == {
        "VMName": "a", "DynamicMemoryEnabled": True, "Minimum": 512 << 20, "Startup": 1 << 30, "Maximum": 4 << 30,
        "Buffer": 25, "Priority": 80}
    assert list(rows(service.hvsh("Get-VMMemory", "a", check=0).stdout)[0]) == [
        "VMName", "DynamicMemoryEnabled", "Minimum(M)", "Startup(M)", "Maximum(M)"]
    assert "more than the startup" in service.hvsh("Set-VMMemory", "a", "-MinimumBytes", "2GB", check=1).stderr
    assert "neither $true nor $false" in service.hvsh("Set-VMMemory", "a", "-DynamicMemoryEnabled", "x", check=1).stderr
    assert "Weight" in service.hvsh("Set-VMMemory", "a", "-Priority", "101", check=1).stderr
    service.hvsh("Start-VM", "a", check=0)
    vm = service.vms()[0]["Name"]
    assert told(service, "Get-VM")[0]["MemoryStatus"] == ""
    service.guest_event(vm, "memory", "status", assigned_mib=1024, target_mib=1024, demand_mib=512, available_mib=512,
                        hot_add=False, balloon=False)
    wait_until(lambda: told(service, "Get-VM")[0]["MemoryDemand"] == 512 << 20, "demand is shown")
    assert told(service, "Get-VM")[0]["MemoryStatus"] == "OK"
    service.hvsh("Stop-VM", "a", "-TurnOff", check=0)
    service.hvsh("Set-VM", "a", "-StaticMemory", "-MemoryStartupBytes", "256MB", check=0)
    assert told(service, "Get-VMMemory", "a")[0]["DynamicMemoryEnabled"] is False
    assert "exclude" in service.hvsh("Set-VM", "a", "-StaticMemory", "-DynamicMemory", check=1).stderr
