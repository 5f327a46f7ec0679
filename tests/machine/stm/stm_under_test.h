/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The real STM on bare metal: this image plays loader, firmware with an SMI
 * handler, and executive monitor.  MSEG_FILE and MSEG_DIGEST come from
 * test_stm.py.
 */
#ifndef STM_UNDER_TEST_H
#define STM_UNDER_TEST_H

#include "stm.h"

/*
 * The optional policies, 0 for none: how long an SMI waits for other processors, in ticks,
 * and pages for copies of what a handler reads outside SMRAM.
 */
#ifndef RENDEZVOUS
#define RENDEZVOUS 0
#endif
#ifndef SNAPSHOT
#define SNAPSHOT 0
#endif

#define API_START      0x10001u
#define API_STOP       0x10002u
#define API_PROTECT    0x10003u
#define API_UNPROTECT  0x10004u
#define API_RESOURCES  0x10005u /* GET_BIOS_RESOURCES */
#define API_VMCS_DATABASE 0x10006u
#define API_INITIALIZE 0x10007u
#define API_EVENT_LOG  0x10008u
#define API_MAP        1u /* of the SMI handler */
#define API_LOOKUP     3u

#define STM_SUCCESS             0u
#define STM_ALREADY_STARTED     0x80010008u
#define STM_SECURITY_VIOLATION  0x80010001u
#define STM_PAGE_NOT_FOUND      0x80010003u
#define STM_BAD_CR3             0x80010004u
#define STM_UNPROTECTABLE_RESOURCE 0x80010007u
#define STM_STOPPED             0x8001000Au
#define STM_MALFORMED           0x8001000Du
#define STM_OUT_OF_RESOURCES    0x80010015u
#define STM_NOT_SUPPORTED       0x80010016u
#define STM_INVALID_API         0x80038001u
#define STM_UNPROTECTABLE       0x80010017u
#define STM_INVALID_PARAMETER   0x80038002u
#define STM_UNSPECIFIED         0x8001FFFFu

#define SMI_UNBLOCKING_BY_VMXOFF 1u /* EDX of START */
#define MONITOR_CTL_UNBLOCKING   4u /* its bit in MSR 9BH */

#define SMBASE   (TSEG_BASE + 0x10000u)
#define SAVE_MAP (SMBASE + 0xFE00u)
#define PSD      (SMBASE + 0xFB00u)
#define PSD_CR3  (PSD + 0x20u)
#define PSD_RIP  (PSD + 0x38u)
#define PSD_GDT  (PSD + 0x48u)
#define PSD_EXCEPTION (PSD + 0x58u)
#define PSD_RESOURCES (PSD + 0x78u)

#define HANDLER_TABLES (TSEG_BASE + 0x400000u) /* page tables of the handler, 7 pages */
#define ABOVE_4GB      0x100000000ull

/* Where the handler's code is executed; the linear addresses are those of the image. */
#define HANDLER_TEXT (TSEG_BASE + 0x410000u)
#define IMAGE_BASE   0x100000u

/* What the SMI handler does, as the guest of the STM, with its next SMI. */
enum handler_action {
    HANDLER_NOTHING,
    HANDLER_CHANGE_RAX,
    HANDLER_CPUID,
    HANDLER_VMCALL,
    HANDLER_MAP,        /* a call that the STM knows and does not offer */
    HANDLER_INVD,
    HANDLER_CLOBBER,
    HANDLER_SMBASE,
    HANDLER_READ_MSEG,
    HANDLER_WRITE_MONITOR_CTL,
    HANDLER_RECORD_PORT,
    HANDLER_VMXE,
    HANDLER_OSXSAVE,
    HANDLER_TRIPLE_FAULT,
    HANDLER_BREAK_PSD,
    HANDLER_BREAK_GDT,
    HANDLER_MOVE_SMBASE,
    HANDLER_SKIP_BYTE, /* at its second SMI */
    HANDLER_CACHE,
    HANDLER_CR3,
    HANDLER_VMX,
    HANDLER_NMI,        /* IRET, an NMI to itself, CPUID */
    HANDLER_IRET,       /* IRET, CPUID */
    HANDLER_ACCESS,     /* guarded_access() */
    HANDLER_CLOBBER_ONE, /* of the registers that no VMCS holds: clobber_which */
    HANDLER_HOOK,       /* handler_hook() */
    EXECUTIVE_LEGACY_SMRAM, /* the executive monitor misbehaves */
    EXECUTIVE_OVERWRITES,
};

/* firmware.c */
extern volatile uint32_t handler_count, setup_count, teardown_count;
extern volatile enum handler_action handler_action;
extern volatile uint64_t handler_value;
/* Run by the handler, and by the set-up and tear-down code if set. */
extern void (*volatile handler_hook)(void), (*volatile setup_hook)(void), (*volatile teardown_hook)(void);
#define CLOBBERS 7u /* DR0 to DR3, DR6, CR2, KERNEL_GS_BASE */
extern volatile uint32_t clobber_which;
extern volatile uint32_t clobbered; /* the handler has read back what it wrote */
extern volatile uint32_t clobber_faults; /* #GP at its WRMSR */
extern volatile uint32_t setup_rax; /* EAX in the save-state map at setup */
extern volatile uint32_t nmi_count; /* delivered, to whomever */
extern uint8_t handler_map[512]; /* the save-state map of the last SMI */
extern uint8_t default_map[512]; /* the same under the default treatment */
void firmware_start(void);       /* MSEG, PSD, SMBASE; closes TSEG */
void firmware_wake(void);        /* the same with MSEG as it is */
void load_stm(uint32_t processors);
uint64_t call_stm_at(uint32_t number, uint64_t address);
/* Changes an unused byte of MSEG's static part, by an SMI of the default treatment. */
void modify_image(void);

/* protect.c: an access of the handler to what may be protected, or a call of ADDRESS_LOOKUP. */
void guarded_access(void);

/* executive.c */
extern uint64_t guest_vmcs;
void expect(const char *name, uint32_t number, uint32_t status); /* calls the STM */
void start_stm(void);
void guest_main(void);
void check_guest_smis(void);

/* kept.c: registers of the interrupted side after the handler has changed them, and what it is refused. */
void check_state_kept(void);
void check_each_kept(void);
void check_caching(void);
void check_nmi(void);
void check_policy(void);

/* regions.c */
void use_legacy_smram(void);
void overwrite_regions(void);

/* guest.c: an SMI that comes before a pending MTF VM exit of a guest. */
void check_pending_mtf(void);

/* What handler_value holds until the handler has written it. */
#define HANDLER_SILENT 0xDEAD0000DEAD0000ull

/* One SMI by port B2H with `action`; the run ends if the handler did not run. */
static inline void smi(enum handler_action action)
{
    handler_value = HANDLER_SILENT;
    handler_action = action;
    smi_port_write(0);
}

#endif
