/*
 * VMX: VM exits
 *
 * Intel SDM volume 3, "VM Exits".
 *
 * A VM exit records why it happened, saves guest state, stores MSRs, loads host
 * state, loads MSRs.  vmx_do_vmexit() does that for ordinary exits; SMM VM
 * exits (vmx-smm.c) and failing VM entries (vmx-entry.c) use parts of it.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "cpu.h"
#include "system/runstate.h"
#include "tcg/helper-tcg.h"
#include "trace/trace-target_i386.h"
#include "vmx.h"
#include "vmx-transition.h"

/*
 * VMX-abort indicators, SDM "VMX Aborts": the exit cannot be completed, and
 * with guest state gone there is nobody to report it to but the VMCS region.
 */
#define VMX_ABORT_STORE_MSRS    1
#define VMX_ABORT_HOST_PDPTES   2
#define VMX_ABORT_LOAD_MSRS     4

/* Host segments after a VM exit: flat, present, accessed, DPL 0. */
#define HOST_CODE_FLAGS (DESC_G_MASK | DESC_P_MASK | DESC_S_MASK | \
                         DESC_CS_MASK | DESC_R_MASK | DESC_A_MASK)
#define HOST_DATA_FLAGS (DESC_G_MASK | DESC_B_MASK | DESC_P_MASK | \
                         DESC_S_MASK | DESC_W_MASK | DESC_A_MASK)
#define HOST_TSS_FLAGS  (DESC_P_MASK | (9u << DESC_TYPE_SHIFT))
#define HOST_TSS_LIMIT  0x67

/* ------------------------------------------------------------------ */
/* Saving guest state                                                  */

static uint32_t vmx_access_rights(const SegmentCache *seg)
{
    uint32_t ar = (seg->flags >> 8) & 0xf0ff;

    if (!(seg->flags & DESC_P_MASK)) {
        return ar | VMX_ACCESS_UNUSABLE;
    }
    return ar;
}

static void vmx_save_segment(VMXVmcs *v, int index, const SegmentCache *seg)
{
    vmcs_write(v, VMCS_GUEST_ES_SELECTOR + index * 2, seg->selector);
    vmcs_write(v, VMCS_GUEST_ES_BASE + index * 2, seg->base);
    vmcs_write(v, VMCS_GUEST_ES_LIMIT + index * 2, seg->limit);
    vmcs_write(v, VMCS_GUEST_ES_ACCESS_RIGHTS + index * 2,
               vmx_access_rights(seg));
}

static void vmx_save_segments(CPUX86State *env, VMXVmcs *v)
{
    SegmentCache tr = env->tr;
    int i;

    for (i = R_ES; i <= R_GS; i++) {
        vmx_save_segment(v, i, &env->segs[i]);
    }
    vmx_save_segment(v, 6, &env->ldt);
    /* TCG keeps TR with the type of an available TSS. */
    tr.flags |= 2u << DESC_TYPE_SHIFT;
    vmx_save_segment(v, 7, &tr);
    vmcs_write(v, VMCS_GUEST_GDTR_BASE, env->gdt.base);
    vmcs_write(v, VMCS_GUEST_GDTR_LIMIT, env->gdt.limit);
    vmcs_write(v, VMCS_GUEST_IDTR_BASE, env->idt.base);
    vmcs_write(v, VMCS_GUEST_IDTR_LIMIT, env->idt.limit);
}

/*
 * "Saving Non-Register State": the causes of VM exits that leave debug
 * exceptions pending; all others have the field saved as clear.
 */
static bool vmx_keeps_pending_debug(const VMXVmcs *v, uint32_t blocked)
{
    switch ((uint16_t)vmcs_read(v, VMCS_EXIT_REASON)) {
    case VMX_REASON_INIT:
    case VMX_REASON_IO_SMI:
    case VMX_REASON_OTHER_SMI:
    case VMX_REASON_MONITOR_TRAP_FLAG:
    case VMX_REASON_TPR_BELOW_THRESHOLD:
        return true;
    case VMX_REASON_EXCEPTION_NMI:
        switch ((uint8_t)vmcs_read(v, VMCS_EXIT_INTERRUPTION_INFO)) {
        case EXCP01_DB:
            return false;
        case EXCP12_MCHK:
            return true;
        }
        break;
    }
    return blocked & VMX_BLOCKING_BY_MOV_SS;
}

/* "Saving Non-Register State" */
static void vmx_save_non_register(CPUX86State *env, VMXVmcs *v)
{
    const uint32_t activity = vmx_activity(env);
    uint32_t blocked = 0;

    if (env->hflags & HF_INHIBIT_IRQ_MASK) {
        blocked |= env->hflags2 & HF2_MOV_SS_MASK ? VMX_BLOCKING_BY_MOV_SS :
                                                    VMX_BLOCKING_BY_STI;
    }
    /*
     * Blocking by SMI is reported by exits that end in SMM: of the SMI handler,
     * which an entry can then resume unchanged (DM-STM-20), and of activation
     * (DM-ACT-35).  Exits that end outside SMM save 0 (DM-INT-20).
     */
    if ((env->hflags & HF_SMM_MASK) &&
        (env->hflags2 & HF2_SMI_BLOCKED_MASK)) {
        blocked |= VMX_BLOCKING_BY_SMI;
    }
    if (vmx_virtual_nmis(env) ? env->vmx.virtual_nmi_blocked :
                                env->hflags2 & HF2_NMI_MASK) {
        blocked |= VMX_BLOCKING_BY_NMI;
    }
    vmcs_write(v, VMCS_GUEST_INTERRUPTIBILITY_STATE, blocked);
    vmcs_write(v, VMCS_GUEST_ACTIVITY_STATE, activity);
    /* A trap that waits for the end of the shadow or of HLT. */
    if ((blocked & (VMX_BLOCKING_BY_MOV_SS | VMX_BLOCKING_BY_STI) ||
         activity == VMX_ACTIVITY_HLT) &&
        (env->eflags & TF_MASK) && !(env->vmx.debugctl & VMX_DEBUGCTL_BTF)) {
        env->vmx.pending_debug |= VMX_PENDING_DEBUG_BS;
    }
    vmcs_write(v, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
               vmx_keeps_pending_debug(v, blocked) ? env->vmx.pending_debug
                                                   : 0);
    env->vmx.pending_debug = 0;
}

void vmx_exit_save_state(CPUX86State *env, VMXVmcs *v)
{
    const uint32_t exit_ctls = vmcs_read(v, VMCS_EXIT_CONTROLS);
    uint32_t entry_ctls = vmcs_read(v, VMCS_ENTRY_CONTROLS);

    vmcs_write(v, VMCS_GUEST_CR0, env->cr[0]);
    vmcs_write(v, VMCS_GUEST_CR3, env->cr[3]);
    vmcs_write(v, VMCS_GUEST_CR4, env->cr[4]);
    if (exit_ctls & VMX_EXIT_SAVE_DEBUG) {
        vmcs_write(v, VMCS_GUEST_DR7, env->dr[7]);
        vmcs_write(v, VMCS_GUEST_IA32_DEBUGCTL, env->vmx.debugctl);
    }
    if (exit_ctls & VMX_EXIT_SAVE_PAT) {
        vmcs_write(v, VMCS_GUEST_IA32_PAT, env->pat);
    }
    if (exit_ctls & VMX_EXIT_SAVE_EFER) {
        vmcs_write(v, VMCS_GUEST_IA32_EFER, env->efer);
    }
    vmcs_write(v, VMCS_GUEST_IA32_SYSENTER_CS, env->sysenter_cs);
    vmcs_write(v, VMCS_GUEST_IA32_SYSENTER_ESP, env->sysenter_esp);
    vmcs_write(v, VMCS_GUEST_IA32_SYSENTER_EIP, env->sysenter_eip);
    vmx_save_segments(env, v);
    vmcs_write(v, VMCS_GUEST_RSP, env->regs[R_ESP]);
    /* After a far return from 64-bit code TCG leaves the upper half there. */
    vmcs_write(v, VMCS_GUEST_RIP, env->hflags & HF_CS64_MASK ? env->eip :
                                  (uint32_t)env->eip);
    vmcs_write(v, VMCS_GUEST_RFLAGS, cpu_compute_eflags(env));
    vmx_save_non_register(env, v);
    vmx_save_pdptes(env, v);
    if ((exit_ctls & VMX_EXIT_SAVE_PREEMPTION_TIMER) &&
        vmx_in_guest(env) &&
        (env->vmx.ctl.pin & VMX_PIN_PREEMPTION_TIMER)) {
        vmcs_write(v, VMCS_PREEMPTION_TIMER_VALUE, vmx_timer_value(env));
    }

    /*
     * VM-entry fields that the exit changes, so that VMRESUME repeats neither
     * the injection nor an old mode (DM-ACT-37); "entry to SMM" and "deactivate
     * dual-monitor treatment" stay as they are (DM-CTL-13).
     */
    vmcs_write(v, VMCS_ENTRY_INTERRUPTION_INFO,
               vmcs_read(v, VMCS_ENTRY_INTERRUPTION_INFO) &
               ~VMX_INTERRUPTION_VALID);
    if (vmx_misc(env) & MSR_VMX_MISC_STORE_LMA) {
        entry_ctls &= ~VMX_ENTRY_IA32E_GUEST;
        if (env->efer & MSR_EFER_LMA) {
            entry_ctls |= VMX_ENTRY_IA32E_GUEST;
        }
        vmcs_write(v, VMCS_ENTRY_CONTROLS, entry_ctls);
    }
}

void vmx_exit_store_msrs(CPUX86State *env, VMXVmcs *v)
{
    if (vmx_store_msr_area(env, vmcs_read(v, VMCS_EXIT_MSR_STORE_ADDRESS),
                           vmcs_read(v, VMCS_EXIT_MSR_STORE_COUNT),
                           env->hflags & HF_SMM_MASK)) {
        vmx_abort(env, v, VMX_ABORT_STORE_MSRS);
    }
}

/* ------------------------------------------------------------------ */
/* Loading host state                                                  */

static void vmx_load_host_segments(CPUX86State *env, const VMXVmcs *v,
                                   bool host64)
{
    static const uint8_t order[] = { R_CS, R_SS, R_DS, R_ES, R_FS, R_GS };
    int i;

    for (i = 0; i < ARRAY_SIZE(order); i++) {
        int n = order[i];
        uint16_t selector = vmcs_read(v, VMCS_HOST_ES_SELECTOR + n * 2);
        uint32_t flags = HOST_DATA_FLAGS;
        uint64_t base = 0;

        if (n == R_CS) {
            flags = HOST_CODE_FLAGS | (host64 ? DESC_L_MASK : DESC_B_MASK);
        } else if (!selector) {
            flags = 0;
        }
        if (n == R_FS || n == R_GS) {
            base = vmcs_read(v, VMCS_HOST_FS_BASE + (n - R_FS) * 2);
        }
        cpu_x86_load_seg_cache(env, n, selector, base, 0xffffffff, flags);
    }
    env->ldt = (SegmentCache) { 0 };
    env->tr.selector = vmcs_read(v, VMCS_HOST_TR_SELECTOR);
    env->tr.base = vmcs_read(v, VMCS_HOST_TR_BASE);
    env->tr.limit = HOST_TSS_LIMIT;
    env->tr.flags = HOST_TSS_FLAGS;
    env->gdt.base = vmcs_read(v, VMCS_HOST_GDTR_BASE);
    env->gdt.limit = 0xffff;
    env->idt.base = vmcs_read(v, VMCS_HOST_IDTR_BASE);
    env->idt.limit = 0xffff;
}

/* "Loading Host State" and "Loading MSRs" */
void vmx_exit_load_host(CPUX86State *env, VMXVmcs *v)
{
    const uint32_t exit_ctls = vmcs_read(v, VMCS_EXIT_CONTROLS);
    const bool host64 = exit_ctls & VMX_EXIT_HOST_ADDRESS_SPACE_SIZE;
    uint64_t cr4 = vmcs_read(v, VMCS_HOST_CR4);
    uint64_t efer = env->efer;

    if (host64) {
        cr4 |= CR4_PAE_MASK;
    } else {
        cr4 &= ~(uint64_t)CR4_PCIDE_MASK;
    }
    if (exit_ctls & VMX_EXIT_LOAD_EFER) {
        efer = vmcs_read(v, VMCS_HOST_IA32_EFER);
    } else {
        efer &= ~(uint64_t)(MSR_EFER_LMA | MSR_EFER_LME);
        if (host64) {
            efer |= MSR_EFER_LMA | MSR_EFER_LME;
        }
    }
    vmx_load_control_registers(env,
                               vmx_merge_cr0(env, vmcs_read(v, VMCS_HOST_CR0)),
                               vmcs_read(v, VMCS_HOST_CR3), cr4, efer);
    cpu_x86_update_dr7(env, DR7_FIXED_1);
    env->vmx.debugctl = 0;
    if (exit_ctls & VMX_EXIT_LOAD_PAT) {
        env->pat = vmcs_read(v, VMCS_HOST_IA32_PAT);
    }
    if (exit_ctls & VMX_EXIT_LOAD_PERF_GLOBAL_CTRL) {
        env->msr_global_ctrl = vmcs_read(v, VMCS_HOST_IA32_PERF_GLOBAL_CTRL);
    }
    env->sysenter_cs = vmcs_read(v, VMCS_HOST_IA32_SYSENTER_CS);
    env->sysenter_esp = vmcs_read(v, VMCS_HOST_IA32_SYSENTER_ESP);
    env->sysenter_eip = vmcs_read(v, VMCS_HOST_IA32_SYSENTER_EIP);

    vmx_load_host_segments(env, v, host64);
    env->regs[R_ESP] = vmcs_read(v, VMCS_HOST_RSP);
    env->eip = vmcs_read(v, VMCS_HOST_RIP);
    vmx_load_rflags(env, 2);
    vmx_update_hflags(env);

    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    env->hflags2 &= ~HF2_MOV_SS_MASK;
    env->vmx.hlt = false;
    env->vmx.monitor_armed = false; /* "Clearing Address-Range Monitoring" */

    if (!vmx_load_host_pdptes(env)) {
        /* The host's PDPTEs are invalid (DM-EXI-52). */
        VMX_REFUSE(env, v, "VMX-EXI-27", HOST_CR3,
                   "no reserved bit in a present PDPTE there");
        vmx_abort(env, v, VMX_ABORT_HOST_PDPTES);
    }
    if (vmx_load_msr_area(env, VMX_EXIT_MSR_LOAD,
                          vmcs_read(v, VMCS_EXIT_MSR_LOAD_ADDRESS),
                          vmcs_read(v, VMCS_EXIT_MSR_LOAD_COUNT),
                          env->hflags & HF_SMM_MASK)) {
        vmx_abort(env, v, VMX_ABORT_LOAD_MSRS);
    }
}

/*
 * A VMX abort puts the processor into a shutdown that only RESET ends; like
 * QEMU's triple fault it becomes a reset request.
 */
G_NORETURN void vmx_abort(CPUX86State *env, VMXVmcs *v, uint32_t indicator)
{
    CPUState *cs = env_cpu(env);

    vmx_failed(env, VMX_RESULT_ABORT, indicator, VMX_NO_INSTRUCTION, env->eip);
    trace_vmx_abort(cs->cpu_index, v->addr, indicator);
    qemu_log_mask(CPU_LOG_RESET, "VMX abort %u\n", indicator);
    vmcs_set_abort(v, indicator);
    vmx_vmcs_unmap(env, v);
    qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    cs->halted = 1;
    cs->exception_index = EXCP_HLT;
    cpu_loop_exit(cs);
}

/* ------------------------------------------------------------------ */

static bool is_fault(uint32_t info)
{
    return (info & VMX_INTERRUPTION_TYPE_MASK) ==
           VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION &&
           (uint8_t)info != EXCP01_DB;
}

/*
 * RFLAGS.RF as saved, "Saving RIP, RSP, RFLAGS, and SSP": for events as their
 * delivery would have pushed it, clear for instructions.
 */
static uint64_t vmx_saved_rf(const X86VMXExit *e, uint32_t vectoring,
                             uint64_t rflags)
{
    switch (e->reason) {
    case VMX_REASON_EXCEPTION_NMI:
        return is_fault(e->interruption_info) ? rflags | RF_MASK : rflags;
    case VMX_REASON_APIC_ACCESS:
    case VMX_REASON_EPT_VIOLATION:
    case VMX_REASON_EPT_MISCONFIGURATION:
        return !vectoring || is_fault(vectoring) ? rflags | RF_MASK : rflags;
    case VMX_REASON_EXTERNAL_INTERRUPT ... VMX_REASON_TASK_SWITCH:
    case VMX_REASON_MONITOR_TRAP_FLAG:
    case VMX_REASON_TPR_BELOW_THRESHOLD:
    case VMX_REASON_PREEMPTION_TIMER:
        return rflags;
    default:
        return rflags & ~RF_MASK;
    }
}

/* "NMI unblocking due to IRET" */
static void vmx_note_iret(X86VMXExit *e)
{
    if (!e->iret) {
        return;
    }
    if (e->reason == VMX_REASON_EPT_VIOLATION) {
        e->qualification |= VMX_INTERRUPTION_NMI_UNBLOCKING;
    } else if (e->reason == VMX_REASON_EXCEPTION_NMI &&
               (uint8_t)e->interruption_info != EXCP08_DBLE) {
        e->interruption_info |= VMX_INTERRUPTION_NMI_UNBLOCKING;
    }
}

void vmx_do_vmexit(CPUX86State *env)
{
    X86VMXExit e = env->vmx.exit;
    const X86VMXEvent event = env->vmx.event;
    const int from = vmx_trace_mode(env);
    const bool smm = env->hflags & HF_SMM_MASK;
    const uint64_t rip = env->eip;
    const uint16_t vpid = env->vmx.ctl.vpid;
    VMXVmcs *v = vmx_vmcs_map(env, env->vmx.current_vmcs);
    bool nmi = e.reason == VMX_REASON_EXCEPTION_NMI &&
               (e.interruption_info & VMX_INTERRUPTION_TYPE_MASK) ==
               VMX_INTERRUPTION_TYPE_NMI;

    vmx_tlb_leave(env);

    /*
     * Why the exit happened.  RSM of an SMI handler that is the guest of an STM
     * comes here as well: an exit with reason 17, in SMM before and after.
     */
    vmx_note_iret(&e);
    vmcs_write(v, VMCS_EXIT_REASON, e.reason);
    vmcs_write(v, VMCS_EXIT_QUALIFICATION, e.qualification);
    vmcs_write(v, VMCS_GUEST_PHYSICAL_ADDRESS, e.guest_physical);
    vmcs_write(v, VMCS_GUEST_LINEAR_ADDRESS, e.guest_linear);
    vmcs_write(v, VMCS_EXIT_INTERRUPTION_INFO, e.interruption_info);
    vmcs_write(v, VMCS_EXIT_INTERRUPTION_ERROR_CODE, e.interruption_error);
    vmcs_write(v, VMCS_EXIT_INSTRUCTION_LENGTH, e.insn_length);
    vmcs_write(v, VMCS_EXIT_INSTRUCTION_INFO, e.insn_info);
    vmcs_write(v, VMCS_IDT_VECTORING_INFO, event.info);
    if (event.info) {
        vmcs_write(v, VMCS_IDT_VECTORING_ERROR_CODE, event.error_code);
        if (event.insn_length) {
            vmcs_write(v, VMCS_EXIT_INSTRUCTION_LENGTH, event.insn_length);
        }
    }

    /* The guest, as the instruction or event left it. */
    vmx_exit_save_state(env, v);
    if (event.info && (event.info & VMX_INTERRUPTION_TYPE_MASK) ==
                      VMX_INTERRUPTION_TYPE_PRIVILEGED_EXCEPTION) {
        /* INT1 is trap-like, but is reported where it is. */
        vmcs_write(v, VMCS_GUEST_RIP, env->eip - event.insn_length);
    }
    vmcs_write(v, VMCS_GUEST_RFLAGS,
               vmx_saved_rf(&e, event.info,
                            vmcs_read(v, VMCS_GUEST_RFLAGS)));
    vmx_exit_store_msrs(env, v);

    /*
     * The guest's controls go out of force before host state is loaded, which
     * is subject to none of them.  The VMCS remains the current one, so that
     * the host finds in it what has just been written.
     */
    vmx_guest_leave(env);
    env->vmx.mode = VMX_MODE_ROOT;
    vmx_exit_load_host(env, v);
    vmx_vmcs_unmap(env, v);
    if (nmi) {
        /* As if the host had taken the NMI itself. */
        env->hflags2 |= HF2_NMI_MASK;
    }
    if (!vpid) {
        vmx_tlb_flush_vpid0(env);
    }
    vmx_tlb_enter(env);
    vmx_trace_transition(env, smm ? "handler-exit" : "exit", from, e.reason,
                         e.qualification, rip);
}
