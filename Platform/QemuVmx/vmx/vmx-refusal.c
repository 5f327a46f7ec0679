/*
 * VMX: which check of a VM entry failed
 *
 * The processor says no more than an error number or an exit reason.  Here each
 * check names itself: its rule, the field, the value that it found, and what it
 * wanted.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "trace/trace-target_i386.h"
#include "vmx-parts.h"

static const char * const register_names[] = {
    "ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR",
};

bool vmx_refuse(CPUX86State *env, const VMXVmcs *vmcs, const char *rule,
                unsigned field, const char *name, const char *demand)
{
    trace_vmx_refusal(env_cpu(env)->cpu_index, vmx_trace_time(env), rule, name,
                      field, vmcs_read(vmcs, field), demand);
    return false;
}

bool vmx_refuse_segment(CPUX86State *env, const VMXVmcs *vmcs,
                        const char *rule, unsigned first, int index,
                        const char *part, const char *demand)
{
    char name[32];

    snprintf(name, sizeof(name), "GUEST_%s_%s", register_names[index], part);
    return vmx_refuse(env, vmcs, rule, first + index * 2, name, demand);
}
