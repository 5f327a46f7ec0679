/*
 * VMX: VM entries that return from SMM
 *
 * Intel SDM volume 3, "VM Entries that Return from SMM" (34.15.4 in the 2016
 * edition) and "Deactivating the Dual-Monitor Treatment" (34.15.7).
 *
 * Guest state and VM-entry controls come from the VMCS that was current when
 * the entry began; VM-execution controls from the executive VMCS, or none at
 * all if the entry returns to root operation (DM-RET-51).
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"

/*
 * Executive-VMCS pointer checks, step 2 of matrix M4: 0 or the number of the
 * VM-instruction error.  The accesses are made in SMM (DM-RET-70).
 */
static int vmx_return_check_pointer(CPUX86State *env, uint64_t executive,
                                    bool deactivate)
{
    CPUState *cs = env_cpu(env);

    if ((executive & 0xfff) || (executive >> env_archcpu(env)->phys_bits)) {
        return VMX_ERR_ENTRY_EXEC_POINTER;              /* DM-RET-03, -04 */
    }
    if (x86_ldl_phys(cs, executive) != VMX_VMCS_REVISION) {
        return VMX_ERR_ENTRY_EXEC_POINTER;              /* DM-RET-05, -06 */
    }
    if (deactivate) {
        if (executive != env->vmx.vmxon_ptr) {
            return VMX_ERR_ENTRY_EXEC_NOT_VMXON;        /* DM-RET-09 */
        }
    } else if (executive != env->vmx.vmxon_ptr &&
               !vmx_vmcs_launched_at(env, executive)) {
        return VMX_ERR_ENTRY_EXEC_NOT_LAUNCHED;         /* DM-RET-08 */
    }
    return 0;
}
