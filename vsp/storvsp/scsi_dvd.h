/* SPDX-License-Identifier: Apache-2.0 */
/* The medium of a DVD drive, from outside. The guest can eject it too. */
#ifndef VSP_STORVSP_SCSI_DVD_H
#define VSP_STORVSP_SCSI_DVD_H

#include "storvsp/scsi.h"

/* Into an empty drive: closes the tray. The medium is the unit's; its sectors are at most 2048 bytes. */
void scsi_dvd_insert(struct scsi_unit *unit, struct block_disk *disk);
/* Opens the tray, also when the guest has locked it, and closes the medium. */
void scsi_dvd_eject(struct scsi_unit *unit);

#endif
