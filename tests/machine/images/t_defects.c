/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Defects of the unmodified machine that every SMI meets, one build each
 * (DEFECT = number in the machine notes), since the unmodified machine loses
 * the processor in two of them.
 */
#include "runtime.h"

#if DEFECT == 1

#define MAILBOX   0x6000u
#define SIGNATURE 0x4D4D5253u
#define REAL_BASE 0x7000u

extern uint8_t real_block[], real_block_end[], real_plain_first[],
    real_smm_first[], real_handler[], real_handler_end[];
void real_call(uint32_t offset);

static void run_real(uint8_t *routine)
{
    write64(MAILBOX, 0);
    real_call((uint32_t)(routine - real_block));
}

void run_tests(void)
{
    memcpy((void *)REAL_BASE, real_block, (size_t)(real_block_end - real_block));
    memcpy((void *)(DEFAULT_SMBASE + 0x8000u), real_handler,
           (size_t)(real_handler_end - real_handler));
    legacy_smram(true);
    write32(0xA0000, SIGNATURE);
    legacy_smram(false);

    /* DM-INT-44: an SMI opens SMRAM although ordinary code has just used the
     * same addresses. */
    run_real(real_plain_first);
    check_eq("DM-INT-44", "smram-a-handler", read32(MAILBOX), SIGNATURE);
    check("DM-INT-44", "smram-a-outside", read32(MAILBOX + 4) != SIGNATURE,
          "got:%x", read32(MAILBOX + 4));

    /* DM-INT-44: RSM closes SMRAM although the handler has just used it. */
    run_real(real_smm_first);
    check_eq("DM-INT-44", "smram-b-handler", read32(MAILBOX), SIGNATURE);
    check("DM-INT-44", "smram-b-outside", read32(MAILBOX + 4) != SIGNATURE,
          "got:%x", read32(MAILBOX + 4));
}

#elif DEFECT == 2

static void set_cr3(void *value)
{
    write_cr3((uint64_t)(uintptr_t)value);
}

static void set_cr4(void *value)
{
    write_cr4((uint64_t)(uintptr_t)value);
}

void run_tests(void)
{
    static const struct {
        const char *name;
        void (*set)(void *);
        uint64_t bit;
    } rows[] = {
        /* Vol. 2 "MOV - Move to/from Control Registers": #GP(0) if a reserved
         * bit is set. */
        {"cr4-bit-13-without-vmx", set_cr4, 1ull << 13},
        {"cr4-bit-15", set_cr4, 1ull << 15},
        {"cr4-bit-31", set_cr4, 1ull << 31},
        {"cr4-bit-63", set_cr4, 1ull << 63},
        {"cr3-bit-51", set_cr3, 1ull << 51},
        {"cr3-bit-40", set_cr3, 1ull << 40},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t cr3 = read_cr3(), cr4 = read_cr4();
        uint64_t old = rows[i].set == set_cr3 ? cr3 : cr4;
        uint32_t vector = try_call(rows[i].set, (void *)(old | rows[i].bit));

        check_eq("SDM-MOV-CR", rows[i].name, vector, FAULT_GP);
        check_eq("SDM-MOV-CR", "error-code", last_fault.error, 0);
        check_eq("SDM-MOV-CR", "cr3-unchanged", read_cr3(), cr3);
        check_eq("SDM-MOV-CR", "cr4-unchanged", read_cr4(), cr4);
    }
}

#elif DEFECT == 12

#define DR7_GD (1ull << 13)
#define DR6_BD (1ull << 13)

static volatile uint64_t image_dr7;

static void note_dr7(void)
{
    image_dr7 = read64(DEFAULT_SMBASE + 0x8000u + 0x7F60u);
}

static void read_debug_register(void *unused)
{
    (void)unused;
    (void)read_dr7();
}

void run_tests(void)
{
    uint32_t vector;

    /* 34.4 "SMRAM": DR7 is saved and replaced by 400H without the general
     * detect fault that MOV DR would raise. */
    smi_hook = note_dr7;
    write_dr7(0x400 | DR7_GD);
    smi_port_write(0);
    check_eq("SDM-SMM-DR7", "smi-with-general-detect", smi_count, 1);
    check_eq("SDM-SMM-DR7", "no-fault", fault_count, 0);
    check_eq("SDM-SMM-DR7", "saved-dr7", image_dr7 & 0xFFFFFFFF,
             0x400 | DR7_GD);

    vector = try_call(read_debug_register, NULL);
    check_eq("SDM-SMM-DR7", "general-detect-still-armed", vector, FAULT_DB);
    check_eq("SDM-SMM-DR7", "dr6-bd", read_dr6() & DR6_BD, DR6_BD);
}

#else
#error "DEFECT must be 1, 2 or 12"
#endif
