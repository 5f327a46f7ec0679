/*
 * VMX: savevm and migration
 *
 * VMCSs live in guest memory and need not be saved.  The controls in force are
 * read again from the current VMCS.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "migration/vmstate.h"
#include "vmx.h"
#include "vmx-parts.h"

static bool vmx_smrr_needed(void *opaque)
{
    X86CPU *cpu = opaque;

    return cpu->env.vmx.smrr_base || cpu->env.vmx.smrr_mask ||
           cpu->env.vmx.smrr_written || cpu->env.vmx.smm_feature;
}

static bool vmx_needed(void *opaque)
{
    X86CPU *cpu = opaque;
    CPUX86State *env = &cpu->env;

    /* An SMI handler has a shadow of STI to go back to on any processor. */
    return env->vmx.smm.saved_inhibit ||
           (cpu_has_vmx(env) &&
            (vmx_in_operation(env) || env->vmx.smm_monitor_ctl ||
             vmx_smrr_needed(cpu) ||
             env->vmx.debugctl || env->vmx.smm.saved_vmxe ||
             env->vmx.smm.saved_mode != VMX_MODE_NONE));
}

static int vmx_post_load(void *opaque, int version_id)
{
    X86CPU *cpu = opaque;
    CPUX86State *env = &cpu->env;

    if (env->vmx.mode > VMX_MODE_GUEST ||
        env->vmx.smm.saved_mode > VMX_MODE_GUEST) {
        return -EINVAL;
    }
    if (vmx_in_guest(env)) {
        vmx_guest_reenter(env);
    }
    if (env->vmx.timer_running) {
        vmx_timer_resume(env);
    }
    vmx_smrr_update(env);
    return 0;
}

static const VMStateDescription vmstate_vmx_io_smi = {
    .name = "cpu/tcg_vmx/io_smi",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(valid, X86VMXIoSmi),
        VMSTATE_UINT64(qualification, X86VMXIoSmi),
        VMSTATE_UINT64(rip, X86VMXIoSmi),
        VMSTATE_UINT64(next_rip, X86VMXIoSmi),
        VMSTATE_UINT64(rcx, X86VMXIoSmi),
        VMSTATE_UINT64(rsi, X86VMXIoSmi),
        VMSTATE_UINT64(rdi, X86VMXIoSmi),
        VMSTATE_UINT64(linear, X86VMXIoSmi),
        VMSTATE_END_OF_LIST()
    }
};

static const VMStateDescription vmstate_vmx_smrr = {
    .name = "cpu/tcg_vmx/smrr",
    .version_id = 2,
    .minimum_version_id = 2,
    .needed = vmx_smrr_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(env.vmx.smrr_base, X86CPU),
        VMSTATE_UINT64(env.vmx.smrr_mask, X86CPU),
        VMSTATE_BOOL(env.vmx.smrr_written, X86CPU),
        VMSTATE_UINT64(env.vmx.smm_feature, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};

static bool vmx_pdptes_needed(void *opaque)
{
    X86CPU *cpu = opaque;
    CPUX86State *env = &cpu->env;

    return vmx_in_operation(env) || env->vmx.smm.saved_mode != VMX_MODE_NONE;
}

static const VMStateDescription vmstate_vmx_pdptes = {
    .name = "cpu/tcg_vmx/pdptes",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vmx_pdptes_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64_ARRAY(env.vmx.pdpte, X86CPU, 4),
        VMSTATE_END_OF_LIST()
    }
};

static bool vmx_pause_loop_needed(void *opaque)
{
    X86CPU *cpu = opaque;

    return vmx_in_guest(&cpu->env) && cpu->env.vmx.pause_loop.valid;
}

static const VMStateDescription vmstate_vmx_pause_loop = {
    .name = "cpu/tcg_vmx/pause_loop",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vmx_pause_loop_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(env.vmx.pause_loop.valid, X86CPU),
        VMSTATE_UINT64(env.vmx.pause_loop.first, X86CPU),
        VMSTATE_UINT64(env.vmx.pause_loop.last, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};

static bool vmx_init_exit_needed(void *opaque)
{
    X86CPU *cpu = opaque;

    return cpu->env.vmx.init_exit;
}

static const VMStateDescription vmstate_vmx_init_exit = {
    .name = "cpu/tcg_vmx/init_exit",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vmx_init_exit_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(env.vmx.init_exit, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};

const VMStateDescription vmstate_x86_tcg_vmx = {
    .name = "cpu/tcg_vmx",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vmx_needed,
    .post_load = vmx_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(env.vmx.mode, X86CPU),
        VMSTATE_BOOL(env.vmx.hlt, X86CPU),
        VMSTATE_BOOL(env.vmx.virtual_nmi_blocked, X86CPU),
        VMSTATE_UINT32(env.vmx.activity, X86CPU),
        VMSTATE_UINT32(env.vmx.mtf, X86CPU),
        VMSTATE_BOOL(env.vmx.tpr_check, X86CPU),
        VMSTATE_BOOL(env.vmx.monitor_armed, X86CPU),
        VMSTATE_BOOL(env.vmx.mwait, X86CPU),
        VMSTATE_BOOL(env.vmx.timer_running, X86CPU),
        VMSTATE_BOOL(env.vmx.timer_expired, X86CPU),
        VMSTATE_UINT64(env.vmx.timer_deadline, X86CPU),
        VMSTATE_UINT64(env.vmx.hlt_rip, X86CPU),
        VMSTATE_UINT64(env.vmx.vmxon_ptr, X86CPU),
        VMSTATE_UINT64(env.vmx.current_vmcs, X86CPU),
        VMSTATE_UINT64(env.vmx.smm_monitor_ctl, X86CPU),
        VMSTATE_UINT64(env.vmx.debugctl, X86CPU),
        VMSTATE_UINT64(env.vmx.pending_debug, X86CPU),
        VMSTATE_UINT32(env.vmx.event.info, X86CPU),
        VMSTATE_UINT32(env.vmx.event.error_code, X86CPU),
        VMSTATE_UINT32(env.vmx.event.insn_length, X86CPU),
        VMSTATE_BOOL(env.vmx.smm.active, X86CPU),
        VMSTATE_UINT64(env.vmx.smm.transfer_vmcs, X86CPU),
        VMSTATE_STRUCT(env.vmx.smm.io, X86CPU, 1, vmstate_vmx_io_smi,
                       X86VMXIoSmi),
        VMSTATE_BOOL(env.vmx.smm.saved_vmxe, X86CPU),
        VMSTATE_UINT8(env.vmx.smm.saved_mode, X86CPU),
        VMSTATE_BOOL(env.vmx.smm.saved_inhibit, X86CPU),
        VMSTATE_BOOL(env.vmx.smm.saved_mov_ss, X86CPU),
        VMSTATE_BOOL(env.vmx.smm.saved_virtual_nmi, X86CPU),
        VMSTATE_UINT64(env.vmx.smm.saved_current, X86CPU),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_vmx_pdptes,
        &vmstate_vmx_pause_loop,
        &vmstate_vmx_init_exit,
        &vmstate_vmx_smrr,
        NULL
    }
};
