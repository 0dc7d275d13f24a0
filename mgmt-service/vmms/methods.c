/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of systems and jobs. */
#include "cim_schema.gen.h"
#include "vmms/instances.h"

CIM_METHOD(Msvm_ComputerSystem, RequestStateChange)
{
	unsigned requested = (unsigned)cim_argument_uint(
		in, CIM_PARAMETER(Msvm_ComputerSystem, RequestStateChange, RequestedState));
	struct vm *vm = vm_find(context->model, cim_get_string(self, Msvm_ComputerSystem_Name));
	struct job *job;
	uint32_t result;

	if (!vm)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, NULL,
				     "The state of the host is not changed here");
	if (in->values[CIM_PARAMETER(Msvm_ComputerSystem, RequestStateChange, TimeoutPeriod)].is_set)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, "TimeoutPeriod",
				     "TimeoutPeriod is not supported; the job has its own time limit");
	result =
		vm_request_state_change(context->model, vm, requested, context->arena, &context->error, &job);
	if (result == CIM_RETURN_JOB_STARTED)
		cim_argument_set_reference(out, CIM_PARAMETER(Msvm_ComputerSystem, RequestStateChange, Job),
					   instance_job_reference(context->arena, job));
	return result;
}

void instance_set_job_errors(struct cim_context *context, const struct cim_instance *self,
			     struct cim_arguments *out, int parameter)
{
	const struct job *job = job_find(context->model, cim_get_string(self, CIM_ConcreteJob_InstanceID));
	struct cim_instance *error;

	if (!job || !job->record.error_code)
		return;
	error = instance_error(context->arena, job);
	cim_argument_set_instances(out, parameter, &error, 1);
}

CIM_METHOD(Msvm_ConcreteJob, GetError)
{
	instance_set_job_errors(context, self, out, CIM_PARAMETER(Msvm_ConcreteJob, GetError, Error));
	return CIM_RETURN_COMPLETED;
}

CIM_METHOD(Msvm_ConcreteJob, GetErrorEx)
{
	instance_set_job_errors(context, self, out, CIM_PARAMETER(Msvm_ConcreteJob, GetErrorEx, Errors));
	return CIM_RETURN_COMPLETED;
}
