/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Management service <-> worker process (vmwp): one worker per child partition.
 *
 * Transport    a listening AF_UNIX SOCK_SEQPACKET socket, created by the management service in its run directory
 *              (<rundir>/workers/<vm id>.control) and inherited by the worker as a descriptor. The service connects to
 *              it, and connects again after a restart of its own: the worker outlives the service. One client at a
 *              time; a newer connection replaces the older one. Each packet is one JSON object in UTF-8, at most
 *              WORKER_MSG_MAX bytes. A packet that is no JSON object, or too long, closes the connection.
 *
 * Request      {"id": N, "method": "NAME", "params": {...}}        params may be left out
 * Response     {"id": N, "result": {...}}  or  {"id": N, "error": {"code": "SYMBOL", "message": "text"}}
 * Event        {"event": "NAME", ...}                              no id; sent to the connected client, if any
 *
 * Methods
 *   status     -> {"state": STATE, "pid": N, "uptime_ms": N, "cpu_time_100ns": N, "memory_mib": N, "reason": TEXT|null}
 *   start      created -> running                                   error "invalid_state", "start_failed"
 *   pause      running -> paused;   resume   paused -> running
 *   stop       {"how": "turn_off"}                                  any state -> stopped; the worker then exits 0
 *   reset      running|paused -> running with fresh CPU, device and memory state
 *   stats      -> {"devices": [{"name": TEXT, "counters": {...}}], "vps": [{"index": N, "exits": {...}}]}
 *
 * Events
 *   state      {"event": "state", "state": STATE, "reason": REASON}
 *              sent on connect with the present state, and on each change. Reasons: "started", "paused", "resumed",
 *              "turned_off", "guest_power_off", "guest_reset", "triple_fault", "guest_crash", "internal_error"
 *
 * STATE        "created", "running", "paused", "stopped"
 *
 * After "stopped" the worker closes everything and exits: status 0 after turn_off and guest_power_off, 2 when it
 * could not start (the last line on standard error says why), 3 after a triple fault, 1 otherwise.
 *
 * Start        vmwp --id GUID --config-fd N --control-fd N --console-fd N --mshv-fd N --kernel-fd N [--initrd-fd N]
 *              --config-fd     the configuration document below, read to its end once
 *              --control-fd    the listening control socket
 *              --console-fd    a listening AF_UNIX SOCK_STREAM socket (<rundir>/workers/<vm id>.console): raw bytes of
 *                              the child's COM1 in both directions; on connect the client first gets what the worker's
 *                              last WORKER_CONSOLE_BACKLOG bytes of output hold. Several clients may be connected:
 *                              each gets all output, and input from all is merged
 *              --mshv-fd       /dev/mshv, opened read-write by the service
 *              --kernel-fd, --initrd-fd   regular files, opened read-only
 *              The worker runs as an unprivileged user, without capabilities, under seccomp, and opens nothing itself.
 *              It starts in state "created" and waits for "start".
 *
 * Configuration document, version 1
 *   {"version": 1, "id": GUID, "name": TEXT,
 *    "processors": {"count": 1..64},
 *    "memory": {"startup_mib": N},
 *    "boot": {"kind": "linux", "command_line": TEXT},
 *    "devices": [DEVICE, ...]}
 *
 *   DEVICE, any number unless said otherwise:
 *   {"type": "com", "port": 1}                                      at most one
 *   {"type": "scsi", "instance": GUID, "luns": [LUN, ...]}          synthetic SCSI controller; at most 4, 64 LUNs each
 *     LUN {"lun": 0..63, "kind": "disk"|"dvd", "fd": N, "format": "raw", "id": GUID, "read_only": BOOL, "direct": BOOL}
 *         "fd" is an inherited descriptor of the opened file or block device, -1 for a DVD drive without a medium.
 *         "id" names the disk to the guest (VPD page 0x83) and stays with it. "read_only" and "direct" (by-pass the
 *         parent's page cache) are false when left out. "luns" may be empty.
 *   {"type": "heartbeat"|"shutdown"|"timesync"|"kvp", "instance": GUID}   integration components; at most one of each
 *   {"type": "keyboard", "instance": GUID}                          at most one
 *   VMBus is there whenever a device is on it. Instance GUIDs are stable: guests name their devices by them.
 *   Unknown members and unknown versions are refused with the member's name.
 */
#ifndef WORKER_WORKER_MSG_H
#define WORKER_WORKER_MSG_H

#define WORKER_MSG_MAX         65536
#define WORKER_CONSOLE_BACKLOG 65536

#define WORKER_EXIT_OK           0
#define WORKER_EXIT_ERROR        1
#define WORKER_EXIT_START_FAILED 2
#define WORKER_EXIT_TRIPLE_FAULT 3

#endif
