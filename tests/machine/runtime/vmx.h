/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* VMX instructions, VMCS set-up and running a guest. */
#ifndef MACHINE_TEST_VMX_H
#define MACHINE_TEST_VMX_H

#include "runtime.h"
#include "vmcs.h"

#define NO_VMCS UINT64_MAX

/*
 * Every instruction wrapper returns RFLAGS after it.  The arithmetic flags are
 * the result: none = VMsucceed, CF = VMfailInvalid, ZF = VMfailValid.
 */
#define VMX_SUCCEED      0u
#define VMX_FAIL_INVALID RFLAGS_CF
#define VMX_FAIL_VALID   RFLAGS_ZF
/* vm_enter() only: the entry ended in a VM exit (or VM-entry failure). */
#define VMX_EXITED       (1u << 31)

#define DEFINE_VMX_MEMORY(name, mnemonic)                                      \
    static inline uint64_t name(uint64_t address)                             \
    {                                                                          \
        uint64_t flags;                                                        \
        __asm__ volatile(mnemonic " %1\n\tpushfq\n\tpopq %0"                   \
                         : "=r"(flags)                                         \
                         : "m"(address)                                        \
                         : "cc", "memory");                                    \
        return flags & RFLAGS_ARITHMETIC;                                      \
    }

DEFINE_VMX_MEMORY(vmxon, "vmxon")
DEFINE_VMX_MEMORY(vmclear, "vmclear")
DEFINE_VMX_MEMORY(vmptrld, "vmptrld")

#define DEFINE_VMX_PLAIN(name, mnemonic)                                       \
    static inline uint64_t name(void)                                          \
    {                                                                          \
        uint64_t flags;                                                        \
        __asm__ volatile(mnemonic "\n\tpushfq\n\tpopq %0"                      \
                         : "=r"(flags)                                         \
                         :                                                     \
                         : "cc", "memory");                                    \
        return flags & RFLAGS_ARITHMETIC;                                      \
    }

DEFINE_VMX_PLAIN(vmxoff, "vmxoff")

/* After a change of EPT paging structures: forget what was made of them. */
static inline void invept_all(void)
{
    const uint64_t descriptor[2] = {0, 0};

    __asm__ volatile("invept %0, %1" : : "m"(descriptor), "r"(2ull) : "cc", "memory");
}
DEFINE_VMX_PLAIN(vmcall, "vmcall")
DEFINE_VMX_PLAIN(vmlaunch_plain, "vmlaunch")
DEFINE_VMX_PLAIN(vmresume_plain, "vmresume")

static inline uint64_t vmptrst(void)
{
    uint64_t address = 0x1234;
    __asm__ volatile("vmptrst %0" : "+m"(address) : : "cc", "memory");
    return address;
}

static inline uint64_t vmread_flags(uint64_t field, uint64_t *value)
{
    uint64_t flags;
    __asm__ volatile("vmread %2, %1\n\tpushfq\n\tpopq %0"
                     : "=r"(flags), "+r"(*value)
                     : "r"(field)
                     : "cc", "memory");
    return flags & RFLAGS_ARITHMETIC;
}

static inline uint64_t vmwrite_flags(uint64_t field, uint64_t value)
{
    uint64_t flags;
    __asm__ volatile("vmwrite %2, %1\n\tpushfq\n\tpopq %0"
                     : "=r"(flags)
                     : "r"(field), "rm"(value)
                     : "cc", "memory");
    return flags & RFLAGS_ARITHMETIC;
}

/* The field's value; all ones if the VMREAD fails. */
uint64_t rd(uint64_t field);
/* Writes a field; ends the run if the VMWRITE fails. */
void wr(uint64_t field, uint64_t value);

/* ---- general registers of a guest or of the interrupted context ---- */
struct vm_registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14,
        r15;
};

/*
 * Loads the registers and executes VMLAUNCH or VMRESUME on the current VMCS,
 * whose host RSP and RIP it sets.  Returns VMX_EXITED after a VM exit, with
 * the registers at the exit, else the flags of the failed instruction.
 */
uint64_t vm_enter(struct vm_registers *registers, bool launch);
#define LAUNCH true
#define RESUME false

/* ---- VMX operation (vmx.c) ---- */
extern uint64_t vmxon_region;

bool vmx_supported(void);
/* Sets IA32_FEATURE_CONTROL, CR0 and CR4 and prepares a VMXON region. */
void vmx_prepare(void);
/* vmx_prepare() and VMXON; ends the run on failure. */
void vmx_start(void);
uint32_t vmcs_revision(void);
/* A page with the revision identifier and nothing else. */
uint64_t vmcs_alloc(void);
/* A capability MSR; the plain one where there are no TRUE MSRs. */
uint64_t capability(uint32_t msr);
/* `wanted` made legal by a capability MSR (allowed-1 high, allowed-0 low). */
uint32_t controls(uint32_t capability_msr, uint32_t wanted);

/* VMCLEAR + VMPTRLD of a fresh VMCS; no field is written. */
uint64_t vmcs_new(void);
/* Host state = this program (also right in the STM). */
void vmcs_host_state(void);
/* A complete 64-bit guest on the same page tables that calls entry(). */
uint64_t vmcs_new_guest(void (*entry)(void));
/* The same in the current VMCS. */
void vmcs_fill_guest(void (*entry)(void));
/* The stack that vmcs_new_guest gives its guest. */
uint64_t guest_stack_top(void);

struct vm_exit {
    uint32_t reason;
    uint32_t length;
    uint32_t intr, error;
    uint64_t qualification;
    uint64_t rip;
};

/* Runs the guest of the current VMCS until its next VM exit. */
extern struct vm_registers guest;
extern struct vm_exit last_exit;
uint32_t guest_run(bool launch);
/* Advances the guest's RIP over the instruction that exited. */
void guest_skip(void);

/* Compares an instruction's result: flags, and the error number if any. */
void check_vmx(const char *id, const char *name, uint64_t flags,
               uint32_t error);
#define SUCCESS      0u
#define FAIL_INVALID 0xFFFFu

#endif
