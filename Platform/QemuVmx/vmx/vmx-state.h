/*
 * VMX: state embedded in CPUX86State
 *
 * This header is included by cpu.h; everything that changes often is in vmx.h.
 *
 * The struct lies in the part of CPUX86State that INIT preserves.
 *
 * Copyright (c) 2026 STM Lab
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef I386_TCG_VMX_STATE_H
#define I386_TCG_VMX_STATE_H

#include "vmx-smm-state.h"

/* Value of a VMCS pointer that points nowhere. */
#define VMCS_POINTER_NONE          (~0ULL)

typedef enum X86VMXMode {
    VMX_MODE_NONE,              /* outside VMX operation */
    VMX_MODE_ROOT,
    VMX_MODE_GUEST,             /* non-root operation */
} X86VMXMode;

/*
 * VM-execution controls in force in non-root operation, copied from the VMCS
 * by VM entry.  Bits whose activating control is 0 are cleared by the copy, so
 * that users need not test "activate secondary controls" and the like.
 */
typedef struct X86VMXControls {
    uint32_t pin;
    uint32_t proc;
    uint32_t proc2;
    uint32_t exit;
    uint32_t tpr_threshold;
    uint32_t exception_bitmap;
    uint32_t pf_mask;
    uint32_t pf_match;
    uint32_t cr3_target_count;
    uint16_t vpid;
    uint64_t io_bitmap[2];
    uint64_t msr_bitmap;
    uint64_t tsc_offset;
    uint64_t virtual_apic;
    uint64_t apic_access;
    uint64_t eptp;
    uint64_t eptp_list;
    uint64_t vm_functions;
    uint64_t xss_exiting;
    uint32_t ple_gap;
    uint32_t ple_window;
    uint64_t cr0_mask;
    uint64_t cr4_mask;
    uint64_t cr0_shadow;
    uint64_t cr4_shadow;
    uint64_t cr3_target[4];
} X86VMXControls;

/* Information about a VM exit between its cause and vmx_do_vmexit(). */
typedef struct X86VMXExit {
    uint32_t reason;
    uint32_t interruption_info;
    uint32_t interruption_error;
    uint32_t insn_length;
    uint32_t insn_info;
    bool iret;                  /* an IRET had unblocked NMIs */
    uint64_t qualification;
    uint64_t guest_physical;
    uint64_t guest_linear;
} X86VMXExit;

/* Event whose delivery through the guest's IDT is under way. */
typedef struct X86VMXEvent {
    uint32_t info;              /* format of IDT-vectoring information, or 0 */
    uint32_t error_code;
    uint32_t insn_length;
} X86VMXEvent;

/* The last PAUSE at CPL 0 since VM entry, and the first one of its loop. */
typedef struct X86VMXPauseLoop {
    bool valid;
    uint64_t first;
    uint64_t last;
} X86VMXPauseLoop;

/* Operand of helper_vmx_check_random(). */
enum {
    VMX_CHECK_RDRAND,
    VMX_CHECK_RDSEED,
    VMX_CHECK_RDPID,
};

/* Monitor trap flag. */
typedef enum X86VMXMtf {
    VMX_MTF_NONE,
    VMX_MTF_ARMED,              /* before the instruction or event */
    VMX_MTF_PENDING,            /* VM exit pending */
} X86VMXMtf;

/* How a failure shows. */
typedef enum X86VMXResult {
    VMX_RESULT_NONE,
    VMX_RESULT_FAIL_INVALID,    /* VMfailInvalid */
    VMX_RESULT_FAIL_VALID,      /* VMfailValid */
    VMX_RESULT_EXCEPTION,       /* #UD or #GP(0) */
    VMX_RESULT_ENTRY_FAILURE,   /* during or after loading guest state */
    VMX_RESULT_ABORT,
} X86VMXResult;

/* X86VMXFailure.instruction and .encoding: not an instruction, not a field. */
#define VMX_NO_INSTRUCTION         UINT32_MAX
#define VMX_NO_FIELD               UINT32_MAX

/* The check that failed last, see vmx-refusal.c; RESET leaves it. */
typedef struct X86VMXFailure {
    uint32_t result;            /* X86VMXResult */
    uint32_t number;            /* of error, vector, exit reason, indicator */
    uint32_t instruction;       /* its exit reason */
    uint32_t encoding;          /* of the VMCS field */
    uint64_t value;
    uint64_t rip;
    const char *rule;
    const char *demand;
    char name[48];              /* of what holds the value */
} X86VMXFailure;

/* What the translations in a bank of the TLB depend on; see vmx-tlb.c. */
typedef struct X86VMXTlbKey {
    uint64_t cr0;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t efer;
    uint64_t eptp;              /* 0 without EPT */
    uint64_t apic_access;       /* all ones without such a page */
    uint64_t pdpte[4];          /* with PAE paging in VMX operation */
    uint64_t pkru;
    uint64_t pkrs;
    uint64_t operation;         /* VMX operation */
} X86VMXTlbKey;

typedef struct X86VMXTlbBank {
    bool labelled;              /* with SMM and VPID */
    bool smm;
    uint16_t vpid;
    uint64_t selected;          /* when it was, see X86VMXTlb.clock */
    uint64_t nested_eptp;       /* of its guest-physical mappings */
    X86VMXTlbKey key;           /* when it was left */
} X86VMXTlbBank;

typedef struct X86VMXTlb {
    bool left;                  /* between vmx_tlb_leave() and _enter() */
    uint64_t clock;             /* counts selections */
    X86VMXTlbBank bank[8];      /* TLB_BANKS */
} X86VMXTlb;

/* CPU properties of what comes with the dual-monitor treatment. */
typedef struct X86VMXConfig {
    bool smm_code_check;        /* vmx-smm-code-check */
    bool smrr_tseg;             /* vmx-smrr-tseg */
    char *smm_map;              /* vmx-smm-map; NULL for AMD64's */
} X86VMXConfig;

typedef struct X86VMXState {
    uint32_t mode;              /* X86VMXMode */
    uint32_t activity;          /* active, shutdown, wait-for-SIPI */
    uint32_t mtf;               /* X86VMXMtf */
    bool hlt;                   /* waiting in HLT; see vmx_note_halt() */
    bool virtual_nmi_blocked;
    bool iret;                  /* IRET under way has unblocked NMIs */
    bool int1;                  /* the #DB being delivered is that of INT1 */
    uint8_t int1_length;
    bool init_exit;             /* by INIT, and no guest entered since */
    bool monitor_armed;         /* MONITOR without MWAIT or event */
    bool mwait;                 /* waiting, but by MWAIT */
    bool injecting;             /* VM entry's event is being delivered */
    uint8_t sw_exception;       /* the last INT was INT3 or INTO */
    bool tpr_check;             /* compare TPR and threshold at the boundary */
    bool timer_running;
    bool timer_expired;
    uint64_t timer_deadline;    /* TSC without offset */
    uint64_t hlt_rip;
    uint64_t vmxon_ptr;
    uint64_t current_vmcs;
    uint64_t smm_monitor_ctl;   /* IA32_SMM_MONITOR_CTL */
    uint64_t smrr_base;         /* IA32_SMRR_PHYSBASE */
    uint64_t smrr_mask;         /* IA32_SMRR_PHYSMASK */
    bool smrr_written;          /* since RESET: it no longer follows TSEG */
    uint64_t smm_feature;       /* MSR_SMM_FEATURE_CONTROL */
    uint64_t debugctl;          /* IA32_DEBUGCTL */
    X86VMXControls ctl;
    X86VMXExit exit;
    X86VMXEvent event;
    X86VMXEptFault ept_fault;
    X86VMXPauseLoop pause_loop;
    uint64_t pdpte[4];          /* PDPTE registers, see vmx-pdpte.c */
    X86VMXSmmState smm;
    X86VMXTlb tlb;              /* not migrated: loadvm flushes */

    uint64_t displacement;      /* of its memory operand, non-root only */
    uint64_t pf_address;        /* of the last #PF, not yet in CR2 */
    target_ulong lmsw_source;   /* operand of LMSW, non-root only */
    target_ulong linear;        /* its address, if it is in memory */
    uint64_t pending_debug;     /* pending debug exceptions */
    uint64_t dr6;               /* DR6 before the last debug exception */
} X86VMXState;

#endif
