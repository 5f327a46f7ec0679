/*
 * VMX: what QEMU's monitor tells of it (x-query-vmx)
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/address-spaces.h"
#include "hw/core/cpu.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-misc-target.h"
#include "qapi/util.h"
#include "qemu/main-loop.h"
#include "system/replay.h"
#include "system/tcg.h"
#include "vmx-parts.h"

/*
 * What lies in SMRAM is read as the processor reads it in SMM, wherever the
 * processor is: the SMM-transfer VMCS and the MSEG header.
 */
static MemTxAttrs query_attrs(CPUX86State *env, bool smm)
{
    return smm ? (MemTxAttrs) { .secure = 1 } : cpu_get_mem_attrs(env);
}

static void query_read(CPUX86State *env, uint64_t addr, bool smm, void *data,
                       size_t size)
{
    MemTxAttrs attrs = query_attrs(env, smm);
    AddressSpace *as = cpu_addressspace(env_cpu(env), attrs);

    if (address_space_read(as, addr, attrs, data, size) != MEMTX_OK) {
        memset(data, 0xff, size);
    }
}

static bool query_pointer(uint64_t pointer, bool *has, uint64_t *value)
{
    *has = pointer != VMCS_POINTER_NONE;
    *value = pointer;
    return *has;
}

/* ------------------------------------------------------------------ */
/* VMCS regions                                                        */

typedef struct QueryFields {
    const VMXVmcs *vmcs;
    VmxVmcsFieldList **tail;
} QueryFields;

static void query_field(unsigned enc, void *opaque)
{
    QueryFields *fields = opaque;
    VmxVmcsField *field = g_new0(VmxVmcsField, 1);
    char name[VMX_NAME_SIZE];

    vmcs_field_name(enc, name);
    field->name = g_strdup(name);
    field->encoding = enc;
    field->value = vmcs_read(fields->vmcs, enc) & vmcs_field_mask(enc);
    QAPI_LIST_APPEND(fields->tail, field);
}

static VmxVmcs *query_region(CPUX86State *env, uint64_t addr, bool smm)
{
    VmxVmcs *region = g_new0(VmxVmcs, 1);
    VMXVmcs *vmcs = g_new(VMXVmcs, 1);
    QueryFields fields = { vmcs, &region->fields };

    query_read(env, addr, smm, vmcs->data, VMX_VMCS_SIZE);
    region->address = addr;
    region->revision = ldl_le_p(vmcs->data + VMCS_OFFSET_REVISION);
    region->abort_indicator = ldl_le_p(vmcs->data + VMCS_OFFSET_ABORT);
    region->launched = vmcs_launched(vmcs);
    vmcs_for_each_field(query_field, &fields);
    g_free(vmcs);
    return region;
}

/* Adds a region, or a role of one that is there already. */
static void query_add_region(CPUX86State *env, VmxCpu *info, uint64_t addr,
                             VmxVmcsRole role)
{
    VmxVmcsList **regions = &info->vmcs;
    VmxVmcsRoleList **roles;
    VmxVmcs *region;

    while (*regions && (*regions)->value->address != addr) {
        regions = &(*regions)->next;
    }
    if (*regions) {
        region = (*regions)->value;
    } else {
        region = query_region(env, addr, addr == env->vmx.smm.transfer_vmcs);
        QAPI_LIST_APPEND(regions, region);
    }
    roles = &region->roles;
    while (*roles) {
        roles = &(*roles)->next;
    }
    QAPI_LIST_APPEND(roles, role);
}

static void query_regions(CPUX86State *env, VmxCpu *info)
{
    if (info->has_current_vmcs) {
        query_add_region(env, info, info->current_vmcs,
                         VMX_VMCS_ROLE_CURRENT);
    }
    if (info->has_smm_transfer_vmcs) {
        query_add_region(env, info, info->smm_transfer_vmcs,
                         VMX_VMCS_ROLE_SMM_TRANSFER);
    }
    if (info->has_executive_vmcs &&
        info->executive_vmcs != env->vmx.vmxon_ptr) {
        query_add_region(env, info, info->executive_vmcs,
                         VMX_VMCS_ROLE_EXECUTIVE);
    }
}

/* ------------------------------------------------------------------ */
/* The rest                                                            */

static VmxMsegHeader *query_mseg(CPUX86State *env)
{
    VmxMsegHeader *header = g_new0(VmxMsegHeader, 1);
    uint8_t data[32];

    query_read(env, env->vmx.smm_monitor_ctl & SMM_MONITOR_CTL_BASE, true,
               data, sizeof(data));
    header->revision = ldl_le_p(data);
    header->features = ldl_le_p(data + 4);
    header->gdtr_limit = ldl_le_p(data + 8);
    header->gdtr_base_offset = ldl_le_p(data + 12);
    header->cs_selector = ldl_le_p(data + 16);
    header->eip_offset = ldl_le_p(data + 20);
    header->esp_offset = ldl_le_p(data + 24);
    header->cr3_offset = ldl_le_p(data + 28);
    return header;
}

static VmxFailure *query_failure(const X86VMXFailure *failure)
{
    static const VmxFailureResult results[] = {
        [VMX_RESULT_FAIL_INVALID] = VMX_FAILURE_RESULT_VM_FAIL_INVALID,
        [VMX_RESULT_FAIL_VALID] = VMX_FAILURE_RESULT_VM_FAIL_VALID,
        [VMX_RESULT_EXCEPTION] = VMX_FAILURE_RESULT_EXCEPTION,
        [VMX_RESULT_ENTRY_FAILURE] = VMX_FAILURE_RESULT_ENTRY_FAILURE,
        [VMX_RESULT_ABORT] = VMX_FAILURE_RESULT_ABORT,
    };
    VmxFailure *told;

    if (failure->result == VMX_RESULT_NONE) {
        return NULL;
    }
    told = g_new0(VmxFailure, 1);
    if (failure->instruction != VMX_NO_INSTRUCTION) {
        told->instruction =
            g_strdup(vmx_instruction_name(failure->instruction));
    }
    told->result = results[failure->result];
    told->number = failure->number;
    told->rule = g_strdup(failure->rule);
    told->section = g_strdup(vmx_rule_section(failure->rule));
    told->field = g_strdup(failure->name);
    told->has_encoding = failure->encoding != VMX_NO_FIELD;
    told->encoding = failure->encoding;
    told->value = failure->value;
    told->demand = g_strdup(failure->demand);
    told->rip = failure->rip;
    return told;
}

static VmxCpuMode query_mode(int mode)
{
    return qapi_enum_parse(&VmxCpuMode_lookup, vmx_trace_mode_name(mode), -1,
                           &error_abort);
}

/* In the processor's own thread, between two instructions. */
static void query_cpu(CPUState *cs, run_on_cpu_data data)
{
    CPUX86State *env = cpu_env(cs);
    const X86VMXSmmState *smm = &env->vmx.smm;
    VmxCpu *info = data.host_ptr;
    uint8_t executive[8];

    info->cpu_index = cs->cpu_index;
    info->mode = query_mode(vmx_trace_mode(env));
    if (smm->saved_mode != VMX_MODE_NONE) {
        info->has_interrupted_mode = true;
        info->interrupted_mode = smm->saved_mode == VMX_MODE_GUEST ?
                                 VMX_CPU_MODE_GUEST : VMX_CPU_MODE_ROOT;
        query_pointer(smm->saved_current, &info->has_interrupted_vmcs,
                      &info->interrupted_vmcs);
    }
    query_pointer(env->vmx.vmxon_ptr, &info->has_vmxon_pointer,
                  &info->vmxon_pointer);
    query_pointer(env->vmx.current_vmcs, &info->has_current_vmcs,
                  &info->current_vmcs);
    query_pointer(smm->transfer_vmcs, &info->has_smm_transfer_vmcs,
                  &info->smm_transfer_vmcs);
    if (smm->active && (env->hflags & HF_SMM_MASK)) {
        query_read(env, smm->transfer_vmcs +
                   vmcs_field_offset(VMCS_EXECUTIVE_VMCS_POINTER), true,
                   executive, sizeof(executive));
        query_pointer(ldq_le_p(executive), &info->has_executive_vmcs,
                      &info->executive_vmcs);
    }
    info->dual_monitor_supported = vmx_dual_monitor_offered(env);
    info->dual_monitor_active = smm->active;
    info->smis_blocked = (env->hflags & HF_SMM_MASK) || vmx_smi_blocked(env);
    info->smm_monitor_ctl = env->vmx.smm_monitor_ctl;
    if (env->vmx.smm_monitor_ctl & SMM_MONITOR_CTL_VALID) {
        info->mseg_header = query_mseg(env);
    }
    query_regions(env, info);
    info->last_failure = query_failure(&env->vmx_failure);
}

/*
 * The processor's thread answers, between two instructions.  In a recording or
 * its replay it waits there for the replay lock, which the main loop holds.
 */
static void query_in_thread(CPUState *cs, VmxCpu *info)
{
    if (replay_mode == REPLAY_MODE_NONE) {
        run_on_cpu(cs, query_cpu, RUN_ON_CPU_HOST_PTR(info));
        return;
    }
    replay_mutex_unlock();
    run_on_cpu(cs, query_cpu, RUN_ON_CPU_HOST_PTR(info));
    /* In the order of the two locks. */
    bql_unlock();
    replay_mutex_lock();
    bql_lock();
}

VmxCpuList *qmp_x_query_vmx(bool has_cpu_index, int64_t cpu_index,
                            Error **errp)
{
    VmxCpuList *list = NULL, **tail = &list;
    CPUState *cs;

    if (!tcg_enabled()) {
        error_setg(errp, "x-query-vmx needs TCG");
        return NULL;
    }
    if (has_cpu_index && !qemu_get_cpu(cpu_index)) {
        error_setg(errp, "there is no CPU %" PRId64, cpu_index);
        return NULL;
    }
    CPU_FOREACH(cs) {
        if (!has_cpu_index || cs->cpu_index == cpu_index) {
            VmxCpu *info = g_new0(VmxCpu, 1);

            query_in_thread(cs, info);
            QAPI_LIST_APPEND(tail, info);
        }
    }
    return list;
}
