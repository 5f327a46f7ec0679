/*
 * VMX: CPU properties of what comes with the dual-monitor treatment
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cpu.h"
#include "vmx.h"

/*
 * The SMRAM state save map that SMIs write and RSM reads.  QEMU writes
 * AMD64's, revision 20064H.  Intel's, revision 30101H, has other places for
 * everything, keeps what no RSM may change in reserved ones, and the firmware
 * that this machine is for reads AMD64's.
 */
bool vmx_config_valid(X86CPU *cpu, Error **errp)
{
    const char *map = cpu->vmx_config.smm_map;

    if (!map || !strcmp(map, "amd64")) {
        return true;
    }
    if (!strcmp(map, "intel")) {
        error_setg(errp, "vmx-smm-map=intel: SMIs write AMD64's SMRAM state "
                   "save map (revision 0x20064) only; Intel's is not "
                   "implemented");
    } else {
        error_setg(errp, "vmx-smm-map=%s: there are 'amd64' and 'intel'", map);
    }
    return false;
}
