/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Default treatment of SMIs in VMX root and non-root operation. */
#include "vmx.h"

#define SAVED_CR4 0x7F48u /* AMD64 save-state map, from SMBASE + 8000H */
#define SAVED_CR0 0x7F58u
#define SAVED_CS  0x7E10u
#define SAVED_SS  0x7E20u

static volatile uint64_t image_cr4;
static volatile uint32_t handler_vmptrst, handler_vmxe, handler_vmxon;
static volatile uint64_t handler_cr4;

static void do_vmptrst(void *unused)
{
    (void)unused;
    (void)vmptrst();
}

static void do_vmxon(void *unused)
{
    (void)unused;
    (void)vmxon(vmxon_region);
}

static void set_vmxe(void *unused)
{
    (void)unused;
    write_cr4(read_cr4() | CR4_VMXE);
}

static void probe(void)
{
    uint32_t regs[4];

    image_cr4 = read32(DEFAULT_SMBASE + 0x8000u + SAVED_CR4);
    handler_cr4 = read_cr4();
    handler_vmptrst = try_call(do_vmptrst, NULL);
    handler_vmxe = try_call(set_vmxe, NULL);
    handler_vmxon = try_call(do_vmxon, NULL);
    /* DM-DEF-12: none of these exits whatever the guest's controls say. */
    cpuid(0, 0, regs);
    outb(0x80, 0);
    (void)rdmsr(MSR_EFER);
    write_cr3(read_cr3());
}

static void check_handler(const char *name)
{
    /* DM-DEF-06: VMXE is 0 in the save map and in the handler. */
    check_eq("DM-DEF-06", name, image_cr4 & CR4_VMXE, 0);
    check_eq("DM-DEF-06", name, handler_cr4 & CR4_VMXE, 0);
    check_eq("DM-DEF-07", name, smi_state(DEFAULT_SMBASE)->cr4, 0);
    /* DM-DEF-03, DM-DEF-34: outside VMX operation in the handler. */
    check_eq("DM-DEF-03", name, handler_vmptrst, FAULT_UD);
    check_eq("DM-DEF-34", name, handler_vmxon, FAULT_UD);
    /* DM-DEF-33: CR4.VMXE is reserved in SMM. */
    check_eq("DM-DEF-33", name, handler_vmxe, FAULT_GP);
}

static void test_outside(void)
{
    /* DM-DEF-18: VMXE set outside VMX operation survives an SMI. */
    vmx_prepare();
    smm_call(probe);
    check_eq("DM-DEF-06", "outside-image", image_cr4 & CR4_VMXE, 0);
    check_eq("DM-DEF-33", "outside", handler_vmxe, FAULT_GP);
    check_eq("DM-DEF-18", "outside-vmxe", read_cr4() & CR4_VMXE, CR4_VMXE);
    check_eq("DM-DEF-02", "still-outside", try_call(do_vmptrst, NULL), FAULT_UD);
    write_cr4(read_cr4() & ~(uint64_t)CR4_VMXE);
    smm_call(probe);
    check_eq("DM-DEF-18", "outside-no-vmxe", read_cr4() & CR4_VMXE, 0);
}

static void test_root(void)
{
    uint64_t region, cr0, cr4;

    vmx_start();
    /* DM-INT-01: VMXON starts with the default treatment. */
    smm_call(probe);
    check_handler("root-no-vmcs");
    check_eq("DM-DEF-19", "no-current", vmptrst(), NO_VMCS);
    region = vmcs_new();
    wr(VMCS_GUEST_RIP, 0x4242);
    cr0 = read_cr0();
    cr4 = read_cr4();
    smm_call(probe);
    check_handler("root");
    /* DM-DEF-19: root operation with the same current VMCS. */
    check_eq("DM-DEF-19", "current", vmptrst(), region);
    check_eq("DM-DEF-19", "field", rd(VMCS_GUEST_RIP), 0x4242);
    check_eq("DM-DEF-18", "cr4", read_cr4(), cr4);
    check_eq("DM-DEF-19", "cr0", read_cr0(), cr0);
    check_eq("DM-DEF-01", "no-exit-recorded", rd(VMCS_EXIT_REASON), 0);
    vmclear(region);
}

static void clear_ne(void)
{
    uint64_t at = DEFAULT_SMBASE + 0x8000u + SAVED_CR0;

    write32(at, read32(at) & ~CR0_NE);
}

static void test_fixed(void)
{
    smm_call(clear_ne);
    /* DM-DEF-20: RSM into VMX operation forces fixed bits. */
    check_eq("DM-DEF-20", "cr0-ne", read_cr0() & CR0_NE, CR0_NE);
}

static void raise_rpl(void)
{
    uint64_t map = DEFAULT_SMBASE + 0x8000u;

    *(volatile uint16_t *)(map + SAVED_CS) |= 3;
    *(volatile uint16_t *)(map + SAVED_SS) |= 3;
}

static void test_rpl(void)
{
    uint16_t cs, ss;

    smm_call(raise_rpl);
    __asm__ volatile("mov %%cs, %0\n\tmov %%ss, %1" : "=r"(cs), "=r"(ss));
    /* DM-DEF-22: in VMX operation the RPLs are SS.DPL, whatever the map says. */
    check_eq("DM-DEF-22", "cs-rpl", cs, SEL_CODE64);
    check_eq("DM-DEF-22", "ss-rpl", ss, SEL_DATA64);
}

static void smi_from_ring3(void *unused)
{
    uint32_t before = smi_count;

    (void)unused;
    self_ipi(IPI_SMI, 0);
    while (smi_count == before) {
    }
}

static void test_ring3(void)
{
    /* DM-DEF-04: CPL survives. */
    check_eq("DM-DEF-04", "root-cpl3", user_call(smi_from_ring3, NULL),
             USER_RETURN);
}

static volatile uint32_t guest_vmxe;

static void guest_code(void)
{
    smi_port_write(0);
    guest_vmxe = (read_cr4() & CR4_VMXE) != 0;
    __asm__ volatile("cpuid" : : "a"(0x55) : "rbx", "rcx", "rdx", "memory");
    self_ipi(IPI_SMI, 0);
    for (volatile int i = 0; i < 100; i++) {
    }
    __asm__ volatile("vmcall" : : "a"(0x66) : "memory");
    __asm__ volatile("vmcall" : : "a"(0x77) : "memory");
}

static void test_guest(void)
{
    uint64_t region = vmcs_new_guest(guest_code);
    uint32_t before = smi_count;

    /* Controls that would exit in the guest: bitmaps of ones for MSRs. */
    uint64_t bitmaps = phys(page_alloc());
    memset((void *)bitmaps, 0xFF, PAGE_SIZE);
    wr(VMCS_MSR_BITMAP, bitmaps);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC,
                        VMX_CPU_MSR_BITMAPS | VMX_CPU_CR3_LOAD | VMX_CPU_CR3_STORE));
    wr(VMCS_CR4_GUEST_HOST_MASK, CR4_VMXE);
    wr(VMCS_CR4_READ_SHADOW, 0);
    smi_hook = probe;
    guest_run(LAUNCH);
    /* DM-DEF-01, DM-DEF-12: the handler ran, the first exit is the CPUID. */
    check_eq("DM-DEF-01", "guest-smi", smi_count, before + 1);
    check_handler("guest");
    check_eq("DM-DEF-12", "first-exit-is-the-guest's", last_exit.reason, VMX_REASON_CPUID);
    check_eq("DM-DEF-19", "guest-rax", guest.rax, 0x55);
    check_eq("DM-DEF-19", "guest-current", vmptrst(), region);
    /* Masks and shadows of the same VMCS are in force again. */
    check_eq("DM-DEF-19", "guest-shadow", guest_vmxe, 0);
    check_eq("DM-DEF-18", "guest-real-vmxe", rd(VMCS_GUEST_CR4) & CR4_VMXE,
             CR4_VMXE);
    guest_skip();
    guest_run(RESUME);
    check_eq("DM-DEF-01", "guest-ipi", smi_count, before + 2);
    check_eq("DM-DEF-19", "guest-vmcall", guest.rax, 0x66);

    /* SMI in root between exits of a launched guest. */
    smi_port_write(0);
    check_handler("root-launched");
    check_eq("DM-DEF-19", "launched-current", vmptrst(), region);
    guest_skip();
    guest_run(RESUME);
    check_eq("DM-DEF-19", "guest-again", guest.rax, 0x77);
    smi_hook = NULL;
    vmclear(region);
}

static volatile uint32_t passes;

static void send_two(void)
{
    if (++passes == 1) {
        self_ipi(IPI_SMI, 0);
        smi_port_raise(0);
    }
}

static void test_latch(void)
{
    /* DM-DEF-24: one SMI is latched and taken right after RSM. */
    passes = 0;
    smi_hook = send_two;
    smi_port_write(0);
    smi_hook = NULL;
    check_eq("DM-DEF-24", "passes", passes, 2);
}

void run_tests(void)
{
    test_outside();
    test_root();
    test_fixed();
    test_rpl();
    test_ring3();
    test_guest();
    test_latch();
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
    smi_port_write(0);
    check_eq("DM-DEF-02", "outside-again", try_call(do_vmptrst, NULL), FAULT_UD);
}
