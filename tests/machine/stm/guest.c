/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* A guest of the executive monitor that runs instruction by instruction. */
#include "stm_under_test.h"

void stepped_guest(void);
extern const uint8_t behind_the_out[];
__asm__(".pushsection .text\n"
        "stepped_guest:\n"
        "\tout %al, $0xB2\n"
        "behind_the_out:\n"
        "\tnop\n\tnop\n"
        "1:\tvmcall\n\tjmp 1b\n"
        ".popsection\n");

/*
 * After the OUT an SMI and an MTF VM exit are pending. The SMI comes first
 * (DM-INT-25), and whoever returns from it has to see to the other.
 */
void check_pending_mtf(void)
{
    uint64_t vmcs = vmcs_new_guest(stepped_guest);
    uint32_t before = handler_count;

    wr(VMCS_PROCESSOR_CONTROLS,
       rd(VMCS_PROCESSOR_CONTROLS) | VMX_CPU_MONITOR_TRAP_FLAG);
    handler_action = HANDLER_NOTHING;
    check_eq("GUEST", "mtf", guest_run(LAUNCH), VMX_REASON_MONITOR_TRAP_FLAG);
    check_eq("GUEST", "mtf-rip", last_exit.rip, phys(behind_the_out));
    check_eq("SMI", "before-mtf", handler_count, before + 1);
    vmclear(vmcs);
}
