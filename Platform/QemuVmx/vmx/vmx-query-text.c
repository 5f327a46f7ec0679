/*
 * VMX: the same for a person (info vmx)
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "monitor/hmp.h"
#include "monitor/hmp-target.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-misc-target.h"
#include "qobject/qdict.h"

static void print_pointer(Monitor *mon, const char *name, bool there,
                          uint64_t value)
{
    if (there) {
        monitor_printf(mon, "  %-22s 0x%" PRIx64 "\n", name, value);
    }
}

static void print_mseg(Monitor *mon, const VmxMsegHeader *header)
{
    monitor_printf(mon, "  %-22s revision 0x%x, features 0x%x, ", "MSEG header",
                   header->revision, header->features);
    monitor_printf(mon, "GDTR limit 0x%x\n", header->gdtr_limit);
    monitor_printf(mon, "                         offsets: GDTR base 0x%x, "
                   "EIP 0x%x, ESP 0x%x, CR3 0x%x; CS selector 0x%x\n",
                   header->gdtr_base_offset, header->eip_offset,
                   header->esp_offset, header->cr3_offset,
                   header->cs_selector);
}

static void print_failure(Monitor *mon, const VmxFailure *failure)
{
    const char *instruction = failure->instruction ?: "VM exit";

    monitor_printf(mon, "  last failure: %s at 0x%" PRIx64 ": ", instruction,
                   failure->rip);
    switch (failure->result) {
    case VMX_FAILURE_RESULT_VM_FAIL_INVALID:
        monitor_printf(mon, "VMfailInvalid\n");
        break;
    case VMX_FAILURE_RESULT_VM_FAIL_VALID:
        monitor_printf(mon, "VM-instruction error %u\n", failure->number);
        break;
    case VMX_FAILURE_RESULT_EXCEPTION:
        monitor_printf(mon, "%s\n",
                       failure->number == EXCP06_ILLOP ? "#UD" : "#GP(0)");
        break;
    case VMX_FAILURE_RESULT_ENTRY_FAILURE:
        monitor_printf(mon, "VM-entry failure, exit reason %u\n",
                       failure->number);
        break;
    default:
        monitor_printf(mon, "VMX abort %u\n", failure->number);
        break;
    }
    monitor_printf(mon, "    %s: %s is 0x%" PRIx64 "; demanded: %s\n",
                   failure->rule, failure->field, failure->value,
                   failure->demand);
    monitor_printf(mon, "    SDM volume 3, %s\n", failure->section);
}

static void print_region(Monitor *mon, const VmxVmcs *region, bool fields)
{
    VmxVmcsRoleList *role;
    VmxVmcsFieldList *field;

    monitor_printf(mon, "  VMCS 0x%" PRIx64 ":", region->address);
    for (role = region->roles; role; role = role->next) {
        monitor_printf(mon, " %s,", VmxVmcsRole_str(role->value));
    }
    monitor_printf(mon, " %s, revision 0x%x, abort indicator %u\n",
                   region->launched ? "launched" : "clear", region->revision,
                   region->abort_indicator);
    for (field = fields ? region->fields : NULL; field; field = field->next) {
        monitor_printf(mon, "    %04x %-30s 0x%" PRIx64 "\n",
                       field->value->encoding, field->value->name,
                       field->value->value);
    }
}

static void print_cpu(Monitor *mon, const VmxCpu *info, bool fields)
{
    VmxVmcsList *region;

    monitor_printf(mon, "CPU#%" PRId64 ": mode %s", info->cpu_index,
                   VmxCpuMode_str(info->mode));
    if (info->has_interrupted_mode) {
        monitor_printf(mon, ", which has interrupted %s",
                       VmxCpuMode_str(info->interrupted_mode));
    }
    monitor_printf(mon, "; dual-monitor treatment %s; SMIs %s\n",
                   !info->dual_monitor_supported ? "not supported" :
                   info->dual_monitor_active ? "active" : "not active",
                   info->smis_blocked ? "blocked" : "not blocked");
    print_pointer(mon, "VMXON pointer", info->has_vmxon_pointer,
                  info->vmxon_pointer);
    print_pointer(mon, "current VMCS", info->has_current_vmcs,
                  info->current_vmcs);
    print_pointer(mon, "interrupted VMCS", info->has_interrupted_vmcs,
                  info->interrupted_vmcs);
    print_pointer(mon, "SMM-transfer VMCS", info->has_smm_transfer_vmcs,
                  info->smm_transfer_vmcs);
    print_pointer(mon, "executive VMCS", info->has_executive_vmcs,
                  info->executive_vmcs);
    print_pointer(mon, "IA32_SMM_MONITOR_CTL", info->dual_monitor_supported,
                  info->smm_monitor_ctl);
    if (info->mseg_header) {
        print_mseg(mon, info->mseg_header);
    }
    for (region = info->vmcs; region; region = region->next) {
        print_region(mon, region->value, fields);
    }
    if (info->last_failure) {
        print_failure(mon, info->last_failure);
    }
}

void hmp_info_vmx(Monitor *mon, const QDict *qdict)
{
    const bool fields = qdict_get_try_bool(qdict, "vmcs", false);
    const bool one = qdict_haskey(qdict, "cpu");
    VmxCpuList *list, *cpu;
    Error *err = NULL;

    list = qmp_x_query_vmx(one, one ? qdict_get_int(qdict, "cpu") : 0, &err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    for (cpu = list; cpu; cpu = cpu->next) {
        print_cpu(mon, cpu->value, fields);
    }
    qapi_free_VmxCpuList(list);
}
