/* SPDX-License-Identifier: Apache-2.0 */
/* Properties that a client sets, put one by one into the draft of a machine's settings. */
#ifndef VMMS_SETTING_PUT_H
#define VMMS_SETTING_PUT_H

#include "cim/provider.h"
#include "store/store.h"

enum setting_put { SETTING_PUT, SETTING_NOT_BACKED, SETTING_REFUSED };

/* Where a property goes. */
struct setting_target {
	const struct cim_class *class;
	struct store_vm *vm;
	struct store_storage *storage;
	const struct storage_item *item; /* of the storage; NULL for other settings */
	struct store_nic *nic;
	struct store_acl *acl;
	struct store_switch *ethernet_switch;
};

/* Takes one property; refusals go to the context's error. */
typedef enum setting_put setting_put_function(struct cim_context *context,
					      const struct setting_target *target, int property,
					      const struct cim_value *value);

/*
 * Puts what is set in `changes`. A property that nothing backs may only repeat its present value, so that a
 * client can send back what it has read. False with the context's error.
 */
bool setting_put_all(struct cim_context *context, const struct setting_target *target,
		     const struct cim_instance *current, const struct cim_instance *changes,
		     setting_put_function *put);

/* Text that goes into names, paths and command lines: no control characters, at most `max` bytes. */
bool setting_put_check_text(struct cim_context *context, const char *field, const char *text, size_t max);

/* The error of a value that will not do: CIM_ERR_INVALID_PARAMETER at `field`. */
enum setting_put setting_put_refuse(struct cim_context *context, const char *field, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
