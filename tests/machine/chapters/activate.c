/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* VMCALLs that do not activate the STM, and the one that does (docs/tutorial/activation.rst). */
#include "../stm/stm_under_test.h"

#define ERROR_VMCALL_IN_ROOT   1u
#define ERROR_VMCS_NOT_CLEAR   19u
#define ERROR_EXIT_CONTROLS    20u
#define ERROR_VMXOFF_UNDER_STM 23u
#define UNANSWERED             API_INITIALIZE

static uint32_t eax;

/* INITIALIZE_PROTECTION; the arithmetic flags tell what the processor made of the VMCALL. */
static uint64_t call(void)
{
    uint64_t flags;

    eax = API_INITIALIZE;
    __asm__ volatile("vmcall\n\tpushfq\n\tpopq %0"
                     : "=r"(flags), "+a"(eax)
                     : "b"(0), "c"(0), "d"(0)
                     : "cc", "memory");
    return flags & RFLAGS_ARITHMETIC;
}

static void call_outside(void *unused)
{
    (void)unused;
    call();
}

static void guest_code(void)
{
    call();
}

static void refused(const char *when, const char *name, uint32_t error)
{
    uint64_t flags = call();
    uint32_t number = flags == VMX_FAIL_VALID ? (uint32_t)rd(VMCS_INSTRUCTION_ERROR) : 0;

    if (flags == VMX_FAIL_INVALID) {
        print("%s: CF, and nobody has touched EAX\n", when);
    } else {
        print("%s: ZF, error %d\n", when, number);
    }
    check("ACTIVATE", name, flags == (error ? VMX_FAIL_VALID : VMX_FAIL_INVALID) && number == error && eax == UNANSWERED,
          "flags:%q,error:%d,eax:%x", flags, number, eax);
}

static void answered(const char *when, const char *name, uint32_t status)
{
    uint64_t flags = call();

    print("%s: the STM answers, EAX %x\n", when, eax);
    check("ACTIVATE", name, flags == (status ? RFLAGS_CF : 0) && eax == status, "flags:%q,eax:%x", flags, eax);
}

void run_tests(void)
{
    uint64_t vmcs, fault;

    firmware_start(); /* the STM is in MSEG; nobody has told the processor */
    fault = try_call(call_outside, NULL);
    print("outside VMX operation: %s\n", fault == FAULT_UD ? "#UD" : "something else");
    check_eq("ACTIVATE", "outside-vmx", fault, FAULT_UD);

    vmx_start();
    activation_vmcs();
    refused("MSR 9BH is 0", "not-enabled", ERROR_VMCALL_IN_ROOT);

    smm_monitor_ctl(MSEG_BASE | 1); /* in SMM, where alone it can be written */
    vmcs = vmcs_new_guest(guest_code);
    print("in the guest: exit reason %d to the VMM\n", guest_run(LAUNCH));
    check_eq("ACTIVATE", "guest", last_exit.reason, VMX_REASON_VMCALL);
    refused("with the guest's VMCS, which was launched", "launched", ERROR_VMCS_NOT_CLEAR);
    vmclear(vmcs);
    refused("without a current VMCS", "no-vmcs", 0);

    vmcs_new(); /* all fields 0 */
    refused("VM-exit controls 0", "exit-controls", ERROR_EXIT_CONTROLS);

    vmcs = activation_vmcs();
    answered("with a clear VMCS and legal VM-exit controls", "activates", STM_SUCCESS);
    print("  the current VMCS is %s\n", vmptrst() == vmcs ? "the one it was" : "another one");
    check_eq("ACTIVATE", "current-vmcs", vmptrst(), vmcs);
    answered("a second time", "twice", STM_ALREADY_STARTED);

    print("VMXOFF: ZF, error %d\n", vmxoff() == VMX_FAIL_VALID ? (uint32_t)rd(VMCS_INSTRUCTION_ERROR) : 0);
    check_eq("ACTIVATE", "vmxoff-under-the-stm", rd(VMCS_INSTRUCTION_ERROR), ERROR_VMXOFF_UNDER_STM);
    check_eq("ACTIVATE", "start", (uint32_t)call_stm_at(API_START, 0), STM_SUCCESS);
    smi(HANDLER_NOTHING);
    check_eq("ACTIVATE", "stop", (uint32_t)call_stm_at(API_STOP, 0), STM_SUCCESS);
    check_eq("ACTIVATE", "vmxoff", vmxoff(), 0);
}
