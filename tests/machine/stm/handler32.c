/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The real STM under a firmware that copies it and whose SMI handler begins in 32-bit mode,
 * without paging (SmmEntryState 0) or with PAE paging, with a TSS descriptor of 8 bytes and no
 * set-up and tear-down code.  It stays in that mode, or goes on to 64-bit mode by itself.
 * It handles protection exceptions, in the mode in which they come.
 *
 * RESTRICTED: on a processor without unrestricted guests.
 */
#include "copied.h"

#define HANDLER_PDPT   (HANDLER_TABLES + 7 * PAGE_SIZE) /* of PAE paging; also in handler32.asm */
#define PSD_SELECTORS  (PSD + 0x14u)
#define GDT_SIZE       0x60u /* with a TSS descriptor of 8 bytes at its end */
#define MOVED(code)    (phys(code) - IMAGE_BASE + HANDLER_TEXT)
#define HANDLER_STACK  (TSEG_BASE + 0x40000u) /* of firmware.c */
#define GATE           0x8E00u
#define ENTRY_64       0x0Fu
#define ENTRY_PAE      0x0Cu /* Cr4Pae, Cr4Pse */
#define SMIS           100u
#define PATTERN        0x1122334455667788ull
#define SPE_STACK      (TSEG_BASE + 0x46000u)
#define PAGE_VIOLATION 1u
#define LOWER          64u /* by which the exception handler moves ESP */

/* STM_PROTECTION_EXCEPTION_STACK_FRAME_IA32: EDI, ESI, EBP, EDX, ECX, EBX, EAX first. */
enum { FRAME_REGISTERS = 7, FRAME_CR3 = 7, FRAME_CR0 = 9, FRAME_LENGTH = 11, FRAME_QUAL = 12, FRAME_CODE = 14,
       FRAME_EIP = 15, FRAME_CS = 16, FRAME_ESP = 18, FRAME_SS = 19, FRAME_WORDS = 20 };

/* An index into the table of the plain handler. */
enum what { NOTHING, CPUID, VMCALL, SAVED, READ_MSEG, PORT, NO_TABLES, FOREIGN_TABLES, EXECUTE, TABLES,
            LAST_GB, READ_LAST, PAGING_OFF, VIOLATE };

extern volatile struct {
    uint32_t esp, cr0, cr4, cs, efer, cr3, value, after;
} handler32_found;
extern volatile uint32_t handler32_what, handler32_faults;
extern volatile uint32_t handler32_guarded, handler32_exceptions, handler32_refused[2], handler32_detours;
extern volatile uint32_t handler32_before[8], handler32_after[8], handler32_frame[FRAME_WORDS];
extern uint8_t handler32_plain[], handler32_long[], handler32_gate[];
extern uint8_t handler32_violation[], handler32_exception[], handler32_exception64[];
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
    write32(PSD_GDT_SIZE, GDT_SIZE);
    write64(PSD_RIP, MOVED(handler32_plain));
}

/* In SMM: 32-bit mode with PAE paging. */
static void begin_in_pae(void)
{
    begin_in_32_bits();
    entry_state(ENTRY_PAE);
    write64(PSD_CR3, HANDLER_PDPT);
    write32(PSD_GDT_SIZE, GDT_SIZE + 8); /* so that the STM could remember the PSD */
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
    for (uint64_t i = 0; i < 4; i++) {
        write64(HANDLER_PDPT + 8 * i, (HANDLER_TABLES + (2 + i) * PAGE_SIZE) | 1);
    }
    idt[FAULT_GP] = (gate & 0xFFFF) | SEL_CODE32 << 16 | (uint64_t)GATE << 32 | (gate >> 16) << 48;
    handler32_idtr.limit = sizeof(idt) - 1;
    handler32_idtr.base = (uint32_t)phys(idt);
    begin_in_32_bits();
}

/* ... with a handler of page violations. */
static void handle_exceptions(uint64_t rip)
{
    write64(PSD_EXCEPTION, rip);
    write64(PSD_EXCEPTION + 8, SPE_STACK);
    write32(PSD_EXCEPTION + 16, SEL_DATA32 | PAGE_VIOLATION << 16);
}

static void handle_in_32_bits(void)
{
    handle_exceptions(MOVED(handler32_exception));
}

static void handle_in_64_bits(void)
{
    handle_exceptions(phys(handler32_exception64));
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

/* The launcher protects a page of its own. */
static void start(const char *name)
{
    uint64_t *list = page_alloc();

    handler32_guarded = (uint32_t)phys(page_alloc());
    memcpy(list, (uint64_t[]) { 1 | 32ull << 32, handler32_guarded, PAGE_SIZE, 7, 16ull << 32, 0 }, 48);
    activation_vmcs();
    expect_status("H32-CALL", name, API_INITIALIZE, STM_SUCCESS);
    check_eq("H32-CALL", name, call_stm_at(API_PROTECT, phys(list)), STM_SUCCESS);
    expect_status("H32-CALL", name, API_START, STM_SUCCESS);
}

/* The handler touches that page: what its exception handler finds, and what it goes on with. */
static void violates(const char *name)
{
    uint32_t exceptions = handler32_exceptions;

    for (unsigned i = 1; i < FRAME_REGISTERS; i++) {
        handler32_before[i] = 0x11223344u * (i + 1);
    }
    handler32_before[0] = handler32_guarded;
    plain(VIOLATE, name, 0);
    check_eq("H32-EXCEPTION", name, handler32_exceptions, exceptions + 1);
    check_eq("H32-EXCEPTION", "page-tables-outside", handler32_refused[0], STM_INVALID_PARAMETER);
    for (unsigned i = 0; i < FRAME_REGISTERS; i++) {
        check_eq("H32-FRAME", "in-the-frame", handler32_frame[i], handler32_before[i]);
        check_eq("H32-FRAME", "from-the-frame", handler32_after[i], ~handler32_before[i]);
    }
    check_eq("H32-FRAME", "cr0", handler32_frame[FRAME_CR0], handler32_found.cr0);
    check_eq("H32-FRAME", "cr3", handler32_frame[FRAME_CR3], handler32_found.cr3);
    check_eq("H32-FRAME", "length", handler32_frame[FRAME_LENGTH], 2);
    check_eq("H32-FRAME", "qualification", handler32_frame[FRAME_QUAL] & 7, 1);
    check_eq("H32-FRAME", "error-code", handler32_frame[FRAME_CODE], PAGE_VIOLATION);
    check_eq("H32-FRAME", "eip", handler32_frame[FRAME_EIP], MOVED(handler32_violation));
    check_eq("H32-FRAME", "cs", handler32_frame[FRAME_CS], SEL_CODE32);
    check_eq("H32-FRAME", "esp", handler32_frame[FRAME_ESP], HANDLER_STACK);
    check_eq("H32-FRAME", "esp-after", handler32_after[FRAME_REGISTERS], HANDLER_STACK - LOWER);
    check_eq("H32-FRAME", "ss", handler32_frame[FRAME_SS], SEL_DATA32);
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
    violates("exception");
    handler32_detours = 1;
    violates("exception-and-another-mode");
    check_eq("H32-EXCEPTION", "return-in-another-mode", handler32_refused[1], STM_INVALID_PARAMETER);
    plain(NOTHING, "after-exceptions", 0);
    guest_smi("plain");
    stop("plain");
}

static void check_pae_entry(void)
{
    check_eq("H32-PAE", "cr0", handler32_found.cr0, 0x80010033);
    check_eq("H32-PAE", "cr3", handler32_found.cr3, HANDLER_PDPT);
    check_eq("H32-PAE", "cr4", handler32_found.cr4, 0x30);
    check_eq("H32-PAE", "cs", handler32_found.cs & 0xFFFF, SEL_CODE32);
    check_eq("H32-PAE", "efer", handler32_found.efer, 0);
}

static void begins_with_pae_paging(void)
{
    smm_call(begin_in_pae);
    start("pae");
    for (unsigned i = 0; i < SMIS; i++) {
        smi_port_write(0);
    }
    plain(NOTHING, "pae", 0);
    check_pae_entry();
    plain(SAVED, "pae-saved-rax", 0);
    plain(READ_MSEG, "pae-read-mseg", 1);
    plain(PORT, "pae-record-port", 1);
    plain(FOREIGN_TABLES, "pae-tables-outside-smram", 1);
    plain(EXECUTE, "pae-code-outside-smram", 1);
#ifndef RESTRICTED
    plain(PAGING_OFF, "pae-paging", 0);
    check_eq("H32-PAE", "paging-off", handler32_found.value, 0x10033);
    check_eq("H32-PAE", "paging-on-again", handler32_found.after, 0x80010033);
    plain(NOTHING, "pae-after-paging", 0);
    check_pae_entry();
#endif
    /* The next SMI begins with the PDPTEs that are in memory then. */
    plain(LAST_GB, "pae-pdpte", 0);
    plain(READ_LAST, "pae-pdpte", 0);
    check_eq("H32-PAE", "last-pdpte", handler32_found.value, handler32_guarded);
    violates("pae-exception");
    plain(NOTHING, "pae-after-exception", 0);
    check_pae_entry();
    guest_smi("pae");
    stop("pae");
}

/* In 64-bit mode; an instruction of two bytes. */
static void touch(void)
{
    uint32_t value;

    __asm__ volatile("mov (%%rdi), %%eax" : "=a"(value) : "D"((uint64_t)handler32_guarded) : "memory");
}

static void goes_on_to_64_bits(void)
{
    uint32_t handled;

    smm_call(back_to_32_bits);
    smm_call(handle_in_64_bits);
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
    handler32_exceptions = 0;
    handler_hook = touch;
    smi(HANDLER_HOOK);
    check_eq("H32-EXCEPTION", "long", handler32_exceptions, 1);

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

/* A reserved bit of a PDPTE; where PDPTEs are has 32 bits. */
static void with_pdpte(void)
{
    begin_in_pae();
    write64(HANDLER_PDPT + 8, read64(HANDLER_PDPT + 8) | 2);
}

static void with_cr3_above_4gb(void)
{
    write64(HANDLER_PDPT + 8, read64(HANDLER_PDPT + 8) & ~2ull);
    write64(PSD_CR3, ABOVE_4GB | HANDLER_PDPT);
}

static void with_cr3_outside(void)
{
    write64(PSD_CR3, phys(page_tables));
}

static void with_pae_rip_above_4gb(void)
{
    begin_in_pae();
    write64(PSD_RIP, ABOVE_4GB | MOVED(handler32_plain));
}

static void with_rip_above_4gb(void)
{
    begin_in_32_bits();
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
        with_pdpte, with_cr3_above_4gb, with_cr3_outside, with_pae_rip_above_4gb, with_rip_above_4gb,
        with_rip_outside, with_tss_base,
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
    smm_call(handle_in_32_bits);
    begins_with_pae_paging();
#else
    smm_call(handle_in_32_bits);
    stays_in_32_bits();
    begins_with_pae_paging();
    goes_on_to_64_bits();
    refused();
#endif
}
