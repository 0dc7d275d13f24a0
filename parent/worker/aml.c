// SPDX-License-Identifier: Apache-2.0
#include "worker/aml.h"

#include <string.h>

#include "worker/le_bytes.h"

/* Opcodes, ACPI 6.4 §20.2. */
enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_QWORD = 0x0e,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_EXT = 0x5b,
	AML_EXT_DEVICE = 0x82,
	AML_ROOT = 0x5c,
};

/* Resource descriptors, ACPI 6.4 §6.4. */
enum {
	RESOURCE_IO = 0x47,
	RESOURCE_END = 0x79,
	RESOURCE_INTERRUPT = 0x89,
	RESOURCE_QWORD = 0x8a,
};

#define LENGTH_BYTES 3u			/* PkgLength always in its three-byte form: up to 1 MiB */
#define LENGTH_FORM  0x80u

void aml_init(struct aml *aml, void *buffer, size_t size_bytes)
{
	*aml = (struct aml){ .buffer = buffer, .size_bytes = size_bytes };
}

void aml_bytes(struct aml *aml, const void *bytes, size_t count)
{
	if (count > aml->size_bytes - aml->used) {
		aml->overflow = true;
		return;
	}
	memcpy(aml->buffer + aml->used, bytes, count);
	aml->used += count;
}

void aml_byte(struct aml *aml, uint8_t byte)
{
	aml_bytes(aml, &byte, 1);
}

static void put_number(struct aml *aml, uint64_t value, unsigned bytes)
{
	uint8_t raw[8];

	le_put(raw, value, bytes);
	aml_bytes(aml, raw, bytes);
}

static void put_name(struct aml *aml, const char *name)
{
	char segment[4] = { '_', '_', '_', '_' };

	if (*name == '\\') {
		aml_byte(aml, AML_ROOT);
		name++;
	}
	for (unsigned i = 0; i < sizeof segment && name[i]; i++)
		segment[i] = name[i];
	aml_bytes(aml, segment, sizeof segment);
}

static void put_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) {
		aml_byte(aml, value ? AML_ONE : AML_ZERO);
	} else if (value <= UINT8_MAX) {
		aml_byte(aml, AML_BYTE);
		put_number(aml, value, 1);
	} else if (value <= UINT16_MAX) {
		aml_byte(aml, AML_WORD);
		put_number(aml, value, 2);
	} else if (value <= UINT32_MAX) {
		aml_byte(aml, AML_DWORD);
		put_number(aml, value, 4);
	} else {
		aml_byte(aml, AML_QWORD);
		put_number(aml, value, 8);
	}
}

static struct aml_block open_block(struct aml *aml)
{
	struct aml_block block = { .length_at = aml->used };

	put_number(aml, 0, LENGTH_BYTES);
	return block;
}

struct aml_block aml_scope(struct aml *aml, const char *name)
{
	struct aml_block block;

	aml_byte(aml, AML_SCOPE);
	block = open_block(aml);
	put_name(aml, name);
	return block;
}

struct aml_block aml_device(struct aml *aml, const char *name)
{
	struct aml_block block;

	aml_byte(aml, AML_EXT);
	aml_byte(aml, AML_EXT_DEVICE);
	block = open_block(aml);
	put_name(aml, name);
	return block;
}

struct aml_block aml_method(struct aml *aml, const char *name, uint8_t argument_count)
{
	struct aml_block block;

	aml_byte(aml, AML_METHOD);
	block = open_block(aml);
	put_name(aml, name);
	aml_byte(aml, argument_count);
	return block;
}

void aml_close(struct aml *aml, struct aml_block block)
{
	size_t length = aml->used - block.length_at;	/* counts its own bytes */

	if (aml->overflow)
		return;
	aml->buffer[block.length_at] = (uint8_t)(LENGTH_FORM | (length & 0xf));
	aml->buffer[block.length_at + 1] = (uint8_t)(length >> 4);
	aml->buffer[block.length_at + 2] = (uint8_t)(length >> 12);
}

static void open_name(struct aml *aml, const char *name)
{
	aml_byte(aml, AML_NAME);
	put_name(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, uint64_t value)
{
	open_name(aml, name);
	put_integer(aml, value);
}

void aml_name_string(struct aml *aml, const char *name, const char *text)
{
	open_name(aml, name);
	aml_byte(aml, AML_STRING);
	aml_bytes(aml, text, strlen(text) + 1);
}

static uint32_t hex_digit(char c)
{
	return c >= 'A' ? (uint32_t)(c - 'A' + 10) : (uint32_t)(c - '0');
}

/* Three letters of five bits, four hex digits; the whole is stored with its high byte first. */
void aml_name_eisaid(struct aml *aml, const char *name, const char *id)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < 3; i++)
		value = value << 5 | ((uint32_t)(id[i] - 'A' + 1) & 0x1f);
	for (unsigned i = 3; i < 7; i++)
		value = value << 4 | hex_digit(id[i]);
	open_name(aml, name);
	aml_byte(aml, AML_DWORD);
	put_number(aml, __builtin_bswap32(value), 4);
}

void aml_name_package(struct aml *aml, const char *name, const uint64_t *values, uint8_t count)
{
	struct aml_block block;

	open_name(aml, name);
	aml_byte(aml, AML_PACKAGE);
	block = open_block(aml);
	aml_byte(aml, count);
	for (unsigned i = 0; i < count; i++)
		put_integer(aml, values[i]);
	aml_close(aml, block);
}

struct aml_template aml_template(struct aml *aml, const char *name)
{
	struct aml_template template;

	open_name(aml, name);
	aml_byte(aml, AML_BUFFER);
	template.buffer = open_block(aml);
	aml_byte(aml, AML_WORD);
	template.size_at = aml->used;
	put_number(aml, 0, 2);
	return template;
}

void aml_template_close(struct aml *aml, struct aml_template template)
{
	put_number(aml, RESOURCE_END, 2);	/* tag and a checksum of 0: "treat as correct" */
	if (!aml->overflow)
		le16_put(aml->buffer + template.size_at, (uint16_t)(aml->used - template.size_at - 2));
	aml_close(aml, template.buffer);
}

void aml_resource_io(struct aml *aml, uint16_t port, uint8_t count)
{
	put_number(aml, RESOURCE_IO, 1);
	put_number(aml, 1, 1);			/* decodes 16 bits */
	put_number(aml, port, 2);
	put_number(aml, port, 2);
	put_number(aml, 1, 1);
	put_number(aml, count, 1);
}

void aml_resource_interrupt_edge(struct aml *aml, uint32_t gsi)
{
	put_number(aml, RESOURCE_INTERRUPT, 1);
	put_number(aml, 6, 2);
	put_number(aml, 0x3, 1);		/* consumer, edge; active high, exclusive */
	put_number(aml, 1, 1);
	put_number(aml, gsi, 4);
}

void aml_resource_window(struct aml *aml, uint64_t base, uint64_t bytes)
{
	put_number(aml, RESOURCE_QWORD, 1);
	put_number(aml, 43, 2);
	put_number(aml, 0, 1);			/* memory */
	put_number(aml, 0xc, 1);		/* producer; both ends fixed */
	put_number(aml, 1, 1);			/* read-write, not cacheable */
	put_number(aml, 0, 8);
	put_number(aml, base, 8);
	put_number(aml, base + bytes - 1, 8);
	put_number(aml, 0, 8);
	put_number(aml, bytes, 8);
}
