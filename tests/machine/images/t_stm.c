/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Instructions in the STM, and guests that the STM enters inside SMM. */
#include "stm.h"

static uint64_t exec_vmcs;

static void do_rsm(void *unused)
{
    (void)unused;
    __asm__ volatile("rsm" : : : "memory");
}

static void clear_vmxe(void *unused)
{
    (void)unused;
    write_cr4(read_cr4() & ~(uint64_t)CR4_VMXE);
}

static void same_cr4(void *unused)
{
    (void)unused;
    write_cr4(read_cr4());
}

static void clear_pg(void *unused)
{
    (void)unused;
    write_cr0(read_cr0() & ~(uint64_t)CR0_PG);
}

static void instructions(void)
{
    uint64_t transfer = vmptrst(), executive = rd(VMCS_EXECUTIVE_VMCS_POINTER);
    uint64_t second, value = 0;
    uint32_t regs[4];

    /* DM-STM-02 to DM-STM-04. */
    check_vmx("DM-STM-02", "vmxoff", vmxoff(), VMX_ERROR_VMXOFF_DUAL_MONITOR);
    check_vmx("DM-STM-03", "vmxon", vmxon(executive), VMX_ERROR_VMXON_IN_ROOT);
    check_vmx("DM-STM-04", "vmcall", vmcall(), VMX_ERROR_VMCALL_IN_ROOT);
    check_eq("DM-STM-05", "rsm", try_call(do_rsm, NULL), FAULT_UD);
    check_eq("DM-STM-08", "vmxe-clear", try_call(clear_vmxe, NULL), FAULT_GP);
    check_eq("DM-STM-08", "vmxe-set", try_call(same_cr4, NULL), NO_FAULT);
    check_eq("DM-STM-09", "cr0-pg", try_call(clear_pg, NULL), FAULT_GP);
    /* DM-STM-24: the VMXON pointer is still known. */
    check_vmx("DM-STM-24", "vmptrld-vmxon", vmptrld(executive),
              VMX_ERROR_VMPTRLD_VMXON_POINTER);
    check_vmx("DM-STM-24", "vmclear-vmxon", vmclear(executive),
              VMX_ERROR_VMCLEAR_VMXON_POINTER);
    /* DM-EXI-63: no control applies to the STM. */
    cpuid(0, 0, regs);
    (void)rdmsr(MSR_EFER);
    check_eq("DM-EXI-63", "no-exit", vmptrst(), transfer);
    /* DM-STM-01: a second VMCS. */
    second = vmcs_new();
    wr(VMCS_GUEST_RIP, 0x1357);
    check_vmx("DM-STM-01", "vmptrld-back", vmptrld(transfer), SUCCESS);
    check_vmx("DM-STM-01", "vmptrld-second", vmptrld(second), SUCCESS);
    check_eq("DM-STM-01", "vmread", rd(VMCS_GUEST_RIP), 0x1357);
    check_vmx("DM-STM-01", "vmclear", vmclear(second), SUCCESS);
    check_vmx("DM-STM-01", "no-vmcs", vmread_flags(VMCS_GUEST_RIP, &value),
              FAIL_INVALID);
    vmptrld(transfer);
    /* DM-INT-06: VMPTRLD of an address in SMRAM works here. */
    write32(MSEG_BASE + MSEG_TRANSFER_2, vmcs_revision());
    check_vmx("DM-INT-06", "vmptrld-smram", vmptrld(MSEG_BASE + MSEG_TRANSFER_2),
              SUCCESS);
    vmptrld(transfer);
}

static void provoke_error_12(void)
{
    uint64_t value = 0;

    check_vmx("DM-EXI-30", "error-12", vmread_flags(0x7FFE, &value),
              VMX_ERROR_UNSUPPORTED_COMPONENT);
}

static volatile uint32_t nmis;

static bool count_nmi(struct fault_frame *frame)
{
    nmis += frame->vector == 2;
    return frame->vector == 2;
}

static void nmi_in_stm(void)
{
    fault_hook = count_nmi;
    nmis = 0;
    self_ipi(IPI_NMI, 0);
    for (volatile int i = 0; i < 1000; i++) {
    }
    check_eq("DM-EXI-55", "blocked", nmis, 0);
    iret_here();
    check_eq("DM-STM-27", "iret-unblocks", nmis, 1);
    fault_hook = NULL;
}

/* ---- guests inside SMM ---- */
#define SGUEST_PROBED 1

static volatile uint32_t sguest_signature, sguest_9e, sguest_9b;
static volatile uint64_t sguest_smbase;
static volatile uint32_t exits_in_sguest;

static void sguest_code(void)
{
    uint64_t value = 0, monitor_ctl = 0;

    sguest_signature = read32(MSEG_BASE + MSEG_SIGNATURE);
    sguest_9e = try_rdmsr(MSR_SMBASE, &value);
    sguest_smbase = value;
    sguest_9b = try_rdmsr(MSR_SMM_MONITOR_CTL, &monitor_ctl);
    if (sguest_9b == NO_FAULT) {
        sguest_9b = try_wrmsr(MSR_SMM_MONITOR_CTL, monitor_ctl);
    }
    __asm__ volatile("vmcall" : : "a"(SGUEST_PROBED) : "memory");
    __asm__ volatile("cpuid" : : "a"(0) : "rbx", "rcx", "rdx");
    self_ipi(IPI_SMI, 0);
    smi_port_raise(0);
    exits_in_sguest = stm_exits;
    __asm__ volatile("rsm" : : : "memory");
}

static void triple_fault_code(void)
{
    __asm__ volatile("ud2" : : : "memory");
}

/* A guest of the STM that may read and write every MSR. */
static uint64_t new_sguest(void (*entry)(void))
{
    uint64_t region = vmcs_new_guest(entry);

    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MSR_BITMAPS));
    wr(VMCS_MSR_BITMAP, phys(page_alloc()));
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_TO_SMM);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    wr(VMCS_EXECUTIVE_VMCS_POINTER, 1); /* DM-STM-11: neither checked nor used */
    wr(VMCS_GUEST_SMBASE, 0x12345);   /* DM-STM-13: not loaded */
    return region;
}

static void check_failure(const char *id, const char *name,
                          uint32_t qualification)
{
    uint64_t result = vm_enter(&guest, LAUNCH);

    check(id, name, result == VMX_EXITED && rd(VMCS_EXIT_REASON) == REASON_BAD_GUEST,
          "result:%q,reason:%q,error:%q", result, rd(VMCS_EXIT_REASON),
          rd(VMCS_INSTRUCTION_ERROR));
    check_eq(id, "qualification", rd(VMCS_EXIT_QUALIFICATION), qualification);
    /* DM-STM-30: still in SMM. */
    check_eq("DM-STM-30", name, try_rdmsr(MSR_SMBASE, NULL), NO_FAULT);
}

static void guests(void)
{
    uint64_t transfer = vmptrst();
    uint64_t region = new_sguest(sguest_code);

    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
    check_failure("DM-STM-14", "bit-2-clear", 0);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, VMX_BLOCKING_BY_SMI);
    wr(VMCS_GUEST_ACTIVITY_STATE, 3);
    check_failure("DM-STM-15", "wait-for-sipi", 0);
    wr(VMCS_GUEST_ACTIVITY_STATE, 0);
    wr(VMCS_LINK_POINTER, region);
    check_failure("DM-STM-16", "link-is-current", 4);
    wr(VMCS_LINK_POINTER, NO_VMCS);

    /* DM-STM-10: an ordinary entry; the guest is in SMM. */
    guest_run(LAUNCH);
    /* DM-STM-22: VMCALL is an ordinary exit. */
    check_eq("DM-STM-22", "vmcall", last_exit.reason, 0x12);
    check_eq("DM-STM-10", "sguest-smram", sguest_signature,
             MSEG_SIGNATURE_VALUE);
    check_eq("DM-STM-23", "sguest-9eh", sguest_9e, NO_FAULT);
    check_eq("DM-STM-23", "sguest-9bh", sguest_9b, NO_FAULT);
    check_eq("DM-STM-13", "smbase-not-loaded", sguest_smbase, DEFAULT_SMBASE);
    guest_skip();
    guest_run(RESUME);
    /* DM-STM-19, DM-STM-20, DM-CTL-13. */
    check_eq("DM-STM-19", "reason", last_exit.reason, VMX_REASON_CPUID);
    check_eq("DM-STM-19", "executive-marker", rd(VMCS_EXECUTIVE_VMCS_POINTER), 1);
    check_eq("DM-STM-12", "current", vmptrst(), region);
    check_eq("DM-STM-20", "bit-2", rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), VMX_BLOCKING_BY_SMI);
    check_eq("DM-CTL-13", "entry-to-smm", rd(VMCS_ENTRY_CONTROLS) & VMX_ENTRY_TO_SMM, VMX_ENTRY_TO_SMM);
    guest_skip();
    guest_run(RESUME);
    /* DM-STM-06: RSM exits, fault-like, length 2. */
    check_eq("DM-STM-06", "reason", last_exit.reason, VMX_REASON_RSM);
    check_eq("DM-STM-06", "length", last_exit.length, 2);
    check_eq("DM-STM-06", "qualification", last_exit.qualification, 0);
    check_eq("DM-STM-17", "smi-waits", exits_in_sguest, stm_exits);
    check_eq("DM-STM-06", "opcode",
             *(volatile uint16_t *)(uintptr_t)last_exit.rip, 0xAA0F);
    vmclear(region);

    region = new_sguest(triple_fault_code);
    wr(VMCS_GUEST_IDTR_LIMIT, 0);
    check_eq("DM-STM-31", "triple-fault", guest_run(LAUNCH),
             VMX_REASON_TRIPLE_FAULT);
    vmclear(region);

    /* DM-CTL-04, DM-CTL-05: both controls. */
    region = new_sguest(sguest_code);
    wr(VMCS_ENTRY_CONTROLS, rd(VMCS_ENTRY_CONTROLS) | VMX_ENTRY_DEACTIVATE);
    check_vmx("DM-CTL-04", "both", vm_enter(&guest, LAUNCH), VMX_ERROR_ENTRY_CONTROLS);
    vmclear(region);
    vmptrld(transfer);
}

/* A guest with interception of 9BH and 9EH (DM-INT-21, DM-INT-22). */
static void exec_guest(void)
{
    uint64_t value;

    __asm__ volatile("vmcall" : : "a"(try_rdmsr(MSR_SMBASE, &value)) : "memory");
    __asm__ volatile("vmcall"
                     :
                     : "a"(try_wrmsr(MSR_SMM_MONITOR_CTL, 0))
                     : "memory");
    __asm__ volatile("rdmsr" : : "c"(MSR_SMBASE) : "rax", "rdx");
    __asm__ volatile("rdmsr" : : "c"(MSR_SMM_MONITOR_CTL) : "rax", "rdx");
    __asm__ volatile("vmcall" : : : "memory");
}

static void test_exec_guest(void)
{
    uint64_t bitmap = phys(page_alloc());
    uint64_t region = vmcs_new_guest(exec_guest);

    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_MSR_BITMAPS));
    wr(VMCS_MSR_BITMAP, bitmap);
    /* DM-ENA-12, DM-ENA-29: in a guest outside SMM: #GP when not exiting. */
    guest_run(LAUNCH);
    check_eq("DM-ENA-29", "guest-9eh", guest.rax, FAULT_GP);
    guest_skip();
    guest_run(RESUME);
    check_eq("DM-ENA-12", "guest-9bh", guest.rax, FAULT_GP);
    guest_skip();
    /* Byte 13H of the low read bitmap: bit 6 is 9EH, bit 3 is 9BH. */
    *(uint8_t *)(bitmap + 0x13) = 1u << 6;
    guest_run(RESUME);
    check_eq("DM-INT-22", "exit-before-gp", last_exit.reason, VMX_REASON_RDMSR);
    *(uint8_t *)(bitmap + 0x13) = 1u << 3;
    guest_skip();
    guest_run(RESUME);
    check_eq("DM-INT-21", "byte-13h-bit-3", last_exit.reason, VMX_REASON_RDMSR);
    check_eq("DM-INT-21", "msr", (uint32_t)guest.rcx, MSR_SMM_MONITOR_CTL);
    vmclear(region);
}

void run_tests(void)
{
    uint32_t before;

    stm_activate();
    exec_vmcs = vmcs_new();
    stm_call(instructions);
    stm_call(provoke_error_12);
    smi_port_write(0);
    /* DM-EXI-30: SMM VM exits leave the VM-instruction error alone. */
    check_eq("DM-EXI-30", "kept", stm_log.instruction_error, VMX_ERROR_UNSUPPORTED_COMPONENT);
    stm_call(nmi_in_stm);

    before = stm_exits;
    stm_hook = guests;
    vmcall();
    /* DM-STM-17: the SMIs of the guest became one, after the return;
     * DM-STM-12: it uses the SMM-transfer VMCS. */
    check_eq("DM-STM-17", "one-pending", stm_exits, before + 2);
    check_eq("DM-STM-12", "transfer-unchanged", stm_log.current,
             MSEG_BASE + MSEG_TRANSFER);
    check_eq("DM-STM-17", "reason", stm_log.reason, 0x20000006);
    check_eq("DM-RET-48", "exec-current", vmptrst(), exec_vmcs);
    test_exec_guest();
}
