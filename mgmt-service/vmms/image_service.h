/* SPDX-License-Identifier: Apache-2.0 */
/* What the methods of other services need of virtual hard disk files. */
#ifndef VMMS_IMAGE_SERVICE_H
#define VMMS_IMAGE_SERVICE_H

#include "cim/provider.h"
#include "vmms/host_file.h"

/*
 * Opens an image with all its parents, as a start would. The model is unlocked meanwhile: the caller holds
 * nothing of it. False with the context's error about the field.
 */
bool image_service_check(struct cim_context *context, const char *field, const struct host_disk *disk);

#endif
