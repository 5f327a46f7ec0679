// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent
/*
 * The STM on one processor: activated, started, stopped.
 *
 * All of it runs with interrupts off, so KVM never sees that another VMCS than its own
 * was current: what was current before is so again afterwards.
 */
#include <asm/msr.h>
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "log.h"
#include "mle.h"
#include "stm.h"
#include "vmx.h"

#define MSR_SMM_MONITOR_CTL	  0x9b
#define SMM_MONITOR_CTL_VALID	  BIT_ULL(0)
#define VMX_BASIC_DUAL_MONITOR	  BIT_ULL(49)
#define EXIT_HOST_64_BIT	  BIT(9) /* "host address-space size" */

DEFINE_PER_CPU(struct mle_processor, mle_processors);

/*
 * Whether this processor can be asked to activate an STM.
 *
 * Returns 0; -EOPNOTSUPP without the dual-monitor treatment; -ENODEV if the firmware
 * has not told this processor of an STM (IA32_SMM_MONITOR_CTL[0]).
 */
int mle_check_here(void)
{
	u64 basic, control;

	if (rdmsrl_safe(MSR_IA32_VMX_BASIC, &basic) || !(basic & VMX_BASIC_DUAL_MONITOR)) {
		pr_err("linux_mle: processor %d has no dual-monitor treatment\n", smp_processor_id());
		return -EOPNOTSUPP;
	}
	if (rdmsrl_safe(MSR_SMM_MONITOR_CTL, &control) || !(control & SMM_MONITOR_CTL_VALID)) {
		pr_err("linux_mle: the firmware offers processor %d no STM (MSR 9BH)\n", smp_processor_id());
		return -ENODEV;
	}
	return 0;
}

/*
 * Makes this launch's activation VMCS current. It is a fresh page in which only the
 * VM-exit controls are written: of the activating VMCS the processor checks that it is
 * clear and that these are legal, and the STM takes everything else from the processor.
 */
static int load_activation(struct mle_processor *this)
{
	void *page = this->activation[this->launches % MLE_ACTIVATION_VMCSS];
	u64 basic, allowed;
	u32 controls;

	memset(page, 0, PAGE_SIZE);
	*(u32 *)page = mle_vmcs_revision();
	if (vmx_clear(virt_to_phys(page)) != VMX_SUCCEED || vmx_load(virt_to_phys(page)) != VMX_SUCCEED)
		return -EFAULT;
	/* IA32_VMX_BASIC[55]: the TRUE capability MSRs tell which controls need not be 1. */
	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	rdmsrl(basic & BIT_ULL(55) ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS, allowed);
	controls = (lower_32_bits(allowed) | EXIT_HOST_64_BIT) & upper_32_bits(allowed);
	return vmx_write(VMX_VM_EXIT_CONTROLS, controls) == VMX_SUCCEED ? 0 : -EFAULT;
}

static void unload_activation(struct mle_processor *this, u64 previous)
{
	vmx_clear(virt_to_phys(this->activation[this->launches % MLE_ACTIVATION_VMCSS]));
	if (previous != VMX_NO_VMCS)
		vmx_load(previous);
}

/* Returns -EINVAL if the parameter give_up names no call behind which the launch can give up. */
int mle_check_give_up(void)
{
	if (!mle_give_up || !strcmp(mle_give_up, "initialize"))
		return 0;
	pr_err("linux_mle: give_up=%s: the one word is initialize\n", mle_give_up);
	return -EINVAL;
}

static bool gives_up(const char *after)
{
	return mle_give_up && !strcmp(mle_give_up, after);
}

/*
 * The calls. Whatever fails behind INITIALIZE_PROTECTION ends with STOP: until START
 * the processor blocks SMIs, and a launcher that just went away would leave it so, with
 * every UEFI variable out of reach.
 */
static int call_first(struct mle_processor *this)
{
	struct mle_processor failed;
	int error = mle_call(this, STM_INITIALIZE_PROTECTION, 0, 0);

	if (error)
		return error;
	error = gives_up("initialize") ? -ECANCELED : mle_log_open(this);
	if (!error)
		error = mle_call(this, STM_START, 0, 0);
	if (!error)
		return 0;
	failed = *this;
	failed.kept = mle_call(this, STM_STOP, 0, 0) != 0;
	if (failed.kept)
		pr_crit("linux_mle: STOP: status %08X: SMIs stay blocked\n", this->status);
	*this = failed;
	return error;
}

static int start(bool first)
{
	struct mle_processor *this = this_cpu_ptr(&mle_processors);
	u64 previous;
	int error;

	error = mle_check_here();
	if (!error)
		error = mle_enter_vmx(this);
	if (error)
		return error;
	previous = vmx_current();
	rdmsrl(MSR_SMI_COUNT, this->smis_before);
	error = load_activation(this);
	if (!error)
		error = first ? call_first(this) : mle_call(this, STM_START, 0, 0);
	unload_activation(this, previous);
	if (error) {
		mle_leave_vmx(this);
		pr_err("linux_mle: processor %d: call %05X: error %d, status %08X, VM-instruction error %u\n",
		       smp_processor_id(), this->api, error, this->status, this->vm_error);
		return error;
	}
	this->started = true;
	this->launches++;
	return 0;
}

/* The processor that opens the session: INITIALIZE_PROTECTION activates the STM. */
int mle_start_first(void)
{
	return start(true);
}

/* Every other one: START activates it. */
int mle_start_another(void)
{
	return start(false);
}

/* Needs no VMCS of its own: under the dual-monitor treatment any VMCALL of root operation arrives. */
int mle_stop_here(void)
{
	struct mle_processor *this = this_cpu_ptr(&mle_processors);
	int error;

	if (!this->started)
		return 0;
	error = mle_call(this, STM_STOP, 0, 0);
	if (error) {
		pr_crit("linux_mle: processor %d: STOP: status %08X\n", smp_processor_id(), this->status);
		return error;
	}
	this->started = false;
	mle_leave_vmx(this);
	return 0;
}
