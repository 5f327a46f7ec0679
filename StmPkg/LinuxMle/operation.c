// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent
/* VMX operation on one processor: KVM's, or the module's own where KVM has not entered it. */
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/string.h>

#include "mle.h"
#include "vmx.h"

/* The revision that each VMCS and VMXON region begins with (IA32_VMX_BASIC[30:0]). */
u32 mle_vmcs_revision(void)
{
	u64 basic;

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	return (u32)basic & 0x7fffffff;
}

/*
 * CR4.VMXE tells whether this processor is in VMX operation: whoever executes VMXON
 * sets it before, and it cannot be cleared within.
 *
 * Returns 0; -EOPNOTSUPP if the processor has no VMX, or the firmware has locked it
 * away (the kernel then clears the feature bit); -EIO if VMXON fails.
 */
int mle_enter_vmx(struct mle_processor *this)
{
	if (cr4_read_shadow() & X86_CR4_VMXE)
		return 0;
	if (!this_cpu_has(X86_FEATURE_VMX))
		return -EOPNOTSUPP;
	memset(this->vmxon, 0, PAGE_SIZE);
	*(u32 *)this->vmxon = mle_vmcs_revision();
	cr4_set_bits(X86_CR4_VMXE);
	if (vmx_on(virt_to_phys(this->vmxon)) != VMX_SUCCEED) {
		cr4_clear_bits(X86_CR4_VMXE);
		return -EIO;
	}
	this->own_vmx = true;
	return 0;
}

/*
 * Leaves VMX operation if the module has entered it. If STOP has failed VMXOFF fails,
 * too, with error 23 under the dual-monitor treatment: CR4.VMXE then has to stay, and
 * own_vmx says that the VMXON region is still in use.
 */
void mle_leave_vmx(struct mle_processor *this)
{
	if (!this->own_vmx)
		return;
	if (vmx_off() != VMX_SUCCEED)
		return;
	cr4_clear_bits(X86_CR4_VMXE);
	this->own_vmx = false;
}
