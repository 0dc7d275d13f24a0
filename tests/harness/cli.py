# SPDX-License-Identifier: Apache-2.0
"""The commands of ./undercroft."""

import argparse
import json
import os
import subprocess
import sys
import time

import building
import paths
from api import Api, ApiError
from machine import Machine, Options, parse_size_mib
from report import Failure, note, step, tail

BOOT_TIMEOUT = 240
ACCELERATORS = ("tcg", "kvm")


def machine_options(args):
    if args.cpu_vendor == "intel":
        raise Failure("--cpu-vendor intel is not supported yet: the hypervisor knows AMD's SVM only")
    return Options(cpus=args.cpus, memory_mib=parse_size_mib(args.memory), numa=args.numa, disk=args.disk,
                   accel=args.accel, keep=args.keep, lifted=not args.unlifted)


def api_of(machine):
    return Api(machine.api_url(), machine.token_file.read_text().strip())


def boot(machine, options):
    """Starts the machine and waits until its API answers."""
    with step(f"booting the host: {options.cpus} processors, {options.memory_mib} MiB, {options.accel}"
              f"{'' if options.lifted else ', unlifted'}"):
        machine.start(options)
        try:
            found = machine.wait_console(r"UNDERCROFT-PARENT-READY (\S+) (\S+) (\w+)", BOOT_TIMEOUT)
            note(f"parent: Linux {found[1]}, {found[3]}, user land after {found[2]} s of its own clock")
            if options.lifted and found[3] != "lifted":
                raise Failure(f"the parent runs, but not on the hypervisor: {tail(machine.hypervisor_log, 5)}; "
                              f"{machine.where()}")
            if not api_of(machine).wait_alive(BOOT_TIMEOUT, machine.running):
                raise Failure(f"the API did not answer; {machine.where()}")
        except (Failure, KeyboardInterrupt):
            machine.kill()
            raise


def status_of(machine):
    state = machine.state()
    if not state:
        name = "down"
    else:
        name = "up" if api_of(machine).alive() else "starting"
    return {"state": name, "api": machine.api_url(), "token_file": str(machine.token_file) if state else None,
            "ca_file": None, "logs": str(machine.logs)}


def show_status(status):
    note(f"state       {status['state']}")
    for name in ("api", "token_file", "logs"):
        if status[name]:
            note(f"{name:<11} {status[name]}")


def command_build(_):
    building.build_all()
    return 0


def command_up(args):
    machine = Machine()
    options = machine_options(args)
    if machine.running():
        note("the host is already up; ./undercroft down ends it")
    else:
        building.build_all()
        boot(machine, options)
    show_status(status_of(machine))
    return 0


def command_down(_):
    machine = Machine()
    if not machine.running():
        note("the host is not running")
        return 0
    with step("shutting the host down"):
        clean = machine.power_off()
    if not clean:
        raise Failure(f"the parent did not power off in time and was killed; {machine.where()}")
    return 0


def command_status(args):
    status = status_of(Machine())
    if args.json:
        print(json.dumps(status))
    else:
        show_status(status)
    return 0


def hvsh_environment(machine):
    return {**os.environ, "UNDERCROFT_API": machine.api_url(), "UNDERCROFT_TOKEN_FILE": str(machine.token_file)}


def run_hvsh(arguments):
    machine = Machine()
    if not machine.running():
        raise Failure("the host is not running: ./undercroft up")
    return subprocess.run([str(paths.HVSH), *arguments], env=hvsh_environment(machine), check=False).returncode


def command_demo(args):
    import demo
    return demo.check() if args.check else demo.show()


def command_test(args):
    import testing
    return testing.run_all(args.keyword, args.soak)


def command_bench(args):
    sys.path.insert(0, str(paths.SOURCE / "bench"))
    import run as bench
    return bench.main(args.names, args.json)


def add_machine_options(parser):
    parser.add_argument("--cpus", type=int, default=2, metavar="N", help="processors of the host (2)")
    parser.add_argument("--memory", default="3G", metavar="SIZE", help="memory of the host: 3G, 2048M (3G)")
    parser.add_argument("--numa", type=int, default=1, metavar="N", help="NUMA nodes to spread them over (1)")
    parser.add_argument("--disk", metavar="FILE", help="data disk to use and keep; made when it does not exist")
    parser.add_argument("--accel", choices=ACCELERATORS, default="tcg", help="emulation (tcg) or nested KVM (kvm)")
    parser.add_argument("--cpu-vendor", choices=("amd", "intel"), default="amd")
    parser.add_argument("--keep", action="store_true", help="go on with the data disk of the last run")
    parser.add_argument("--unlifted", action="store_true", help="boot the parent without the hypervisor")


def parse(argv):
    parser = argparse.ArgumentParser(prog="undercroft", description="Builds, boots, tests and measures Undercroft.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name, function, text):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(function=function)
        return command

    demo = add("demo", command_demo, "boot a host, start a child over REST, give its console")
    demo.add_argument("--check", action="store_true", help="no questions: wait for the child's user land, then end all")
    test = add("test", command_test, "build and run every test")
    test.add_argument("-k", dest="keyword", help="only integration tests that match (pytest -k); no unit tests")
    test.add_argument("--soak", action="store_true", help="the long tests that are left out else, and no others (an hour or more)")
    add_machine_options(add("up", command_up, "boot the host in the background"))
    add("down", command_down, "shut the host down")
    add("status", command_status, "show the host's state").add_argument("--json", action="store_true")
    add("hvsh", None, "the shell against the running host; its arguments follow")
    bench = add("bench", command_bench, "measure")
    bench.add_argument("names", nargs="*", metavar="NAME", help="benches to run; all of them without")
    bench.add_argument("--json", action="store_true")
    add("build", command_build, "build everything, start nothing")
    add("help", lambda _: parser.print_help() or 0, "this text")
    return parser.parse_args(argv)


def main(argv):
    began = time.monotonic()
    try:
        if argv[0] == "hvsh":
            # All that follows is the shell's own, dashes included.
            return run_hvsh(argv[1:])
        args = parse(argv)
        status = args.function(args)
    except (Failure, ApiError) as error:
        print(f"undercroft: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("undercroft: interrupted", file=sys.stderr)
        return 130
    if args.command in ("demo", "up", "down", "build"):
        print(f"{args.command}: {time.monotonic() - began:.1f} s")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["help"]))
