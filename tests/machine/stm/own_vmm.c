/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A VMM of one's own: activates the STM, protects its own memory, takes SMIs, stops (docs/guide/launching.rst). */
#include "stm_under_test.h"

static uint64_t secret; /* a page of the VMM's that no SMI handler may touch */

/* One call. On success CF is clear; else EAX says why not, or still holds the number if no STM answered. */
static uint32_t stm(uint32_t number, uint64_t page)
{
    uint32_t eax = number, ebx = (uint32_t)page, ecx = (uint32_t)(page >> 32), edx = 0;

    __asm__ volatile("vmcall" : "+a"(eax), "+b"(ebx), "+c"(ecx), "+d"(edx) : : "cc", "memory");
    return eax;
}

/* A list of one MEM_RANGE descriptor (type 1, 32 bytes: base, length, R|W|X) and END (16 bytes). */
static uint64_t list_of(uint64_t base)
{
    uint64_t *list = page_alloc();

    memcpy(list, (uint64_t[]) { 1 | 32ull << 32, base, PAGE_SIZE, 7, 16ull << 32, 0 }, 48);
    return phys(list);
}

static void own_vmm(void)
{
    uint64_t vmcs = vmcs_new(); /* VMCLEAR and VMPTRLD of a zeroed page with the revision */

    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));
    if (stm(API_INITIALIZE, 0) != STM_SUCCESS) {
        return; /* no STM is active, nothing is to be undone */
    }
    /* From here to START SMIs are blocked: whoever gives up calls STOP. */
    if (stm(API_PROTECT, list_of(secret)) != STM_SUCCESS || stm(API_START, 0) != STM_SUCCESS) {
        stm(API_STOP, 0);
        return;
    }
    vmclear(vmcs); /* the STM has its own copy */

    smi(HANDLER_HOOK);
    smi(HANDLER_HOOK);
    check_eq("OWN", "stop", stm(API_STOP, 0), STM_SUCCESS);
}

/* ---- what surrounds the example: a firmware, and a handler that is curious or not ---- */

static void look(void)
{
#ifdef CURIOUS
    read32(secret);
#endif
}

void run_tests(void)
{
    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    secret = phys(page_alloc());
    handler_hook = look;
#ifdef CURIOUS
    expect_shutdown("OWN", "the STM resets the platform");
#endif
    own_vmm();
    check_eq("OWN", "smis", handler_count, 2);
    check_eq("OWN", "setup", setup_count, 1);
    check_eq("OWN", "teardown", teardown_count, 1);
    check_eq("OWN", "vmxoff", vmxoff(), 0);
}
