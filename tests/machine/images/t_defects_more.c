/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* More defects of the unmodified machine, one build each (DEFECT = number in
 * the machine notes). */
#include "runtime.h"

#if DEFECT == 3

#define PASS_MARK 0x500u /* memory survives INIT */
#define SENT      0x54494E49u
#define WENT_ON   0x4E4F4757u

static void init_in_handler(void)
{
    write32(PASS_MARK, SENT);
    self_ipi(IPI_INIT, 0);
    for (volatile int i = 0; i < 1000; i++) {
    }
    write32(PASS_MARK, WENT_ON);
}

static volatile uint32_t again;

static void note_again(void)
{
    again++;
}

void run_tests(void)
{
    uint32_t mark = read32(PASS_MARK);

    if (mark != SENT && mark != WENT_ON) {
        announce_reset();
        smm_call(init_in_handler);
        for (;;) {
        }
    }
    /* SMM section "SMI Handler Execution Environment": INIT waits for RSM. */
    check_eq("SDM-SMM-INIT", "handler-went-on", mark, WENT_ON);
    smm_call(note_again);
    check_eq("SDM-SMM-INIT", "smi-after-init", again, 1);
}

#elif DEFECT == 4

void run_tests(void)
{
    /* Vol. 3 "MP Initialization": a processor that waits for its start-up IPI
     * takes neither SMIs nor NMIs. */
    write32(0xFEE00310, 1u << 24);
    write32(0xFEE00300, 0x4200);
    /* PAUSE gives the other processor its turn. */
    for (int i = 0; i < 10000; i++) {
        __asm__ volatile("pause" : : : "memory");
    }
    check_eq("SDM-MP-WAIT", "no-smi", smi_count, 0);
    smi_port_write(0);
    check_eq("SDM-MP-WAIT", "first-processor", smi_count, 1);
}

#elif DEFECT == 5

void run_tests(void)
{
    static const uint8_t bytes[5];
    const uint8_t *from = bytes;
    uint64_t count = sizeof(bytes);

    /* SMM section "I/O State Implementation": each iteration is interrupted. */
    __asm__ volatile("rep outsb"
                     : "+S"(from), "+c"(count)
                     : "d"(SMI_PORT)
                     : "memory");
    check_eq("SDM-SMM-REP", "smis", smi_count, sizeof(bytes));
}

#elif DEFECT == 13

#define EFER_NXE (1ull << 11)
#define PROBE    0x2800000u
#define NX       (1ull << 63)

static void probe(void *unused)
{
    (void)unused;
    (void)read32(PROBE);
}

static void cr0_high(void *unused)
{
    (void)unused;
    write_cr0(read_cr0() | 1ull << 32);
}

void run_tests(void)
{
    uint64_t efer = rdmsr(0xC0000080);
    /* Four page directories of 2-MByte pages follow PML4 and PDPT. */
    uint64_t *entry = &page_tables[2 * 512 + (PROBE >> 21)];

    wrmsr(0xC0000080, efer | EFER_NXE);
    *entry |= NX;
    write_cr3(read_cr3());
    check_eq("SDM-NXE", "allowed", try_call(probe, NULL), NO_FAULT);
    wrmsr(0xC0000080, efer & ~EFER_NXE);
    /* Vol. 3 "Reserved bits" and "Page-Fault Exceptions": P and RSVD. */
    check_eq("SDM-NXE", "reserved", try_call(probe, NULL), FAULT_PF);
    check_eq("SDM-PF-RSVD", "error-code", last_fault.error, 9);
    *entry &= ~NX;
    wrmsr(0xC0000080, efer);
    /* Vol. 2 "MOV - Move to/from Control Registers" */
    check_eq("SDM-MOV-CR", "cr0-bit-32", try_call(cr0_high, NULL), FAULT_GP);
}

#else
#error "DEFECT must be 3, 4, 5 or 13"
#endif
