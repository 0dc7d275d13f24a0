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
 *   stats      {"from": N} -> {"devices": [{"name": TEXT, "instance": GUID|null, "unit": N|null, "counters": {NAME: N, ...},
 *              "histograms": {NAME: [N, ...], ...}}, ...], "vps": [{"index": N, "exits": {...}}, ...], "next": N}
 *              "instance" of a DEVICE, "unit" its LUN or queue. Histograms are without the zeroes at their end; those that
 *              end in "_us_log2" count by microseconds: [i] 2^i to 2^(i+1) - 1, the first also less, number 23 also more.
 *              Devices from the given one on, 0 when left out, as many as fit; when some did not, "next" is what to ask
 *              for then. "vps" is empty but with the first.
 *   add_device     {"device": DEVICE} -> {}                         hot add; at any time before "stopped"
 *   remove_device  {"instance": GUID} -> {}                         "removed" follows when the guest has let go of it
 *   device         {"instance": GUID, "call": NAME, ...} -> {...}   a call of one device, see "Calls of devices"
 *
 * What add_device and device change holds over a reset. Descriptors that a packet needs come with it (SCM_RIGHTS, at
 * most WORKER_MSG_FDS_MAX); an "fd" in it is the index among them. Those that the worker did not take are closed.
 * Errors of these: "not_found" no such device, "exists", "invalid_params", "unsupported" the guest's driver cannot,
 * "not_ready" the guest's driver or daemon does not answer, or the machine does not run, "busy", "failed".
 *
 * Events
 *   state      {"event": "state", "state": STATE, "reason": REASON}
 *              sent on connect with the present state, and on each change. Reasons: "started", "paused", "resumed",
 *              "turned_off", "guest_power_off", "guest_reset", "triple_fault", "guest_crash", "internal_error"
 *   device     {"event": "device", "instance": GUID, "type": TYPE, "what": NAME, ...}      see below; all kinds have
 *              "removed" {}                                           of remove_device
 *
 * Calls of devices (what is asked is answered at once; where an event ends it, that follows)
 *   scsi       add_lun {"lun": LUN}   remove_lun {"lun": N}
 *              set_medium {"lun": N, "medium": {"fd", "format", ...}|null}         of a DVD drive; null takes it out
 *              refresh {"lun": N}                                     look at the size of the storage again
 *              resize {"lun": N, "bytes": N}                          of a raw or VHDX disk, while the guest uses it
 *              event "resized" {"lun": N, "bytes": N, "error": ERROR|null, "message": TEXT|null}
 *   nic        set {"link": "up"|"down"|"moved", "mac_spoofing": BOOL, "guard_dhcp": BOOL, "guard_router": BOOL}, each
 *              may be left out
 *   heartbeat  event "status" {"status": N, "application": N}         on each change, and on connect. N as
 *              Msvm_HeartbeatComponent.OperationalStatus: [0] in status, [1] in application (0: none)
 *   shutdown   request {"action": "power_off"|"restart"|"hibernate", "force": BOOL, "timeout_s": N, "text": TEXT}
 *              event "accepted" {};  event "ended" {"end": "left"|"refused"|"timed_out", "status": N}
 *   kvp        get {"pool": POOL, "key": TEXT}   enumerate {"pool": POOL}
 *              set {"pool": POOL, "key": TEXT, "value": TEXT}   delete {"pool": POOL, "key": TEXT}
 *              get_ip {"adapter": TEXT, "family": "ipv4"|"ipv6"}   set_ip {"adapter", "family", "dhcp": BOOL,
 *              "addresses": TEXT, "subnets": TEXT, "gateways": TEXT, "dns_servers": TEXT}, lists separated by ";"
 *              event "done" {"call": NAME, "error": ERROR|null, "status": N, "items": [[KEY, VALUE], ...], "ip": {...}}
 *              POOL "external", "guest", "auto", "auto_external"
 *              event "ready" {"ready": BOOL}                          the guest's daemon answers; and on connect
 *   vss        freeze {"timeout_s": N, "frozen_max_s": N}   thaw {}
 *              event "frozen" {};  event "failed" {"error": ERROR, "status": N};  event "thawed" {"error": ERROR|null}
 *              A frozen guest is thawed too when the connection that asked is gone.
 *   fcopy      copy {"fd": N, "directory": TEXT, "name": TEXT, "overwrite": BOOL, "create_path": BOOL}   cancel {}
 *              event "done" {"error": ERROR|null, "status": N, "bytes": N}
 *   memory     set_target {"mib": N}                                  what the guest shall have: balloon or hot add
 *              event "status" {"assigned_mib": N, "target_mib": N, "demand_mib": N, "available_mib": N, "reported": BOOL,
 *              "hot_add": BOOL, "balloon": BOOL, "stalled": BOOL}     with each report of the guest, once a second at most,
 *              and on connect. demand and available are the guest's word once it is "reported"; "stalled": an answer of
 *              the guest is overdue
 *   ERROR is one of the codes above, "timed_out", "refused" (status is the guest's HRESULT), "canceled", "late"
 *
 * STATE        "created", "running", "paused", "stopped"
 *
 * After "stopped" the worker closes everything and exits: status 0 after turn_off and guest_power_off, 2 when it
 * could not start (the last line on standard error says why), 3 after a triple fault, 1 otherwise.
 *
 * Start        vmwp --id GUID --config-fd N --control-fd N --console-fd N --mshv-fd N --kernel-fd N [--initrd-fd N]
 *              [--trace-fd N]
 *              --config-fd     the configuration document below, read to its end once
 *              --control-fd    the listening control socket
 *              --console-fd    a listening AF_UNIX SOCK_STREAM socket (<rundir>/workers/<vm id>.console): raw bytes of
 *                              the child's COM1 in both directions; on connect the client first gets what the worker's
 *                              last WORKER_CONSOLE_BACKLOG bytes of output hold. Several clients may be connected:
 *                              each gets all output, and input from all is merged
 *              --mshv-fd       /dev/mshv, opened read-write by the service
 *              --kernel-fd, --initrd-fd   regular files, opened read-only
 *              --trace-fd      a regular file, opened for appending: gets a trace of the child's bus
 *                              (vmbus/vmbus_trace.h), which holds what the guest writes to disks and networks in part
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
 *     LUN {"lun": 0..63, "kind": "disk"|"dvd", "fd": N, "format": FORMAT, "parents": [{"fd": N, "format": FORMAT}, ...],
 *          "id": GUID, "read_only": BOOL, "direct": BOOL}
 *         "fd" is an inherited descriptor of the opened file or block device, -1 for a DVD drive without a medium.
 *         FORMAT "raw", "vhd", "vhdx". "parents": of a differencing disk, from its parent to the base, opened read-only.
 *         "id" names the disk to the guest (VPD page 0x83) and stays with it. "read_only" and "direct" (by-pass the
 *         parent's page cache) are false, "parents" empty when left out. "luns" may be empty.
 *   {"type": "nic", "instance": GUID, "name": TEXT, "mac": "00-15-5D-01-02-03", "mtu": 576..9000, "taps": [N, ...],
 *    "link": "up"|"down", "link_mbps": N, "mac_spoofing": BOOL, "guard_dhcp": BOOL, "guard_router": BOOL}
 *         at most 8; 1 to 8 tap queues, set up as vsp/netvsp/netvsp.h says; one of a socketpair will do as well. "name"
 *         empty, "link" up, "link_mbps" 10000, the rest false when left out
 *   {"type": "heartbeat"|"shutdown"|"timesync"|"kvp"|"vss"|"fcopy", "instance": GUID}      integration components; at
 *         most one of each
 *   {"type": "memory", "instance": GUID, "minimum_mib": N, "maximum_mib": N}              dynamic memory; at most one.
 *         minimum <= memory.startup_mib <= maximum
 *   {"type": "hvsock", "instance": GUID, "listen_fd": N, "directory_fd": N}               at most one
 *         "directory_fd": the folder <rundir>/workers/<vm id>.hvsock, opened. When the guest connects to a service, the
 *         worker connects to the AF_UNIX SOCK_STREAM socket of that name (GUID in lower case) in it: who offers a
 *         service to the guest listens there. "listen_fd": a listening socket, `connect` in that folder: the client
 *         writes "CONNECT <GUID>\n", reads "OK\n" or "ERROR <reason>\n", and is then connected to the guest's service
 *   {"type": "keyboard", "instance": GUID}                          at most one
 *   VMBus is there whenever a device is on it. Instance GUIDs are stable: guests name their devices by them.
 *   Unknown members and unknown versions are refused with the member's name.
 */
#ifndef WORKER_WORKER_MSG_H
#define WORKER_WORKER_MSG_H

#define WORKER_MSG_MAX         65536
#define WORKER_CONSOLE_BACKLOG 65536
#define WORKER_MSG_FDS_MAX     64

#define WORKER_EXIT_OK           0
#define WORKER_EXIT_ERROR        1
#define WORKER_EXIT_START_FAILED 2
#define WORKER_EXIT_TRIPLE_FAULT 3

#endif
