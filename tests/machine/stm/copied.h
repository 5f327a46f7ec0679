/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a firmware that only copies the STM sets beside MSEG: SMRR. */
#ifndef COPIED_H
#define COPIED_H

#include "stm_under_test.h"

#define MSR_MTRRCAP        0xFEu
#define MSR_SMRR_PHYSBASE  0x1F2u
#define MSR_SMRR_PHYSMASK  0x1F3u
#define MTRRCAP_SMRR       (1u << 11)
#define SMRR_WRITE_BACK    6u
#define SMRR_VALID         0x800u
#define SMRR_MASK          (0xFFFFFFFFu & ~(TSEG_SIZE - 1))

#define PSD_ENTRY_STATE (PSD + 0x10u)
#define PSD_SETUP       (PSD + 0x28u)
#define PSD_TEARDOWN    (PSD + 0x30u)
#define PSD_GDT_SIZE    (PSD + 0x50u)
#define PSD_REVISION    (PSD + 0x54u)

/* In SMM. */
static inline void set_smrr(void)
{
    wrmsr(MSR_SMRR_PHYSBASE, TSEG_BASE | SMRR_WRITE_BACK);
    wrmsr(MSR_SMRR_PHYSMASK, SMRR_MASK | SMRR_VALID);
}

/* A call without an argument; the check has the rule `rule`. */
static inline void expect_status(const char *rule, const char *name, uint32_t number, uint32_t status)
{
    uint32_t value = number, ebx = 0, ecx = 0, edx = 0;

    __asm__ volatile("vmcall" : "+a"(value), "+b"(ebx), "+c"(ecx), "+d"(edx) : : "cc", "memory");
    check_eq(rule, name, value, status);
}

#endif
