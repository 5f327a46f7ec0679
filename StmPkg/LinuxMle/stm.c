// SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent
/* One call of the STM: VMCALL in VMX root operation. */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "stm.h"
#include "vmx.h"

int mle_call(struct mle_processor *this, u32 api, u64 page, u32 edx)
{
	u32 eax = api, ebx = lower_32_bits(page), ecx = upper_32_bits(page);
	bool carry, zero;

	asm volatile("vmcall"
		     : "+a"(eax), "+b"(ebx), "+c"(ecx), "+d"(edx), "=@ccc"(carry), "=@ccz"(zero)
		     :
		     : "memory");
	this->api = api;
	this->status = 0;
	this->vm_error = 0;
	if (zero) {
		/* The processor has not activated the STM; the current VMCS says why. */
		this->vm_error = vmx_read(VMX_INSTRUCTION_ERROR);
		return -ENODEV;
	}
	if (!carry)
		return 0;
	/* Without a current VMCS the processor leaves EAX alone; the STM puts an error there. */
	if (eax == api)
		return -ENODEV;
	this->status = eax;
	return -EIO;
}
