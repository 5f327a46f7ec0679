/*
 * VMX: VMLAUNCH and VMRESUME
 *
 * Intel SDM volume 3, "VM Entries".
 *
 * All fields are read into a working copy of the VMCS and checked before the
 * processor state is touched.  Only the loading of MSRs can fail later.
 *
 * In SMM an entry is either one with "entry to SMM", which starts or resumes a
 * guest of the STM, as a rule the SMI handler, or one that returns from SMM to
 * what the SMI has interrupted (vmx-smm-return.c).
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-transition.h"

/* "Loading Guest Segment Registers and Descriptor-Table Registers" */
static uint32_t vmx_segment_flags(uint32_t ar, int index)
{
    if (ar & VMX_ACCESS_UNUSABLE) {
        /* QEMU takes the CPL from SS.DPL, as VMX does. */
        return index == R_SS ? (ar & 0x60) << 8 : 0;
    }
    return (ar & 0xf0ff) << 8;
}

static void vmx_load_system_segment(SegmentCache *seg, const VMXVmcs *v,
                                    int index, bool busy)
{
    uint32_t ar = vmcs_read(v, VMCS_GUEST_ES_ACCESS_RIGHTS + index * 2);

    seg->selector = vmcs_read(v, VMCS_GUEST_ES_SELECTOR + index * 2);
    seg->base = vmcs_read(v, VMCS_GUEST_ES_BASE + index * 2);
    seg->limit = vmcs_read(v, VMCS_GUEST_ES_LIMIT + index * 2);
    seg->flags = vmx_segment_flags(ar, index);
    if (busy) {
        /* TCG keeps TR with the type of an available TSS. */
        seg->flags &= ~(2u << DESC_TYPE_SHIFT);
    }
}

static void vmx_load_segments(CPUX86State *env, const VMXVmcs *v)
{
    /* CS first: how the others are cached depends on its L bit. */
    static const uint8_t order[] = { R_CS, R_SS, R_DS, R_ES, R_FS, R_GS };
    int i;

    for (i = 0; i < ARRAY_SIZE(order); i++) {
        int n = order[i];
        uint32_t ar = vmcs_read(v, VMCS_GUEST_ES_ACCESS_RIGHTS + n * 2);

        cpu_x86_load_seg_cache(env, n,
                               vmcs_read(v, VMCS_GUEST_ES_SELECTOR + n * 2),
                               vmcs_read(v, VMCS_GUEST_ES_BASE + n * 2),
                               vmcs_read(v, VMCS_GUEST_ES_LIMIT + n * 2),
                               vmx_segment_flags(ar, n));
    }
    vmx_load_system_segment(&env->ldt, v, 6, false);
    vmx_load_system_segment(&env->tr, v, 7, true);
    env->gdt.base = vmcs_read(v, VMCS_GUEST_GDTR_BASE);
    env->gdt.limit = vmcs_read(v, VMCS_GUEST_GDTR_LIMIT);
    env->idt.base = vmcs_read(v, VMCS_GUEST_IDTR_BASE);
    env->idt.limit = vmcs_read(v, VMCS_GUEST_IDTR_LIMIT);
}

/* "Loading Guest State" */
static void vmx_load_guest(CPUX86State *env, const VMXEntry *entry)
{
    const VMXVmcs *v = entry->guest;
    const bool ia32e = entry->entry_ctls & VMX_ENTRY_IA32E_GUEST;
    uint32_t blocked = vmcs_read(v, VMCS_GUEST_INTERRUPTIBILITY_STATE);
    uint64_t cr0 = vmcs_read(v, VMCS_GUEST_CR0);
    uint64_t efer = env->efer;

    if (entry->entry_ctls & VMX_ENTRY_LOAD_EFER) {
        efer = vmcs_read(v, VMCS_GUEST_IA32_EFER);
    } else {
        efer &= ~(uint64_t)MSR_EFER_LMA;
        if (cr0 & CR0_PG_MASK) {
            efer &= ~(uint64_t)MSR_EFER_LME;
        }
        if (ia32e) {
            efer |= MSR_EFER_LMA | MSR_EFER_LME;
        }
    }
    vmx_load_control_registers(env, vmx_merge_cr0(env, cr0),
                               vmcs_read(v, VMCS_GUEST_CR3),
                               vmcs_read(v, VMCS_GUEST_CR4), efer);
    vmx_enter_pdptes(env, v,
                     entry->ctl.proc2 & VMX_CPU2_EPT);

    if (entry->entry_ctls & VMX_ENTRY_LOAD_DEBUG) {
        cpu_x86_update_dr7(env, (vmcs_read(v, VMCS_GUEST_DR7) &
                                 0xffff2fffULL) | DR7_FIXED_1);
        env->vmx.debugctl = vmcs_read(v, VMCS_GUEST_IA32_DEBUGCTL);
    }
    if (entry->entry_ctls & VMX_ENTRY_LOAD_PAT) {
        env->pat = vmcs_read(v, VMCS_GUEST_IA32_PAT);
    }
    if (entry->entry_ctls & VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL) {
        env->msr_global_ctrl = vmcs_read(v, VMCS_GUEST_IA32_PERF_GLOBAL_CTRL);
    }
    env->sysenter_cs = vmcs_read(v, VMCS_GUEST_IA32_SYSENTER_CS);
    env->sysenter_esp = vmcs_read(v, VMCS_GUEST_IA32_SYSENTER_ESP);
    env->sysenter_eip = vmcs_read(v, VMCS_GUEST_IA32_SYSENTER_EIP);

    vmx_load_segments(env, v);
    env->regs[R_ESP] = vmcs_read(v, VMCS_GUEST_RSP);
    env->eip = vmcs_read(v, VMCS_GUEST_RIP);
    vmx_load_rflags(env, vmcs_read(v, VMCS_GUEST_RFLAGS));
    vmx_update_hflags(env);

    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    env->hflags2 &= ~(HF2_MOV_SS_MASK | HF2_NMI_MASK);
    if (blocked & (VMX_BLOCKING_BY_STI | VMX_BLOCKING_BY_MOV_SS)) {
        env->hflags |= HF_INHIBIT_IRQ_MASK;
    }
    if (blocked & VMX_BLOCKING_BY_MOV_SS) {
        env->hflags2 |= HF2_MOV_SS_MASK;
    }
    env->vmx.virtual_nmi_blocked = false;
    if (entry->ctl.pin & VMX_PIN_VIRTUAL_NMIS) {
        env->vmx.virtual_nmi_blocked = blocked & VMX_BLOCKING_BY_NMI;
    } else if (blocked & VMX_BLOCKING_BY_NMI) {
        env->hflags2 |= HF2_NMI_MASK;
    }
}

static uint32_t vmx_entry_instruction(bool launch)
{
    return launch ? VMX_REASON_VMLAUNCH : VMX_REASON_VMRESUME;
}

/* "VM-Entry Failures During or After Loading Guest State" */
static void vmx_entry_failure(CPUX86State *env, VMXEntry *entry,
                              uint32_t basic, uint64_t qualification,
                              uint64_t entry_rip)
{
    const int from = vmx_trace_mode(env);
    const uint64_t rip = vmcs_read(entry->guest, VMCS_GUEST_RIP);
    const uint32_t reason = basic | VMX_REASON_ENTRY_FAILURE;

    vmx_failed(env, VMX_RESULT_ENTRY_FAILURE, basic,
               vmx_entry_instruction(entry->launch), entry_rip);
    vmcs_write(entry->guest, VMCS_EXIT_REASON, reason);
    vmcs_write(entry->guest, VMCS_EXIT_QUALIFICATION, qualification);
    if (entry->control != entry->guest) {
        vmx_vmcs_unmap(env, entry->control);
    }
    /* May abort, in which case it unmaps the VMCS that it has. */
    vmx_exit_load_host(env, entry->guest);
    vmx_vmcs_unmap(env, entry->guest);
    vmx_tlb_flush_vpids(env);
    vmx_tlb_enter(env);
    vmx_trace_transition(env, "entry-failure", from, reason, qualification,
                         rip);
}

/* What happens after an entry, read while the VMCS is at hand. */
typedef struct VMXStart {
    uint32_t activity;
    uint32_t info;
    uint32_t error_code;
    uint32_t insn_length;
    uint32_t timer;
    uint32_t blocked;
    uint64_t pending_debug;
} VMXStart;

/* "Delivery of Pending Debug Exceptions after VM Entry" (DM-RET-54) */
static uint64_t vmx_start_pending_debug(const VMXStart *start)
{
    uint32_t type = start->info & VMX_INTERRUPTION_TYPE_MASK;

    if (!(start->info & VMX_INTERRUPTION_VALID)) {
        if (start->activity == VMX_ACTIVITY_SHUTDOWN ||
            start->activity == VMX_ACTIVITY_WAIT_FOR_SIPI) {
            return 0;
        }
    } else if (type != VMX_INTERRUPTION_TYPE_OTHER &&
               ((type != VMX_INTERRUPTION_TYPE_SOFTWARE_INTERRUPT &&
                 type != VMX_INTERRUPTION_TYPE_SOFTWARE_EXCEPTION) ||
                !(start->blocked & VMX_BLOCKING_BY_MOV_SS))) {
        return 0;
    }
    return start->pending_debug;
}

/* Activity state and events, after everything else has been loaded. */
static void vmx_start(CPUX86State *env, const VMXStart *start)
{
    CPUState *cs = env_cpu(env);
    const bool valid = start->info & VMX_INTERRUPTION_VALID;
    const bool mtf = valid && (start->info & VMX_INTERRUPTION_TYPE_MASK) ==
                              VMX_INTERRUPTION_TYPE_OTHER;

    env->vmx.pending_debug = vmx_start_pending_debug(start);
    if (vmx_in_guest(env)) {
        if (mtf) {
            env->vmx.mtf = VMX_MTF_PENDING;
        } else if (env->vmx.ctl.proc & VMX_CPU_MONITOR_TRAP_FLAG) {
            env->vmx.mtf = valid ? VMX_MTF_PENDING : VMX_MTF_ARMED;
        }
        vmx_tpr_after_entry(env);
        if (env->vmx.ctl.pin & VMX_PIN_PREEMPTION_TIMER) {
            vmx_timer_start(env, start->timer);
        }
    }
    vmx_update_request(env);

    if (valid && !mtf) {
        vmx_inject_event(env, start->info, start->error_code,
                         start->insn_length);
        return;
    }
    if (start->activity != VMX_ACTIVITY_ACTIVE) {
        if (start->activity == VMX_ACTIVITY_WAIT_FOR_SIPI) {
            /* No sender of an INIT may find the processor between the two. */
            BQL_LOCK_GUARD();
            env->vmx.activity = start->activity;
            env->vmx.init_exit = false;
        } else if (start->activity == VMX_ACTIVITY_SHUTDOWN) {
            env->vmx.activity = start->activity;
        }
        cs->halted = 1;
        cs->exception_index = EXCP_HLT;
        cpu_loop_exit(cs);
    }
}

/* Trace kind of a successful entry. */
static const char *vmx_entry_kind(const VMXEntry *entry)
{
    if (entry->deactivate) {
        return "smm-deactivate";
    }
    if (entry->returns_from_smm) {
        return "smm-return";
    }
    return entry->entry_ctls & VMX_ENTRY_TO_SMM ? "handler-entry" : "entry";
}

static int vmx_basic_checks(CPUX86State *env, const VMXVmcs *vmcs, bool launch)
{
    if ((env->hflags & HF_INHIBIT_IRQ_MASK) &&
        (env->hflags2 & HF2_MOV_SS_MASK)) {
        vmx_refuse_value(env, "VMX-INS-41", "BLOCKING_BY_MOV_SS", 1,
                         "no blocking by MOV SS");
        return VMX_ERROR_ENTRY_BLOCKED_BY_MOV_SS;
    }
    if (launch && vmcs_launched(vmcs)) {
        vmx_refuse_value(env, "VMX-INS-39", "LAUNCH_STATE", 1, "clear");
        return VMX_ERROR_VMLAUNCH_NOT_CLEAR;
    }
    if (!launch && !vmcs_launched(vmcs)) {
        vmx_refuse_value(env, "VMX-INS-40", "LAUNCH_STATE", 0, "launched");
        return VMX_ERROR_VMRESUME_NOT_LAUNCHED;
    }
    return 0;
}

bool vmx_vm_entry(CPUX86State *env, bool launch)
{
    const bool in_smm = env->hflags & HF_SMM_MASK;
    const int from = vmx_trace_mode(env);
    const uint32_t nmi_blocked = env->hflags2 & HF2_NMI_MASK;
    const uint64_t rip = env->eip;
    VMXEntry entry = { .launch = launch };
    VMXStart start;
    uint64_t qualification;
    unsigned failed;
    int error;

    if (env->vmx.current_vmcs == VMCS_POINTER_NONE) {
        vmx_refuse_value(env, "VMX-INS-38", "CURRENT_VMCS",
                         VMCS_POINTER_NONE, "a current VMCS");
        vmx_vmfail_invalid(env, vmx_entry_instruction(launch));
        return false;
    }

    /*
     * Two sources: the current VMCS gives guest and host state, VM-exit and
     * VM-entry controls; entry.control gives VM-execution controls.  The two
     * differ only for entries that return from SMM.
     */
    entry.guest = vmx_vmcs_map(env, env->vmx.current_vmcs);
    entry.control = entry.guest;
    entry.entry_ctls = vmcs_read(entry.guest, VMCS_ENTRY_CONTROLS);
    entry.exit_ctls = vmcs_read(entry.guest, VMCS_EXIT_CONTROLS);

    error = vmx_basic_checks(env, entry.guest, launch);
    if (!error) {
        entry.returns_from_smm = in_smm &&
                                 !(entry.entry_ctls & VMX_ENTRY_TO_SMM);
        if (entry.returns_from_smm) {
            error = vmx_smm_return_check(env, &entry);
        } else {
            vmx_read_controls(entry.guest, &entry.ctl);
        }
    }
    if (!error) {
        error = vmx_check_entry(env, &entry);
    }
    if (error) {
        if (entry.control != entry.guest) {
            vmx_vmcs_unmap(env, entry.control);
        }
        vmx_vmcs_unmap(env, entry.guest);
        vmx_vmfail(env, vmx_entry_instruction(launch), error);
        return false;
    }

    vmx_tlb_leave(env);

    /*
     * Failures up to here are VMfails, the next instruction runs.  From here on
     * the SDM has them end like VM exits, in the host state of the same VMCS.
     */
    if (!vmx_check_guest_state(env, &entry, &qualification)) {
        vmx_entry_failure(env, &entry, VMX_REASON_ENTRY_GUEST_STATE,
                          qualification, rip);
        return true;
    }
    vmx_load_guest(env, &entry);
    failed = vmx_load_msr_area(env, VMX_ENTRY_MSR_LOAD,
                               vmcs_read(entry.guest,
                                         VMCS_ENTRY_MSR_LOAD_ADDRESS),
                               vmcs_read(entry.guest,
                                         VMCS_ENTRY_MSR_LOAD_COUNT), in_smm);
    if (failed) {
        /*
         * The host gets back what guest state has replaced: NMIs are blocked
         * as before the entry (DM-RET-37).
         */
        env->hflags2 &= ~HF2_NMI_MASK;
        env->hflags2 |= nmi_blocked;
        env->vmx.virtual_nmi_blocked = false;
        vmx_entry_failure(env, &entry, VMX_REASON_ENTRY_MSR_LOADING, failed,
                          rip);
        return true;
    }

    /*
     * What happens once the guest runs.  Read now, because a return from SMM
     * closes the region, and written back before it does.
     */
    start = (VMXStart) {
        .activity = vmcs_read(entry.guest, VMCS_GUEST_ACTIVITY_STATE),
        .info = vmcs_read(entry.guest, VMCS_ENTRY_INTERRUPTION_INFO),
        .error_code = vmcs_read(entry.guest, VMCS_ENTRY_EXCEPTION_ERROR_CODE),
        .insn_length = vmcs_read(entry.guest, VMCS_ENTRY_INSTRUCTION_LENGTH),
        .pending_debug = vmcs_read(entry.guest,
                                   VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS),
        .timer = vmcs_read(entry.guest, VMCS_PREEMPTION_TIMER_VALUE),
        .blocked = vmcs_read(entry.guest, VMCS_GUEST_INTERRUPTIBILITY_STATE),
    };
    if (launch) {
        /* The VMCS of the instruction, whatever becomes current (DM-RET-46). */
        vmcs_set_launched(entry.guest, true);
    }
    if (entry.control != entry.guest) {
        vmx_vmcs_unmap(env, entry.control);
    }
    vmx_vmcs_unmap(env, entry.guest);

    /* Nothing that the host was doing goes on in the guest. */
    env->vmx.hlt = false;
    env->vmx.event.info = 0;
    env->vmx.pause_loop.valid = false;
    env->vmx.monitor_armed = false; /* "Clearing Address-Range Monitoring" */
    env->old_exception = -1;
    if (entry.returns_from_smm) {
        vmx_smm_return_commit(env, &entry);
    } else if (in_smm) {
        /* No SMI interrupts an SMI handler (DM-CTL-16). */
        env->hflags2 |= HF2_SMI_BLOCKED_MASK;
    }
    /* Last, so that nothing in between is subject to the guest's controls. */
    env->vmx.ctl = entry.ctl;
    if (!entry.to_root && !(env->hflags & HF_SMM_MASK) &&
        start.activity != VMX_ACTIVITY_WAIT_FOR_SIPI) {
        env->vmx.init_exit = false;
    }
    vmx_drop_sipi(env);
    if (!entry.to_root) {
        vmx_guest_enter(env);
        if (!env->vmx.ctl.vpid) {
            vmx_tlb_flush_vpid0(env);
        }
    }
    vmx_tlb_enter(env);
    vmx_trace_transition(env, vmx_entry_kind(&entry), from, 0, 0, env->eip);

    vmx_start(env, &start);
    return true;
}
