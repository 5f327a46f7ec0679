/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * SMRR: the MSRs, and what the range hides from the processor outside SMM.  The range
 * here is ordinary memory, which the chipset hides from nobody.
 */
#include "vmx.h"

#define MSR_MTRRCAP       0xFEu
#define MSR_SMRR_PHYSBASE 0x1F2u
#define MSR_SMRR_PHYSMASK 0x1F3u
#define MTRRCAP_SMRR      (1u << 11)
#define WRITE_BACK        6u
#define VALID             0x800u

#define RANGE       0x2000000u /* 1 MB of memory that nobody uses */
#define RANGE_SIZE  0x100000u
#define RANGE_MASK  (0xFFFFFFFFu & ~(RANGE_SIZE - 1))
#define VALUE       0x1122334455667788ull

static volatile uint64_t base_fault, mask_fault, seen;
static uint64_t next_base, next_mask;

static void set_range(void)
{
    base_fault = try_wrmsr(MSR_SMRR_PHYSBASE, next_base);
    mask_fault = try_wrmsr(MSR_SMRR_PHYSMASK, next_mask);
}

static void set(uint64_t base, uint64_t mask)
{
    next_base = base;
    next_mask = mask;
    smm_call(set_range);
}

static void look(void)
{
    seen = read64(RANGE);
    write64(RANGE + 8, VALUE + 1);
}

static void execute(void *arg)
{
    (void)arg;
    ((void (*)(void))(uintptr_t)(RANGE + 64))();
}

void run_tests(void)
{
    check_eq("SDM-SMRR", "announced", rdmsr(MSR_MTRRCAP) & MTRRCAP_SMRR, MTRRCAP_SMRR);
    check_eq("SDM-SMRR", "reset", rdmsr(MSR_SMRR_PHYSBASE) | rdmsr(MSR_SMRR_PHYSMASK), 0);
    check_eq("DM-INT-37", "base-outside-smm", try_wrmsr(MSR_SMRR_PHYSBASE, RANGE | WRITE_BACK), FAULT_GP);
    check_eq("DM-INT-37", "mask-outside-smm", try_wrmsr(MSR_SMRR_PHYSMASK, RANGE_MASK | VALID), FAULT_GP);
    set(RANGE | 2, RANGE_MASK | VALID | 1); /* no memory type; a reserved bit */
    check_eq("SDM-SMRR", "memory-type", base_fault, FAULT_GP);
    check_eq("SDM-SMRR", "reserved-bit", mask_fault, FAULT_GP);
    set(1ull << 32, 1ull << 32);
    check_eq("SDM-SMRR", "base-above-4-gb", base_fault, FAULT_GP);
    check_eq("SDM-SMRR", "mask-above-4-gb", mask_fault, FAULT_GP);

    write64(RANGE, VALUE);
    write64(RANGE + 8, VALUE);
    *(volatile uint8_t *)(uintptr_t)(RANGE + 64) = 0xC3; /* RET */
    check_eq("SDM-SMRR", "code-runs", try_call(execute, NULL), NO_FAULT);
    set(RANGE | WRITE_BACK, RANGE_MASK);
    check_eq("DM-INT-37", "base-in-smm", rdmsr(MSR_SMRR_PHYSBASE), RANGE | WRITE_BACK);
    check_eq("SDM-SMRR", "not-valid", read64(RANGE), VALUE);
    set(RANGE | WRITE_BACK, RANGE_MASK | VALID);
    check_eq("DM-INT-37", "mask-in-smm", rdmsr(MSR_SMRR_PHYSMASK), RANGE_MASK | VALID);
    check_eq("SDM-SMRR", "reads-ones", read64(RANGE), UINT64_MAX);
    check_eq("SDM-SMRR", "reads-ones-4", read32(RANGE + RANGE_SIZE - 4), UINT32_MAX);
    check_eq("SDM-SMRR", "before-it", read64(RANGE - 8), 0);
    check_eq("SDM-SMRR", "behind-it", read64(RANGE + RANGE_SIZE), 0);
    write64(RANGE, 0);
    check_eq("SDM-SMRR", "code-does-not-run", try_call(execute, NULL) != NO_FAULT, 1);
    smm_call(look);
    check_eq("SDM-SMRR", "write-is-lost", seen, VALUE);
    check_eq("SDM-SMRR", "vmcs", (vmx_start(), vmptrld(RANGE) != 0), 1);
    set(0, 0);
    check_eq("SDM-SMRR", "gone", read64(RANGE), VALUE);
    check_eq("SDM-SMRR", "written-in-smm", read64(RANGE + 8), VALUE + 1);
}
