-- SPDX-License-Identifier: Apache-2.0
-- Backup and guest services, dynamic memory, key-value items that the host gives to guests.

ALTER TABLE vm_integration ADD COLUMN vss INTEGER NOT NULL DEFAULT 1 CHECK (vss IN (0, 1));
ALTER TABLE vm_integration ADD COLUMN fcopy INTEGER NOT NULL DEFAULT 0 CHECK (fcopy IN (0, 1));

-- Minimum and maximum count while the memory is dynamic.
ALTER TABLE vm_memory ADD COLUMN dynamic INTEGER NOT NULL DEFAULT 0 CHECK (dynamic IN (0, 1));
ALTER TABLE vm_memory ADD COLUMN minimum_mib INTEGER NOT NULL DEFAULT 512 CHECK (minimum_mib > 0);
ALTER TABLE vm_memory ADD COLUMN maximum_mib INTEGER NOT NULL DEFAULT 1048576 CHECK (maximum_mib > 0);
ALTER TABLE vm_memory ADD COLUMN buffer_percent INTEGER NOT NULL DEFAULT 20;
ALTER TABLE vm_memory ADD COLUMN weight INTEGER NOT NULL DEFAULT 5000;

CREATE TABLE vm_kvp (
	vm_id      TEXT NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
	name       TEXT NOT NULL,
	host_only  INTEGER NOT NULL CHECK (host_only IN (0, 1)), -- 1: the guest does not get it
	value      TEXT NOT NULL,
	PRIMARY KEY (vm_id, name)
) STRICT;
