/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * INS and OUTS at an intercepted port whose addresses are not 64 bits in DS or ES: 16-bit and
 * 32-bit ones, segments with a base, segment overrides, compatibility mode. The processor
 * computes the address, so the STM must take what it says, and not RSI or RDI.
 */
#include "protect.h"

#define FUNCTION 0x8000F800u /* 0:1F.0 */
#define ID       0x00u
#define PIRQ_E   0x68u
#define PAGE     1u          /* TXT_SMM_PROTECTION_EXCEPTION_TYPE */
#define FS_BASE  0xC0000100u

/* Of the handler's GDT in firmware.c; the SMI handler has no user, so that descriptor gets a base. */
#define HANDLER_GDT (TSEG_BASE + 0x30000u)
#define FLAT_DATA   0x00CF92000000FFFFull

/* Below 64 KB: what a 16-bit address reaches, and what a handler would touch that used 32 bits of it. */
#define LOW_PAGE     0xF000u
#define LOW          0xFFFCu
#define LOW_EXTENDED 0x1FFFCu
#define LOW_NEXT     0x10000u /* DI has become 0, the rest of EDI stays */
#define OFFSET       0x100u

#define PCI_STRING                                                              \
    "mov string_address(%rip), %eax\n\tmov $0xCF8, %edx\n\tout %eax, %dx\n\tmov $0xCFC, %edx\n\t" \
    "mov %rdi, %rsi\n\tmov $4, %ecx\n"
/* SEL_CODE32; and back, with ES as it was. */
#define COMPATIBILITY "\tpushq $0x08\n\tlea 1f(%rip), %rax\n\tpushq %rax\n\tlretq\n.code32\n1:\t"
#define BACK          "\tljmp $0x18, $2f\n.code64\n2:\tmov $0x20, %ecx\n\tmov %ecx, %es\n\tret\n"
__asm__(".pushsection .text\n"
        "guarded_outsl_fs:\t" PCI_STRING "\tsub string_base(%rip), %rsi\n"
        "outsl_fs_at:\tfs outsl\n\tmov %rsi, %rax\n\tret\n"
        "guarded_outsl_fs32:\t" PCI_STRING "\tsub string_base(%rip), %rsi\n\tbts $40, %rsi\n"
        "outsl_fs32_at:\taddr32 fs outsl\n\tmov %rsi, %rax\n\tret\n"
        "guarded_insl16:\t" PCI_STRING COMPATIBILITY "mov $0x10, %eax\n\tmov %eax, %es\n"
        "insl16_at:\taddr16 insl\n\tmov %edi, %eax\n" BACK
        "guarded_insl_es:\t" PCI_STRING COMPATIBILITY "mov $0x40, %eax\n\tmov %eax, %es\n"
        "insl_es_at:\tinsl\n\tmov %edi, %eax\n" BACK
        "guarded_outsl_es:\t" PCI_STRING COMPATIBILITY "mov $0x40, %eax\n\tmov %eax, %es\n"
        "outsl_es_at:\tes outsl\n\tmov %esi, %eax\n" BACK
        ".globl guarded_outsl_fs, outsl_fs_at, guarded_outsl_fs32, outsl_fs32_at, guarded_insl16, insl16_at\n"
        ".globl guarded_insl_es, insl_es_at, guarded_outsl_es, outsl_es_at\n"
        ".popsection\n");

volatile uint64_t string_base; /* of FS, and of the descriptor of SEL_USER_DATA */

/* In the SMI handler. */
void addresses_in_handler(void)
{
    uint64_t base = string_base;

    wrmsr(FS_BASE, base);
    write64(HANDLER_GDT + SEL_USER_DATA, FLAT_DATA | (base & 0xFFFFFF) << 16 | (base >> 24 & 0xFF) << 56);
}

static void protect_page(const char *name, uint64_t page, uint32_t number)
{
    list_start(list_page);
    put_memory(page, PAGE_SIZE, 7);
    expect_list(name, number, STM_SUCCESS);
}

/* The segment's base counts: 64-bit mode has one for FS, and any address size may meet it. */
static void check_fs(void)
{
    string_address = FUNCTION | PIRQ_E;
    string_base = data_page - PAGE_SIZE;
    write32(data_page, 0x83828180);
    value("outsl-fs", ACCESS_OUTSL_FS, data_page, PAGE_SIZE + 4);
    check_eq("PCI-REGISTER", "outsl-fs", config_read(FUNCTION | PIRQ_E), 0x83828180);
    write32(data_page, 0x80818283);
    value("outsl-fs-32-bit", ACCESS_OUTSL_FS32, data_page, PAGE_SIZE + 4);
    check_eq("PCI-REGISTER", "outsl-fs-32-bit", config_read(FUNCTION | PIRQ_E), 0x80818283);
    write32(guarded, 0x85858585);
    protect_page("fs", guarded, API_PROTECT);
    string_base = guarded - OFFSET;
    refused("outsl-fs-protected", ACCESS_OUTSL_FS, guarded, PAGE);
    refused("outsl-fs-32-bit-protected", ACCESS_OUTSL_FS32, guarded, PAGE);
    faults("outsl-fs-mseg", ACCESS_OUTSL_FS, MSEG_BASE + 0x800, FAULT_GP);
    protect_page("fs", guarded, API_UNPROTECT);
    check_eq("PCI-REGISTER", "outsl-fs-refused", config_read(FUNCTION | PIRQ_E), 0x80818283);
}

/* Compatibility mode, 16-bit addresses: DI alone counts and wraps. */
static void check_16_bits(uint32_t id)
{
    string_address = FUNCTION | ID;
    string_base = 0;
    write32(LOW, 0x77777777);
    write32(LOW_EXTENDED, 0x66666666);
    value("insl-16-bit", ACCESS_INSL16, LOW_EXTENDED, LOW_NEXT);
    check_eq("PCI-STRING", "insl-16-bit", read32(LOW), id);
    check_eq("PCI-STRING", "insl-16-bit-only", read32(LOW_EXTENDED), 0x66666666);
    write32(LOW, 0x77777777);
    protect_page("low", LOW_PAGE, API_PROTECT);
    refused("insl-16-bit-protected", ACCESS_INSL16, LOW_EXTENDED, PAGE);
    protect_page("low", LOW_PAGE, API_UNPROTECT);
    check_eq("PCI-STRING", "insl-16-bit-protected", read32(LOW), 0x77777777);
    /* Where 32 bits of EDI would point to may be protected: nobody goes there. */
    protect_page("extended", LOW_EXTENDED & ~(PAGE_SIZE - 1), API_PROTECT);
    value("insl-16-bit-elsewhere", ACCESS_INSL16, LOW_EXTENDED, LOW_NEXT);
    protect_page("extended", LOW_EXTENDED & ~(PAGE_SIZE - 1), API_UNPROTECT);
    check_eq("PCI-STRING", "insl-16-bit-elsewhere", read32(LOW), id);
}

/* Compatibility mode: ES has a base, by itself for INS, as an override for OUTS. */
static void check_es(uint32_t id)
{
    string_base = data_page - OFFSET;
    write32(OFFSET, 0x66666666);
    write32(data_page, 0x77777777);
    value("insl-es-base", ACCESS_INSL_ES, OFFSET, OFFSET + 4);
    check_eq("PCI-STRING", "insl-es-base", read32(data_page), id);
    check_eq("PCI-STRING", "insl-es-base-only", read32(OFFSET), 0x66666666);
    string_address = FUNCTION | PIRQ_E;
    write32(OFFSET, 0x80808080);
    write32(data_page, 0x81828384);
    value("outsl-es-override", ACCESS_OUTSL_ES, OFFSET, OFFSET + 4);
    check_eq("PCI-REGISTER", "outsl-es-override", config_read(FUNCTION | PIRQ_E), 0x81828384);
    write32(guarded, 0x85858585);
    protect_page("es", guarded, API_PROTECT);
    string_base = guarded - OFFSET;
    refused("outsl-es-override-protected", ACCESS_OUTSL_ES, OFFSET, PAGE);
    string_address = FUNCTION | ID;
    refused("insl-es-base-protected", ACCESS_INSL_ES, OFFSET, PAGE);
    protect_page("es", guarded, API_UNPROTECT);
    check_eq("PCI-STRING", "insl-es-base-protected", read32(guarded), 0x85858585);
    check_eq("PCI-REGISTER", "outsl-es-refused", config_read(FUNCTION | PIRQ_E), 0x81828384);
    string_base = 0;
}

void check_addresses(void)
{
    uint32_t id = config_read(FUNCTION | ID);

    check_fs();
    check_16_bits(id);
    check_es(id);
}
