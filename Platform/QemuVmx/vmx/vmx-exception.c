/*
 * VMX: which exceptions cause VM exits, and with what information
 *
 * Intel SDM volume 3, "Other Causes of VM Exits" and "Information for VM Exits
 * Due to Vectored Events".
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "vmx.h"
#include "vmx-base.h"

static bool vmx_pf_exits(CPUX86State *env, uint32_t error_code)
{
    const X86VMXControls *ctl = &env->vmx.ctl;
    bool bit = ctl->exception_bitmap & (1u << EXCP0E_PAGE);
    bool match = (error_code & ctl->pf_mask) == ctl->pf_match;

    return bit == match;
}

bool vmx_page_fault(CPUX86State *env, uint64_t address, uint32_t error_code)
{
    env->vmx.pf_address = address;
    return vmx_pf_exits(env, error_code);
}

/*
 * A debug exception that does not exit leaves its bits in DR6, one that does
 * reports them in @qualification and leaves DR6 and DR7.GD alone.
 */
static bool vmx_debug_is_delivered(CPUX86State *env, uint64_t *qualification)
{
    if (env->vmx.int1) {
        /* Exits where the instruction is decoded. */
        return true;
    }
    if (!(env->vmx.ctl.exception_bitmap & (1u << EXCP01_DB))) {
        env->dr[6] |= env->vmx.dr6 & (DR6_BD | DR6_BS);
        return true;
    }
    *qualification = env->dr[6] & (0xf | DR6_BD | DR6_BS);
    env->dr[6] = env->vmx.dr6;
    if (*qualification & DR6_BD) {
        env->dr[7] |= DR7_GD;
    }
    return false;
}

G_NORETURN void vmx_triple_fault(CPUX86State *env, uintptr_t retaddr)
{
    /* No IDT-vectoring information for the event that led to it. */
    env->vmx.event.info = 0;
    vmx_vmexit(env, VMX_REASON_TRIPLE_FAULT, 0, retaddr);
}

void vmx_check_exception(CPUX86State *env, int intno, bool is_int,
                         int error_code, int next_eip_addend,
                         uintptr_t retaddr)
{
    uint32_t info = VMX_INTERRUPTION_VALID |
                    VMX_INTERRUPTION_TYPE_HARDWARE_EXCEPTION | intno;
    uint64_t qual = 0;

    env->vmx.injecting = false;
    if (is_int) {
        /* INT3 and INTO are software exceptions; INT n never exits. */
        if (env->vmx.sw_exception &&
            (env->vmx.ctl.exception_bitmap & (1u << intno))) {
            vmx_vmexit_software(env, VMX_INTERRUPTION_VALID | intno |
                                VMX_INTERRUPTION_TYPE_SOFTWARE_EXCEPTION,
                                next_eip_addend, retaddr);
        }
        return;
    }
    if (intno >= 32) {
        return;
    }
    if (intno == EXCP08_DBLE) {
        /* The event that led to it is not reported. */
        env->vmx.event.info = 0;
    }
    if (intno == EXCP01_DB && vmx_debug_is_delivered(env, &qual)) {
        return;
    }
    if (intno == EXCP0E_PAGE) {
        if (!vmx_pf_exits(env, error_code)) {
            return;
        }
        qual = env->vmx.pf_address;
    } else if (!(env->vmx.ctl.exception_bitmap & (1u << intno))) {
        return;
    }
    if ((env->cr[0] & CR0_PE_MASK) && exception_has_error_code(intno)) {
        info |= VMX_INTERRUPTION_ERROR_CODE;
    }
    vmx_vmexit_event(env, VMX_REASON_EXCEPTION_NMI, qual, info,
                     info & VMX_INTERRUPTION_ERROR_CODE ? error_code : 0,
                     retaddr);
}
