/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause-Patent */
/* The instructions of VMX, and what their flags say (Intel SDM volume 3, "Conventions", 32.2 [30.2]). */
#ifndef LINUX_MLE_VMX_H
#define LINUX_MLE_VMX_H

#include <linux/types.h>

enum vmx_result {
	VMX_SUCCEED,
	VMX_FAIL_INVALID, /* CF: there is no current VMCS */
	VMX_FAIL_VALID,   /* ZF: the current VMCS holds the VM-instruction error */
};

/* Fields of a VMCS. */
#define VMX_VM_EXIT_CONTROLS	 0x400C
#define VMX_INSTRUCTION_ERROR	 0x4400

/* What VMPTRST stores if no VMCS is current. */
#define VMX_NO_VMCS (~0ULL)

static inline enum vmx_result vmx_result(bool carry, bool zero)
{
	return carry ? VMX_FAIL_INVALID : zero ? VMX_FAIL_VALID : VMX_SUCCEED;
}

static inline enum vmx_result vmx_on(u64 region)
{
	bool carry, zero;

	asm volatile("vmxon %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(region) : "memory");
	return vmx_result(carry, zero);
}

static inline enum vmx_result vmx_off(void)
{
	bool carry, zero;

	asm volatile("vmxoff" : "=@ccc"(carry), "=@ccz"(zero) : : "memory");
	return vmx_result(carry, zero);
}

static inline enum vmx_result vmx_clear(u64 vmcs)
{
	bool carry, zero;

	asm volatile("vmclear %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(vmcs) : "memory");
	return vmx_result(carry, zero);
}

static inline enum vmx_result vmx_load(u64 vmcs)
{
	bool carry, zero;

	asm volatile("vmptrld %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(vmcs) : "memory");
	return vmx_result(carry, zero);
}

static inline u64 vmx_current(void)
{
	u64 vmcs;

	asm volatile("vmptrst %0" : "=m"(vmcs) : : "cc", "memory");
	return vmcs;
}

static inline enum vmx_result vmx_write(u64 field, u64 value)
{
	bool carry, zero;

	asm volatile("vmwrite %3, %2" : "=@ccc"(carry), "=@ccz"(zero) : "r"(field), "rm"(value));
	return vmx_result(carry, zero);
}

/* 0 if there is no current VMCS. */
static inline u64 vmx_read(u64 field)
{
	u64 value = 0;

	asm volatile("vmread %1, %0" : "+r"(value) : "r"(field) : "cc");
	return value;
}

#endif
