/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* StmProtectionExceptionHandler of the PSD: a flag for each kind of violation, and a stack that has to be SMRAM. */
#include "protect.h"

#define SPE_FLAGS  (PSD_EXCEPTION + 18u)
#define KINDS      5u /* of TXT_SMM_PROTECTION_EXCEPTION_TYPE, from 1 */
#define FUNCTION   0x8000F800u /* 0:1F.0 */
#define PIRQ_A     0x60u
#define GUARDED_PORT 0x80u

#ifndef NOT_WANTED
#define NOT_WANTED 1 /* the kind whose flag is clear; KINDS + 1 for a stack outside SMRAM */
#endif

static const uint8_t isa_bridge[] = { 0x1F, 0 };
static volatile uint16_t flags;

/* One access of each kind of violation. */
static const struct {
    const char *name;
    enum access_kind kind;
    uint64_t place; /* 0 for `guarded` */
} violations[KINDS] = {
    { "page", ACCESS_READ, 0 },
    { "msr", ACCESS_RDMSR, MSR_FREE },
    { "register", ACCESS_READ_CR8, 0 },
    { "io", ACCESS_IN, GUARDED_PORT },
    { "pci", ACCESS_PCI_IN8, FUNCTION | PIRQ_A },
};

static void write_flags(void)
{
    *(volatile uint16_t *)(uintptr_t)SPE_FLAGS = flags;
}

static void set_flags(uint16_t value)
{
    flags = value;
    smm_call(write_flags);
}

static void stack_outside(void)
{
    write64(PSD_EXCEPTION + 8, data_page + PAGE_SIZE);
}

static uint64_t place_of(unsigned kind)
{
    return violations[kind].place ? violations[kind].place : kind == 0 ? guarded : 0;
}

static void begin(void)
{
    start();
    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 7);
    put_msr(MSR_FREE, 1, 1);
    put_register(4, 1, 0);
    put_io(GUARDED_PORT, 1);
    put_pci(isa_bridge, 1, PIRQ_A, 4, 3);
    expect_list("each-kind", API_PROTECT, STM_SUCCESS);
}

/* Only the flag of the kind is set. */
void run_flags(void)
{
    for (unsigned kind = 0; kind < KINDS; kind++) {
        set_flags(1u << kind);
        begin();
        caught(violations[kind].name, violations[kind].kind, place_of(kind));
        stop();
    }
}

/* All are set but one, or the stack is not the handler's: the STM resets the platform. */
void run_not_wanted(void)
{
    const unsigned kind = NOT_WANTED > KINDS ? 0 : NOT_WANTED - 1u;

    if (NOT_WANTED > KINDS) {
        smm_call(stack_outside);
    } else {
        set_flags(0x1F & ~(1u << kind));
    }
    begin();
    if (NOT_WANTED <= KINDS) {
        unsigned other = (kind + 1) % KINDS;

        caught("other-kind", violations[other].kind, place_of(other));
    }
    expect_shutdown("CRASH", "the STM resets the platform");
    handler_does(violations[kind].kind, place_of(kind));
    panic("the STM survived");
}
