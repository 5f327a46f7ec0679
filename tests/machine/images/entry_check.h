/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* One defect at a time in an otherwise good VMCS, and what VM entry says. */
#ifndef MACHINE_TEST_ENTRY_CHECK_H
#define MACHINE_TEST_ENTRY_CHECK_H

#include "vmx.h"

#define NON_CANONICAL 0x0000800000000000ull
#define BEYOND_WIDTH  (1ull << 45)

/* What an entry comes to: entered, VMfail, or a failure of the guest state. */
#define ENTERED         0u
#define CONTROLS        VMX_ERROR_ENTRY_CONTROLS
#define HOST            VMX_ERROR_ENTRY_HOST_STATE
#define GUEST_STATE(q)  (0x100u + (q)) /* q is the qualification */
#define BAD_GUEST       GUEST_STATE(0)
#define BAD_PDPTE       GUEST_STATE(2)
#define BAD_LINK        GUEST_STATE(4)

/* Kinds of guests. */
enum mode { MODE_64, MODE_COMPAT, MODE_32, MODE_PAE, MODE_VM86 };

/* VMCALL for ever, in every mode of the processor. */
void entry_guest(void);

/* An instruction without operands of the compiler's choice, then VMCALL. */
#define CODE(name, ...)                                                        \
    void name(void);                                                           \
    __asm__(".globl " #name "\n" #name ":\n\t" __VA_ARGS__ "\n1:\tvmcall\n\tjmp 1b\n")

struct field {
    uint32_t field; /* 0 ends a list; the VPID is not used here */
    uint64_t value;
};

struct defect {
    const char *id, *name;
    enum mode mode;
    uint32_t expect;
    struct field fields[4];
    /* controls besides those of a plain guest; refused ones skip the row */
    uint32_t pin, proc, proc2, exit, entry;
};

/* A good guest of that kind in the one VMCS of the image, launch state clear. */
void entry_fresh(enum mode mode);
/* The VMCS of entry_fresh(). */
extern uint64_t entry_vmcs;
/* A good guest in 64-bit mode that begins with this code. */
static inline void entry_code(void (*code)(void))
{
    entry_fresh(MODE_64);
    wr(VMCS_GUEST_RIP, phys((void *)code));
}
/* Enters and says what became of it. */
uint32_t entry_outcome(void);
/* The plain guest with these controls added; false if one is not offered. */
bool entry_controls(const struct defect *defect);
/* Runs the rows, one CHECK each. */
void entry_rows(const struct defect *rows, size_t count);
/* One row with a single field, as part of a loop; true if it is as expected. */
bool entry_is(enum mode mode, uint32_t expect, uint32_t field, uint64_t value);

#endif
