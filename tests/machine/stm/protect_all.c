/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ALL_RESOURCES: a handler that has what its firmware claims, and nothing else. TRAPPED_IO_RANGE, REGISTER_VIOLATION. */
#include "protect.h"

#define IMAGE_BASE 0x100000u
#define FS_BASE    0xC0000100u
#define KERNEL_GS  0xC0000102u
#define MISC_ENABLE 0x1A0u /* gets its value back after the handler */
#define APIC_BASE  0x1Bu
#define PORT       0x80u /* reads and writes of it do nothing */
#define OTHER_PORT 0x84u
#define STEP_PORT  0xEDu /* to F0H: string instructions at an intercepted port run there first */
#define FUNCTION   0x8000F800u /* 0:1F.0 */
#define PIRQ_A     0x60u
#define PIRQ_E     0x68u
#define PCI        5u /* TXT_SMM_PROTECTION_EXCEPTION_TYPE */

/* STM_REGISTER_VIOLATION_TYPE */
#define CR0 0u
#define CR2 1u
#define CR3 2u
#define CR4 3u
#define CR8 4u

static const uint8_t isa_bridge[] = { 0x1F, 0 };

/* What the handler of this image needs: its variables, up to the page that it is kept from. */
static void make_needs(void)
{
    list_start(BIOS_LIST);
    put_memory(IMAGE_BASE, guarded - IMAGE_BASE, 3);
    put_msr(MSR_CLAIMED, ~0ull, 0);
    put_msr(FS_BASE, 0, ~0ull); /* guarded_access sets it for string instructions */
    put_msr(KERNEL_GS, ~0ull, 0xFF);
    put_register(CR0, 0, CR0_MP);
    put_io(OTHER_PORT, 1);
    put_pci(isa_bridge, 1, PIRQ_E, 4, 3);
    put_end(0);
}

static void make_claim_of_all(void)
{
    list_start(BIOS_LIST);
    put_all();
    put_end(0);
}

static void all(const char *name, uint32_t number, uint32_t status)
{
    list_start(list_page);
    put_all();
    expect_list(name, number, status);
    check_eq("RETURN-STATUS", name, granted(0), status == STM_SUCCESS);
}

static void check_closed(void)
{
    caught("all-read", ACCESS_READ, guarded);
    caught("all-write", ACCESS_WRITE, guarded + 8);
    caught("all-page-behind", ACCESS_READ, guarded + PAGE_SIZE);
    caught("all-page-0", ACCESS_READ, 0);
    caught("all-apic", ACCESS_READ, 0xFEE00020);
    caught("all-above-4gb", ACCESS_READ, ABOVE_4GB + 0x100);
    caught("all-below-tseg", ACCESS_READ, TSEG_BASE - 4);
    allowed("all-tseg", ACCESS_READ, TSEG_BASE);
    handler_does(ACCESS_READ, MSEG_BASE);
    check_eq("OWN", "mseg", access_fault, FAULT_GP);
    check_eq("OWN", "mseg-no-exception", exceptions, 0);
    allowed_value("all-claimed-page", guarded - PAGE_SIZE, 0x1111);
    caught("all-in", ACCESS_IN, PORT);
    caught("all-out", ACCESS_OUT, PORT);
    caught("all-first-port", ACCESS_IN, 0);
    caught("all-last-port", ACCESS_IN, 0xFFFF);
    allowed("all-claimed-port", ACCESS_IN, OTHER_PORT);
    caught("all-beside-claimed-port", ACCESS_IN, OTHER_PORT + 1);
    caught("all-rdmsr", ACCESS_RDMSR, MSR_FREE);
    caught("all-rdmsr-high", ACCESS_RDMSR, 0xC0000082);
    caught("all-rdmsr-without-a-bit", ACCESS_RDMSR, 0x2000);
    caught("all-wrmsr", ACCESS_WRMSR, MSR_FREE);
    allowed("all-claimed-msr", ACCESS_RDMSR, MSR_CLAIMED);
    caught("all-wrmsr-of-claimed-reads", ACCESS_WRMSR, MSR_CLAIMED);
}

/*
 * The handler needs four registers of configuration space; all others are protected, so the STM
 * steps in at port CFCH. No exception of its own making: what OUTS does there is allowed.
 */
static void check_string(void)
{
    uint64_t page = guarded - PAGE_SIZE;

    string_address = FUNCTION | PIRQ_E;
    write32(page, 0x83828180);
    value("all-outsl", ACCESS_OUTSL, page, page + 4);
    check_eq("PCI-REGISTER", "all-outsl", config_read(FUNCTION | PIRQ_E), 0x83828180);
    write32(page, 0);
    value("all-insl", ACCESS_INSL, page, page + 4);
    check_eq("PCI-STRING", "all-insl", read32(page), 0x83828180);
    value("all-rep-insb", ACCESS_REP_INSB, page, page + 4);
    check_eq("PCI-STRING", "all-rep-insb", read32(page), 0x80808080);
    string_address = FUNCTION | PIRQ_A;
    refused("all-outsl-of-protected", ACCESS_OUTSL, page, PCI);
    for (uint32_t port = STEP_PORT; port < STEP_PORT + 4; port++) {
        allowed("all-step-port", ACCESS_OUT, port);
    }
    caught("all-below-step-ports", ACCESS_OUT, STEP_PORT - 1);
    caught("all-above-step-ports", ACCESS_OUT, STEP_PORT + 4);
    write32(page, 0x1111);
}

/* Nobody can protect the ports themselves; what else the list names is protected. */
static void check_step_ports(void)
{
    list_start(list_page);
    put_trapped(PORT, 1, 2);
    put_io(STEP_PORT, 1);
    put_trapped(STEP_PORT + 3, 2, 1);
    put_io(STEP_PORT + 4, 1);
    expect_list("step-ports", API_PROTECT, STM_UNPROTECTABLE_RESOURCE);
    check_eq("RETURN-STATUS", "step-ports-beside", granted(0), 1);
    check_eq("RETURN-STATUS", "step-ports-first", granted(16), 0);
    check_eq("RETURN-STATUS", "step-ports-last", granted(32), 0);
    check_eq("RETURN-STATUS", "step-ports-behind", granted(48), 1);
    caught("step-ports-beside", ACCESS_OUT, PORT);
    allowed("step-ports-first", ACCESS_OUT, STEP_PORT);
    allowed("step-ports-last", ACCESS_IN, STEP_PORT + 3);
    caught("step-ports-behind", ACCESS_OUT, STEP_PORT + 4);
    list_start(list_page);
    put_trapped(PORT, 1, 2);
    put_io(STEP_PORT + 4, 1);
    expect_list("step-ports", API_UNPROTECT, STM_SUCCESS);
}

/* In: reads are protected; Out: writes; neither, also with Api: nothing. */
static void check_trapped(void)
{
    for (uint32_t flags = 0; flags < 8; flags++) {
        list_start(list_page);
        put_trapped(PORT, 2, flags);
        expect_list("trapped", API_PROTECT, STM_SUCCESS);
        check_eq("RETURN-STATUS", "trapped", granted(0), 1);
        if (flags & 1) {
            caught("trapped-in", ACCESS_IN, PORT + 1);
        } else {
            allowed("trapped-in", ACCESS_IN, PORT + 1);
        }
        if (flags & 2) {
            caught("trapped-out", ACCESS_OUT, PORT);
        } else {
            allowed("trapped-out", ACCESS_OUT, PORT);
        }
        allowed("trapped-beside", ACCESS_IN, PORT + 2);
        list_start(list_page);
        put_trapped(PORT, 2, flags);
        expect_list("trapped", API_UNPROTECT, STM_SUCCESS);
        allowed("trapped-in-again", ACCESS_IN, PORT + 1);
        allowed("trapped-out-again", ACCESS_OUT, PORT);
    }
    list_start(list_page);
    put_trapped(OTHER_PORT, 1, 1);
    expect_list("trapped-claimed", API_PROTECT, STM_UNPROTECTABLE_RESOURCE);
    check_eq("RETURN-STATUS", "trapped-claimed", granted(0), 0);
}

#define CR3_PCD  0x10u
#define CR4_TSD  0x4u
#define CR4_PCE  0x100u

static void registers(const char *name, uint32_t number, uint32_t type, uint64_t read, uint64_t write)
{
    list_start(list_page);
    put_register(type, read, write);
    expect_list(name, number, STM_SUCCESS);
    check_eq("RETURN-STATUS", name, granted(0), 1);
}

static void check_registers(void)
{
    static const struct {
        uint32_t type, read, write;
    } denied[] = { { CR2, 1, 0 }, { CR2, 0, 1 }, { CR0, 1, 0 }, { CR4, 1, 1 }, { CR0, 0, CR0_WP | CR0_MP } };

    registers("cr0", API_PROTECT, CR0, 0, CR0_WP | CR0_TS);
    caught("cr0-wp", ACCESS_CR0, CR0_WP);
    caught("cr0-both", ACCESS_CR0, CR0_WP | CR0_MP);
    caught("cr0-ts", ACCESS_CR0, CR0_TS);
    caught("lmsw-ts", ACCESS_LMSW, CR0_TS);
    allowed("cr0-mp", ACCESS_CR0, CR0_MP);
    allowed("lmsw-mp", ACCESS_LMSW, CR0_MP);
    allowed("cr0-same", ACCESS_CR0, 0);
    allowed("clts-of-0", ACCESS_CLTS, 0);
    registers("cr0-wp", API_UNPROTECT, CR0, 0, CR0_WP);
    allowed("cr0-wp-again", ACCESS_CR0, CR0_WP);
    caught("cr0-ts-still", ACCESS_CR0, CR0_TS);
    registers("cr0-ts", API_UNPROTECT, CR0, 0, CR0_TS);
    allowed("cr0-ts-again", ACCESS_CR0, CR0_TS);

    registers("cr4", API_PROTECT, CR4, 0, CR4_PCE);
    caught("cr4-pce", ACCESS_CR4, CR4_PCE);
    allowed("cr4-tsd", ACCESS_CR4, CR4_TSD);
    allowed("cr4-same", ACCESS_CR4, 0);
    handler_does(ACCESS_CR4, 0x2000);
    check_eq("OWN", "cr4-vmxe", access_fault, FAULT_GP);
    registers("cr4", API_UNPROTECT, CR4, 0, CR4_PCE);
    allowed("cr4-pce-again", ACCESS_CR4, CR4_PCE);

    registers("cr3", API_PROTECT, CR3, 0, ~0ull);
    caught("cr3", ACCESS_CR3, CR3_PCD);
    allowed("cr3-same", ACCESS_CR3, 0);
    allowed("cr3-read", ACCESS_READ_CR3, 0);
    check_eq("CR3", "read", access_rax, HANDLER_TABLES);
    registers("cr3-read", API_PROTECT, CR3, 1, 0);
    caught("cr3-read", ACCESS_READ_CR3, 0);
    registers("cr3", API_UNPROTECT, CR3, ~0ull, ~0ull);
    allowed("cr3-again", ACCESS_CR3, CR3_PCD);
    allowed("cr3-read-again", ACCESS_READ_CR3, 0);

    registers("cr8", API_PROTECT, CR8, 0, 1);
    caught("cr8", ACCESS_CR8, 1);
    allowed("cr8-other-bit", ACCESS_CR8, 2);
    handler_does(ACCESS_CR8, 0x10);
    check_eq("CR8", "reserved-bit", access_fault, FAULT_GP);
    allowed("cr8-read", ACCESS_READ_CR8, 0);
    registers("cr8-read", API_PROTECT, CR8, 8, 0);
    caught("cr8-read", ACCESS_READ_CR8, 0);
    registers("cr8", API_UNPROTECT, CR8, 8, 1);
    allowed("cr8-again", ACCESS_CR8, 1);
    allowed("cr8-read-again", ACCESS_READ_CR8, 0);

    /* What no VM exit tells of, and what the firmware writes. */
    list_start(list_page);
    for (unsigned i = 0; i < ARRAY_SIZE(denied); i++) {
        put_register(denied[i].type, denied[i].read, denied[i].write);
    }
    expect_list("registers-denied", API_PROTECT, STM_UNPROTECTABLE_RESOURCE);
    for (unsigned i = 0; i < ARRAY_SIZE(denied); i++) {
        check_eq("RETURN-STATUS", "register-denied", granted(32 * i), 0);
    }
}

static void write_msr(const char *name, uint32_t msr, uint64_t value, bool is_allowed)
{
    access_value = value;
    if (is_allowed) {
        allowed(name, ACCESS_WRMSR, msr);
    } else {
        caught(name, ACCESS_WRMSR, msr);
    }
    access_value = 0xA5;
}

static void msr(const char *name, uint32_t number, uint32_t index, uint64_t read, uint64_t write, bool is_granted)
{
    list_start(list_page);
    put_msr(index, read, write);
    expect_list(name, number, is_granted ? STM_SUCCESS : STM_UNPROTECTABLE_RESOURCE);
    check_eq("RETURN-STATUS", name, granted(0), is_granted);
}

/* The handler needs reads of KERNEL_GS_BASE, and writes of its low byte. */
static void check_msr_bits(void)
{
    uint64_t misc = rdmsr(MISC_ENABLE);

    wrmsr(KERNEL_GS, 0x3300);
    msr("msr-claimed-bit", API_PROTECT, KERNEL_GS, 0, 0x180, false);
    msr("msr-reads-are-whole", API_PROTECT, KERNEL_GS, 1ull << 40, 0, false);
    write_msr("msr-denied", KERNEL_GS, 0x3212, true);
    msr("msr-bits", API_PROTECT, KERNEL_GS, 0, 0xFF00, true);
    write_msr("msr-same-bits", KERNEL_GS, 0x3312, true);
    write_msr("msr-other-bits", KERNEL_GS, 0x13300, true);
    write_msr("msr-protected-bit", KERNEL_GS, 0x3200, false);
    allowed("msr-read", ACCESS_RDMSR, KERNEL_GS);
    check_eq("MSR", "msr-read", handler_value, 0x3300);
    msr("msr-one-bit", API_UNPROTECT, KERNEL_GS, 0, 0x100, true);
    write_msr("msr-one-bit", KERNEL_GS, 0x3200, true);
    write_msr("msr-the-next-one", KERNEL_GS, 0x3100, false);
    msr("msr-bits", API_UNPROTECT, KERNEL_GS, ~0ull, ~0ull, true);
    write_msr("msr-again", KERNEL_GS, 0x3100, true);
    check_eq("MSR", "kernel-gs-base", rdmsr(KERNEL_GS), 0x3300);

    msr("kept", API_PROTECT, MISC_ENABLE, 0, 8, true);
    write_msr("kept-other-bit", MISC_ENABLE, misc ^ 1 << 22, true);
    write_msr("kept-protected-bit", MISC_ENABLE, misc ^ 8, false);
    msr("kept", API_UNPROTECT, MISC_ENABLE, 0, 8, true);
    check_eq("MSR", "misc-enable", rdmsr(MISC_ENABLE), misc);

    /* What VM entries switch is not written bit by bit; what the STM keeps stays closed. */
    msr("switched", API_PROTECT, MSR_FREE, 0, 1, true);
    write_msr("switched-other-bit", MSR_FREE, rdmsr(MSR_FREE) ^ 2, false);
    msr("switched", API_UNPROTECT, MSR_FREE, 0, 1, true);
    msr("own", API_PROTECT, APIC_BASE, 0, 1ull << 35, true);
    access_value = rdmsr(APIC_BASE);
    handler_does(ACCESS_WRMSR, APIC_BASE);
    access_value = 0xA5;
    check_eq("OWN", "same-apic-base", access_fault, FAULT_GP);
    msr("own", API_UNPROTECT, APIC_BASE, 0, 1ull << 35, true);
}

static volatile uint32_t instruction_faults[2];

static void try_rdtscp(void *arg)
{
    (void)arg;
    __asm__ volatile("rdtscp" : : : "rax", "rcx", "rdx");
}

static void try_invpcid(void *arg)
{
    static const uint64_t descriptor[2];

    (void)arg;
    __asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"(2ull) : "memory");
}

static void try_instructions(void)
{
    instruction_faults[0] = try_call(try_rdtscp, NULL);
    instruction_faults[1] = try_call(try_invpcid, NULL);
}

/* What CPUID shows the handler can execute. */
static void check_instructions(void)
{
    uint32_t out[4];

    cpuid(0x80000001, 0, out);
    check_eq("CPUID", "rdtscp", out[3] >> 27 & 1, 1);
    cpuid(7, 0, out);
    check_eq("CPUID", "invpcid", out[1] >> 10 & 1, 1);
    instruction_faults[0] = instruction_faults[1] = FAULT_UD;
    handler_hook = try_instructions;
    smi(HANDLER_HOOK);
    handler_action = HANDLER_NOTHING;
    check_eq("INSTRUCTION", "rdtscp", instruction_faults[0], NO_FAULT);
    check_eq("INSTRUCTION", "invpcid", instruction_faults[1], NO_FAULT);
}

void run_all(void)
{
    give_list(make_needs, BIOS_LIST);
    start();
    check_instructions();
    all("all", API_PROTECT, STM_SUCCESS);
    check_closed();
    check_string();

    /* One page of it back; then all of it, and nothing of it is the STM's own. */
    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 7);
    expect_list("one-page", API_UNPROTECT, STM_SUCCESS);
    allowed_value("one-page", guarded, 0x2222);
    caught("not-the-next", ACCESS_READ, guarded + PAGE_SIZE);
    all("all-again", API_PROTECT, STM_SUCCESS);
    caught("again", ACCESS_READ, guarded);
    all("all-back", API_UNPROTECT, STM_SUCCESS);
    allowed_value("back", guarded, 0x2222);
    allowed("back-above-4gb", ACCESS_READ, ABOVE_4GB + 0x100);
    allowed("back-in", ACCESS_IN, PORT);
    allowed("back-rdmsr", ACCESS_RDMSR, MSR_FREE);
    handler_does(ACCESS_READ, MSEG_BASE);
    check_eq("OWN", "mseg-still", access_fault, FAULT_GP);
    handler_does(ACCESS_WRMSR, 0x9B);
    check_eq("OWN", "smm-monitor-ctl", access_fault, FAULT_GP);
    handler_does(ACCESS_OUT, 0x403);
    check_eq("OWN", "record-port", access_fault, FAULT_GP);
    check_trapped();
    check_step_ports();
    check_registers();
    check_msr_bits();
    stop();

    /* A firmware that claims everything leaves nothing to protect. */
    give_list(make_claim_of_all, BIOS_LIST);
    start();
    all("all-claimed", API_PROTECT, STM_UNPROTECTABLE_RESOURCE);
    allowed_value("all-claimed", guarded, 0x2222);
    stop();
}
