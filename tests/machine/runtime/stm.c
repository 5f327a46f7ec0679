/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The stub STM and its activation, see stm.h. */
#include "stm.h"

#define MSEG_REVISION   0u
#define GDT_LIMIT       0x57u
#define PAGE_FLAGS      0x67u /* P, RW, US, A, D */
#define LARGE_FLAGS     0xE7u

extern uint8_t stm_entry[], stm_entry_end[];
extern volatile uint64_t recover_rsp;

volatile struct stm_exit stm_log;
volatile uint32_t stm_starts, stm_exits;
struct vm_registers stm_guest;
void (*volatile stm_hook)(void);
void (*volatile stm_always)(void);
void (*stm_program)(void) = stm_default;
bool stm_launch;

static const struct mseg_header *next_header;
static uint64_t next_monitor_ctl;

struct mseg_header mseg_default_header(void)
{
    return (struct mseg_header){
        .revision = MSEG_REVISION,
        .features = 1,
        .gdtr_limit = GDT_LIMIT,
        .gdtr_offset = MSEG_GDT,
        .cs = SEL_CODE64,
        .eip = MSEG_ENTRY,
        .esp = MSEG_STACK_TOP,
        .cr3 = MSEG_TABLES,
    };
}

void mseg_build(const struct mseg_header *header)
{
    uint64_t tables = MSEG_BASE + MSEG_TABLES;

    memset((void *)(uintptr_t)MSEG_BASE, 0, MSEG_SIGNATURE);
    memcpy((void *)(uintptr_t)MSEG_BASE, header, sizeof(*header));
    memcpy((void *)(uintptr_t)(MSEG_BASE + MSEG_GDT), gdt, GDT_LIMIT + 1);
    memcpy((void *)(uintptr_t)(MSEG_BASE + MSEG_ENTRY), stm_entry,
           (size_t)(stm_entry_end - stm_entry));
    write32(MSEG_BASE + MSEG_SIGNATURE, MSEG_SIGNATURE_VALUE);
    write64(tables, (tables + PAGE_SIZE) | PAGE_FLAGS);
    for (unsigned i = 0; i < 4; i++) {
        write64(tables + PAGE_SIZE + 8 * i,
                (tables + (2 + i) * PAGE_SIZE) | PAGE_FLAGS);
    }
    for (uint64_t i = 0; i < 2048; i++) {
        write64(tables + 2 * PAGE_SIZE + 8 * i, i << 21 | LARGE_FLAGS);
    }
    write64(tables + 2 * PAGE_SIZE + 8 * (STM_ALIAS >> 21),
            MSEG_BASE | LARGE_FLAGS);
}

static void set_header(void)
{
    memcpy((void *)(uintptr_t)MSEG_BASE, next_header, sizeof(*next_header));
}

void mseg_set_header(const struct mseg_header *header)
{
    next_header = header;
    smm_call(set_header);
}

static void set_monitor_ctl(void)
{
    wrmsr(MSR_SMM_MONITOR_CTL, next_monitor_ctl);
}

void smm_monitor_ctl(uint64_t value)
{
    next_monitor_ctl = value;
    smm_call(set_monitor_ctl);
}

void stm_prepare(void)
{
    struct mseg_header header = mseg_default_header();

    mseg_build(&header);
    tseg_close();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
}

uint64_t activation_vmcs(void)
{
    uint64_t region = vmcs_new();

    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE));
    return region;
}

void stm_activate(void)
{
    uint64_t flags;

    stm_prepare();
    activation_vmcs();
    flags = vmcall();
    if (flags || !stm_starts) {
        panic("activation flags=%q starts=%d error=%q", flags, stm_starts,
              rd(VMCS_INSTRUCTION_ERROR));
    }
}

void stm_record(void)
{
    stm_log.reason = (uint32_t)rd(VMCS_EXIT_REASON);
    stm_log.length = (uint32_t)rd(VMCS_EXIT_INSTRUCTION_LENGTH);
    stm_log.intr = (uint32_t)rd(VMCS_EXIT_INTERRUPTION_INFO);
    stm_log.vectoring = (uint32_t)rd(VMCS_IDT_VECTORING_INFO);
    stm_log.interruptibility = (uint32_t)rd(VMCS_GUEST_INTERRUPTIBILITY_STATE);
    stm_log.activity = (uint32_t)rd(VMCS_GUEST_ACTIVITY_STATE);
    stm_log.smbase = (uint32_t)rd(VMCS_GUEST_SMBASE);
    stm_log.entry = (uint32_t)rd(VMCS_ENTRY_CONTROLS);
    stm_log.entry_intr = (uint32_t)rd(VMCS_ENTRY_INTERRUPTION_INFO);
    stm_log.instruction_error = (uint32_t)rd(VMCS_INSTRUCTION_ERROR);
    stm_log.qualification = rd(VMCS_EXIT_QUALIFICATION);
    stm_log.executive = rd(VMCS_EXECUTIVE_VMCS_POINTER);
    stm_log.link = rd(VMCS_LINK_POINTER);
    stm_log.current = vmptrst();
    stm_log.rip = rd(VMCS_GUEST_RIP);
    stm_log.rsp = rd(VMCS_GUEST_RSP);
    stm_log.rflags = rd(VMCS_GUEST_RFLAGS);
    stm_log.cr0 = rd(VMCS_GUEST_CR0);
    stm_log.cr3 = rd(VMCS_GUEST_CR3);
    stm_log.cr4 = rd(VMCS_GUEST_CR4);
    stm_log.io_rcx = rd(VMCS_IO_RCX);
    stm_log.io_rsi = rd(VMCS_IO_RSI);
    stm_log.io_rdi = rd(VMCS_IO_RDI);
    stm_log.io_rip = rd(VMCS_IO_RIP);
    stm_log.linear = rd(VMCS_GUEST_LINEAR_ADDRESS);
    stm_log.pending_debug = rd(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);
    stm_log.efer = rd(VMCS_GUEST_IA32_EFER);
}

void stm_transfer_state(void)
{
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_DEBUG |
                                               VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER));
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY,
                         ((uint32_t)rd(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_GUEST) |
                             VMX_ENTRY_LOAD_DEBUG | VMX_ENTRY_LOAD_EFER));
    wr(VMCS_EXIT_MSR_STORE_COUNT, 0);
    wr(VMCS_EXIT_MSR_LOAD_COUNT, 0);
    wr(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    vmcs_host_state();
}

void stm_c_entry(void);

void stm_c_entry(void)
{
    idt_load();
    recover_rsp = 0;
    stm_guest = at_entry_registers;
    stm_starts++;
    stm_exits++;
    stm_record();
    stm_program();
}

/* Moves the activating VMCS into MSEG (DM-ACT-27) and serves SMM VM exits. */
void stm_default(void)
{
    uint64_t activating = vmptrst();
    uint64_t transfer = MSEG_BASE + MSEG_TRANSFER;
    uint64_t efer;

    vmclear(activating);
    memcpy((void *)transfer, (void *)activating, PAGE_SIZE);
    if (vmptrld(transfer)) {
        panic("the STM cannot load its VMCS");
    }
    stm_transfer_state();
    wr(VMCS_GUEST_DR7, 0x400);
    wr(VMCS_GUEST_IA32_DEBUGCTL, 0);
    /* Activation changed LME and LMA only; they go together. */
    efer = rdmsr(MSR_EFER) & ~(uint64_t)(EFER_LME | EFER_LMA);
    if (rd(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_IA32E_GUEST) {
        efer |= EFER_LME | EFER_LMA;
    }
    wr(VMCS_GUEST_IA32_EFER, efer);
    stm_launch = true;
    for (;;) {
        uint64_t interrupted_recovery = recover_rsp;
        void (*hook)(void) = stm_hook;
        uint64_t result;

        recover_rsp = 0;
        stm_hook = NULL;
        if (stm_always) {
            stm_always();
        }
        if (hook) {
            hook();
        }
        recover_rsp = interrupted_recovery;
        if ((stm_log.reason & 0xFFFF) == VMX_REASON_VMCALL &&
            rd(VMCS_GUEST_RIP) == stm_log.rip) {
            /* As an STM reports success: the exit itself changes no flag. */
            wr(VMCS_GUEST_RIP, stm_log.rip + stm_log.length);
            wr(VMCS_GUEST_RFLAGS, stm_log.rflags & ~(uint64_t)RFLAGS_ARITHMETIC);
        }
        result = vm_enter(&stm_guest, stm_launch);
        if (result != VMX_EXITED) {
            panic("return from SMM: flags=%q error=%q", result,
                  rd(VMCS_INSTRUCTION_ERROR));
        }
        stm_record();
        if (stm_log.reason >> 31) {
            panic("return from SMM: reason=%x qualification=%q", stm_log.reason,
                  stm_log.qualification);
        }
        stm_launch = false;
        stm_exits++;
        smis_served++;
    }
}

void stm_call(void (*fn)(void))
{
    uint32_t before = stm_exits;
    uint64_t flags;

    stm_hook = fn;
    flags = vmcall();
    if (flags || stm_exits != before + 1) {
        panic("stm_call flags=%q exits=%d", flags, stm_exits - before);
    }
}
