/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Default-treatment SMI handler: installation and dispatch. */
#include "runtime.h"

#define SMI_ENTRY 0x8000u

extern uint8_t smi_stub[], smi_stub_end[], smi_stub_state[];

volatile uint32_t smi_count;
volatile uint32_t smis_served;
void (*volatile smi_hook)(void);
volatile uint32_t smi_smbase;

void smi_install(uint32_t smbase)
{
    memcpy((void *)(uintptr_t)(smbase + SMI_ENTRY), smi_stub,
           (size_t)(smi_stub_end - smi_stub));
}

const volatile struct smi_first_state *smi_state(uint32_t smbase)
{
    return (const volatile struct smi_first_state *)(uintptr_t)(
        smbase + SMI_ENTRY + (uint32_t)(smi_stub_state - smi_stub));
}

void smi_dispatch(uint32_t smbase);

void smi_dispatch(uint32_t smbase)
{
    /* The handler's own IDT and recovery point; both end with the SMI. */
    extern volatile uint64_t recover_rsp;
    uint64_t interrupted_recovery = recover_rsp;

    recover_rsp = 0;
    idt_load();
    smi_smbase = smbase;
    smi_count++;
    smis_served++;
    if (smi_hook) {
        smi_hook();
    }
    recover_rsp = interrupted_recovery;
}

void smm_call(void (*fn)(void))
{
    void (*previous)(void) = smi_hook;
    uint32_t before = smi_count;

    smi_hook = fn;
    smi_port_write(0);
    smi_hook = previous;
    if (smi_count != before + 1) {
        panic("smm_call: %d SMIs were served", smi_count - before);
    }
}
