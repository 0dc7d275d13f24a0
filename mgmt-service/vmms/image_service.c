/* SPDX-License-Identifier: Apache-2.0 */
/* Msvm_ImageManagementService: what lies in virtual hard disk files, and the work on them, as jobs. */
#include "vmms/image_service.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cim_schema.gen.h"
#include "daemon/log.h"
#include "vmms/disk_resize.h"
#include "vmms/hot_plug.h"
#include "vmms/image_work.h"
#include "vmms/instances.h"
#include "vmms/task.h"

#define FORMAT_VHD              2
#define FORMAT_VHDX             3
#define BYTES_MAX               (UINT64_C(64) << 40)
#define SECTOR                  512u
#define SECTOR_LARGE            4096u
#define METHOD(name, parameter) CIM_PARAMETER(Msvm_ImageManagementService, name, parameter)

static struct image_opening opening_of(const struct model *model)
{
	return (struct image_opening){&model->config->disks, image_tool_of(model)};
}

static uint32_t refuse(struct cim_context *context, const char *field, const char *text)
{
	return cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, field, "%s: %s",
			     field, text);
}

/* NULL with the context's error: it is no path that a client may name. */
static const char *checked_path(struct cim_context *context, const char *field, const char *path)
{
	if (!path || !path[0]) {
		refuse(context, field, "a path is required");
		return NULL;
	}
	if (!setting_put_check_text(context, field, path, STORE_PATH_MAX))
		return NULL;
	if (!host_file_allowed(&context->model->config->disks, path)) {
		refuse(context, field,
		       "it must be an absolute path below one of the directories that the configuration "
		       "allows "
		       "(disk-directories)");
		return NULL;
	}
	return path;
}

static const char *path_argument(struct cim_context *context, const struct cim_arguments *in, int parameter)
{
	return checked_path(context, in->method->parameters[parameter].name,
			    in->values[parameter].items[0].string);
}

/* ---- looking ---- */

/*
 * Opens for reading without taking it, and asks vhdtool. The model is not locked meanwhile: nothing of it is
 * held, and the request's own memory is nobody else's.
 */
static bool look(struct cim_context *context, const char *path, struct image_chain *chain,
		 struct image_info *info)
{
	const struct image_opening opening = opening_of(context->model);
	const struct host_disk disk = {.path = path, .read_only = true};
	char reason[STORE_PATH_MAX + 1024];
	int result;

	model_unlock(context->model);
	result = image_chain_open(&opening, &disk, NULL, chain, info, reason, sizeof(reason));
	model_lock(context->model);
	if (result)
		cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "%s", reason);
	return result == 0;
}

bool image_service_check(struct cim_context *context, const char *field, const struct host_disk *disk)
{
	const struct image_opening opening = opening_of(context->model);
	struct image_chain chain;
	char reason[STORE_PATH_MAX + 1024];
	int result;

	model_unlock(context->model);
	result = image_chain_open(&opening, disk, NULL, &chain, NULL, reason, sizeof(reason));
	if (!result)
		image_chain_close(&chain);
	model_lock(context->model);
	if (result)
		cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, field, "%s",
			      reason);
	return result == 0;
}

static void put_id(struct cim_instance *i, int property, const char *id)
{
	if (id[0])
		cim_set_string(i, property, id);
}

static struct cim_instance *setting_data(struct arena *arena, const struct image_chain *chain,
					 const struct image_info *info)
{
	struct cim_instance *i = cim_instance_create(arena, &cim_class_Msvm_VirtualHardDiskSettingData);
	const char *path = chain->layers[0].path;

	cim_set_string(i, CIM_SettingData_InstanceID, path);
	cim_set_string(i, Msvm_VirtualHardDiskSettingData_ElementName, strrchr(path, '/') + 1);
	cim_set_uint(i, Msvm_VirtualHardDiskSettingData_Type, info->type);
	if (info->format != IMAGE_RAW)
		cim_set_uint(i, Msvm_VirtualHardDiskSettingData_Format,
			     info->format == IMAGE_VHD ? FORMAT_VHD : FORMAT_VHDX);
	cim_set_string(i, Msvm_VirtualHardDiskSettingData_Path, path);
	if (chain->count > 1)
		cim_set_string(i, Msvm_VirtualHardDiskSettingData_ParentPath, chain->layers[1].path);
	put_id(i, Msvm_VirtualHardDiskSettingData_ParentIdentifier, info->parent_id);
	cim_set_uint(i, Msvm_VirtualHardDiskSettingData_MaxInternalSize, info->virtual_bytes);
	cim_set_uint(i, Msvm_VirtualHardDiskSettingData_BlockSize, info->block_bytes);
	cim_set_uint(i, Msvm_VirtualHardDiskSettingData_LogicalSectorSize, info->logical_bytes);
	cim_set_uint(i, Msvm_VirtualHardDiskSettingData_PhysicalSectorSize, info->physical_bytes);
	put_id(i, Msvm_VirtualHardDiskSettingData_VirtualDiskId, info->disk_id);
	return i;
}

CIM_METHOD(Msvm_ImageManagementService, GetVirtualHardDiskSettingData)
{
	const char *path = path_argument(context, in, METHOD(GetVirtualHardDiskSettingData, Path));
	struct image_chain chain;
	struct image_info *info = arena_alloc(context->arena, sizeof(*info));
	struct cim_instance *data;

	if (!path || !look(context, path, &chain, info))
		return cim_status_return_value(context->error.status);
	data = setting_data(context->arena, &chain, info);
	image_chain_close(&chain);
	cim_argument_set_instances(out, METHOD(GetVirtualHardDiskSettingData, SettingData), &data, 1);
	return CIM_RETURN_COMPLETED;
}

/* Somebody has it locked, for reading or writing. */
static bool is_in_use(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

CIM_METHOD(Msvm_ImageManagementService, GetVirtualHardDiskState)
{
	const char *path = path_argument(context, in, METHOD(GetVirtualHardDiskState, Path));
	struct image_chain chain;
	struct image_info *info = arena_alloc(context->arena, sizeof(*info));
	struct cim_instance *state;
	struct stat st;

	if (!path || !look(context, path, &chain, info))
		return cim_status_return_value(context->error.status);
	state = cim_instance_create(context->arena, &cim_class_Msvm_VirtualHardDiskState);
	cim_set_uint(state, Msvm_VirtualHardDiskState_FileSize, info->file_bytes);
	cim_set_boolean(state, Msvm_VirtualHardDiskState_InUse, is_in_use(chain.layers[0].fd));
	cim_set_uint(state, Msvm_VirtualHardDiskState_PhysicalSectorSize, info->physical_bytes);
	cim_set_uint(state, Msvm_VirtualHardDiskState_Alignment, info->physical_bytes >= SECTOR_LARGE);
	if (fstat(chain.layers[0].fd, &st) == 0)
		cim_set_time(state, Msvm_VirtualHardDiskState_Timestamp, (int64_t)st.st_mtim.tv_sec * 1000);
	image_chain_close(&chain);
	cim_argument_set_instances(out, METHOD(GetVirtualHardDiskState, State), &state, 1);
	return CIM_RETURN_COMPLETED;
}

/* ---- jobs ---- */

struct image_job {
	struct model *model;
	char job_id[STORE_ID_SIZE];
	struct image_work work;
};

static void work(void *context)
{
	image_work_run(&((struct image_job *)context)->work);
}

static void worked(void *context)
{
	struct image_job *image_job = context;
	struct model *model = image_job->model;
	struct image_work *w = &image_job->work;
	struct job *job = job_find(model, image_job->job_id);

	if (w->failed)
		job_fail(model, job, JOB_EXCEPTION, (int)(w->in_use ? CIM_RETURN_IN_USE : CIM_RETURN_FAILED),
			 w->reason);
	else
		job_complete(model, job);
	if (!w->failed && w->found_in_use)
		hot_plug_refresh(model, w->path);
	image_work_clear(w);
	free(image_job);
}

static char *copy(const char *text)
{
	char *made = text ? strdup(text) : NULL;

	/* As for arenas. */
	if (text && !made)
		abort();
	return made;
}

/* Answers 4096 with the job, or the context's error. */
static uint32_t begin(struct cim_context *context, const struct image_work *what, int type,
		      struct cim_arguments *out, int parameter)
{
	struct image_job *image_job = calloc(1, sizeof(*image_job));
	struct job *job = image_job ? job_begin(context->model, NULL, type) : NULL;

	if (!job) {
		free(image_job);
		return cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "Store: %s",
				     store_error(context->model->store));
	}
	image_job->model = context->model;
	memcpy(image_job->job_id, job->record.id, sizeof(image_job->job_id));
	image_job->work = *what;
	image_job->work.opening = opening_of(context->model);
	image_job->work.path = copy(what->path);
	image_job->work.source = copy(what->source);
	image_job->work.parent = copy(what->parent);
	log_notice("image.job", "job=%s type=\"%s\" path=\"%s\"", job->record.id, job_type_text(type),
		   what->path);
	if (task_start(context->model, work, worked, image_job)) {
		image_work_clear(&image_job->work);
		free(image_job);
		job_fail(context->model, job, JOB_EXCEPTION, (int)CIM_RETURN_FAILED,
			 "No thread for the work");
	}
	cim_argument_set_reference(out, parameter, instance_job_reference(context->arena, job));
	return CIM_RETURN_JOB_STARTED;
}

/* Format and the ending of the name say the same, or one of them nothing. */
static bool check_format(struct cim_context *context, const struct cim_instance *data, const char *path,
			 enum image_type type)
{
	enum image_format named = image_format_of(path);
	uint64_t format;

	if (cim_get_uint(data, Msvm_VirtualHardDiskSettingData_Format, &format)) {
		if (format != FORMAT_VHD && format != FORMAT_VHDX) {
			refuse(context, "Format", "it must be 2 (VHD) or 3 (VHDX)");
			return false;
		}
		if (named != (format == FORMAT_VHD ? IMAGE_VHD : IMAGE_VHDX)) {
			refuse(context, "Path",
			       format == FORMAT_VHD ? "the name of a VHD ends in .vhd"
						    : "the name of a VHDX ends in .vhdx");
			return false;
		}
	}
	if (named == IMAGE_RAW && type != IMAGE_FIXED) {
		refuse(context, "Type",
		       "an image that is neither .vhd nor .vhdx is raw, and can only be fixed (2)");
		return false;
	}
	return true;
}

static bool check_bytes(struct cim_context *context, const char *field, uint64_t bytes)
{
	if (bytes && bytes <= BYTES_MAX && bytes % SECTOR == 0)
		return true;
	refuse(context, field, "it must be a multiple of 512 bytes up to 64 TB");
	return false;
}

static bool check_sector(struct cim_context *context, const struct cim_instance *data, int property,
			 const char *field, uint32_t *out)
{
	uint64_t bytes = 0;

	if (cim_get_uint(data, property, &bytes) && bytes && bytes != SECTOR && bytes != SECTOR_LARGE) {
		refuse(context, field, "it must be 512 or 4096");
		return false;
	}
	*out = (uint32_t)bytes;
	return true;
}

static bool refuse_unknown(struct cim_context *context, const struct cim_instance *data)
{
	static const int unknown[] = {Msvm_VirtualHardDiskSettingData_VirtualDiskId,
				      Msvm_VirtualHardDiskSettingData_DataAlignment,
				      Msvm_VirtualHardDiskSettingData_PmemAddressAbstractionType,
				      Msvm_VirtualHardDiskSettingData_IsPmemCompatible};

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		if (data->values[unknown[i]].is_set) {
			const char *name = data->class->properties[unknown[i]].name;

			cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, name,
				      "%s of a new virtual hard disk cannot be chosen", name);
			return false;
		}
	return true;
}

/* What a new file shall be. False with the context's error. */
static bool read_data(struct cim_context *context, const struct cim_instance *data, struct image_work *what)
{
	uint64_t type, block = 0;
	const char *path =
		checked_path(context, "Path", cim_get_string(data, Msvm_VirtualHardDiskSettingData_Path));

	if (!path || !refuse_unknown(context, data))
		return false;
	if (!cim_get_uint(data, Msvm_VirtualHardDiskSettingData_Type, &type) || type < IMAGE_FIXED ||
	    type > IMAGE_DIFFERENCING) {
		refuse(context, "Type", "2 (fixed), 3 (dynamic) or 4 (differencing) is required");
		return false;
	}
	what->path = arena_strdup(context->arena, path);
	what->type = (enum image_type)type;
	cim_get_uint(data, Msvm_VirtualHardDiskSettingData_BlockSize, &block);
	what->block_bytes = (uint32_t)block;
	return check_format(context, data, path, what->type) &&
	       check_sector(context, data, Msvm_VirtualHardDiskSettingData_LogicalSectorSize,
			    "LogicalSectorSize", &what->logical_bytes) &&
	       check_sector(context, data, Msvm_VirtualHardDiskSettingData_PhysicalSectorSize,
			    "PhysicalSectorSize", &what->physical_bytes);
}

static bool read_parent(struct cim_context *context, const struct cim_instance *data, struct image_work *what)
{
	const char *parent = cim_get_string(data, Msvm_VirtualHardDiskSettingData_ParentPath);

	if (what->type != IMAGE_DIFFERENCING) {
		if (parent)
			refuse(context, "ParentPath", "only a differencing disk (Type 4) has a parent");
		return !parent;
	}
	parent = checked_path(context, "ParentPath", parent);
	if (parent && image_format_of(parent) != image_format_of(what->path)) {
		refuse(context, "ParentPath", "the parent must be of the same format");
		return false;
	}
	what->parent = parent ? arena_strdup(context->arena, parent) : NULL;
	return parent != NULL;
}

CIM_METHOD(Msvm_ImageManagementService, CreateVirtualHardDisk)
{
	const struct cim_instance *data =
		cim_argument_instance(in, METHOD(CreateVirtualHardDisk, VirtualDiskSettingData));
	struct image_work what = {.operation = IMAGE_CREATE};
	bool sized = cim_get_uint(data, Msvm_VirtualHardDiskSettingData_MaxInternalSize, &what.bytes);

	if (!read_data(context, data, &what) || !read_parent(context, data, &what) ||
	    ((sized || !what.parent) && !check_bytes(context, "MaxInternalSize", what.bytes)))
		return cim_status_return_value(context->error.status);
	return begin(context, &what, JOB_TYPE_CREATE, out, METHOD(CreateVirtualHardDisk, Job));
}

CIM_METHOD(Msvm_ImageManagementService, ConvertVirtualHardDisk)
{
	const struct cim_instance *data =
		cim_argument_instance(in, METHOD(ConvertVirtualHardDisk, VirtualDiskSettingData));
	const char *source = path_argument(context, in, METHOD(ConvertVirtualHardDisk, SourcePath));
	struct image_work what = {.operation = IMAGE_CONVERT};

	if (!source || !read_data(context, data, &what))
		return cim_status_return_value(context->error.status);
	if (what.type == IMAGE_DIFFERENCING)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, "Type",
				     "Type: a disk can be converted to a fixed or a dynamic one");
	if (data->values[Msvm_VirtualHardDiskSettingData_MaxInternalSize].is_set)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED,
				     "MaxInternalSize", "MaxInternalSize: a conversion keeps the size");
	what.source = arena_strdup(context->arena, source);
	return begin(context, &what, JOB_TYPE_CONVERT, out, METHOD(ConvertVirtualHardDisk, Job));
}

CIM_METHOD(Msvm_ImageManagementService, MergeVirtualHardDisk)
{
	const char *source = path_argument(context, in, METHOD(MergeVirtualHardDisk, SourcePath));
	const char *destination =
		source ? path_argument(context, in, METHOD(MergeVirtualHardDisk, DestinationPath)) : NULL;
	struct image_work what = {.operation = IMAGE_MERGE};

	if (!destination)
		return cim_status_return_value(context->error.status);
	what.source = arena_strdup(context->arena, source);
	what.path = arena_strdup(context->arena, destination);
	return begin(context, &what, JOB_TYPE_MERGE, out, METHOD(MergeVirtualHardDisk, Job));
}

/* The image belongs to whoever has it open. */
static uint32_t resize_in_use(struct cim_context *context, struct vm *vm, const struct store_drive *drive,
			      uint64_t bytes, struct cim_arguments *out, int parameter)
{
	struct job *job = job_begin(context->model, NULL, JOB_TYPE_EXPAND);

	if (!job)
		return cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "Store: %s",
				     store_error(context->model->store));
	cim_argument_set_reference(out, parameter, instance_job_reference(context->arena, job));
	disk_resize_start(vm, drive, job, bytes);
	return CIM_RETURN_JOB_STARTED;
}

CIM_METHOD(Msvm_ImageManagementService, ResizeVirtualHardDisk)
{
	const char *path = path_argument(context, in, METHOD(ResizeVirtualHardDisk, Path));
	struct image_work what = {
		.operation = IMAGE_RESIZE,
		.bytes = cim_argument_uint(in, METHOD(ResizeVirtualHardDisk, MaxInternalSize))};
	const struct store_drive *drive;
	struct vm *vm;

	if (!path || !check_bytes(context, "MaxInternalSize", what.bytes))
		return cim_status_return_value(context->error.status);
	drive = disk_resize_find(context->model, path, &vm);
	if (drive)
		return resize_in_use(context, vm, drive, what.bytes, out, METHOD(ResizeVirtualHardDisk, Job));
	what.path = arena_strdup(context->arena, path);
	return begin(context, &what, JOB_TYPE_EXPAND, out, METHOD(ResizeVirtualHardDisk, Job));
}

CIM_METHOD(Msvm_ImageManagementService, ValidateVirtualHardDisk)
{
	const char *path = path_argument(context, in, METHOD(ValidateVirtualHardDisk, Path));
	struct image_work what = {.operation = IMAGE_VALIDATE};

	if (!path)
		return cim_status_return_value(context->error.status);
	what.path = arena_strdup(context->arena, path);
	return begin(context, &what, JOB_TYPE_VALIDATE, out, METHOD(ValidateVirtualHardDisk, Job));
}

/* ---- instances ---- */

static void enumerate_services(struct cim_context *context, struct cim_list *out)
{
	struct cim_instance *i = cim_instance_create(context->arena, &cim_class_Msvm_ImageManagementService);

	cim_set_string(i, Msvm_ImageManagementService_SystemName, context->model->host_name);
	cim_set_strings(i, Msvm_ImageManagementService_StatusDescriptions, (const char *[]){"OK"}, 1);
	cim_list_add(out, i);
}

CIM_PROVIDER(Msvm_ImageManagementService) = {.enumerate = enumerate_services};

/* Files are not enumerated: who knows a path asks for it. */
static void enumerate_nothing(struct cim_context *context, struct cim_list *out)
{
}

CIM_PROVIDER(Msvm_VirtualHardDiskSettingData) = {.enumerate = enumerate_nothing};

static void enumerate_jobs(struct cim_context *context, struct cim_list *out)
{
	for (const struct job *job = context->model->jobs; job; job = job->next) {
		struct cim_instance *i;

		if (!job_is_of_storage(job))
			continue;
		i = cim_instance_create(context->arena, &cim_class_Msvm_StorageJob);
		instance_fill_job(i, job);
		cim_set_uint(i, Msvm_StorageJob_JobType, (uint64_t)(job->record.type - JOB_TYPE_STORAGE));
		cim_set_boolean(i, Msvm_StorageJob_Cancellable, false);
		if (job_has_ended(job))
			cim_set_uint(i, Msvm_StorageJob_JobCompletionStatusCode,
				     (uint64_t)job->record.error_code);
		cim_list_add(out, i);
	}
}

CIM_PROVIDER(Msvm_StorageJob) = {.enumerate = enumerate_jobs, .remove = instance_remove_job};

CIM_METHOD(Msvm_StorageJob, GetError)
{
	instance_set_job_errors(context, self, out, CIM_PARAMETER(Msvm_StorageJob, GetError, Error));
	return CIM_RETURN_COMPLETED;
}

CIM_METHOD(Msvm_StorageJob, GetErrorEx)
{
	instance_set_job_errors(context, self, out, CIM_PARAMETER(Msvm_StorageJob, GetErrorEx, Errors));
	return CIM_RETURN_COMPLETED;
}
