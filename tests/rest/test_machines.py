# SPDX-License-Identifier: Apache-2.0
"""Life of machines: states, jobs, workers that misbehave, restarts of the service."""
import os
import signal
import subprocess
import threading
import time

import pytest

from conftest import SERVICE, Service, VMMS, wait_until


def state(service, vm):
    return service.vm(vm)["EnabledState"]


def wait_state(service, vm, wanted):
    wait_until(lambda: state(service, vm) == wanted, "state %d" % wanted)
    return service.vm(vm)


def test_life_of_a_machine(service):
    vm = service.define()
    system = service.start_vm(vm)
    assert system["EnabledState"] == 2 and system["RequestedState"] == 2 and system["HealthState"] == 5
    assert system["ProcessID"] in service.worker_pids()
    assert 9 in system["AvailableRequestedStates"] and 2 not in system["AvailableRequestedStates"]
    answer = service.ask_state(vm, 2)
    assert answer.status_code == 409 and answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["currentState"] == 2 and document["returnValue"] == 32775
    assert document["availableStates"] == system["AvailableRequestedStates"]

    assert service.request_state(vm, 9)["JobState"] == 7
    assert state(service, vm) == 9
    assert service.ask_state(vm, 32776).status_code == 409
    frozen = int(wait_until(lambda: service.vm(vm)["OnTimeInMilliseconds"], "uptime"))
    assert service.request_state(vm, 2)["JobState"] == 7
    assert service.request_state(vm, 32776)["JobState"] == 7
    assert service.request_state(vm, 32777)["JobState"] == 7
    wait_until(lambda: int(service.vm(vm)["OnTimeInMilliseconds"]) > frozen, "uptime grows")
    assert service.request_state(vm, 11)["JobState"] == 7
    assert state(service, vm) == 2

    for requested, status in ((6, 501), (7, 501), (99, 400)):
        answer = service.ask_state(vm, requested)
        assert answer.status_code == status, answer.text
    # A guest without the component's driver.
    for requested in (4, 10):
        job = service.request_state(vm, requested)
        assert job["JobState"] == 10 and "integration component" in job["ErrorDescription"], job
        assert state(service, vm) == 2
    assert service.ask_state(vm, 99).json()["field"] == "RequestedState"

    assert service.request_state(vm, 3)["JobState"] == 7
    assert service.request("GET", service.serial(vm) + "/console/log").status_code == 200
    off = service.vm(vm)
    assert off["EnabledState"] == 3 and off["HealthState"] == 5 and off["ProcessID"] is None
    assert service.worker_pids() == []
    assert service.ask_state(vm, 3).status_code == 409
    assert sorted(os.listdir(service.root + "/run/workers")) == [vm + ".log"]


def test_summary_reports_the_worker_s_figures(service):
    vm = service.define()
    service.start_vm(vm)

    def figures():
        summary = service.vms()[0]
        return summary if summary["MemoryUsage"] == "256" and summary["ProcessorLoad"] == 50 else None
    summary = wait_until(figures, "load of 50 % and 256 MiB")
    assert summary["EnabledState"] == 2 and int(summary["UpTime"]) > 0


def test_workers_run_as_another_user(service):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    vm = service.define()
    pid = service.start_vm(vm)["ProcessID"]
    with open("/proc/%d/status" % pid, encoding="ascii") as status:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    assert "0" not in fields["Uid"].split() and "0" not in fields["Gid"].split()
    assert fields["Groups"].strip() == "" and fields["CapEff"] == "0" * 16 and fields["NoNewPrivs"] == "1"


def test_jobs_are_resources(service):
    vm = service.define()
    location = service.ask_state(vm, 2).headers["Location"]
    job = service.wait_job(location)
    assert job["JobState"] == 7 and job["JobType"] == 12 and job["PercentComplete"] == 100
    assert len(job["TimeSubmitted"]) == 25 and len(job["ElapsedTime"]) == 25
    affected = service.get(location + "/associators", params={"AssocClass": "Msvm_AffectedJobElement"})["instances"]
    assert [i["properties"]["Name"] for i in affected] == [vm]
    answer = service.call(location + "/methods/GetErrorEx")
    assert answer.status_code == 200 and answer.json()["Errors"] is None
    assert service.request("DELETE", location).status_code == 428
    etag = service.request("GET", location).headers["ETag"]
    assert service.request("DELETE", location, headers={"If-Match": '"1"'}).status_code == 412
    assert service.request("DELETE", location, headers={"If-Match": etag}).status_code == 204
    assert service.request("GET", location).status_code == 404


def test_long_poll_waits_for_the_change(service):
    vm = service.define(command_line="start=hang")
    location = service.ask_state(vm, 2).headers["Location"]
    wait_until(lambda: service.get(location)["properties"]["JobState"] == 4, "running")
    begin = time.monotonic()
    job = service.get(location + "?wait=1")["properties"]
    assert job["JobState"] == 4 and 0.9 <= time.monotonic() - begin < 10
    etag = service.request("GET", location).headers["ETag"]
    assert service.request("DELETE", location, headers={"If-Match": etag}).status_code == 409
    result = {}

    def poll():
        result["job"] = service.get(location + "?wait=60")["properties"]
        result["at"] = time.monotonic()
    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(0.3)
    turned_off = service.request_state(vm, 3)
    thread.join(30)
    # The later request replaced the first one, whose job says so at once.
    assert turned_off["JobState"] == 7
    assert result["job"]["JobState"] == 8 and "later request" in result["job"]["ErrorDescription"]
    for wait in ("61", "-1", "x", ""):
        assert service.request("GET", location + "?wait=" + wait).status_code == 400


@pytest.mark.parametrize("script, reason", [
    ("start=refuse", "no memory for the child"),
    ("start=exit2", "kernel image has no boot header"),
])
def test_a_failed_start_says_why(service, script, reason):
    vm = service.define(command_line=script)
    job = service.request_state(vm, 2)
    assert job["JobState"] == 10 and reason in job["ErrorDescription"], job
    path = "classes/Msvm_ConcreteJob/instances/%s/methods/GetError" % job["InstanceID"]
    error = service.call(path).json()["Error"]
    assert error["class"] == "Msvm_Error" and reason in error["properties"]["Message"]
    system = service.vm(vm)
    assert system["EnabledState"] == 3 and system["HealthState"] == 20 and system["OperationalStatus"] == [3]
    assert reason in system["StatusDescriptions"][0]


def test_each_start_goes_on_with_the_trace(tmp_path):
    tmp_path.chmod(0o755)
    service = Service({"trace-vmbus": str(tmp_path)})
    try:
        service.start()
        vm = service.define()
        for _ in range(2):
            service.start_vm(vm)
            service.request_state(vm, 3)
        trace = tmp_path / (vm + ".vmbus")
        assert trace.read_text() == "TRACE\nTRACE\n"
        assert trace.stat().st_mode & 0o777 == 0o600
        trace.unlink()
        trace.symlink_to(tmp_path / "elsewhere")
        assert "trace" in service.request_state(vm, 2)["ErrorDescription"]
        assert not tmp_path.joinpath("elsewhere").exists()
    finally:
        service.destroy()


def test_missing_files_fail_the_start(service):
    vm = service.define()
    os.unlink(service.kernel)
    job = service.request_state(vm, 2)
    assert job["JobState"] == 10 and service.kernel in job["ErrorDescription"]
    os.symlink("/etc/passwd", service.kernel)
    job = service.request_state(vm, 2)
    assert job["JobState"] == 10 and "symbolic link" in job["ErrorDescription"]
    os.unlink(service.kernel)
    service.write("kernels/vmlinuz", "again")
    os.unlink(service.root + "/mshv")
    job = service.request_state(vm, 2)
    assert job["JobState"] == 10 and "mshv" in job["ErrorDescription"]
    service.write("mshv", "")
    assert service.start_vm(vm)["HealthState"] == 5


@pytest.mark.parametrize("word, health, text", [
    ("poweroff", 5, "turned itself off"),
    ("triple", 20, "triple fault"),
    ("panic", 20, "crash"),
    ("crash", 20, "killed by signal 11"),
])
def test_the_end_of_a_worker_is_seen(service, word, health, text):
    vm = service.define()
    service.start_vm(vm)
    service.type_line(vm, word).close()
    system = wait_state(service, vm, 3)
    assert system["HealthState"] == health and text in system["StatusDescriptions"][0]
    assert b"scripted kernel" in service.console_log(vm) and word.encode() in service.console_log(vm)
    again = service.start_vm(vm)
    assert again["HealthState"] == 5 and again["StatusDescriptions"] == ["Operating normally"]
    assert word.encode() not in service.console_log(vm)


def test_a_guest_s_own_reset_keeps_it_running(service):
    vm = service.define()
    before = service.start_vm(vm)
    service.type_line(vm, "reset").close()
    wait_until(lambda: "guest_reset" in service.read_log(), "reset is seen")
    assert service.vm(vm)["ProcessID"] == before["ProcessID"] and state(service, vm) == 2


def test_kill_of_a_worker(service):
    vm, other = service.define("one"), service.define("two")
    pid = service.start_vm(vm)["ProcessID"]
    service.start_vm(other)
    os.kill(pid, signal.SIGKILL)
    system = wait_state(service, vm, 3)
    assert system["HealthState"] == 20 and "signal 9" in system["StatusDescriptions"][0]
    assert state(service, other) == 2
    assert service.start_vm(vm)["EnabledState"] == 2


@pytest.mark.parametrize("script", ["control=garbage", "control=long"])
def test_a_worker_that_breaks_the_protocol_is_ended(service, script):
    vm = service.define(command_line=script)
    service.ask_state(vm, 2)
    system = wait_until(lambda: service.vm(vm)["HealthState"] == 20 and service.vm(vm), "failure is seen")
    assert system["EnabledState"] == 3 and service.worker_pids() == []
    assert service.get("classes")


def test_a_worker_that_does_not_stop_is_killed(service):
    vm = service.define(command_line="stop=ignore")
    service.start_vm(vm)
    answer = service.ask_state(vm, 3)
    assert answer.status_code == 202
    busy = service.ask_state(vm, 3)
    assert busy.status_code == 409 and busy.headers["Retry-After"] == "1" and busy.json()["returnValue"] == 32774
    assert state(service, vm) == 4
    assert service.wait_job(answer.headers["Location"])["JobState"] == 7
    assert state(service, vm) == 3 and service.worker_pids() == []


def test_settings_of_a_running_machine_stand(service):
    vm = service.define()
    service.start_vm(vm)
    setting = {"class": "Msvm_ProcessorSettingData",
               "properties": {"InstanceID": "Microsoft:%s\\Processor" % vm, "VirtualQuantity": 2}}
    answer = service.call(SERVICE + "ModifyResourceSettings", {"ResourceSettings": [setting]})
    assert answer.status_code == 409 and answer.json()["currentState"] == 2
    service.request_state(vm, 3)
    assert service.call(SERVICE + "ModifyResourceSettings", {"ResourceSettings": [setting]}).status_code == 200


# -- restarts of the service

def test_kill_of_the_service_leaves_the_machine(service):
    running, paused, off = service.define("running"), service.define("paused"), service.define("off")
    pid = service.start_vm(running)["ProcessID"]
    service.start_vm(paused)
    service.request_state(paused, 9)
    uptime = int(wait_until(lambda: int(service.vm(running)["OnTimeInMilliseconds"]), "uptime"))
    service.kill()
    assert pid in service.worker_pids()
    service.start()
    system = service.vm(running)
    assert system["EnabledState"] == 2 and system["HealthState"] == 5 and system["ProcessID"] == pid
    assert int(system["OnTimeInMilliseconds"]) >= uptime
    assert state(service, paused) == 9 and state(service, off) == 3
    assert b"scripted kernel" in service.console_log(running)
    s, head, rest = service.console(running)
    assert head.startswith("HTTP/1.1 101")
    s.close()
    assert service.request_state(paused, 2)["JobState"] == 7
    assert service.request_state(running, 3)["JobState"] == 7
    assert wait_state(service, running, 3)["HealthState"] == 5
    assert pid not in service.worker_pids()


def test_a_graceful_end_leaves_the_machine_too(service):
    vm = service.define()
    pid = service.start_vm(vm)["ProcessID"]
    service.stop()
    service.start()
    assert service.vm(vm)["ProcessID"] == pid
    os.kill(pid, signal.SIGKILL)
    assert "unexpectedly" in wait_state(service, vm, 3)["StatusDescriptions"][0]


def test_a_worker_that_died_meanwhile_is_noticed(service):
    vm = service.define()
    pid = service.start_vm(vm)["ProcessID"]
    service.kill()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in service.worker_pids(), "worker is gone")
    service.start()
    system = service.vm(vm)
    assert system["EnabledState"] == 3 and system["HealthState"] == 20
    assert "while the management service was not running" in system["StatusDescriptions"][0]
    assert service.start_vm(vm)["HealthState"] == 5


def test_an_interrupted_job_is_settled(service):
    vm = service.define(command_line="start=hang")
    location = service.ask_state(vm, 2).headers["Location"]
    wait_until(lambda: service.get(location)["properties"]["JobState"] == 4, "running")
    service.kill()
    for pid in service.worker_pids():
        os.kill(pid, signal.SIGKILL)
    service.start()
    job = service.get(location)["properties"]
    assert job["JobState"] == 10 and "restarted" in job["ErrorDescription"]
    assert state(service, vm) == 3


def test_a_worker_that_was_never_started_is_ended(service):
    vm = service.define(command_line="start=hang")
    location = service.ask_state(vm, 2).headers["Location"]
    wait_until(service.worker_pids, "the worker runs")
    service.kill()
    assert len(service.worker_pids()) == 1
    service.start()
    job = service.get(location)["properties"]
    assert job["JobState"] == 10 and "restarted" in job["ErrorDescription"]
    assert wait_state(service, vm, 3)["HealthState"] == 5
    assert service.worker_pids() == []


def test_a_silent_worker_is_reported(service):
    vm = service.define()
    pid = service.start_vm(vm)["ProcessID"]
    os.kill(pid, signal.SIGSTOP)
    text = wait_until(lambda: service.vm(vm)["HealthState"] == 20 and service.vm(vm)["StatusDescriptions"][0],
                      "silence is noticed", 40)
    assert "does not answer" in text and state(service, vm) == 2
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: service.vm(vm)["HealthState"] == 5, "it answers again")


def test_only_one_service_a_state_directory(service):
    second = subprocess.run([VMMS, "--config", service.config], capture_output=True, text=True, timeout=20)
    assert second.returncode == 1 and "another vmms" in second.stderr
    assert service.vms() == []


def test_a_worker_of_nobody_is_ended(service):
    vm = service.define()
    service.start_vm(vm)
    service.kill()
    for name in ("vmms.db", "vmms.db-wal", "vmms.db-shm"):
        path = service.root + "/state/" + name
        if os.path.exists(path):
            os.unlink(path)
    service.start()
    assert service.vms() == []
    wait_until(lambda: service.worker_pids() == [], "the stray worker has ended")
    assert [n for n in os.listdir(service.root + "/run/workers") if not n.endswith(".log")] == []


# -- console

def read_for(s, wanted):
    data = b""
    while wanted not in data:
        part = s.recv(4096)
        assert part, data
        data += part
    return data


def test_console_carries_bytes_both_ways(service):
    vm = service.define()
    path = service.serial(vm) + "/console"
    assert service.request("GET", path).status_code == 426
    assert service.request("GET", path).headers["Upgrade"] == "undercroft-console"
    s, head, _ = service.console(vm)
    assert head.startswith("HTTP/1.1 409")
    s.close()
    service.start_vm(vm)
    s, head, rest = service.console(vm, token="wrong" * 8)
    assert head.startswith("HTTP/1.1 401")
    s.close()
    s, head, rest = service.console(vm)
    assert head.startswith("HTTP/1.1 101") and "undercroft-console" in head
    if b"scripted kernel" not in rest:
        read_for(s, b"scripted kernel")
    second, head, _ = service.console(vm)
    blob = bytes(range(256)) * 200
    threading.Thread(target=s.sendall, args=(blob + b"<end>",)).start()
    echoed = read_for(s, b"<end>")
    assert echoed[-len(blob) - 5:-5] == blob
    assert blob in read_for(second, b"<end>")
    service.request_state(vm, 3)
    assert s.recv(1) == b""
    s.close()
    second.close()
    assert service.console_log(vm).endswith(b"<end>")


def test_open_consoles_do_not_hold_the_end_of_the_service(service):
    vm = service.define()
    service.start_vm(vm)
    consoles = [service.console(vm)[0] for _ in range(3)]
    begin = time.monotonic()
    service.stop()
    assert time.monotonic() - begin < 10
    for s in consoles:
        s.settimeout(5)
        while s.recv(4096):
            pass
        s.close()
    service.start()
    assert state(service, vm) == 2


def test_console_log_keeps_the_last_64_kib(service):
    vm = service.define()
    service.start_vm(vm)
    s, _, _ = service.console(vm)
    s.settimeout(10)
    blob = b"".join(b"%07d\n" % i for i in range(10000))
    threading.Thread(target=s.sendall, args=(blob,)).start()
    received = read_for(s, b"0009999\n")
    assert received.endswith(b"0009999\n")
    log = wait_until(lambda: service.console_log(vm).endswith(b"0009999\n") and service.console_log(vm), "log")
    assert len(log) == 65536 and log == blob[-65536:]
    s.close()
