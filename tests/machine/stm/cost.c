/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Plain SMIs while RANGES ranges are protected: what the STM does for each is
 * counted from outside (build_scripts/benchmarks/stm.py).
 */
#include "stm_under_test.h"

#define SMIS      6
#define A_PAGE    120u         /* descriptors */
#define FIRST     0x100000000ull
#define GAP       0x2000u      /* every second page, so that no two are one range */

volatile uint32_t nmi_count;
static const volatile unsigned ranges = RANGES;

void guarded_access(void)
{
}

static void expect_status(const char *name, uint32_t number, uint64_t page)
{
    uint32_t value = number, ebx = (uint32_t)page, ecx = (uint32_t)(page >> 32), edx = 0;

    __asm__ volatile("vmcall" : "+a"(value), "+b"(ebx), "+c"(ecx), "+d"(edx) : : "cc", "memory");
    check_eq("COST-CALL", name, value, STM_SUCCESS);
}

/* MEM_RANGE descriptors [first, last), and END. */
static void protect(uint64_t page, unsigned first, unsigned last)
{
    uint64_t at = page;

    memset((void *)(uintptr_t)page, 0, PAGE_SIZE);
    for (; first < last; first++, at += 32) {
        write64(at, 1 | 32ull << 32);
        write64(at + 8, FIRST + (uint64_t)first * GAP);
        write64(at + 16, PAGE_SIZE);
        write64(at + 24, 7);
    }
    write64(at, 16ull << 32);
    expect_status("protect", API_PROTECT, page);
}

void run_tests(void)
{
    uint64_t page;

    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    page = phys(page_alloc());
    activation_vmcs();
    expect_status("initialize", API_INITIALIZE, 0);
    for (unsigned done = 0; done < ranges; done += A_PAGE) {
        protect(page, done, done + A_PAGE < ranges ? done + A_PAGE : ranges);
    }
    expect_status("start", API_START, 0);
    for (unsigned i = 0; i < SMIS; i++) {
        smi(HANDLER_NOTHING);
    }
    check_eq("COST-SMIS", "handled", handler_count, SMIS);
    expect_status("stop", API_STOP, 0);
}
