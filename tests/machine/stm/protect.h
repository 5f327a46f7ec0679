/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the executive monitor protects, and what the SMI handler meets then: lists, calls
 * and accesses, for the scenes in protect_*.c. SCENE_PROTECT says which run it is.
 */
#ifndef PROTECT_H
#define PROTECT_H

#include "stm_under_test.h"

#define SCENE_CALLS   1 /* calls, and a firmware that handles protection exceptions */
#define SCENE_ALONE   2 /* a firmware that does not */
#define SCENE_NESTED  3 /* its handler touches the page itself */
#define SCENE_MANY    4 /* it never helps */
#define SCENE_PANIC   5 /* it gives up, for the reason PANIC_CHOICE */
#define SCENE_LISTS   6 /* lists of the firmware that are no good */
#define SCENE_CAPACITY 7 /* as many ranges as there is room for */
#define SCENE_PCI     8 /* PCI configuration space, by ports and in memory */
#define SCENE_ALL     9 /* everything; ports with a direction; control registers */
#define SCENE_STEP    10 /* a string instruction that becomes RSM */
#define SCENE_FLAGS   11 /* a firmware that handles one kind of violation only */
#define SCENE_NOT_WANTED 12 /* one that does not handle the kind NOT_WANTED */
#define SCENE_FRAME   13 /* the frame of an exception, there and back */
#define SCENE_LEAST   14 /* MSEG no larger than needed */

#ifndef PANIC_CHOICE
#define PANIC_CHOICE 3u
#endif

#define FRAME_SIZE     224u
#define FRAME_INFO     19u /* index of VmcsExitInstructionInfo */
#define FRAME_LENGTH   20u
#define FRAME_QUAL     21u
#define FRAME_CODE     22u
#define FRAME_RIP      23u
#define FRAME_RSP      26u
#define FRAME_RAX      14u
#define FRAME_RDI      8u
#define FRAME_CR3      16u
#define SPE_STACK      (TSEG_BASE + 0x50000u)
#define LOOKUP_AT      (TSEG_BASE + 0x58000u)
#define BIOS_LIST      (TSEG_BASE + 0x60000u)
#define BIOS_LIST_TWO  (TSEG_BASE + 0x70001u)
#define MANY_RESOURCES 200u
#define MENDED         0x600Du
#define MSR_CLAIMED    0x174u
#define MSR_FREE       0x176u

enum access_kind {
    ACCESS_READ, ACCESS_WRITE, ACCESS_IN, ACCESS_OUT, ACCESS_RDMSR, ACCESS_WRMSR, ACCESS_IN32,
    /* of PCI configuration space, by ports */
    ACCESS_PCI_IN8, ACCESS_PCI_IN16, ACCESS_PCI_IN32, ACCESS_PCI_OUT8, ACCESS_PCI_OUT16, ACCESS_PCI_OUT32,
    ACCESS_INSL, ACCESS_OUTSL, ACCESS_REP_INSB, ACCESS_INSL32,
    ACCESS_OR,
    /* string instructions whose address is not DS or ES and a 64-bit register: protect_strings.c */
    ACCESS_OUTSL_FS, ACCESS_OUTSL_FS32, ACCESS_INSL16, ACCESS_INSL_ES, ACCESS_OUTSL_ES,
    /* of control registers: bits to flip */
    ACCESS_CR0, ACCESS_CR3, ACCESS_CR4, ACCESS_CR8, ACCESS_LMSW, ACCESS_CLTS, ACCESS_READ_CR3, ACCESS_READ_CR8,
    ACCESS_KINDS, ACCESS_LOOKUP, ACCESS_MOVES
};

/* ---- what the handler does ---- */
extern volatile uint64_t access_place;
extern volatile uint64_t access_value, access_rax; /* RAX before and after */
extern volatile uint32_t string_address;           /* for CF8H, of a string instruction */
extern volatile uint32_t access_fault, exceptions, spe_choice, protection_status;
extern uint64_t frame[FRAME_SIZE / 8]; /* of the last protection exception */
void set_exception_handler(void);      /* in SMM */

/* A register of PCI configuration space, from outside SMM; `address` is for CF8H. */
uint32_t config_read(uint32_t address);
void config_write(uint32_t address, uint32_t value);
/* An access that returns `rax`, one that is a violation, one that faults; CF8H stays as it was left. */
void value(const char *name, enum access_kind kind, uint64_t place, uint64_t rax);
void refused(const char *name, enum access_kind kind, uint64_t place, uint32_t type);
void faults(const char *name, enum access_kind kind, uint64_t place, uint32_t fault);

/* One SMI whose handler makes an access. */
void handler_does(enum access_kind kind, uint64_t place);
/* Refused: the firmware's exception handler sees it, and mends it. */
void caught(const char *name, enum access_kind kind, uint64_t place);
void caught_as(const char *name, enum access_kind kind, uint64_t place, uint32_t type);
void allowed(const char *name, enum access_kind kind, uint64_t place);
void allowed_value(const char *name, uint64_t place, uint32_t value);

/* STM_ADDRESS_LOOKUP_DESCRIPTOR */
struct lookup {
    uint64_t linear;
    uint32_t length;
    uint64_t cr3, eptp;
    uint32_t flags, reserved;
    uint64_t physical, mapped;
} __attribute__((packed));
extern struct lookup lookup;

/* ---- the executive monitor's lists and calls ---- */
extern uint64_t list;      /* page with the list of a call */
extern uint32_t list_used;
extern struct answer {
    uint64_t rax, rbx, rcx, rdx, flags;
} answer;

void list_start(uint64_t page);
void put_header(uint32_t type, uint16_t length, const uint64_t body[]);
void put_memory(uint64_t base, uint64_t length, uint32_t access);
void put_io(uint32_t base, uint32_t length);
void put_msr(uint32_t index, uint64_t read, uint64_t write);
void put_bytes(const void *bytes, uint32_t size);
void put_trapped(uint32_t base, uint32_t length, uint32_t flags); /* 1 In, 2 Out, 4 Api */
void put_all(void);
void put_pci(const uint8_t *path, uint32_t nodes, uint32_t base, uint32_t length, uint32_t access); /* device, function */
void put_register(uint32_t type, uint64_t read, uint64_t write); /* 0 CR0, 1 CR2, 2 CR3, 3 CR4, 4 CR8 */
void put_end(uint64_t continuation);
uint32_t granted(uint32_t offset); /* ReturnStatus of the descriptor at an offset */

/* The firmware has another list: made in SMM, named by the PSD. */
void give_list(void (*make)(void), uint64_t pointer);

/* Low bits of the page and high halves of the registers do not count. */
void call(uint32_t number, uint64_t page, uint32_t edx);
/* Ends the list and calls with it. */
void expect_list(const char *name, uint32_t number, uint32_t status);
void expect_call(const char *name, uint32_t number, uint32_t status);
void start(void);
void stop(void);

/* ---- scenes ---- */
extern uint64_t guarded, data_page, list_page; /* pages of memory */
void run_calls(void);         /* protect_calls.c */
void run_lists(void);
void check_lookup(void);      /* protect_lookup.c; `guarded` is protected */
void run_capacity(void);      /* protect_capacity.c */
void run_least(void);         /* protect_least.c */
void run_pci(void);           /* protect_pci.c */
void check_acpi(uint64_t ecam); /* protect_acpi.c */
void run_all(void);           /* protect_all.c */
void run_step(void);          /* protect_step.c */
void run_frame(void);         /* protect_frame.c */
void run_flags(void);         /* protect_flags.c */
void run_not_wanted(void);
void check_moves(uint64_t base); /* protect_moves.c: at four bytes at which the STM emulates instructions */
void moves_in_handler(void);
void check_addresses(void);     /* protect_strings.c; registers of the ISA bridge are protected */
void addresses_in_handler(void);

#endif
