-- SPDX-License-Identifier: Apache-2.0
-- Virtual machines, their settings, and jobs. Times are milliseconds since 1970, UTC.

CREATE TABLE vm (
	id                 TEXT PRIMARY KEY CHECK (length(id) = 36),
	element_name       TEXT NOT NULL,
	notes              TEXT NOT NULL DEFAULT '',
	created_ms         INTEGER NOT NULL,
	config_changed_ms  INTEGER NOT NULL,
	state              INTEGER NOT NULL,          -- enum vm_state, as last known
	state_changed_ms   INTEGER NOT NULL,
	requested_state    INTEGER NOT NULL,          -- as Msvm_ComputerSystem.RequestedState
	failed             INTEGER NOT NULL DEFAULT 0,
	status_text        TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE vm_processor (
	vm_id  TEXT PRIMARY KEY REFERENCES vm (id) ON DELETE CASCADE,
	count  INTEGER NOT NULL CHECK (count BETWEEN 1 AND 64)
) STRICT;

CREATE TABLE vm_memory (
	vm_id        TEXT PRIMARY KEY REFERENCES vm (id) ON DELETE CASCADE,
	startup_mib  INTEGER NOT NULL CHECK (startup_mib > 0)
) STRICT;

CREATE TABLE vm_linux_kernel_direct (
	vm_id         TEXT PRIMARY KEY REFERENCES vm (id) ON DELETE CASCADE,
	kernel_path   TEXT NOT NULL,
	initrd_path   TEXT NOT NULL DEFAULT '',
	command_line  TEXT NOT NULL DEFAULT ''
) STRICT;

-- No foreign key to vm: the job that destroys a machine outlives it.
CREATE TABLE job (
	id                TEXT PRIMARY KEY CHECK (length(id) = 36),
	vm_id             TEXT NOT NULL,
	type              INTEGER NOT NULL,           -- as Msvm_ConcreteJob.JobType
	state             INTEGER NOT NULL,           -- as Msvm_ConcreteJob.JobState
	submitted_ms      INTEGER NOT NULL,
	started_ms        INTEGER NOT NULL DEFAULT 0,
	changed_ms        INTEGER NOT NULL,
	error_code        INTEGER NOT NULL DEFAULT 0,
	error_text        TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX job_by_vm ON job (vm_id);
