/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Where an SMI handler may execute under the real STM, and on which page tables. SCENE is
 * what breaks the PSD, in a run that ends in a crash.
 */
#include "stm_under_test.h"

#define SCENE_WHOLE 0
#define SCENE_CR3   1 /* the PSD names page tables outside SMRAM, after START */
#define SCENE_EVENT 2 /* an exception is delivered on a stack that no EPT table maps yet */

#define RET            0xC3u
#define OTHER_TABLES   (TSEG_BASE + 0x440000u)
#define TSEG_CODE      (TSEG_BASE + 0x450000u)
#define LEGACY_SMRAM   0xA0000u
#define APIC_PAGE      0xFEE00000u
#define TSEG_END       (TSEG_BASE + TSEG_SIZE)
#define CR3_PCD        0x10u
#define API_RETURN     4u /* RETURN_FROM_PROTECTION_EXCEPTION */
#define SPE_STACK      (TSEG_BASE + 0x50000u)
#define FRAME_CR3      16u /* in words of 8 bytes */
#define FRAME_RIP      23u
#define BEYOND_WIDTH   (1ull << 45)
#define NOT_MAPPED     (1ull << 40)
#define PF_WRITE       2u

volatile uint32_t nmi_count; /* of the handler in firmware.c, which is not used here */
static uint64_t target;
static uint64_t seen, rip;
static uint32_t fault;

static void go_to(void *arg)
{
    ((void (*)(void))(uintptr_t) * (uint64_t *)arg)();
}

/* In the handler: a call of code somewhere else. */
static void execute(void)
{
    if (target >= TSEG_CODE && target < MSEG_BASE) {
        *(volatile uint8_t *)(uintptr_t)target = RET;
    }
    fault = try_call(go_to, &target);
    rip = fault == NO_FAULT ? target : last_fault.rip;
}

static void load_cr3(void *arg)
{
    write_cr3(*(uint64_t *)arg);
}

/* In the handler: page tables somewhere else. */
static void change_tables(void)
{
    uint64_t own = read_cr3();

    memcpy((void *)(uintptr_t)OTHER_TABLES, (void *)(uintptr_t)own, PAGE_SIZE);
    fault = try_call(load_cr3, &target);
    seen = read_cr3();
    write_cr3(own);
}

static void try_at(const char *name, void (*hook)(void), uint64_t where, uint32_t want)
{
    target = where;
    handler_hook = hook;
    smi(HANDLER_HOOK);
    check_eq("FAULT", name, fault, want);
    if (hook == execute) {
        check_eq("RIP", name, rip, where);
    } else {
        check_eq("CR3", name, seen, want == NO_FAULT ? where : HANDLER_TABLES);
    }
}

static void check_execution(void)
{
    uint8_t *code = page_alloc();

    memset(code, RET, PAGE_SIZE);
    try_at("in-tseg", execute, TSEG_CODE, NO_FAULT);
    try_at("below-mseg", execute, MSEG_BASE - 1, NO_FAULT);
    try_at("in-memory", execute, phys(code), FAULT_GP);
    try_at("below-tseg", execute, TSEG_BASE - 1, FAULT_GP);
    try_at("legacy-smram", execute, LEGACY_SMRAM, FAULT_GP);
    try_at("mseg", execute, MSEG_BASE, FAULT_GP);
    try_at("behind-tseg", execute, TSEG_END, FAULT_GP);
    try_at("apic-page", execute, APIC_PAGE, FAULT_GP);
    try_at("above-4-gb", execute, ABOVE_4GB, FAULT_GP);
}

static void check_tables(void)
{
    uint64_t *copy = page_alloc();

    memcpy(copy, page_tables, PAGE_SIZE);
    try_at("own", change_tables, HANDLER_TABLES, NO_FAULT);
    try_at("in-tseg", change_tables, OTHER_TABLES, NO_FAULT);
    try_at("uncached", change_tables, OTHER_TABLES | CR3_PCD, NO_FAULT);
    try_at("in-memory", change_tables, phys(copy), FAULT_GP);
    try_at("the-interrupted", change_tables, phys(page_tables), FAULT_GP);
    try_at("in-mseg", change_tables, MSEG_BASE, FAULT_GP);
    try_at("below-tseg", change_tables, TSEG_BASE - PAGE_SIZE, FAULT_GP);
    try_at("legacy-smram", change_tables, LEGACY_SMRAM, FAULT_GP);
    try_at("beyond-the-width", change_tables, BEYOND_WIDTH | OTHER_TABLES, FAULT_GP);
}

/* One instruction that is refused, and RET; the firmware's handler of protection exceptions. */
__asm__(".pushsection .text\n"
        "guarded_read:\tmov (%rdi), %eax\n\tret\n"
        "protection_entry:\tmov %rsp, %rdi\n\tcall protection_main\n\tud2\n"
        ".popsection\n");
extern uint8_t protection_entry[];
uint32_t guarded_read(uint64_t address);
void protection_main(uint64_t *frame);

static volatile uint32_t elsewhere, beyond;

/* The frame's CR3 somewhere else: refused. Then as it was, behind the instruction. */
void protection_main(uint64_t *frame)
{
    uint64_t own = frame[FRAME_CR3];

    frame[FRAME_CR3] = phys(page_tables);
    elsewhere = (uint32_t)call_stm_at(API_RETURN, 0);
    frame[FRAME_CR3] = own | BEYOND_WIDTH;
    beyond = (uint32_t)call_stm_at(API_RETURN, 0);
    frame[FRAME_CR3] = own;
    frame[FRAME_RIP] += 2;
    call_stm_at(API_RETURN, 0);
    panic("the STM does not go on");
}

static void read_protected(void)
{
    guarded_read(target);
    handler_value = 0;
}

static void set_exception_handler(void)
{
    write64(PSD_EXCEPTION, phys(protection_entry));
    write64(PSD_EXCEPTION + 8, SPE_STACK);
    write64(PSD_EXCEPTION + 16, SEL_DATA64 | 0x1Full << 16);
}

/* Page tables by way of RETURN_FROM_PROTECTION_EXCEPTION. */
static void check_frame(void)
{
    uint64_t *list = page_alloc();

    target = phys(page_alloc());
    list[0] = 1 | 32ull << 32; /* MEM_RANGE */
    list[1] = target;
    list[2] = PAGE_SIZE;
    list[3] = 7;
    list[4] = 16ull << 32; /* END_OF_RESOURCES */
    check_eq("FRAME", "protect", call_stm_at(API_PROTECT, phys(list)), STM_SUCCESS);
    handler_hook = read_protected;
    smi(HANDLER_HOOK);
    check_eq("FRAME", "goes-on", handler_value, 0);
    check_eq("FRAME", "elsewhere", elsewhere, STM_INVALID_PARAMETER);
    check_eq("FRAME", "beyond-the-width", beyond, STM_INVALID_PARAMETER);
    list[0] = 1 | 32ull << 32; /* without ReturnStatus */
    check_eq("FRAME", "unprotect", call_stm_at(API_UNPROTECT, phys(list)), STM_SUCCESS);
}

static void point_psd_elsewhere(void)
{
    write64(PSD_CR3, phys(page_tables));
}

static void point_psd_back(void)
{
    write64(PSD_CR3, HANDLER_TABLES);
}

static void call(const char *name, uint32_t number, uint32_t status)
{
    check_eq("CALL", name, (uint32_t)call_stm_at(number, 0), status);
}

/* A write that faults, with a stack above 4 GB: the frame of #PF is the first access there. */
static void fault_above(void *arg)
{
    __asm__ volatile("mov %0, %%rsp\n\tmovl $0, (%1)" : : "r"(ABOVE_4GB + PAGE_SIZE), "r"(arg) : "memory");
}

static void deliver_above(void)
{
    fault = try_call(fault_above, (void *)(uintptr_t)target);
    seen = last_fault.error;
    rip = read_cr2();
}

static void check_delivery(void)
{
    target = NOT_MAPPED;
    handler_hook = deliver_above;
    smi(HANDLER_HOOK);
    check_eq("DELIVERY", "vector", fault, FAULT_PF);
    check_eq("DELIVERY", "error-code", seen, PF_WRITE);
    check_eq("DELIVERY", "cr2", rip, NOT_MAPPED);
}

void run_tests(void)
{
    uint64_t activating;

    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    activating = activation_vmcs();
    smm_call(point_psd_elsewhere);
    call("tables-outside-smram", API_INITIALIZE, STM_UNSPECIFIED);
    vmclear(activating);
    smm_call(point_psd_back);
    smm_call(set_exception_handler);
    activation_vmcs();
    call("initialize", API_INITIALIZE, STM_SUCCESS);
    call("start", API_START, STM_SUCCESS);
    if (SCENE == SCENE_EVENT) {
        check_delivery();
    } else {
        check_execution();
        check_tables();
        check_frame();
    }
    if (SCENE == SCENE_CR3) {
        handler_hook = point_psd_elsewhere;
        smi(HANDLER_HOOK);
        expect_shutdown("CONFINE", "the STM resets the platform");
        smi(HANDLER_NOTHING);
        panic("the handler runs on tables outside SMRAM");
    }
    call("stop", API_STOP, STM_SUCCESS);
}
