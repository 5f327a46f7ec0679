/*
 * VMX: state of EPT faults, SMIs and the dual-monitor treatment
 *
 * Rule ids such as DM-EXI-10 name rows of
 * tests/machine/rules/dual-monitor.toml, the project's restatement of Intel SDM
 * volume 3, chapter "System Management Mode", sections "Default Treatment of
 * SMIs and SMM with VMX Operation and SMX Operation" and "Dual-Monitor
 * Treatment of SMIs and SMM" (34.14 and 34.15 in the 2016 edition).
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMX_SMM_STATE_H
#define I386_TCG_VMX_SMM_STATE_H

/* IA32_SMM_MONITOR_CTL */
#define SMM_MONITOR_CTL_VALID           (1ULL << 0)
#define SMM_MONITOR_CTL_BLOCK_UNBLOCK   (1ULL << 2)
#define SMM_MONITOR_CTL_BASE            0xfffff000ULL

/* What vmx_ept_translate() found, completed by vmx_ept_fault(). */
typedef struct X86VMXEptFault {
    uint64_t gpa;
    uint64_t qualification;
    bool misconfiguration;
} X86VMXEptFault;

/*
 * The I/O instruction that raised an SMI.  It describes the SMI exit only if
 * the processor is still at next_rip when the SMI is taken.
 */
typedef struct X86VMXIoSmi {
    bool valid;
    uint64_t qualification;
    uint64_t rip;
    uint64_t next_rip;
    uint64_t rcx;
    uint64_t rsi;
    uint64_t rdi;
    uint64_t linear;
} X86VMXIoSmi;

typedef struct X86VMXSmmState {
    /* Dual-monitor treatment. */
    bool active;
    uint64_t transfer_vmcs;
    X86VMXIoSmi io;

    /*
     * State that the default treatment keeps inside the processor while the
     * SMI handler runs (DM-DEF-02, DM-DEF-03, DM-DEF-04).
     */
    bool saved_vmxe;
    uint8_t saved_mode;
    bool saved_inhibit;
    bool saved_mov_ss;
    bool saved_virtual_nmi;
    uint64_t saved_current;
} X86VMXSmmState;

#endif
