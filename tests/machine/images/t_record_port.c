/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * A debug console with secure=on at port 403H, and one without at 404H: what
 * reaches them from where.  test_record_port.py reads the text.
 */
#include "vmx.h"

#define PORT 0x403

static volatile uint32_t in_smm;

static void write_in_smm(void)
{
    outb(PORT, 's');
    outb(PORT + 1, 's');
    in_smm = inb(PORT);
}

static void guest_writes(void)
{
    outb(PORT, 'g');
    outb(PORT + 1, 'g');
    /* One access to both ports reaches neither. */
    __asm__ volatile("outw %0, %1" : : "a"((uint16_t)('G' | 'h' << 8)), "d"((uint16_t)PORT));
    __asm__ volatile("vmcall" : : : "memory");
}

void run_tests(void)
{
    outb(PORT, 'n');
    outb(PORT + 1, 'n');
    check_eq("LAB-RECORD-PORT", "read-outside", inb(PORT), 0xFF);
    check_eq("LAB-RECORD-PORT", "read-of-the-other", inb(PORT + 1), 0xE9);
    smm_call(write_in_smm);
    check_eq("LAB-RECORD-PORT", "read-in-smm", in_smm, 0xE9);
    vmx_start();
    outb(PORT, 'r');
    outb(PORT + 1, 'r');
    vmcs_new_guest(guest_writes);
    check_eq("LAB-RECORD-PORT", "guest", guest_run(LAUNCH), VMX_REASON_VMCALL);
    smm_call(write_in_smm);
    check_vmx("LAB-RECORD-PORT", "vmxoff", vmxoff(), SUCCESS);
}
