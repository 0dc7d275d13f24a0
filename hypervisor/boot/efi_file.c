/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot.h"
#include "core/mem.h"

EFI_STATUS efi_read_file(EFI_BOOT_SERVICES *bs, EFI_HANDLE device, const CHAR16 *path, char *buf, size_t max, size_t *out_bytes)
{
	EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *fs;
	EFI_FILE_PROTOCOL *root, *file;
	UINTN bytes = max;
	EFI_STATUS status = bs->HandleProtocol(device, &guid, (void **)&fs);

	if (status != EFI_SUCCESS)
		return status;
	status = fs->OpenVolume(fs, &root);
	if (status != EFI_SUCCESS)
		return status;
	status = root->Open(root, &file, (CHAR16 *)path, EFI_FILE_MODE_READ, 0);
	if (status == EFI_SUCCESS) {
		status = file->Read(file, &bytes, buf);
		file->Close(file);
	}
	root->Close(root);
	*out_bytes = bytes;
	return status;
}

static size_t path_bytes(const EFI_DEVICE_PATH *p)
{
	const UINT8 *at = (const UINT8 *)p;

	while (at[0] != END_DEVICE_PATH_TYPE)
		at += at[2] | at[3] << 8;
	return (size_t)(at - (const UINT8 *)p);
}

/* The device's path with a file node behind it, so that the kernel finds its own partition (initrd=). */
static EFI_DEVICE_PATH *file_path(EFI_BOOT_SERVICES *bs, EFI_HANDLE device, const char *path)
{
	EFI_GUID guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
	EFI_DEVICE_PATH *base;
	size_t prefix, chars = 0, node;
	UINT8 *out;

	if (bs->HandleProtocol(device, &guid, (void **)&base) != EFI_SUCCESS)
		return NULL;
	while (path[chars])
		chars++;
	prefix = path_bytes(base);
	node = 4 + 2 * (chars + 1);
	if (bs->AllocatePool(EfiLoaderData, prefix + node + 4, (void **)&out) != EFI_SUCCESS)
		return NULL;
	memcpy(out, base, prefix);
	out[prefix] = MEDIA_DEVICE_PATH;
	out[prefix + 1] = MEDIA_FILEPATH_DP;
	out[prefix + 2] = (UINT8)node;
	out[prefix + 3] = (UINT8)(node >> 8);
	for (size_t i = 0; i <= chars; i++) {
		out[prefix + 4 + 2 * i] = (UINT8)path[i];
		out[prefix + 5 + 2 * i] = 0;
	}
	memcpy(out + prefix + node, (const UINT8[]){ END_DEVICE_PATH_TYPE, END_ENTIRE_DEVICE_PATH_SUBTYPE, 4, 0 }, 4);
	return (EFI_DEVICE_PATH *)out;
}

EFI_STATUS efi_start_kernel(EFI_BOOT_SERVICES *bs, EFI_HANDLE self, EFI_HANDLE device, const struct boot_config *config)
{
	EFI_GUID guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
	EFI_LOADED_IMAGE *image;
	EFI_HANDLE kernel = NULL;
	EFI_DEVICE_PATH *path = file_path(bs, device, config->kernel);
	EFI_STATUS status;
	CHAR16 *options;
	UINTN chars = 0;

	if (!path)
		return EFI_OUT_OF_RESOURCES;
	status = bs->LoadImage(FALSE, self, path, NULL, 0, &kernel);
	bs->FreePool(path);
	if (status != EFI_SUCCESS)
		return status;
	status = bs->HandleProtocol(kernel, &guid, (void **)&image);
	if (status != EFI_SUCCESS)
		return status;
	while (config->cmdline[chars])
		chars++;
	status = bs->AllocatePool(EfiLoaderData, 2 * (chars + 1), (void **)&options);
	if (status != EFI_SUCCESS)
		return status;
	for (UINTN i = 0; i <= chars; i++)
		options[i] = (CHAR16)config->cmdline[i];
	image->LoadOptions = options;
	image->LoadOptionsSize = (UINT32)(2 * (chars + 1));
	return bs->StartImage(kernel, NULL, NULL);
}
