/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What an SMI handler writes to the save state, and what of it comes back (docs/tutorial/rsm.rst). */
#include "../stm/stm_under_test.h"

/* From SMBASE + FE00H. */
#define MAP_CR4    0x148u
#define MAP_CR3    0x150u
#define MAP_DR7    0x160u
#define MAP_RFLAGS 0x170u
#define MAP_RIP    0x178u
#define MAP_R15    0x180u
#define MAP_RSP    0x1D8u
#define MAP_RBX    0x1E0u

#define DR7_L0     1ull
#define SKIPPED    3u /* bytes of LEA EDX, [RDX + 1] */
#define MARK       0x600Dull

static const char *const names[] = { "RBX", "R15", "RSP", "RIP", "RFLAGS.CF", "CR3", "CR4", "DR7" };
/* What a handler may change; the rest is the interrupted side's own. */
static const bool may_change[] = { true, true, true, true, true, false, false, false };
static uint64_t other_tables;
static bool taken[2][ARRAY_SIZE(names)];

static void put(uint32_t offset, uint64_t value)
{
    write64(SAVE_MAP + offset, value);
}

/* In SMM. Under the STM nothing of this is read by the processor: RSM is a VM exit. */
static void handler(void)
{
    put(MAP_RBX, MARK);
    put(MAP_R15, MARK);
    put(MAP_RSP, read64(SAVE_MAP + MAP_RSP) - 8);
    put(MAP_RIP, read64(SAVE_MAP + MAP_RIP) + SKIPPED);
    put(MAP_RFLAGS, read64(SAVE_MAP + MAP_RFLAGS) | RFLAGS_CF);
    put(MAP_CR3, other_tables);
    write32(SAVE_MAP + MAP_CR4, (uint32_t)(read64(SAVE_MAP + MAP_CR4) ^ CR4_DE));
    write32(SAVE_MAP + MAP_DR7, (uint32_t)(read64(SAVE_MAP + MAP_DR7) ^ DR7_L0));
}

/* An SMI by OUT, and what the next instructions find. */
static void look(bool *found)
{
    static uint64_t rbx, r15, rsp_before, rsp_after, rdx, flags;
    uint64_t cr3 = read_cr3(), cr4 = read_cr4(), dr7 = read_dr7();

    __asm__ volatile("push %%rbx\n\tpush %%r15\n\tmov %%rsp, %%r14\n\tmov %%rsp, %2\n\t"
                     "xor %%edx, %%edx\n\txor %%ebx, %%ebx\n\txor %%r15d, %%r15d\n\tclc\n\t"
                     "out %%al, $0xB2\n\t"
                     "lea 1(%%rdx), %%edx\n\t" /* what the handler skips; no flag changes */
                     "mov %%rbx, %0\n\tmov %%r15, %1\n\tmov %%rsp, %3\n\tmov %%r14, %%rsp\n\t"
                     "mov %%rdx, %4\n\tpushfq\n\tpopq %5\n\tpop %%r15\n\tpop %%rbx"
                     : "=m"(rbx), "=m"(r15), "=m"(rsp_before), "=m"(rsp_after), "=m"(rdx), "=m"(flags)
                     : "a"(0)
                     : "rdx", "r14", "cc", "memory");
    found[0] = rbx == MARK;
    found[1] = r15 == MARK;
    found[2] = rsp_after == rsp_before - 8;
    found[3] = rdx == 0;
    found[4] = (flags & RFLAGS_CF) != 0;
    found[5] = read_cr3() != cr3;
    found[6] = read_cr4() != cr4;
    found[7] = read_dr7() != dr7;
    write_cr3(cr3);
    write_cr4(cr4);
    write_dr7(dr7);
}

void run_tests(void)
{
    firmware_start();
    other_tables = phys(page_alloc()); /* the same mappings at another place */
    memcpy((void *)other_tables, page_tables, PAGE_SIZE);
    vmx_start();
    smi_hook = handler;
    look(taken[0]);
    smi_hook = NULL;

    smm_monitor_ctl(MSEG_BASE | 1);
    activation_vmcs();
    check_eq("RSM", "initialize", (uint32_t)call_stm_at(API_INITIALIZE, 0), STM_SUCCESS);
    check_eq("RSM", "start", (uint32_t)call_stm_at(API_START, 0), STM_SUCCESS);
    handler_hook = handler;
    handler_action = HANDLER_HOOK;
    look(taken[1]);
    handler_action = HANDLER_NOTHING;

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        print("%s: default treatment %s, STM %s\n", names[i], taken[0][i] ? "taken" : "ignored",
              taken[1][i] ? "taken" : "ignored");
        check("RSM", names[i], taken[1][i] == may_change[i], "the STM:%s", taken[1][i] ? "taken" : "ignored");
    }
    check_eq("RSM", "stop", (uint32_t)call_stm_at(API_STOP, 0), STM_SUCCESS);
}
