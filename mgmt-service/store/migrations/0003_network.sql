-- SPDX-License-Identifier: Apache-2.0
-- Virtual switches, and the network adapters of machines with what their ports do.

CREATE TABLE ethernet_switch (
	id            TEXT PRIMARY KEY CHECK (length(id) = 36),
	element_name  TEXT NOT NULL,
	notes         TEXT NOT NULL DEFAULT '',
	created_ms    INTEGER NOT NULL,
	external_id   TEXT NOT NULL DEFAULT '', -- of its port to a network adapter of the host; '': none
	uplink        TEXT NOT NULL DEFAULT '', -- that adapter
	internal_id   TEXT NOT NULL DEFAULT '', -- of its port to the host; '': none
	nat_subnet    TEXT NOT NULL DEFAULT '', -- '': no translation
	CHECK ((external_id = '') = (uplink = '')),
	CHECK (nat_subnet = '' OR (internal_id <> '' AND external_id = ''))
) STRICT;

-- No foreign key from a connection to its switch: a machine whose switch is not there still has its settings.
CREATE TABLE nic (
	id               TEXT PRIMARY KEY CHECK (length(id) = 36), -- its VMBus instance, by which guests know it
	vm_id            TEXT NOT NULL REFERENCES vm (id) ON DELETE CASCADE,
	position         INTEGER NOT NULL CHECK (position BETWEEN 0 AND 7),
	element_name     TEXT NOT NULL,
	mac              BLOB NOT NULL CHECK (length(mac) = 6),
	static_mac       INTEGER NOT NULL CHECK (static_mac IN (0, 1)),
	connection       INTEGER NOT NULL CHECK (connection IN (0, 1)), -- it has a port at all
	switch_id        TEXT NOT NULL DEFAULT '',
	switch_name      TEXT NOT NULL DEFAULT '',                     -- as last known
	enabled          INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
	features         INTEGER NOT NULL DEFAULT 0,                   -- bits of enum store_feature: settings that are there
	vlan_mode        INTEGER NOT NULL DEFAULT 0,
	access_vlan      INTEGER NOT NULL DEFAULT 0,
	native_vlan      INTEGER NOT NULL DEFAULT 0,
	pvlan_mode       INTEGER NOT NULL DEFAULT 0,
	primary_vlan     INTEGER NOT NULL DEFAULT 0,
	secondary_vlan   INTEGER NOT NULL DEFAULT 0,
	trunk            BLOB NOT NULL CHECK (length(trunk) = 512),    -- a bit for each VLAN
	reservation_bps  INTEGER NOT NULL DEFAULT 0,
	limit_bps        INTEGER NOT NULL DEFAULT 0,
	mac_spoofing     INTEGER NOT NULL DEFAULT 0 CHECK (mac_spoofing IN (0, 1)),
	dhcp_guard       INTEGER NOT NULL DEFAULT 0 CHECK (dhcp_guard IN (0, 1)),
	router_guard     INTEGER NOT NULL DEFAULT 0 CHECK (router_guard IN (0, 1)),
	monitor_mode     INTEGER NOT NULL DEFAULT 0 CHECK (monitor_mode BETWEEN 0 AND 2),
	monitor_session  INTEGER NOT NULL DEFAULT 0,
	UNIQUE (vm_id, position)
) STRICT;

CREATE TABLE nic_acl (
	id             TEXT PRIMARY KEY CHECK (length(id) = 36),
	nic_id         TEXT NOT NULL REFERENCES nic (id) ON DELETE CASCADE,
	position       INTEGER NOT NULL CHECK (position BETWEEN 0 AND 63),
	name           TEXT NOT NULL DEFAULT '',
	direction      INTEGER NOT NULL CHECK (direction IN (1, 2)),
	applicability  INTEGER NOT NULL CHECK (applicability IN (1, 2)),
	type           INTEGER NOT NULL CHECK (type BETWEEN 1 AND 3),
	action         INTEGER NOT NULL CHECK (action BETWEEN 1 AND 3),
	local          TEXT NOT NULL DEFAULT '',
	local_prefix   INTEGER NOT NULL DEFAULT 0,
	remote         TEXT NOT NULL DEFAULT '',
	remote_prefix  INTEGER NOT NULL DEFAULT 0,
	UNIQUE (nic_id, position)
) STRICT;
