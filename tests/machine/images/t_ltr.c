/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* LTR and LLDT in 64-bit mode: what stock QEMU accepts and a processor does not. */
#include "runtime.h"

#define TSS_64     0x0000890000000067ull
#define TSS_16     0x0000810000000067ull
#define LDT        0x000082000000FFFFull
#define FIRST      11u

static uint64_t table[64];

static void do_ltr(void *selector)
{
    __asm__ volatile("ltr %w0" : : "r"((uint32_t)(uintptr_t)selector) : "memory");
}

static void do_lldt(void *selector)
{
    __asm__ volatile("lldt %w0" : : "r"((uint32_t)(uintptr_t)selector) : "memory");
}

/* Loads a descriptor whose base is `high`:0; the selector is that of entry FIRST. */
static uint32_t load(void (*instruction)(void *), uint64_t descriptor, uint32_t high)
{
    table[FIRST] = descriptor;
    table[FIRST + 1] = high;
    return try_call(instruction, (void *)(uintptr_t)(FIRST * 8));
}

#ifdef LA57
/* A processor with 5-level paging that does not use it, CR4.LA57 = 0. */
#define BASE_57    0xFFAAAAAAu
#endif

static void check_gp(const char *name, uint32_t vector, uint32_t error)
{
    check("SDM-LTR", name, vector == FAULT_GP && last_fault.error == error, "vector:%d,error:%q", vector,
          last_fault.error);
}

void run_tests(void)
{
    struct table_register old = read_gdtr();
    struct table_register gdtr = {sizeof(table) - 1, phys(table)};

    memcpy(table, gdt, old.limit + 1u);
    table[SEL_TSS / 8] &= ~(2ull << 40); /* not busy, to load it again */
    __asm__ volatile("lgdt %0" : : "m"(gdtr));
    check_gp("null", try_call(do_ltr, NULL), 0);
    check_gp("null-rpl", try_call(do_ltr, (void *)3), 0);
    check_gp("tss-16", load(do_ltr, TSS_16, 0), FIRST * 8);
    check_eq("SDM-LTR", "ldt", load(do_lldt, LDT, 0xFFFF8000), NO_FAULT);
    check_eq("SDM-LTR", "ldt-null", try_call(do_lldt, NULL), NO_FAULT);
#ifdef LA57
    /* Bases are checked against the width that CPUID reports. */
    check_eq("SDM-LTR", "cr4-la57", read_cr4() >> 12 & 1, 0);
    check_eq("SDM-LTR", "ldt-57-bits", load(do_lldt, LDT, BASE_57), NO_FAULT);
    check_gp("ldt-58-bits", load(do_lldt, LDT, 0xFE000000), FIRST * 8);
    check_gp("tss-58-bits", load(do_ltr, TSS_64, 0x01000000), FIRST * 8);
    check_eq("SDM-LTR", "tss-57-bits", load(do_ltr, TSS_64, BASE_57), NO_FAULT);
    table[SEL_TSS / 8] &= ~(2ull << 40);
#else
    check_gp("tss-not-canonical", load(do_ltr, TSS_64, 0x8000), FIRST * 8);
    check_eq("SDM-LTR", "not-busy", table[FIRST], TSS_64);
    check_gp("ldt-not-canonical", load(do_lldt, LDT, 0x8000), FIRST * 8);
    check_eq("SDM-LTR", "tr-kept", read_tr(), SEL_TSS);
#endif
    check_eq("SDM-LTR", "tss", try_call(do_ltr, (void *)SEL_TSS), NO_FAULT);
    __asm__ volatile("lgdt %0" : : "m"(old));
}
