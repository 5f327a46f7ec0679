/*
 * VMX: VMLAUNCH and VMRESUME
 *
 * Intel SDM volume 3, "VM Entries".
 *
 * All fields are read into a working copy of the VMCS and checked before the
 * processor state is touched, so that nothing has ever to be undone.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/log.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-internal.h"

/* Bits of CR0 that VM entries and VM exits do not change. */
#define CR0_UNCHANGED   (CR0_ET_MASK | CR0_NW_MASK | CR0_CD_MASK | \
                         0x1ffaffc0ULL)

/* CC bits and DF are kept apart from env->eflags. */
#define EFLAGS_LOADED   (~(CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C | DF_MASK))

void vmx_load_control_registers(CPUX86State *env, uint64_t cr0, uint64_t cr3,
                                uint64_t cr4, uint64_t efer)
{
    /*
     * cpu_x86_update_cr0() changes EFER.LMA, or does nothing, depending on
     * EFER.LME and CR4.PAE; keep it out of that and load EFER last.
     */
    cpu_load_efer(env, efer & ~(uint64_t)(MSR_EFER_LME | MSR_EFER_LMA));
    cpu_x86_update_cr4(env, cr4);
    env->cr[3] = cr3;
    cpu_x86_update_cr0(env, cr0);
    cpu_load_efer(env, efer);
}

uint64_t vmx_merge_cr0(CPUX86State *env, uint64_t cr0)
{
    return (cr0 & ~CR0_UNCHANGED) | (env->cr[0] & CR0_UNCHANGED);
}

void vmx_load_rflags(CPUX86State *env, uint64_t rflags)
{
    env->eflags = 0;
    cpu_load_eflags(env, rflags, EFLAGS_LOADED);
}

/*
 * Recompute the derived flags.  x86_update_hflags() also copies TF, VM and
 * IOPL, which TCG adds from env->eflags itself and would never clear here.
 */
void vmx_update_hflags(CPUX86State *env)
{
    x86_update_hflags(env);
    env->hflags &= ~(HF_TF_MASK | HF_VM_MASK | HF_IOPL_MASK);
}

void vmx_read_controls(const VMXVmcs *v, X86VMXControls *ctl)
{
    int i;

    *ctl = (X86VMXControls) {
        .pin = vmcs_read(v, VMCS_PIN_CONTROLS),
        .proc = vmcs_read(v, VMCS_PROC_CONTROLS),
        .exit = vmcs_read(v, VMCS_EXIT_CONTROLS),
        .exception_bitmap = vmcs_read(v, VMCS_EXCEPTION_BITMAP),
        .pf_mask = vmcs_read(v, VMCS_PF_ERROR_CODE_MASK),
        .pf_match = vmcs_read(v, VMCS_PF_ERROR_CODE_MATCH),
        /* RSM and loadvm read controls that nobody has checked again. */
        .cr3_target_count = MIN(4, vmcs_read(v, VMCS_CR3_TARGET_COUNT)),
        .io_bitmap[0] = vmcs_read(v, VMCS_IO_BITMAP_A),
        .io_bitmap[1] = vmcs_read(v, VMCS_IO_BITMAP_B),
        .msr_bitmap = vmcs_read(v, VMCS_MSR_BITMAP),
        .cr0_mask = vmcs_read(v, VMCS_CR0_MASK),
        .cr4_mask = vmcs_read(v, VMCS_CR4_MASK),
        .cr0_shadow = vmcs_read(v, VMCS_CR0_READ_SHADOW),
        .cr4_shadow = vmcs_read(v, VMCS_CR4_READ_SHADOW),
    };
    for (i = 0; i < ARRAY_SIZE(ctl->cr3_target); i++) {
        ctl->cr3_target[i] = vmcs_read(v, VMCS_CR3_TARGET0 + i * 2);
    }
    if (ctl->proc & VMX_CPU_BASED_ACTIVATE_SECONDARY_CONTROLS) {
        ctl->proc2 = vmcs_read(v, VMCS_SECONDARY_CONTROLS);
    }
    if (ctl->proc & VMX_CPU_BASED_TPR_SHADOW) {
        ctl->virtual_apic = vmcs_read(v, VMCS_VIRTUAL_APIC_ADDRESS);
        ctl->tpr_threshold = vmcs_read(v, VMCS_TPR_THRESHOLD);
    }
    if (ctl->proc2 & VMX_SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) {
        ctl->apic_access = vmcs_read(v, VMCS_APIC_ACCESS_ADDRESS);
    }
    if (ctl->proc & VMX_CPU_BASED_USE_TSC_OFFSETING) {
        ctl->tsc_offset = vmcs_read(v, VMCS_TSC_OFFSET);
    }
    if (ctl->proc2 & VMX_SECONDARY_EXEC_ENABLE_EPT) {
        ctl->eptp = vmcs_read(v, VMCS_EPT_POINTER);
    }
    if (ctl->proc2 & VMX_SECONDARY_EXEC_ENABLE_VPID) {
        ctl->vpid = vmcs_read(v, VMCS_VPID);
    }
    if (ctl->proc2 & VMX_SECONDARY_EXEC_PAUSE_LOOP_EXITING) {
        ctl->ple_gap = vmcs_read(v, VMCS_PLE_GAP);
        ctl->ple_window = vmcs_read(v, VMCS_PLE_WINDOW);
    }
    if (ctl->proc2 & VMX_SECONDARY_EXEC_ENABLE_VMFUNC) {
        ctl->vm_functions = vmcs_read(v, VMCS_VM_FUNCTION_CONTROLS);
        ctl->eptp_list = vmcs_read(v, VMCS_EPTP_LIST_ADDRESS);
    }
    if (ctl->proc2 & VMX_SECONDARY_EXEC_XSAVES) {
        ctl->xss_exiting = vmcs_read(v, VMCS_XSS_EXITING_BITMAP);
    }
}

void vmx_guest_enter(CPUX86State *env)
{
    env->vmx.mode = VMX_MODE_GUEST;
    env->hflags |= HF_GUEST_MASK;
    if (env->vmx.ctl.proc2 & VMX_SECONDARY_EXEC_ENABLE_EPT) {
        env->hflags2 |= HF2_EPT_MASK;
    }
    env->tsc_offset = env->vmx.ctl.tsc_offset;
}

/* Start-up IPIs are lost on a processor that does not wait for one. */
void vmx_drop_sipi(CPUX86State *env)
{
    cpu_reset_interrupt(env_cpu(env), CPU_INTERRUPT_SIPI);
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
    env->vmx.tpr_store = false;
    cpu_reset_interrupt(env_cpu(env), CPU_INTERRUPT_VMX);
}

void vmx_guest_reenter(CPUX86State *env)
{
    VMXVmcs *vmcs = vmx_vmcs_map(env, env->vmx.current_vmcs);

    vmx_read_controls(vmcs, &env->vmx.ctl);
    vmx_vmcs_unmap(env, vmcs);
    vmx_guest_enter(env);
}

/* "Loading Guest Segment Registers and Descriptor-Table Registers" */
static uint32_t vmx_segment_flags(uint32_t ar, int index)
{
    if (ar & VMX_AR_UNUSABLE) {
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
    const bool ia32e = entry->entry_ctls & VMX_VM_ENTRY_IA32E_MODE;
    uint32_t blocked = vmcs_read(v, VMCS_GUEST_INTERRUPTIBILITY);
    uint64_t cr0 = vmcs_read(v, VMCS_GUEST_CR0);
    uint64_t efer = env->efer;

    if (entry->entry_ctls & VMX_VM_ENTRY_LOAD_IA32_EFER) {
        efer = vmcs_read(v, VMCS_GUEST_EFER);
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
    vmx_enter_pdptes(env, entry);

    if (entry->entry_ctls & VMX_VM_ENTRY_LOAD_DEBUG_CONTROLS) {
        cpu_x86_update_dr7(env, (vmcs_read(v, VMCS_GUEST_DR7) &
                                 0xffff2fffULL) | DR7_FIXED_1);
        env->vmx.debugctl = vmcs_read(v, VMCS_GUEST_DEBUGCTL);
    }
    if (entry->entry_ctls & VMX_VM_ENTRY_LOAD_IA32_PAT) {
        env->pat = vmcs_read(v, VMCS_GUEST_PAT);
    }
    env->sysenter_cs = vmcs_read(v, VMCS_GUEST_SYSENTER_CS);
    env->sysenter_esp = vmcs_read(v, VMCS_GUEST_SYSENTER_ESP);
    env->sysenter_eip = vmcs_read(v, VMCS_GUEST_SYSENTER_EIP);

    vmx_load_segments(env, v);
    env->regs[R_ESP] = vmcs_read(v, VMCS_GUEST_RSP);
    env->eip = vmcs_read(v, VMCS_GUEST_RIP);
    vmx_load_rflags(env, vmcs_read(v, VMCS_GUEST_RFLAGS));
    vmx_update_hflags(env);

    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    env->hflags2 &= ~(HF2_MOV_SS_MASK | HF2_NMI_MASK);
    if (blocked & (VMX_BLOCKED_STI | VMX_BLOCKED_MOV_SS)) {
        env->hflags |= HF_INHIBIT_IRQ_MASK;
    }
    if (blocked & VMX_BLOCKED_MOV_SS) {
        env->hflags2 |= HF2_MOV_SS_MASK;
    }
    env->vmx.virtual_nmi_blocked = false;
    if (entry->ctl.pin & VMX_PIN_BASED_VIRTUAL_NMIS) {
        env->vmx.virtual_nmi_blocked = blocked & VMX_BLOCKED_NMI;
    } else if (blocked & VMX_BLOCKED_NMI) {
        env->hflags2 |= HF2_NMI_MASK;
    }
}

/* "VM-Entry Failures During or After Loading Guest State" */
static void vmx_entry_failure(CPUX86State *env, VMXEntry *entry,
                              uint32_t basic, uint64_t qualification)
{
    const int from = vmx_trace_mode(env);
    const uint64_t rip = vmcs_read(entry->guest, VMCS_GUEST_RIP);
    const uint32_t reason = basic | VMX_EXIT_REASON_ENTRY_FAILURE;

    vmcs_write(entry->guest, VMCS_EXIT_REASON, reason);
    vmcs_write(entry->guest, VMCS_EXIT_QUALIFICATION, qualification);
    if (entry->control != entry->guest) {
        vmx_vmcs_unmap(env, entry->control);
    }
    /* May abort, in which case it unmaps the VMCS that it has. */
    vmx_exit_load_host(env, entry->guest);
    vmx_vmcs_unmap(env, entry->guest);
    tlb_flush(env_cpu(env));
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
    uint32_t type = start->info & VMX_INTR_TYPE_MASK;

    if (!(start->info & VMX_INTR_VALID)) {
        if (start->activity == VMX_ACTIVITY_SHUTDOWN ||
            start->activity == VMX_ACTIVITY_WAIT_SIPI) {
            return 0;
        }
    } else if (type != VMX_INTR_TYPE_OTHER &&
               ((type != VMX_INTR_TYPE_SW_INTERRUPT &&
                 type != VMX_INTR_TYPE_SW_EXCEPTION) ||
                !(start->blocked & VMX_BLOCKED_MOV_SS))) {
        return 0;
    }
    return start->pending_debug;
}

/* Activity state and events, after everything else has been loaded. */
static void vmx_start(CPUX86State *env, const VMXStart *start)
{
    CPUState *cs = env_cpu(env);
    const bool valid = start->info & VMX_INTR_VALID;
    const bool mtf = valid && (start->info & VMX_INTR_TYPE_MASK) ==
                              VMX_INTR_TYPE_OTHER;

    env->vmx.pending_debug = vmx_start_pending_debug(start);
    if (vmx_in_guest(env)) {
        if (mtf) {
            env->vmx.mtf = VMX_MTF_PENDING;
        } else if (env->vmx.ctl.proc & VMX_CPU_BASED_MONITOR_TRAP_FLAG) {
            env->vmx.mtf = valid ? VMX_MTF_PENDING : VMX_MTF_ARMED;
        }
        vmx_tpr_after_entry(env);
        if (env->vmx.ctl.pin & VMX_PIN_BASED_VMX_PREEMPTION_TIMER) {
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
        if (start->activity != VMX_ACTIVITY_HLT) {
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
    return entry->entry_ctls & VMX_VM_ENTRY_SMM ? "handler-entry" : "entry";
}

static int vmx_basic_checks(CPUX86State *env, const VMXVmcs *vmcs, bool launch)
{
    if ((env->hflags & HF_INHIBIT_IRQ_MASK) &&
        (env->hflags2 & HF2_MOV_SS_MASK)) {
        return VMX_ERR_ENTRY_MOV_SS;
    }
    if (launch && vmcs_launched(vmcs)) {
        return VMX_ERR_LAUNCH_NONCLEAR;
    }
    if (!launch && !vmcs_launched(vmcs)) {
        return VMX_ERR_RESUME_NONLAUNCHED;
    }
    return 0;
}

bool vmx_vm_entry(CPUX86State *env, bool launch)
{
    const bool in_smm = env->hflags & HF_SMM_MASK;
    const int from = vmx_trace_mode(env);
    const uint32_t nmi_blocked = env->hflags2 & HF2_NMI_MASK;
    VMXEntry entry = { .launch = launch };
    VMXStart start;
    uint64_t qualification;
    unsigned failed;
    int error;

    if (env->vmx.current_vmcs == VMX_NO_POINTER) {
        vmx_vmfail_invalid(env);
        return false;
    }

    entry.guest = vmx_vmcs_map(env, env->vmx.current_vmcs);
    entry.control = entry.guest;
    entry.entry_ctls = vmcs_read(entry.guest, VMCS_ENTRY_CONTROLS);
    entry.exit_ctls = vmcs_read(entry.guest, VMCS_EXIT_CONTROLS);

    error = vmx_basic_checks(env, entry.guest, launch);
    if (!error) {
        entry.returns_from_smm = in_smm &&
                                 !(entry.entry_ctls & VMX_VM_ENTRY_SMM);
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
        vmx_vmfail(env, error);
        return false;
    }

    if (!vmx_check_guest_state(env, &entry, &qualification)) {
        vmx_entry_failure(env, &entry, VMX_EXIT_INVALID_GUEST, qualification);
        return true;
    }
    vmx_load_guest(env, &entry);
    failed = vmx_load_msr_area(env,
                               vmcs_read(entry.guest,
                                         VMCS_ENTRY_MSR_LOAD_ADDR),
                               vmcs_read(entry.guest,
                                         VMCS_ENTRY_MSR_LOAD_COUNT), in_smm);
    if (failed) {
        env->hflags2 &= ~HF2_NMI_MASK;                      /* DM-RET-37 */
        env->hflags2 |= nmi_blocked;
        vmx_entry_failure(env, &entry, VMX_EXIT_MSR_LOADING, failed);
        return true;
    }

    start = (VMXStart) {
        .activity = vmcs_read(entry.guest, VMCS_GUEST_ACTIVITY_STATE),
        .info = vmcs_read(entry.guest, VMCS_ENTRY_INTERRUPTION_INFO),
        .error_code = vmcs_read(entry.guest, VMCS_ENTRY_EXCEPTION_ERROR_CODE),
        .insn_length = vmcs_read(entry.guest, VMCS_ENTRY_INSTRUCTION_LENGTH),
        .pending_debug = vmcs_read(entry.guest, VMCS_GUEST_PENDING_DEBUG),
        .timer = vmcs_read(entry.guest, VMCS_PREEMPTION_TIMER_VALUE),
        .blocked = vmcs_read(entry.guest, VMCS_GUEST_INTERRUPTIBILITY),
    };
    if (launch) {
        vmcs_set_launched(entry.guest, true);               /* DM-RET-46 */
    }
    if (entry.control != entry.guest) {
        vmx_vmcs_unmap(env, entry.control);
    }
    vmx_vmcs_unmap(env, entry.guest);

    env->vmx.hlt = false;
    env->vmx.event.info = 0;
    env->vmx.pause_loop.valid = false;
    env->old_exception = -1;
    if (entry.returns_from_smm) {
        vmx_smm_return_commit(env, &entry);
    } else if (in_smm) {
        env->hflags2 |= HF2_SMI_BLOCKED_MASK;               /* DM-CTL-16 */
    }
    env->vmx.ctl = entry.ctl;
    vmx_drop_sipi(env);
    if (!entry.to_root) {
        vmx_guest_enter(env);
    }
    tlb_flush(env_cpu(env));
    vmx_trace_transition(env, vmx_entry_kind(&entry), from, 0, 0, env->eip);

    vmx_start(env, &start);
    return true;
}
