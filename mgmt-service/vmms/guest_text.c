/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/guest_text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

size_t guest_text_units(const char *text)
{
	size_t units = 0;

	/* Every character has one byte that is no continuation; one of four bytes is a surrogate pair. */
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		units += (*c & 0xC0) != 0x80 ? 1 + (*c >= 0xF0) : 0;
	return units;
}

bool guest_text_fits(const char *text, size_t units)
{
	return guest_text_units(text) <= units;
}

bool guest_text_is_address(const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];
	size_t digits = strspn(text, "0123456789");

	return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1 ||
	       (digits && digits <= 3 && !text[digits]);
}

bool guest_text_is_guid(const char *text)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(text) != sizeof(form) - 1)
		return false;
	for (size_t i = 0; form[i]; i++)
		if (form[i] == 'x' ? !isxdigit((unsigned char)text[i]) : text[i] != form[i])
			return false;
	return true;
}

/* "/...", "C:\\..." or "\\\\...". */
static bool is_absolute(const char *path)
{
	return path[0] == '/' || path[0] == '\\' ||
	       (isalpha((unsigned char)path[0]) && path[1] == ':' && (path[2] == '\\' || path[2] == '/'));
}

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* Backslashes separate in paths that begin as they do elsewhere than on Unix. */
static const char *last_separator(const char *path)
{
	const char *slash = strrchr(path, '/'), *back = path[0] == '/' ? NULL : strrchr(path, '\\');

	return !slash || (back && back > slash) ? back : slash;
}

bool guest_path_split(const char *destination, const char *source, struct guest_path *out)
{
	const char *cut, *name, *base = strrchr(source, '/');
	size_t length;

	if (!is_absolute(destination) || !is_plain(destination))
		return false;
	cut = last_separator(destination);
	name = cut[1] ? cut + 1 : base ? base + 1 : source;
	/* The root itself keeps its slash. */
	length = (size_t)(cut - destination) + (cut == destination || cut[-1] == ':');
	if (length >= sizeof(out->directory) || strlen(name) >= sizeof(out->name) || !*name ||
	    !is_plain(name) || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	memcpy(out->directory, destination, length);
	out->directory[length] = 0;
	memcpy(out->name, name, strlen(name) + 1);
	return guest_text_fits(out->directory, GUEST_PATH_UNITS_MAX) &&
	       guest_text_fits(out->name, GUEST_PATH_UNITS_MAX);
}
