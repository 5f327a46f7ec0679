/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The real STM under a firmware that only copies: the file to MSEG, six pages of
 * tables at Cr3Offset, a PSD, SMRR.  No relocation, no page of data for the STM.
 */
#include "copied.h"

#ifndef SMIS
#define SMIS 200u
#endif

#define MSR_SMM_FEATURE_CONTROL 0x4E0u
#define SMM_CODE_CHK_EN         4u
#define CODE_CHECK_SMIS         3u
#define CODE_IN_SMRAM           (TSEG_BASE + 0x50000u)

#define SMBUS_DEVICE   31u
#define SMBUS_FUNCTION 3u
#define SMBUS_BASE     0x20u
#define SMBUS_PORTS    0x400u
#define SMBUS_ADDRESS  6u /* HST_D1: what is written stays */
#define PCI_BAR_IO     1u
#define PCI_COMMAND    4u
#define PCI_COMMAND_IO 1u

volatile uint32_t nmi_count;

void guarded_access(void)
{
}

/* As a firmware leaves it that needs no setup and reads no save state. */
static void make_psd_spare(void)
{
    write64(PSD_SETUP, 0);
    write64(PSD_TEARDOWN, 0);
    write32(PSD_REVISION, 0);
}

/* A firmware that declares nothing: the launcher gets an empty list, not an error. */
static void no_resources(void)
{
    uint64_t page = phys(page_alloc());
    uint32_t value = API_RESOURCES, ebx = (uint32_t)page, ecx = (uint32_t)(page >> 32), edx = 0;

    memset((void *)(uintptr_t)page, 0x77, PAGE_SIZE);
    __asm__ volatile("vmcall" : "+a"(value), "+b"(ebx), "+c"(ecx), "+d"(edx) : : "cc", "memory");
    check_eq("COPIED-LIST", "status", value, STM_SUCCESS);
    check_eq("COPIED-LIST", "no-other-page", edx, 0);
    check_eq("COPIED-LIST", "lone-end", read64(page), 16ull << 32);
}

static void session(const char *name)
{
    uint32_t handled = handler_count;

    activation_vmcs();
    expect_status("COPIED-CALL", name, API_INITIALIZE, STM_SUCCESS);
    no_resources();
    expect_status("COPIED-CALL", name, API_START, STM_SUCCESS);
    for (unsigned i = 0; i < SMIS; i++) {
        smi(HANDLER_NOTHING);
    }
    check_eq("COPIED-SMIS", name, handler_count - handled, SMIS);
    smi(HANDLER_CPUID);
    check_eq("COPIED-SMIS", "exit-of-the-handler", handler_value != HANDLER_SILENT, 1);
    smi(HANDLER_READ_MSEG);
    check_eq("COPIED-MSEG", "closed-to-the-handler", handler_value, FAULT_GP);
    expect_status("COPIED-CALL", name, API_STOP, STM_SUCCESS);
}

/*
 * WRMSR and RSM, executed in SMRAM: the handler of the default treatment is elsewhere, and
 * ends with the check.
 */
static void check_code(void)
{
    static const uint8_t code[] = {
        0xB9, 0xE0, 0x04, 0x00, 0x00, /* mov ecx, 4E0H */
        0xB8, SMM_CODE_CHK_EN, 0x00, 0x00, 0x00, /* mov eax, ... */
        0x31, 0xD2,                   /* xor edx, edx */
        0x0F, 0x30, 0x0F, 0xAA,       /* wrmsr; rsm */
    };

    memcpy((void *)(uintptr_t)CODE_IN_SMRAM, code, sizeof(code));
    ((void (*)(void))(uintptr_t)CODE_IN_SMRAM)();
}

/* With the SMM code access check: what the STM runs, and the STM, is all in the range of SMRR. */
static void session_with_code_check(void)
{
    uint32_t handled = handler_count;

    smi_hook = check_code;
    smi_port_write(0);
    smi_hook = NULL;
    check_eq("COPIED-CODE", "on", rdmsr(MSR_SMM_FEATURE_CONTROL), SMM_CODE_CHK_EN);
    activation_vmcs();
    expect_status("COPIED-CALL", "code-check", API_INITIALIZE, STM_SUCCESS);
    expect_status("COPIED-CALL", "code-check", API_START, STM_SUCCESS);
    smi(HANDLER_NOTHING);
    smi(HANDLER_CPUID);
    smi(HANDLER_READ_MSEG);
    check_eq("COPIED-SMIS", "code-check", handler_count - handled, CODE_CHECK_SMIS);
    expect_status("COPIED-CALL", "code-check", API_STOP, STM_SUCCESS);
}

/* What no SMI could be entered with: each named by the STM, and refused before START. */
static const struct {
    uint32_t place, size;
    uint64_t value;
} broken[] = {
    { PSD, 8, 0 },                          /* Signature */
    { PSD + 0x54, 4, 0x12345678 },          /* RequiredStmSmmRevId */
    { PSD + 0x10, 1, 0x0D },                /* SmmCr3: as PDPTEs these have reserved bits */
    { PSD + 0x14, 2, SEL_CODE64 | 3 },      /* SmmCs */
    { PSD + 0x16, 2, SEL_DATA64 | 3 },      /* SmmDs */
    { PSD + 0x18, 2, SEL_DATA64 | 1 },      /* SmmSs */
    { PSD + 0x1A, 2, SEL_DATA64 | 4 },      /* SmmOtherSegment */
    { PSD + 0x50, 4, 4 },                   /* SmmGdtSize */
    { PSD + 0x48, 8, 0x100000 },            /* SmmGdtPtr */
    { PSD + 0x1C, 2, 0xFFF8 },              /* SmmTr */
    { PSD + 0x20, 8, 0x100000 },            /* SmmCr3 */
    { PSD + 0x38, 8, 1ull << 63 },          /* SmmSmiHandlerRip: not canonical, */
    { PSD + 0x38, 8, 0x40000000 },          /* not in SMRAM, */
    { PSD + 0x38, 8, 0 },                   /* not there */
    { PSD + 0x28, 8, 0x40000000 },          /* SmmStmSetupRip */
    { PSD + 0x30, 8, 1ull << 62 },          /* SmmStmTeardownRip */
};
static volatile unsigned which;
static uint8_t kept[8];

static void break_psd(void)
{
    memcpy(kept, (void *)(uintptr_t)broken[which].place, broken[which].size);
    memcpy((void *)(uintptr_t)broken[which].place, &broken[which].value, broken[which].size);
}

static void mend_psd(void)
{
    memcpy((void *)(uintptr_t)broken[which].place, kept, broken[which].size);
}

static void refused_psds(void)
{
    for (which = 0; which < ARRAY_SIZE(broken); which++) {
        smm_call(break_psd);
        activation_vmcs();
        expect_status("COPIED-CALL", "broken-PSD", API_INITIALIZE, STM_UNSPECIFIED);
        smm_call(mend_psd);
    }
}

/* A TSS descriptor of 8 bytes at the end of the GDT, and in front of another one. */
static void short_tss(void)
{
    write32(PSD_GDT_SIZE, read32(PSD_GDT_SIZE) - 8);
}

static void followed_tss(void)
{
    uint64_t next = read64(PSD_GDT) + (read32(PSD + 0x1C) & 0xFFF8) + 8;

    write32(PSD_GDT_SIZE, read32(PSD_GDT_SIZE) + 8);
    write64(next, 0x00CF93000000FFFF);
}

/*
 * The SMBus controller's ports, as some firmware places them: 400H to 41FH, where the
 * STM's records go.
 */
static void move_smbus(void)
{
    pci_write32(SMBUS_DEVICE, SMBUS_FUNCTION, SMBUS_BASE, SMBUS_PORTS | PCI_BAR_IO);
    pci_write32(SMBUS_DEVICE, SMBUS_FUNCTION, PCI_COMMAND, PCI_COMMAND_IO);
    check_eq("COPIED-SMBUS", "bar", pci_read32(SMBUS_DEVICE, SMBUS_FUNCTION, SMBUS_BASE), SMBUS_PORTS | PCI_BAR_IO);
    outb(SMBUS_PORTS + SMBUS_ADDRESS, 0x5A);
    check_eq("COPIED-SMBUS", "its-port", inb(SMBUS_PORTS + SMBUS_ADDRESS), 0x5A);
    check_eq("COPIED-SMBUS", "port-of-records", inb(SMBUS_PORTS + 3), 0xE9);
}

void run_tests(void)
{
    firmware_start();
    move_smbus();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    check_eq("SMRR", "announced", rdmsr(MSR_MTRRCAP) & MTRRCAP_SMRR, MTRRCAP_SMRR);
    check_eq("SMRR", "written-outside-smm", try_wrmsr(MSR_SMRR_PHYSMASK, 0), FAULT_GP);

    activation_vmcs();
    expect_status("COPIED-CALL", "without-SMRR", API_INITIALIZE, STM_UNSPECIFIED);

    smm_call(set_smrr);
    check_eq("SMRR", "base", rdmsr(MSR_SMRR_PHYSBASE), TSEG_BASE | SMRR_WRITE_BACK);
    check_eq("SMRR", "mask", rdmsr(MSR_SMRR_PHYSMASK), SMRR_MASK | SMRR_VALID);
    session("as-ours");
    smm_call(make_psd_spare);
    session("with-a-spare-PSD");
    refused_psds();
    smm_call(short_tss);
    session("with-a-short-TSS");
    smm_call(followed_tss);
    session("with-a-descriptor-behind-it");
    session_with_code_check();
}
