/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Handlers of several processors that begin in 32-bit mode, with PAE paging if told so, and go on to 64-bit mode. */
#include "many.h"

extern uint8_t many_setup[], many_teardown[], many_begin32[];

#define HANDLER_PDPT (HANDLER_TABLES + 7 * PAGE_SIZE)

#define MOVED(code) (phys(code) - IMAGE_BASE + HANDLER_TEXT)

/* Set-up and tear-down code is the same in both modes, byte for byte; without paging it is where it was copied. */
void begin_in_32_bits(uint64_t psd)
{
    write32(psd + 0x10, 0);
    write32(psd + 0x14, SEL_CODE32 | SEL_DATA32 << 16);
    write32(psd + 0x18, SEL_DATA32 | SEL_DATA32 << 16);
    write64(psd + 0x20, 0);
    write64(psd + 0x28, MOVED(many_setup));
    write64(psd + 0x30, MOVED(many_teardown));
    write64(psd + 0x38, MOVED(many_begin32));
    write32(psd + 0x50, read32(psd + 0x50) - 8);
    write32(psd + 0x54, 0);
#ifdef HANDLER_PAE
    for (uint64_t i = 0; i < 4; i++) {
        write64(HANDLER_PDPT + 8 * i, (HANDLER_TABLES + (2 + i) * PAGE_SIZE) | 1);
    }
    write32(psd + 0x10, 0x0C); /* Cr4Pae, Cr4Pse */
    write64(psd + 0x20, HANDLER_PDPT);
#endif
}
