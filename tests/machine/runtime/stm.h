/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A stub STM.  MSEG holds the header, page tables, GDT, stack, entry code and
 * the SMM-transfer VMCS; the C part of the STM is in ordinary memory like the
 * rest of the image, so that its log is visible outside SMM.
 */
#ifndef MACHINE_TEST_STM_H
#define MACHINE_TEST_STM_H

#include "vmx.h"

#ifndef MSEG_BASE
#define MSEG_BASE        (RAM_SIZE - 0x200000u)
#endif
#define MSEG_GDT         0x1000u
#define MSEG_ENTRY       0x2000u
#define MSEG_TABLES      0x3000u /* PML4, PDPT, four page directories */
#define MSEG_STACK_TOP   0x10000u
#define MSEG_TRANSFER    0x20000u /* the SMM-transfer VMCS after the first exit */
#define MSEG_TRANSFER_2  0x21000u
#define MSEG_GUEST_VMCS  0x22000u
#define MSEG_SIGNATURE   0x30000u
#define MSEG_SIGNATURE_VALUE 0x4745534Du
/* The STM's page tables map this address to MSEG; elsewhere it is identity. */
#define STM_ALIAS        0x3FE00000u

struct mseg_header {
    uint32_t revision, features, gdtr_limit, gdtr_offset, cs, eip, esp, cr3;
};

/* What the processor gave the STM at its last activation, before any C code. */
struct stm_entry_state {
    uint64_t rsp, rflags, cr0, cr3, cr4, cr8, dr7, efer, fs_base, gs_base,
        debugctl, rip;
    uint16_t gdtr_limit, idtr_limit, cs, ss, ds, es, fs, gs, ldtr, tr;
    uint64_t gdtr_base, idtr_base;
};

/* Fields of the current VMCS at the last entry of the STM. */
struct stm_exit {
    uint32_t reason, length, intr, vectoring, interruptibility, activity,
        smbase, entry, entry_intr, instruction_error;
    uint64_t qualification, executive, link, current, rip, rsp, rflags, cr0,
        cr3, cr4, io_rcx, io_rsi, io_rdi, io_rip, linear, pending_debug, efer;
};

extern volatile struct stm_entry_state at_entry;
extern struct vm_registers at_entry_registers;
extern volatile struct stm_exit stm_log;
extern volatile uint32_t stm_starts; /* activations */
extern volatile uint32_t stm_exits;  /* SMM VM exits, activations included */
/* General registers of the interrupted context; given back by the return. */
extern struct vm_registers stm_guest;
/* Runs in the STM once, at the next SMM VM exit, before it returns. */
extern void (*volatile stm_hook)(void);
/* Runs at every SMM VM exit. */
extern void (*volatile stm_always)(void);
/* The STM itself; it never returns.  stm_default() unless a test replaces it. */
extern void (*stm_program)(void);
void stm_default(void) __attribute__((noreturn));

struct mseg_header mseg_default_header(void);
/* Fills MSEG; before tseg_close() or in SMM. */
void mseg_build(const struct mseg_header *header);
/* Replaces the header through an SMI (default treatment). */
void mseg_set_header(const struct mseg_header *header);
/* Writes 9BH through an SMI (default treatment). */
void smm_monitor_ctl(uint64_t value);
/* mseg_build, tseg_close, vmx_start and 9BH: all that precedes activation. */
void stm_prepare(void);
/* A VMCS for activation: VMCLEARed, only VM-exit controls written. */
uint64_t activation_vmcs(void);
/* stm_prepare() and the activating VMCALL; ends the run on failure. */
void stm_activate(void);

/* ---- in the STM ---- */
void stm_record(void);
/* Prepares the current VMCS as SMM-transfer VMCS: host state and controls. */
void stm_transfer_state(void);
/* VMLAUNCH for the first return with a VMCS, VMRESUME later. */
extern bool stm_launch;
/* Calls fn in the STM by VMCALL from root operation. */
void stm_call(void (*fn)(void));

#endif
