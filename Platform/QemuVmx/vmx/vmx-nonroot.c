/*
 * VMX: entering and leaving VMX non-root operation
 *
 * The VM-execution controls of a VMCS are copied to env->vmx.ctl and put in
 * force or taken out of force.  Guest and host state is loaded elsewhere.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "vmx-parts.h"

void vmx_read_controls(const VMXVmcs *v, X86VMXControls *ctl)
{
    int i;

    *ctl = (X86VMXControls) {
        .pin = vmcs_read(v, VMCS_PIN_CONTROLS),
        .proc = vmcs_read(v, VMCS_PROCESSOR_CONTROLS),
        .exit = vmcs_read(v, VMCS_EXIT_CONTROLS),
        .exception_bitmap = vmcs_read(v, VMCS_EXCEPTION_BITMAP),
        .pf_mask = vmcs_read(v, VMCS_PAGE_FAULT_ERROR_CODE_MASK),
        .pf_match = vmcs_read(v, VMCS_PAGE_FAULT_ERROR_CODE_MATCH),
        /* RSM and loadvm read controls that nobody has checked again. */
        .cr3_target_count = MIN(4, vmcs_read(v, VMCS_CR3_TARGET_COUNT)),
        .io_bitmap[0] = vmcs_read(v, VMCS_IO_BITMAP_A),
        .io_bitmap[1] = vmcs_read(v, VMCS_IO_BITMAP_B),
        .msr_bitmap = vmcs_read(v, VMCS_MSR_BITMAP),
        .cr0_mask = vmcs_read(v, VMCS_CR0_GUEST_HOST_MASK),
        .cr4_mask = vmcs_read(v, VMCS_CR4_GUEST_HOST_MASK),
        .cr0_shadow = vmcs_read(v, VMCS_CR0_READ_SHADOW),
        .cr4_shadow = vmcs_read(v, VMCS_CR4_READ_SHADOW),
    };
    for (i = 0; i < ARRAY_SIZE(ctl->cr3_target); i++) {
        ctl->cr3_target[i] = vmcs_read(v, VMCS_CR3_TARGET0 + i * 2);
    }
    if (ctl->proc & VMX_CPU_SECONDARY_CONTROLS) {
        ctl->proc2 = vmcs_read(v, VMCS_SECONDARY_CONTROLS);
    }
    if (ctl->proc & VMX_CPU_TPR_SHADOW) {
        ctl->virtual_apic = vmcs_read(v, VMCS_VIRTUAL_APIC_ADDRESS);
        ctl->tpr_threshold = vmcs_read(v, VMCS_TPR_THRESHOLD);
    }
    if (ctl->proc2 & VMX_CPU2_APIC_ACCESSES) {
        ctl->apic_access = vmcs_read(v, VMCS_APIC_ACCESS_ADDRESS);
    }
    if (ctl->proc & VMX_CPU_TSC_OFFSETTING) {
        ctl->tsc_offset = vmcs_read(v, VMCS_TSC_OFFSET);
    }
    if (ctl->proc2 & VMX_CPU2_EPT) {
        ctl->eptp = vmcs_read(v, VMCS_EPT_POINTER);
    }
    if (ctl->proc2 & VMX_CPU2_VPID) {
        ctl->vpid = vmcs_read(v, VMCS_VPID);
    }
    if (ctl->proc2 & VMX_CPU2_PAUSE_LOOP) {
        ctl->ple_gap = vmcs_read(v, VMCS_PLE_GAP);
        ctl->ple_window = vmcs_read(v, VMCS_PLE_WINDOW);
    }
    if (ctl->proc2 & VMX_CPU2_VMFUNC) {
        ctl->vm_functions = vmcs_read(v, VMCS_VM_FUNCTION_CONTROLS);
        ctl->eptp_list = vmcs_read(v, VMCS_EPTP_LIST_ADDRESS);
    }
    if (ctl->proc2 & VMX_CPU2_XSAVES) {
        ctl->xss_exiting = vmcs_read(v, VMCS_XSS_EXITING_BITMAP);
    }
}

void vmx_guest_enter(CPUX86State *env)
{
    env->vmx.mode = VMX_MODE_GUEST;
    env->hflags |= HF_GUEST_MASK;
    if (env->vmx.ctl.proc2 & VMX_CPU2_EPT) {
        env->hflags2 |= HF2_EPT_MASK;
    }
    env->tsc_offset = env->vmx.ctl.tsc_offset;
}

/*
 * Start-up IPIs are lost on a processor that does not wait for one.  One behind
 * an INIT belongs to it, whether that is held pending or has caused a VM exit.
 *
 * The sender waits between INIT and SIPI for as long as a processor needs from
 * the VM exit to the entry into wait-for-SIPI.  Here a host may let the
 * receiver stand still meanwhile, and with all processors in one thread it does
 * not run at all: such a SIPI is still on its way.
 */
void vmx_drop_sipi(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);

    if (!(qatomic_read(&cs->interrupt_request) & CPU_INTERRUPT_SIPI)) {
        return;
    }
    /* An INIT with its SIPI may come between the question and the answer. */
    BQL_LOCK_GUARD();
    if (!(cs->interrupt_request & CPU_INTERRUPT_INIT) && !env->vmx.init_exit) {
        cs->interrupt_request &= ~CPU_INTERRUPT_SIPI;
    }
}

void vmx_guest_suspend(CPUX86State *env)
{
    env->hflags &= ~HF_GUEST_MASK;
    env->hflags2 &= ~HF2_EPT_MASK;
    env->tsc_offset = 0;
    env->vmx.virtual_nmi_blocked = false;
    env->vmx.event.info = 0;
    env->vmx.iret = false;
    env->vmx.int1 = false;
    env->vmx.injecting = false;
    env->vmx.monitor_armed = false;
}

void vmx_guest_leave(CPUX86State *env)
{
    vmx_guest_suspend(env);
    vmx_timer_stop(env);
    env->vmx.activity = VMX_ACTIVITY_ACTIVE;
    env->vmx.mtf = VMX_MTF_NONE;
    env->vmx.tpr_check = false;
    cpu_reset_interrupt(env_cpu(env), CPU_INTERRUPT_VMX);
}

void vmx_guest_reenter(CPUX86State *env)
{
    VMXVmcs *vmcs = vmx_vmcs_map(env, env->vmx.current_vmcs);

    vmx_read_controls(vmcs, &env->vmx.ctl);
    vmx_vmcs_unmap(env, vmcs);
    vmx_guest_enter(env);
}
