/* SPDX-License-Identifier: Apache-2.0 */
/*
 * undercroft.conf: lines "key = value", '#' starts a comment line.
 *   kernel  = \vmlinuz            the parent's boot loader or kernel (an EFI image) on the same partition
 *   cmdline = initrd=\initrd.img  what it is started with
 *   options = tsc=stable lift=off words; tsc=stable: trust the TSC although the CPU does not call it invariant
 */
#include "boot/config.h"
#include "core/mem.h"

struct span {
	const char *at;
	size_t bytes;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span s)
{
	while (s.bytes && is_blank(*s.at))
		s.at++, s.bytes--;
	while (s.bytes && is_blank(s.at[s.bytes - 1]))
		s.bytes--;
	return s;
}

static bool span_is(struct span s, const char *word)
{
	size_t n = 0;

	while (word[n])
		n++;
	return s.bytes == n && memcmp(s.at, word, n) == 0;
}

static bool take_text(char *to, struct span value)
{
	if (value.bytes >= CONFIG_TEXT_MAX)
		return false;
	memcpy(to, value.at, value.bytes);
	to[value.bytes] = '\0';
	return true;
}

static const char *take_options(struct boot_config *out, struct span value)
{
	while (value.bytes) {
		struct span word = { value.at, 0 };

		while (word.bytes < value.bytes && !is_blank(value.at[word.bytes]))
			word.bytes++;
		if (span_is(word, "tsc=stable"))
			out->tsc_stable = true;
		else if (span_is(word, "lift=off"))
			out->lift = false;
		else if (word.bytes)
			return "unknown option";
		value.at += word.bytes;
		value.bytes -= word.bytes;
		value = trim(value);
	}
	return NULL;
}

static const char *take_line(struct boot_config *out, struct span line)
{
	struct span key = { line.at, 0 }, value;

	while (key.bytes < line.bytes && line.at[key.bytes] != '=')
		key.bytes++;
	if (key.bytes == line.bytes)
		return "no '=' in the line";
	value = trim((struct span){ key.at + key.bytes + 1, line.bytes - key.bytes - 1 });
	key = trim(key);
	if (span_is(key, "kernel"))
		return take_text(out->kernel, value) ? NULL : "kernel path too long";
	if (span_is(key, "cmdline"))
		return take_text(out->cmdline, value) ? NULL : "command line too long";
	if (span_is(key, "options"))
		return take_options(out, value);
	return "unknown key";
}

unsigned config_parse(const char *text, size_t bytes, struct boot_config *out, const char **out_why)
{
	unsigned number = 0;

	*out = (struct boot_config){ .lift = true };
	while (bytes) {
		struct span line = { text, 0 };
		const char *why;

		number++;
		while (line.bytes < bytes && text[line.bytes] != '\n')
			line.bytes++;
		text += line.bytes + (line.bytes < bytes);
		bytes -= line.bytes + (line.bytes < bytes);
		line = trim(line);
		if (!line.bytes || *line.at == '#')
			continue;
		why = take_line(out, line);
		if (why) {
			*out_why = why;
			return number;
		}
	}
	return 0;
}
