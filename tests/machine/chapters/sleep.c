/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A VMM that traps its guest's way into standby, leaves, and returns (docs/tutorial/standby.rst). */
#include "../stm/standby.h"
#include "../stm/stm_under_test.h"

static void guest_code(void)
{
    outw(PM1_CNT, SLEEP_S3); /* the write that an operating system ends with */
    vmcall();
}

static uint32_t stm(uint32_t number)
{
    return (uint32_t)call_stm_at(number, 0);
}

/* VMX operation, the STM, two SMIs to it. */
static void enter(const char *when)
{
    uint32_t before;

    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1); /* the firmware's part, at each boot and each wake */
    activation_vmcs();
    check_eq("SLEEP", "initialize", stm(API_INITIALIZE), STM_SUCCESS);
    check_eq("SLEEP", "start", stm(API_START), STM_SUCCESS);
    before = handler_count;
    smi(HANDLER_NOTHING);
    smi(HANDLER_NOTHING);
    print("%s: the STM serves %d SMIs\n", when, handler_count - before);
}

/* Trap: the I/O bitmap has the port's bits. */
static void run_guest(void)
{
    uint8_t *bitmaps = page_alloc();

    vmcs_new_guest(guest_code);
    wr(VMCS_IO_BITMAP_A, phys(bitmaps));
    wr(VMCS_IO_BITMAP_B, phys(page_alloc()));
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, VMX_CPU_IO_BITMAPS));
    bitmaps[PM1_CNT / 8] |= 3u << PM1_CNT % 8;
    guest_run(LAUNCH);
}

void run_tests(void)
{
    if (!(inw(PM1_STS) & WAK_STS)) {
        firmware_start();
        enter("before");
        set_alarm();
        announce_reset();
        run_guest();
        /* Here the VMM has the guest's write in its hands: it leaves, and then lets the machine sleep. */
        print("the guest's OUT: exit reason %d\n", last_exit.reason);
        stm(API_STOP);
        print("STOP and VMXOFF: %s\n", vmxoff() ? "refused" : "done");
        outw(PM1_CNT, SLEEP_S3);
        for (;;) {
            __asm__ volatile("hlt");
        }
    }
    print("wake: MSR 9BH is %q, the firmware comes first\n", rdmsr(0x9B));
    firmware_wake();
    enter("after");
    check_eq("SLEEP", "stop", stm(API_STOP), STM_SUCCESS);
    check_eq("SLEEP", "vmxoff", vmxoff(), 0);
}
