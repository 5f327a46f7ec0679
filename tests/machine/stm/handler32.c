/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The real STM under a firmware that copies it and whose SMI handler begins in 32-bit mode
 * without paging (SmmEntryState 0), with a TSS descriptor of 8 bytes and no set-up and
 * tear-down code.  It stays in that mode, or goes on to 64-bit mode by itself.
 *
 * RESTRICTED: on a processor without unrestricted guests.
 */
#include "copied.h"

#define HANDLER_PDPT   (HANDLER_TABLES + 7 * PAGE_SIZE) /* of PAE paging; also in handler32.asm */
#define PSD_SELECTORS  (PSD + 0x14u)
#define MOVED(code)    (phys(code) - IMAGE_BASE + HANDLER_TEXT)
#define HANDLER_STACK  (TSEG_BASE + 0x40000u) /* of firmware.c */
#define GATE           0x8E00u
#define ENTRY_64       0x0Fu
#define ENTRY_PAE      0x04u
#define SMIS           100u
#define PATTERN        0x1122334455667788ull

/* An index into the table of the plain handler. */
enum what { NOTHING, CPUID, VMCALL, SAVED, READ_MSEG, PORT, NO_TABLES, FOREIGN_TABLES, EXECUTE, TABLES };

extern volatile struct {
    uint32_t esp, cr0, cr4, cs, efer, cr3, value, after;
} handler32_found;
extern volatile uint32_t handler32_what, handler32_faults;
extern uint8_t handler32_plain[], handler32_long[], handler32_gate[];
extern struct {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed)) handler32_idtr;

volatile uint32_t nmi_count;
static uint64_t idt[32];

void guarded_access(void)
{
}

static void selectors(uint32_t code, uint32_t data)
{
    write32(PSD_SELECTORS, code | data << 16);
    write32(PSD_SELECTORS + 4, data | data << 16);
}

static void entry_state(uint8_t state)
{
    *(volatile uint8_t *)(uintptr_t)PSD_ENTRY_STATE = state;
}

/* In SMM: 32-bit mode, with something in SmmCr3 that is no address at all. */
static void begin_in_32_bits(void)
{
    entry_state(0);
    selectors(SEL_CODE32, SEL_DATA32);
    write64(PSD_CR3, UINT64_MAX);
    write64(PSD_RIP, MOVED(handler32_plain));
}

static void begin_for_long(void)
{
    write64(PSD_RIP, MOVED(handler32_long));
}

static void begin_in_64_bits(void)
{
    extern uint8_t handler_entry[];

    entry_state(ENTRY_64);
    selectors(SEL_CODE64, SEL_DATA64);
    write64(PSD_CR3, HANDLER_TABLES);
    write64(PSD_RIP, phys(handler_entry));
}

static void back_to_32_bits(void)
{
    begin_in_32_bits();
    begin_for_long();
}

static void make_firmware(void)
{
    const uint64_t gate = MOVED(handler32_gate);

    set_smrr();
    write64(PSD_SETUP, 0);
    write64(PSD_TEARDOWN, 0);
    write32(PSD_REVISION, 0);
    write32(PSD_GDT_SIZE, read32(PSD_GDT_SIZE) - 8);
    for (uint64_t i = 0; i < 4; i++) {
        write64(HANDLER_PDPT + 8 * i, (HANDLER_TABLES + (2 + i) * PAGE_SIZE) | 1);
    }
    idt[FAULT_GP] = (gate & 0xFFFF) | SEL_CODE32 << 16 | (uint64_t)GATE << 32 | (gate >> 16) << 48;
    handler32_idtr.limit = sizeof(idt) - 1;
    handler32_idtr.base = (uint32_t)phys(idt);
    begin_in_32_bits();
}

/* An SMI in the midst of patterns; RAX comes back. */
static uint64_t patterned_smi(const char *name)
{
    register uint64_t r12 __asm__("r12") = PATTERN;
    register uint64_t r15 __asm__("r15") = ~PATTERN;
    uint64_t rax = PATTERN << 8, rbx = PATTERN * 3, rcx = PATTERN * 5, rdx = PATTERN * 7, rdi = PATTERN * 9;

    __asm__ volatile("outb %%al, $0xB2"
                     : "+a"(rax), "+b"(rbx), "+c"(rcx), "+d"(rdx), "+D"(rdi), "+r"(r12), "+r"(r15)
                     :
                     : "memory");
    check_eq("H32-REGISTERS", name,
             (rbx ^ PATTERN * 3) | (rcx ^ PATTERN * 5) | (rdx ^ PATTERN * 7) | (rdi ^ PATTERN * 9) |
                 (r12 ^ PATTERN) | (r15 ^ ~PATTERN), 0);
    return rax;
}

static void plain(enum what what, const char *name, uint32_t faults)
{
    uint32_t handled = handler_count;
    uint64_t rax;

    handler32_what = what;
    handler32_faults = 0;
    handler32_found.value = 0;
    rax = patterned_smi(name);
    check_eq("H32-SMIS", name, handler_count, handled + 1);
    check_eq("H32-RAX", name, rax, what == SAVED ? 0x123456789ABCDEF0ull : PATTERN << 8);
    check_eq("H32-FAULTS", name, handler32_faults, faults);
}

static void guest_code(void)
{
    outb(SMI_PORT, 0);
    vmcall();
}

/* An SMI of a guest of the executive monitor. */
static void guest_smi(const char *name)
{
    uint32_t handled = handler_count;

    handler_action = HANDLER_NOTHING;
    handler32_what = NOTHING;
    vmcs_new_guest(guest_code);
    check_eq("H32-GUEST", name, guest_run(LAUNCH), VMX_REASON_VMCALL);
    check_eq("H32-GUEST", name, handler_count, handled + 1);
}

static void start(const char *name)
{
    activation_vmcs();
    expect_status("H32-CALL", name, API_INITIALIZE, STM_SUCCESS);
    expect_status("H32-CALL", name, API_START, STM_SUCCESS);
}

static void stop(const char *name)
{
    expect_status("H32-CALL", name, API_STOP, STM_SUCCESS);
}

static void stays_in_32_bits(void)
{
    uint32_t out[4];

    cpuid(1, 0, out);
    start("plain");
    for (unsigned i = 0; i < SMIS; i++) {
        smi_port_write(0);
    }
    check_eq("H32-SMIS", "plain", handler_count, SMIS);
    plain(NOTHING, "nothing", 0);
    check_eq("H32-ENTRY", "esp", handler32_found.esp, HANDLER_STACK);
    check_eq("H32-ENTRY", "cr0", handler32_found.cr0, 0x10033);
    check_eq("H32-ENTRY", "cr4", handler32_found.cr4, 0);
    check_eq("H32-ENTRY", "cr3", handler32_found.cr3, 0);
    check_eq("H32-ENTRY", "cs", handler32_found.cs & 0xFFFF, SEL_CODE32);
    check_eq("H32-ENTRY", "efer", handler32_found.efer, 0);
    plain(CPUID, "cpuid", 0);
    check_eq("H32-EXIT", "cpuid", handler32_found.value & ~(1u << 27), out[2] & ~(1u << 27));
    plain(VMCALL, "vmcall", 0);
    check_eq("H32-EXIT", "no-such-call", handler32_found.value, STM_INVALID_API);
    plain(SAVED, "saved-rax", 0);
    plain(READ_MSEG, "read-mseg", 1);
    plain(PORT, "record-port", 1);
    plain(NO_TABLES, "paging-without-tables", 1);
    plain(FOREIGN_TABLES, "tables-outside-smram", 1);
    plain(EXECUTE, "code-outside-smram", 1);
    plain(TABLES, "own-tables", 0);
    check_eq("H32-PAGING", "on", handler32_found.value, 0x80010033);
    check_eq("H32-PAGING", "off", handler32_found.after, 0x10033);
    plain(NOTHING, "after-paging", 0);
    check_eq("H32-ENTRY", "cr4-after-paging", handler32_found.cr4, 0);
    guest_smi("plain");
    stop("plain");
}

static void goes_on_to_64_bits(void)
{
    uint32_t handled;

    smm_call(begin_for_long);
    start("long");
    handled = handler_count;
    for (unsigned i = 0; i < SMIS; i++) {
        smi(HANDLER_NOTHING);
    }
    check_eq("H32-SMIS", "long", handler_count, handled + SMIS);
    smi(HANDLER_CPUID);
    check_eq("H32-EXIT", "cpuid-long", handler_value != HANDLER_SILENT, 1);
    smi(HANDLER_READ_MSEG);
    check_eq("H32-EXIT", "mseg-long", handler_value, FAULT_GP);
    guest_smi("long");

    /* The firmware changes its mind: 64-bit mode from the next SMI on, and back. */
    handler_hook = begin_in_64_bits;
    smi(HANDLER_HOOK);
    smi(HANDLER_READ_MSEG);
    check_eq("H32-EXIT", "mseg-64-bit", handler_value, FAULT_GP);
    handler_hook = back_to_32_bits;
    smi(HANDLER_HOOK);
    smi(HANDLER_READ_MSEG);
    check_eq("H32-EXIT", "mseg-back", handler_value, FAULT_GP);
    stop("long");
}

/* ---- what no SMI could be entered with, and what is not served ---- */

static void with_pae(void)
{
    entry_state(ENTRY_PAE);
}

static void with_exception_handler(void)
{
    entry_state(0);
    write64(PSD_EXCEPTION, MOVED(handler32_gate));
}

static void with_rip_above_4gb(void)
{
    write64(PSD_EXCEPTION, 0);
    write64(PSD_RIP, ABOVE_4GB | MOVED(handler32_plain));
}

static void with_rip_outside(void)
{
    write64(PSD_RIP, phys(handler32_plain));
}

/* A TSS descriptor of 16 bytes, whose base is not canonical. */
static void with_tss_base(void)
{
    begin_in_64_bits();
    write32(PSD_GDT_SIZE, read32(PSD_GDT_SIZE) + 8);
    write64(read64(PSD_GDT) + read32(PSD_GDT_SIZE) - 8, 0x80000000);
}

static void refused(void)
{
    static void (*const ways[])(void) = {
        with_pae, with_exception_handler, with_rip_above_4gb, with_rip_outside, with_tss_base,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        smm_call(ways[i]);
        activation_vmcs();
        expect_status("H32-REFUSED", "psd", API_INITIALIZE, STM_UNSPECIFIED);
    }
}

void run_tests(void)
{
    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    smm_call(make_firmware);
#if defined(RESTRICTED)
    (void)stays_in_32_bits;
    (void)goes_on_to_64_bits;
    (void)refused;
    activation_vmcs();
    expect_status("H32-REFUSED", "restricted", API_INITIALIZE, STM_UNSPECIFIED);
#else
    stays_in_32_bits();
    goes_on_to_64_bits();
    refused();
#endif
}
