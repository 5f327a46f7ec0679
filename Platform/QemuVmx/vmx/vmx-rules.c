/*
 * VMX: where the SDM has the rules that refusals name
 *
 * Titles are those of the tables in tests/machine/rules, but for the pages of
 * single instructions, whose section is "VMX Instructions".  Numbers are those
 * of the 2016 edition of the Intel SDM, volume 3; other editions count on.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "cpu.h"
#include "vmx-base.h"

static const struct {
    const char *area;
    uint8_t first;
    uint8_t last;
    const char *section;
} sections[] = {
    { "VMX-INS-", 36, 37,
      "VMREAD, VMWRITE, and Encodings of VMCS Fields (24.11.2)" },
    { "VMX-INS-", 41, 41, "Basic VM-Entry Checks (26.1)" },
    { "VMX-INS-", 1, 54, "VMX Instructions (30.3)" },
    { "VMX-CTL-", 1, 20, "VM-Execution Control Fields (26.2.1.1)" },
    { "VMX-CTL-", 21, 25, "VM-Exit Control Fields (26.2.1.2)" },
    { "VMX-CTL-", 26, 35, "VM-Entry Control Fields (26.2.1.3)" },
    { "VMX-HST-", 8, 11,
      "Checks on Host Segment and Descriptor-Table Registers (26.2.3)" },
    { "VMX-HST-", 12, 15, "Checks Related to Address-Space Size (26.2.4)" },
    { "VMX-HST-", 1, 16,
      "Checks on Host Control Registers, MSRs, and SSP (26.2.2)" },
    { "VMX-GST-", 14, 35, "Checks on Guest Segment Registers (26.3.1.2)" },
    { "VMX-GST-", 36, 37,
      "Checks on Guest Descriptor-Table Registers (26.3.1.3)" },
    { "VMX-GST-", 38, 42,
      "Checks on Guest RIP, RFLAGS, and SSP (26.3.1.4)" },
    { "VMX-GST-", 43, 61, "Checks on Guest Non-Register State (26.3.1.5)" },
    { "VMX-GST-", 62, 63,
      "Checks on Guest Page-Directory-Pointer-Table Entries (26.3.1.6)" },
    { "VMX-GST-", 1, 65,
      "Checks on Guest Control Registers, Debug Registers, and MSRs "
      "(26.3.1.1)" },
    { "VMX-ENT-", 15, 18, "Loading MSRs (26.4)" },
    { "VMX-EXI-", 27, 27,
      "Checking and Loading Host Page-Directory-Pointer-Table Entries "
      "(27.5.4)" },
    { "VMX-EXI-", 30, 30, "VMX Aborts (27.7)" },
    { "VMX-FUN-", 1, 4, "VM Functions (25.5.5)" },
    { "DM-ENA-", 1, 39, "Enabling the Dual-Monitor Treatment (34.15.5)" },
    { "DM-ACT-", 1, 69, "Activating the Dual-Monitor Treatment (34.15.6)" },
    { "DM-EXI-", 1, 99, "SMM VM Exits (34.15.2)" },
    { "DM-RET-", 1, 99, "VM Entries that Return from SMM (34.15.4)" },
    { "DM-DEA-", 1, 99, "Deactivating the Dual-Monitor Treatment (34.15.7)" },
    { "DM-CTL-", 1, 99, "VM-Entry Control Fields (26.2.1.3)" },
    { "DM-INT-", 1, 99,
      "Dual-Monitor Treatment of SMIs and SMM (34.15)" },
};

const char *vmx_rule_section(const char *rule)
{
    const char *number;
    unsigned value;
    int i;

    for (i = 0; i < ARRAY_SIZE(sections); i++) {
        if (strstart(rule, sections[i].area, &number) &&
            !qemu_strtoui(number, NULL, 10, &value) &&
            value >= sections[i].first && value <= sections[i].last) {
            return sections[i].section;
        }
    }
    return "-";
}
