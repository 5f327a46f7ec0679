/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* An unrestricted guest in real mode, under an EPT that maps each address to itself. */
#ifndef MACHINE_TEST_REAL_GUEST_H
#define MACHINE_TEST_REAL_GUEST_H

#include "ept.h"
#include "vmx.h"

#define REAL_CODE 0x7000u /* below 1 MiB */

/* The guest in a new VMCS, which is current; it begins with the code, at offset 0 of its segment. */
static inline uint64_t real_guest_new(const uint8_t *code, size_t size)
{
    uint64_t region = vmcs_new_guest(NULL), directory;

    memcpy((void *)(uintptr_t)REAL_CODE, code, size);
    wr(VMCS_PROCESSOR_CONTROLS,
       controls(MSR_VMX_TRUE_PROC, (uint32_t)rd(VMCS_PROCESSOR_CONTROLS) | VMX_CPU_SECONDARY_CONTROLS));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, VMX_CPU2_EPT | VMX_CPU2_UNRESTRICTED_GUEST));
    wr(VMCS_EPT_POINTER, ept_identity(&directory));
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_EFER));
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_LOAD_EFER));
    wr(VMCS_GUEST_IA32_EFER, 0);
    wr(VMCS_GUEST_CR0, CR0_NE | CR0_ET);
    wr(VMCS_GUEST_CR4, CR4_VMXE);
    for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++) {
        uint16_t selector = seg == SEG_CS ? REAL_CODE >> 4 : 0;

        wr(VMCS_GUEST_ES_SELECTOR + 2 * seg, selector);
        wr(VMCS_GUEST_BASE(seg), (uint64_t)selector << 4);
        wr(VMCS_GUEST_LIMIT(seg), 0xFFFF);
        wr(VMCS_GUEST_ACCESS_RIGHTS(seg), seg == SEG_CS ? 0x9B : 0x93);
    }
    wr(VMCS_GUEST_RIP, 0);
    return region;
}

#endif
