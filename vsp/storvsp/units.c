// SPDX-License-Identifier: Apache-2.0
/* What is attached to a controller: units that come and go, and media. */
#include <errno.h>
#include <stdlib.h>

#include "storvsp/controller.h"
#include "storvsp/scsi_dvd.h"

/* The guest sees it by looking: that brings it to the unit attention of a unit, or to its absence. */
static void units_changed(void *context)
{
	struct storvsp *storvsp = context;

	storvsp->tell_enumerate = true;
	storvsp_tell_news(storvsp);
	storvsp_flush(storvsp);
}

static void units_batched(void *context)
{
	storvsp_flush(context);
}

static void unit_detached(void *context)
{
	const struct detachment detachment = *(struct detachment *)context;

	free(context);
	if (detachment.done)
		detachment.done(detachment.context);
	storvsp_unit_gone(detachment.storvsp);
}

int storvsp_detach(struct storvsp *storvsp, unsigned lun, vsp_callback done, void *context)
{
	struct detachment *detachment;
	struct scsi_unit *unit;

	if (lun >= STORVSP_LUN_COUNT || !storvsp->units[lun])
		return -ENOENT;
	unit = storvsp->units[lun];
	detachment = storvsp->detachments[lun];
	*detachment = (struct detachment){ storvsp, done, context };
	storvsp->units[lun] = NULL;
	storvsp->detachments[lun] = NULL;
	storvsp->closing_units++;
	scsi_unit_close(unit, unit_detached, detachment);
	storvsp->tell_removed = true;
	storvsp_tell_news(storvsp);
	storvsp_flush(storvsp);
	return 0;
}

static int attach(struct storvsp *storvsp, unsigned lun, const struct scsi_unit_type *type, const uint8_t id[16],
		  struct block_disk *disk)
{
	const struct scsi_unit_events events = { units_changed, units_batched, storvsp };
	struct detachment *detachment;
	struct scsi_unit *unit;

	if (storvsp->destroying)
		return -ENODEV;
	if (lun >= STORVSP_LUN_COUNT)
		return -EINVAL;
	if (storvsp->units[lun])
		return -EEXIST;
	detachment = calloc(1, sizeof *detachment);	/* now, so that detaching cannot fail */
	unit = detachment ? scsi_unit_new(type, &storvsp->host, id, disk, &events) : NULL;
	if (!unit) {
		free(detachment);
		return -ENOMEM;
	}
	storvsp->units[lun] = unit;
	storvsp->detachments[lun] = detachment;
	units_changed(storvsp);
	return 0;
}

int storvsp_attach_disk(struct storvsp *storvsp, unsigned lun, struct block_disk *disk)
{
	return attach(storvsp, lun, &scsi_disk_type, disk->info.id, disk);
}

int storvsp_refresh(struct storvsp *storvsp, unsigned lun)
{
	const struct scsi_unit *unit = lun < STORVSP_LUN_COUNT ? storvsp->units[lun] : NULL;

	return unit && unit->disk ? block_refresh(unit->disk) : -ENOENT;
}

int storvsp_resize(struct storvsp *storvsp, unsigned lun, uint64_t bytes, block_resize_done done, void *context,
		   struct block_failure *failure)
{
	const struct scsi_unit *unit = lun < STORVSP_LUN_COUNT ? storvsp->units[lun] : NULL;

	if (!unit || !unit->disk)
		return block_failure_set(failure, -ENOENT, "there is no disk");
	return block_resize(unit->disk, bytes, done, context, failure);
}

static bool medium_ok(const struct block_disk *disk)
{
	return disk->info.logical_bytes <= scsi_dvd_type.block_bytes;
}

int storvsp_attach_dvd(struct storvsp *storvsp, unsigned lun, const uint8_t id[16], struct block_disk *medium)
{
	return medium && !medium_ok(medium) ? -EINVAL : attach(storvsp, lun, &scsi_dvd_type, id, medium);
}

static struct scsi_unit *find_dvd(const struct storvsp *storvsp, unsigned lun)
{
	struct scsi_unit *unit = lun < STORVSP_LUN_COUNT ? storvsp->units[lun] : NULL;

	return unit && unit->type == &scsi_dvd_type ? unit : NULL;
}

int storvsp_dvd_insert(struct storvsp *storvsp, unsigned lun, struct block_disk *medium)
{
	struct scsi_unit *unit = find_dvd(storvsp, lun);

	if (!unit)
		return -ENOENT;
	if (!medium_ok(medium))
		return -EINVAL;
	if (unit->disk)
		return -EBUSY;
	scsi_dvd_insert(unit, medium);
	return 0;
}

int storvsp_dvd_eject(struct storvsp *storvsp, unsigned lun)
{
	struct scsi_unit *unit = find_dvd(storvsp, lun);

	if (!unit)
		return -ENOENT;
	scsi_dvd_eject(unit);
	return 0;
}

bool storvsp_dvd_loaded(const struct storvsp *storvsp, unsigned lun)
{
	const struct scsi_unit *unit = find_dvd(storvsp, lun);

	return unit && unit->disk;
}

int storvsp_lun_stats(const struct storvsp *storvsp, unsigned lun, struct storvsp_lun_stats *ret_stats)
{
	if (lun >= STORVSP_LUN_COUNT || !storvsp->units[lun])
		return -ENOENT;
	*ret_stats = storvsp->units[lun]->stats;
	return 0;
}
