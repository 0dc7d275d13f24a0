/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes ACPI Machine Language (ACPI 6.4, chapter 20) into a bounded buffer. What does not fit sets `overflow` and is
 * dropped, so that a whole table is written without a check per term and tested once at its end.
 */
#ifndef WORKER_AML_H
#define WORKER_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buffer;
	size_t size_bytes;
	size_t used;
	bool overflow;
};

/* An open Scope, Device, Method, Package or Buffer: where its length goes. */
struct aml_block {
	size_t length_at;
};

void aml_init(struct aml *aml, void *buffer, size_t size_bytes);
void aml_bytes(struct aml *aml, const void *bytes, size_t count);
void aml_byte(struct aml *aml, uint8_t byte);

/* Blocks: everything written between open and close is inside. Names are NameSegs of up to 4 characters, '\\' in front for root. */
struct aml_block aml_scope(struct aml *aml, const char *name);
struct aml_block aml_device(struct aml *aml, const char *name);
struct aml_block aml_method(struct aml *aml, const char *name, uint8_t argument_count);
void aml_close(struct aml *aml, struct aml_block block);

/* Name (name, value) */
void aml_name_integer(struct aml *aml, const char *name, uint64_t value);
void aml_name_string(struct aml *aml, const char *name, const char *text);
void aml_name_eisaid(struct aml *aml, const char *name, const char *id);
void aml_name_package(struct aml *aml, const char *name, const uint64_t *values, uint8_t count);

/* Name (name, ResourceTemplate () { ... }) */
struct aml_template {
	struct aml_block buffer;
	size_t size_at;
};
struct aml_template aml_template(struct aml *aml, const char *name);
void aml_template_close(struct aml *aml, struct aml_template template);
void aml_resource_io(struct aml *aml, uint16_t port, uint8_t count);
void aml_resource_interrupt_edge(struct aml *aml, uint32_t gsi);	/* active high, exclusive, consumer */
void aml_resource_window(struct aml *aml, uint64_t base, uint64_t bytes);	/* QWordMemory, producer */

#endif
