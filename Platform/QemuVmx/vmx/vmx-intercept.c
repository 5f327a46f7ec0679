/*
 * VMX: which instructions and exceptions cause VM exits
 *
 * Intel SDM volume 3, "VMX Non-Root Operation".  Most decisions come through
 * the call sites of the SVM emulation.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "svm.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-parts.h"

/* Last opcode byte of instructions that share a call site. */
#define OPCODE_RDTSC        0x31
#define OPCODE_CLTS         0x06
#define OPCODE_LMSW         0x01

/* Exit qualification for control-register accesses */
#define CR_QUAL_MOV_TO      (0u << 4)
#define CR_QUAL_MOV_FROM    (1u << 4)
#define CR_QUAL_CLTS        (2u << 4)
#define CR_QUAL_LMSW        (3u << 4)
#define CR_QUAL_LMSW_MEM    (1u << 6)
#define CR_QUAL_GPR(gpr)    (((gpr) & 15) << 8)
#define CR_QUAL_SOURCE(v)   ((uint64_t)((v) & 0xffff) << 16)
#define DR_QUAL_FROM        (1u << 4)

/* VM-exit instruction information: register operand */
#define INSN_INFO_REGISTER  (1u << 10)

/* ------------------------------------------------------------------ */
/* MSRs                                                                */

static bool vmx_msr_exits(CPUX86State *env, uint32_t index, bool write)
{
    hwaddr bitmap = env->vmx.ctl.msr_bitmap + (write ? 0x800 : 0);

    if (!vmx_proc(env, VMX_CPU_MSR_BITMAPS)) {
        return true;
    }
    if (index >= 0xc0000000 && index <= 0xc0001fff) {
        bitmap += 0x400;
        index -= 0xc0000000;
    } else if (index > 0x1fff) {
        return true;
    }
    return x86_ldub_phys(env_cpu(env), bitmap + index / 8) &
           (1u << (index & 7));
}

/* ------------------------------------------------------------------ */
/* Control and debug registers                                         */

static uint32_t vmx_insn_gpr(CPUX86State *env, uintptr_t retaddr)
{
    return VMX_INSN_INFO(vmx_unwind_insn(env, retaddr));
}

static void vmx_check_cr_read(CPUX86State *env, int reg, uintptr_t retaddr)
{
    if ((reg == 3 && vmx_proc(env, VMX_CPU_CR3_STORE)) ||
        (reg == 8 && vmx_proc(env, VMX_CPU_CR8_STORE))) {
        vmx_vmexit(env, VMX_REASON_CR_ACCESS, reg | CR_QUAL_MOV_FROM |
                   CR_QUAL_GPR(vmx_insn_gpr(env, retaddr)), retaddr);
    }
}

static G_NORETURN void vmx_exit_mov_to_cr(CPUX86State *env, int reg,
                                          uintptr_t retaddr)
{
    vmx_vmexit(env, VMX_REASON_CR_ACCESS, reg | CR_QUAL_MOV_TO |
               CR_QUAL_GPR(vmx_insn_gpr(env, retaddr)), retaddr);
}

target_ulong helper_vmx_read_cr(CPUX86State *env, uint32_t reg)
{
    const X86VMXControls *ctl = &env->vmx.ctl;

    if (vmx_in_guest(env) && reg == 0) {
        return (env->cr[0] & ~ctl->cr0_mask) | (ctl->cr0_shadow &
                                                ctl->cr0_mask);
    }
    if (vmx_in_guest(env) && reg == 4) {
        return (env->cr[4] & ~ctl->cr4_mask) | (ctl->cr4_shadow &
                                                ctl->cr4_mask);
    }
    return env->cr[reg];
}

/* LMSW exits for a bit that is masked and differs from its shadow. */
static bool vmx_lmsw_exits(const X86VMXControls *ctl, uint64_t value)
{
    uint64_t changed = (value ^ ctl->cr0_shadow) & ctl->cr0_mask;

    /* It can set PE but not clear it. */
    return (changed & (CR0_MP_MASK | CR0_EM_MASK | CR0_TS_MASK)) ||
           ((changed & CR0_PE_MASK) && (value & CR0_PE_MASK));
}

static uint64_t vmx_guest_write_cr0(CPUX86State *env, uint64_t value,
                                    uintptr_t retaddr)
{
    const X86VMXControls *ctl = &env->vmx.ctl;
    uint64_t insn = vmx_unwind_insn(env, retaddr);

    if (VMX_INSN_OPCODE(insn) == OPCODE_LMSW) {
        if (vmx_lmsw_exits(ctl, value)) {
            uint64_t qual = CR_QUAL_LMSW |
                            CR_QUAL_SOURCE(env->vmx.lmsw_source);

            if (!(VMX_INSN_INFO(insn) & INSN_INFO_REGISTER)) {
                vmx_vmexit_linear(env, VMX_REASON_CR_ACCESS,
                                  qual | CR_QUAL_LMSW_MEM, env->vmx.linear,
                                  retaddr);
            }
            vmx_vmexit(env, VMX_REASON_CR_ACCESS, qual, retaddr);
        }
    } else if ((value ^ ctl->cr0_shadow) & ctl->cr0_mask) {
        vmx_exit_mov_to_cr(env, 0, retaddr);
    }
    return (value & ~ctl->cr0_mask) | (env->cr[0] & ctl->cr0_mask);
}

static uint64_t vmx_guest_write_cr4(CPUX86State *env, uint64_t value,
                                    uintptr_t retaddr)
{
    const X86VMXControls *ctl = &env->vmx.ctl;

    if ((value ^ ctl->cr4_shadow) & ctl->cr4_mask) {
        vmx_exit_mov_to_cr(env, 4, retaddr);
    }
    return (value & ~ctl->cr4_mask) | (env->cr[4] & ctl->cr4_mask);
}

static void vmx_guest_write_cr3(CPUX86State *env, uint64_t value,
                                uintptr_t retaddr)
{
    const X86VMXControls *ctl = &env->vmx.ctl;
    int i;

    if (!vmx_proc(env, VMX_CPU_CR3_LOAD)) {
        return;
    }
    for (i = 0; i < ctl->cr3_target_count; i++) {
        if (value == ctl->cr3_target[i]) {
            return;
        }
    }
    vmx_exit_mov_to_cr(env, 3, retaddr);
}

uint64_t vmx_write_cr(CPUX86State *env, int reg, uint64_t value,
                      uintptr_t retaddr)
{
    const bool guest = vmx_in_guest(env);

    switch (reg) {
    case 0:
        if (guest) {
            value = vmx_guest_write_cr0(env, value, retaddr);
        }
        value |= CR0_ET_MASK;
        if (!vmx_cr0_valid(env, value, guest && vmx_unrestricted_guest(env)) ||
            !vmx_cr0_consistent(env, value)) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
        }
        break;
    case 3:
        if (guest) {
            vmx_guest_write_cr3(env, value, retaddr);
        }
        break;
    case 8:
        if (value & ~0xfULL) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
        }
        break;
    case 4:
        if (guest) {
            value = vmx_guest_write_cr4(env, value, retaddr);
        }
        if (!vmx_cr4_valid(env, value) || !vmx_cr4_consistent(env, value)) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
        }
        break;
    default:
        break;
    }
    vmx_write_cr_pdptes(env, reg, value, retaddr);
    return value;
}

/*
 * CLTS: exits if TS is masked and its shadow is 1; leaves TS alone if it is
 * masked and its shadow is 0, see vmx_clts_masked().
 */
static void vmx_check_clts(CPUX86State *env, uintptr_t retaddr)
{
    const X86VMXControls *ctl = &env->vmx.ctl;

    if (VMX_INSN_OPCODE(vmx_unwind_insn(env, retaddr)) == OPCODE_CLTS &&
        (ctl->cr0_mask & ctl->cr0_shadow & CR0_TS_MASK)) {
        vmx_vmexit(env, VMX_REASON_CR_ACCESS, CR_QUAL_CLTS, retaddr);
    }
}

bool vmx_clts_masked(CPUX86State *env)
{
    return vmx_in_guest(env) && (env->vmx.ctl.cr0_mask & CR0_TS_MASK);
}

/* ------------------------------------------------------------------ */
/* Everything else with an SVM call site                               */

static void exit_if(CPUX86State *env, bool condition, uint32_t reason,
                    uint64_t qualification, uintptr_t retaddr)
{
    if (condition) {
        vmx_vmexit(env, reason, qualification, retaddr);
    }
}

static void vmx_check_tsc(CPUX86State *env, uintptr_t retaddr)
{
    bool exiting = vmx_proc(env, VMX_CPU_RDTSC);
    uint64_t insn = vmx_unwind_insn(env, retaddr);

    vmx_timer_check(env, retaddr);
    if (VMX_INSN_OPCODE(insn) == OPCODE_RDTSC) {
        exit_if(env, exiting, VMX_REASON_RDTSC, 0, retaddr);
        return;
    }
    if (!vmx_proc2(env, VMX_CPU2_RDTSCP)) {
        raise_exception_ra(env, EXCP06_ILLOP, retaddr);
    }
    exit_if(env, exiting, VMX_REASON_RDTSCP, 0, retaddr);
}

static void vmx_check_dr(CPUX86State *env, int reg, bool from,
                         uintptr_t retaddr)
{
    if (vmx_proc(env, VMX_CPU_MOV_DR)) {
        vmx_vmexit(env, VMX_REASON_MOV_DR, reg | (from ? DR_QUAL_FROM : 0) |
                   CR_QUAL_GPR(vmx_insn_gpr(env, retaddr)), retaddr);
    }
}

void vmx_check_intercept(CPUX86State *env, uint32_t type, uint64_t param,
                         uintptr_t ra)
{
    uint64_t disp = env->vmx.displacement;

    switch (type) {
    case SVM_EXIT_READ_CR0 ... SVM_EXIT_READ_CR0 + 15:
        vmx_check_cr_read(env, type - SVM_EXIT_READ_CR0, ra);
        break;
    case SVM_EXIT_WRITE_CR0:
        /* MOV and LMSW are decided in vmx_write_cr(). */
        vmx_check_clts(env, ra);
        break;
    case SVM_EXIT_WRITE_CR0 + 8:
        if (vmx_proc(env, VMX_CPU_CR8_LOAD)) {
            vmx_exit_mov_to_cr(env, 8, ra);
        }
        break;
    case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR0 + 7:
        vmx_check_dr(env, type - SVM_EXIT_READ_DR0, true, ra);
        break;
    case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR0 + 7:
        vmx_check_dr(env, type - SVM_EXIT_WRITE_DR0, false, ra);
        break;
    case SVM_EXIT_CPUID:
        vmx_vmexit(env, VMX_REASON_CPUID, 0, ra);
    case SVM_EXIT_INVD:
        vmx_vmexit(env, VMX_REASON_INVD, 0, ra);
    case SVM_EXIT_XSETBV:
        /* Otherwise #UD, which comes first; helper_xsetbv() raises it. */
        exit_if(env, env->cr[4] & CR4_OSXSAVE_MASK,
                VMX_REASON_XSETBV, 0, ra);
        break;
    case SVM_EXIT_RDTSC:
        vmx_check_tsc(env, ra);
        break;
    case SVM_EXIT_RDPMC:
        exit_if(env, vmx_proc(env, VMX_CPU_RDPMC),
                VMX_REASON_RDPMC, 0, ra);
        break;
    case SVM_EXIT_HLT:
        exit_if(env, vmx_proc(env, VMX_CPU_HLT),
                VMX_REASON_HLT, 0, ra);
        break;
    case SVM_EXIT_INVLPG:
        /* gen_multi0F() has left the linear address here. */
        exit_if(env, vmx_proc(env, VMX_CPU_INVLPG),
                VMX_REASON_INVLPG, disp, ra);
        break;
    case SVM_EXIT_MONITOR:
        exit_if(env, vmx_proc(env, VMX_CPU_MONITOR),
                VMX_REASON_MONITOR, 0, ra);
        break;
    case SVM_EXIT_MWAIT:
        exit_if(env, vmx_proc(env, VMX_CPU_MWAIT),
                VMX_REASON_MWAIT, env->vmx.monitor_armed, ra);
        break;
    case SVM_EXIT_PAUSE:
        exit_if(env, vmx_proc(env, VMX_CPU_PAUSE) ||
                     vmx_pause_loop_exits(env),
                VMX_REASON_PAUSE, 0, ra);
        break;
    case SVM_EXIT_WBINVD:
        exit_if(env, vmx_proc2(env, VMX_CPU2_WBINVD),
                VMX_REASON_WBINVD, 0, ra);
        break;
    case SVM_EXIT_GDTR_READ:
    case SVM_EXIT_GDTR_WRITE:
    case SVM_EXIT_IDTR_READ:
    case SVM_EXIT_IDTR_WRITE:
        exit_if(env, vmx_proc2(env, VMX_CPU2_DESCRIPTOR_TABLE),
                VMX_REASON_GDTR_IDTR, disp, ra);
        break;
    case SVM_EXIT_LDTR_READ:
    case SVM_EXIT_LDTR_WRITE:
    case SVM_EXIT_TR_READ:
    case SVM_EXIT_TR_WRITE:
        exit_if(env, vmx_proc2(env, VMX_CPU2_DESCRIPTOR_TABLE),
                VMX_REASON_LDTR_TR, disp, ra);
        break;
    case SVM_EXIT_MSR:
        if (unlikely(vmx_observes_handler(env))) {
            vmx_trace_access(env, "msr", param ? "w" : "r",
                             (uint32_t)env->regs[R_ECX], 1);
        }
        exit_if(env, vmx_msr_exits(env, env->regs[R_ECX], param),
                param ? VMX_REASON_WRMSR : VMX_REASON_RDMSR, 0, ra);
        break;
    case SVM_EXIT_RSM:
        /* Outside SMM the decoder goes on to raise #UD (DM-DEF-32). */
        exit_if(env, env->hflags & HF_SMM_MASK, VMX_REASON_RSM, 0, ra);
        break;
    case SVM_EXIT_ICEBP:
        if (env->vmx.ctl.exception_bitmap & (1u << EXCP01_DB)) {
            vmx_vmexit_event(env, VMX_REASON_EXCEPTION_NMI, 0,
                             VMX_INTERRUPTION_VALID |
                             VMX_INTERRUPTION_TYPE_PRIVILEGED_EXCEPTION |
                             EXCP01_DB, 0, ra);
        }
        env->vmx.int1 = true;
        env->vmx.int1_length = VMX_INSN_LENGTH(vmx_unwind_insn(env, ra));
        break;
    default:
        break;
    }
}

/* ------------------------------------------------------------------ */
/* Task switches                                                       */

#define TASK_SWITCH_GATE    3u

G_NORETURN void vmx_task_switch(CPUX86State *env, uint16_t selector,
                                unsigned source, uintptr_t retaddr)
{
    if (env->vmx.event.info) {
        source = TASK_SWITCH_GATE;
    }
    vmx_vmexit(env, VMX_REASON_TASK_SWITCH,
               selector | (uint64_t)source << 30, retaddr);
}

/* ------------------------------------------------------------------ */
/* I/O                                                                 */

static bool vmx_io_bitmap_hit(CPUX86State *env, uint32_t port, unsigned size)
{
    unsigned i;

    if (port + size > 0x10000) {
        return true;
    }
    for (i = 0; i < size; i++) {
        uint32_t p = port + i;
        hwaddr byte = env->vmx.ctl.io_bitmap[p >> 15] + (p & 0x7fff) / 8;

        if (x86_ldub_phys(env_cpu(env), byte) & (1u << (p & 7))) {
            return true;
        }
    }
    return false;
}

/* Linear address of the memory operand of INS and OUTS. */
static uint64_t vmx_string_linear(CPUX86State *env, uint32_t info, bool in)
{
    unsigned bits = 16u << ((info >> 7) & 7);
    int seg = in ? R_ES : (info >> 15) & 7;
    uint64_t offset = env->regs[in ? R_EDI : R_ESI] &
                      MAKE_64BIT_MASK(0, bits);
    uint64_t base = env->segs[seg].base;

    if (env->hflags & HF_CS64_MASK) {
        return offset + (seg >= R_FS ? base : 0);
    }
    return (uint32_t)(base + offset);
}

void vmx_check_io(CPUX86State *env, uint32_t port, uint32_t svm_param,
                  uintptr_t retaddr)
{
    unsigned size = (svm_param >> SVM_IOIO_SIZE_SHIFT) & 7;
    bool in = svm_param & SVM_IOIO_TYPE_MASK;
    bool string = svm_param & SVM_IOIO_STR_MASK;
    uint64_t qual, linear = 0;
    uint64_t insn;
    uint8_t opcode;

    if (unlikely(vmx_observes_handler(env))) {
        vmx_trace_access(env, "io", in ? "r" : "w", port, size);
    }
    if (vmx_proc(env, VMX_CPU_IO_BITMAPS)) {
        if (!vmx_io_bitmap_hit(env, port, size)) {
            return;
        }
    } else if (!vmx_proc(env, VMX_CPU_UNCONDITIONAL_IO)) {
        return;
    }

    insn = vmx_unwind_insn(env, retaddr);
    opcode = VMX_INSN_OPCODE(insn);
    qual = (size - 1) | (in ? 1u << 3 : 0) | (string ? 1u << 4 : 0) |
           (uint64_t)port << 16;
    if (string && (svm_param & SVM_IOIO_REP_MASK)) {
        qual |= 1u << 5;
    }
    if (opcode >= 0xe4 && opcode <= 0xe7) {
        qual |= 1u << 6;
    }
    if (string) {
        linear = vmx_string_linear(env, VMX_INSN_INFO(insn), in);
    }
    vmx_vmexit_linear(env, VMX_REASON_IO, qual, linear, retaddr);
}
