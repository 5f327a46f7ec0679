/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The first processor's side of smp.asm: it sends interprocessor interrupts, and
 * starts the second processor, which goes to smp_main().
 */
#ifndef SMP_H
#define SMP_H

#include "vmx.h"

#define SMP_AT   0x8000u
#define ICR_HIGH 0xFEE00310u
#define ICR_LOW  0xFEE00300u
#define OTHER    (1u << 24) /* APIC id 1 */
#define ICR_INIT 0x4500u
#define ICR_SIPI 0x4600u
#define ICR_NMI  0x4400u
#define ICR_SMI  0x4200u

extern uint8_t smp_block[], smp_block_end[];
void smp_main(void);

static inline void send(uint32_t to, uint32_t icr)
{
    write32(ICR_HIGH, to);
    write32(ICR_LOW, icr);
}

static inline void smp_start(void)
{
    memcpy((void *)(uintptr_t)SMP_AT, smp_block, (size_t)(smp_block_end - smp_block));
    send(OTHER, ICR_INIT);
    send(OTHER, ICR_SIPI | SMP_AT >> 12);
}

#endif
