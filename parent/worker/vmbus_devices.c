// SPDX-License-Identifier: Apache-2.0
#include "worker/vmbus_devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "block/raw.h"

#define DVD_SECTOR_BYTES 2048u

/* The printed form, which config.c has checked. */
static struct vmbus_guid guid_parse(const char *text)
{
	struct vmbus_guid guid;
	unsigned a, b, c, d[8];

	(void)sscanf(text, "%8x-%4x-%4x-%2x%2x-%2x%2x%2x%2x%2x%2x", &a, &b, &c, &d[0], &d[1], &d[2], &d[3], &d[4], &d[5], &d[6],
		     &d[7]);
	guid = (struct vmbus_guid){ .a = a, .b = (uint16_t)b, .c = (uint16_t)c };
	for (unsigned i = 0; i < 8; i++)
		guid.d[i] = (uint8_t)d[i];
	return guid;
}

/* The descriptor stays the configuration's: a reset opens the disk again. */
static int open_medium(const struct vsp_host *host, const struct config_lun *lun, struct block_disk **out,
		       struct failure *why)
{
	struct block_raw_options options = {
		.read_only = lun->read_only || lun->is_dvd,
		.direct = lun->direct,
		.logical_bytes = lun->is_dvd ? DVD_SECTOR_BYTES : 0,
	};
	struct vmbus_guid id = guid_parse(lun->id);
	int fd = fcntl(lun->fd, F_DUPFD_CLOEXEC, 0), r;

	memcpy(options.id, &id, sizeof id);
	if (fd < 0)
		return failure_set(why, -errno, "SCSI unit %u: descriptor %d: %s", lun->lun, lun->fd, strerror(errno));
	r = block_raw_create(host, fd, &options, out);
	if (r) {
		(void)close(fd);
		return failure_set(why, r, "SCSI unit %u: the file cannot be used as a disk: %s", lun->lun, strerror(-r));
	}
	return 0;
}

/* Nothing was submitted yet: it is gone in the next round of the loop. */
static void on_unused_disk_closed(void *context)
{
}

static int add_lun(struct storvsp *scsi, const struct vsp_host *host, const struct config_lun *lun, struct failure *why)
{
	struct vmbus_guid id = guid_parse(lun->id);
	struct block_disk *disk = NULL;
	uint8_t bytes[16];
	int r = lun->fd >= 0 ? open_medium(host, lun, &disk, why) : 0;

	if (r)
		return r;
	memcpy(bytes, &id, sizeof bytes);
	r = lun->is_dvd ? storvsp_attach_dvd(scsi, lun->lun, bytes, disk) : storvsp_attach_disk(scsi, lun->lun, disk);
	if (r == 0)
		return 0;
	if (disk)
		block_close(disk, on_unused_disk_closed, NULL);
	return failure_set(why, r, "SCSI unit %u: cannot be attached: %s", lun->lun, strerror(-r));
}

static int add_scsi(struct vmbus_devices *d, unsigned index, struct vmbus_server *server, const struct vsp_host *host,
		    struct failure *why)
{
	const struct config_scsi *config = &d->config->scsi[index];
	unsigned sub_channels = d->config->vp_count - 1;
	struct storvsp_options options = {
		.instance = guid_parse(config->instance),
		.sub_channels_max = sub_channels < STORVSP_SUB_CHANNELS_MAX ? sub_channels : STORVSP_SUB_CHANNELS_MAX,
	};
	int r = storvsp_create(server, host, &options, &d->scsi[index]);

	if (r)
		return failure_set(why, r, "SCSI controller %u: %s", index, strerror(-r));
	for (unsigned i = 0; r == 0 && i < config->lun_count; i++)
		r = add_lun(d->scsi[index], host, &config->luns[i], why);
	return r;
}

/* The device of a kind that a child has once; it is initialized. */
static struct vmbus_device *single_device(struct vmbus_devices *d, enum config_single which)
{
	switch (which) {
	case CONFIG_HEARTBEAT:
		return &d->heartbeat.ic.device;
	case CONFIG_SHUTDOWN:
		return &d->shutdown.ic.device;
	case CONFIG_TIMESYNC:
		return &d->timesync.ic.device;
	case CONFIG_KVP:
		return &d->kvp.ic.device;
	case CONFIG_KEYBOARD:
		return &d->keyboard.device;
	case CONFIG_SINGLE_COUNT:
		break;
	}
	return NULL;
}

/* Status is read when somebody asks; nothing here acts on what guests tell. */
static void on_heartbeat(void *context, enum heartbeat_status status, enum ic_application_state application)
{
}

static void on_shutdown_accepted(void *context)
{
}

static void on_shutdown_ended(void *context, enum shutdown_end end, uint32_t status)
{
}

static void on_kvp_item(void *context, enum ic_kvp_pool pool, const struct kvp_item *item)
{
}

static void on_kvp_ip_info(void *context, const struct kvp_ip_info *info)
{
}

static void on_kvp_done(void *context, const struct kvp_result *result)
{
}

static void on_leds(void *context, uint8_t leds)
{
}

static const struct heartbeat_events heartbeat_events = { .changed = on_heartbeat };
static const struct shutdown_events shutdown_events = { .accepted = on_shutdown_accepted, .ended = on_shutdown_ended };
static const struct kvp_events kvp_events = { .item = on_kvp_item, .ip_info = on_kvp_ip_info, .done = on_kvp_done };
static const struct keyboard_events keyboard_events = { .leds = on_leds };

int vmbus_devices_add(struct vmbus_devices *d, struct vmbus_server *server, const struct vsp_host *host,
		      const struct config *config, struct failure *why)
{
	int r = 0;

	*d = (struct vmbus_devices){ .config = config };
	heartbeat_init(&d->heartbeat, &heartbeat_events, d);
	shutdown_init(&d->shutdown, &shutdown_events, d);
	timesync_init(&d->timesync);
	kvp_init(&d->kvp, &kvp_events, d);
	keyboard_init(&d->keyboard, &keyboard_events, d);
	for (unsigned i = 0; r == 0 && i < config->scsi_count; i++)
		r = add_scsi(d, i, server, host, why);
	for (unsigned i = 0; r == 0 && i < CONFIG_SINGLE_COUNT; i++) {
		struct vmbus_device *device = single_device(d, (enum config_single)i);

		if (!config->single[i][0])
			continue;
		device->offer.instance = guid_parse(config->single[i]);
		r = vmbus_device_add(server, device);
		if (r)
			failure_set(why, r, "%s: %s", config_single_names[i], strerror(-r));
	}
	return r;
}

static void on_scsi_closed(void *context)
{
	struct vmbus_devices *d = context;

	if (--d->closing == 0)
		d->closed(d->context);
}

void vmbus_devices_close(struct vmbus_devices *d, vsp_callback closed, void *context)
{
	d->closed = closed;
	d->context = context;
	d->closing = 1;			/* this call; the controllers never answer from inside */
	for (unsigned i = 0; i < CONFIG_SCSI_MAX; i++)
		if (d->scsi[i]) {
			d->closing++;
			storvsp_destroy(d->scsi[i], on_scsi_closed, d);
			d->scsi[i] = NULL;
		}
	on_scsi_closed(d);
}

static struct ic *const *ics(struct vmbus_devices *d, struct ic *out[4])
{
	out[0] = &d->heartbeat.ic;
	out[1] = &d->shutdown.ic;
	out[2] = &d->timesync.ic;
	out[3] = &d->kvp.ic;
	return out;
}

void vmbus_devices_pause(struct vmbus_devices *d)
{
	struct ic *all[4];

	for (unsigned i = 0; i < 4; i++)
		ic_pause(ics(d, all)[i]);
	keyboard_pause(&d->keyboard);
}

void vmbus_devices_resume(struct vmbus_devices *d)
{
	struct ic *all[4];

	for (unsigned i = 0; i < 4; i++)
		ic_resume(ics(d, all)[i]);
	keyboard_resume(&d->keyboard);
}

void vmbus_devices_counters(struct vmbus_devices *d,
			    void (*emit)(void *context, const char *device, const char *counter, uint64_t value),
			    void *context)
{
	char name[32];

	for (unsigned i = 0; i < d->config->scsi_count; i++)
		for (unsigned k = 0; k < d->config->scsi[i].lun_count; k++) {
			unsigned lun = d->config->scsi[i].luns[k].lun;
			struct storvsp_lun_stats stats;

			if (storvsp_lun_stats(d->scsi[i], lun, &stats))
				continue;
			(void)snprintf(name, sizeof name, "scsi%u:%u", i, lun);
			emit(context, name, "reads", stats.reads);
			emit(context, name, "read_bytes", stats.read_bytes);
			emit(context, name, "writes", stats.writes);
			emit(context, name, "write_bytes", stats.write_bytes);
			emit(context, name, "flushes", stats.flushes);
			emit(context, name, "unmaps", stats.unmaps);
			emit(context, name, "errors", stats.errors);
		}
	if (d->config->single[CONFIG_HEARTBEAT][0]) {
		emit(context, "heartbeat", "status", heartbeat_status(&d->heartbeat));
		emit(context, "heartbeat", "answers", d->heartbeat.ic.counters.answers);
	}
}
