-- SPDX-License-Identifier: Apache-2.0
-- Integration components and SCSI storage.

-- 1: offered to the guest.
CREATE TABLE vm_integration (
	vm_id      TEXT PRIMARY KEY REFERENCES vm (id) ON DELETE CASCADE,
	heartbeat  INTEGER NOT NULL DEFAULT 1 CHECK (heartbeat IN (0, 1)),
	shutdown   INTEGER NOT NULL DEFAULT 1 CHECK (shutdown IN (0, 1)),
	timesync   INTEGER NOT NULL DEFAULT 1 CHECK (timesync IN (0, 1)),
	kvp        INTEGER NOT NULL DEFAULT 1 CHECK (kvp IN (0, 1))
) STRICT;

INSERT INTO vm_integration (vm_id) SELECT id FROM vm;

CREATE TABLE scsi_controller (
	id        TEXT PRIMARY KEY CHECK (length(id) = 36), -- its VMBus instance, by which guests know it
	vm_id     TEXT NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
	position  INTEGER NOT NULL CHECK (position BETWEEN 0 AND 3),
	UNIQUE (vm_id, position)
) STRICT;

CREATE TABLE scsi_drive (
	controller_id  TEXT NOT NULL REFERENCES scsi_controller (id) ON DELETE CASCADE,
	lun            INTEGER NOT NULL CHECK (lun BETWEEN 0 AND 63),
	kind           INTEGER NOT NULL CHECK (kind IN (0, 1)), -- enum store_drive_kind
	disk_id        TEXT NOT NULL CHECK (length(disk_id) = 36), -- names the disk to the guest
	path           TEXT,                                       -- NULL: no image
	read_only      INTEGER NOT NULL DEFAULT 0 CHECK (read_only IN (0, 1)),
	direct         INTEGER NOT NULL DEFAULT 0 CHECK (direct IN (0, 1)),
	PRIMARY KEY (controller_id, lun)
) STRICT;
