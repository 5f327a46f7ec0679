/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * The accessed flag of descriptors: the processor sets it when it loads the segment,
 * whichever instruction or event does so.  Vol. 3 "Code- and Data-Segment
 * Descriptor Types".
 */
#include "runtime.h"

#define AP_AT      0x8000u
#define MAILBOX    0x9000u
#define ICR_INIT   0x4500u
#define ICR_SIPI   (0x4600u | AP_AT >> 12)
#define TABLE      0x2800000u /* in a page of its own, which can be made read-only */
#define ACCESSED   (1ull << 40)
#define CR0_WP     (1ull << 16)
#define WRITABLE   2ull
#define VECTOR     0x90u
#define ERROR_WRITE_PROTECTED 3u

/* Entries of the GDT behind those of the runtime; the assembly has the same. */
#define INDEX_CODE  16u
#define INDEX_CODE3 17u
#define INDEX_DATA3 18u
#define INDEX_GATE  20u
#define SEL(index)  ((index) * 8u)
#define CODE        0x00AF9A000000FFFFull
#define CODE3       0x00AFFA000000FFFFull
#define DATA3       0x00CFF2000000FFFFull

extern uint8_t accessed_block[], accessed_block_end[], a_through_gate[];
void a_jump(void *unused);
void a_call(void *unused);
void a_return(void *unused);
void a_iret(void *unused);
void a_int(void *unused);
void a_gate(void *unused);
void a_user(void *unused);

/* Each loads CS (80H, or 88H and SS 90H) and goes back to the runtime's segments. */
__asm__(".macro back\n\t"
        "pushq $0x18\n\tlea 2f(%rip), %rax\n\tpush %rax\n\tlretq\n2:\tret\n"
        ".endm\n"
        ".macro pointer selector\n\t"
        "sub $16, %rsp\n\tlea 1f(%rip), %rax\n\tmov %rax, (%rsp)\n\tmovw $\\selector, 8(%rsp)\n"
        ".endm\n"
        "a_jump:\tpointer 0x80\n\trex.W ljmp *(%rsp)\n1:\tadd $16, %rsp\n\tback\n"
        "a_call:\tpointer 0x80\n\trex.W lcall *(%rsp)\n1:\tadd $32, %rsp\n\tback\n"
        "a_return:\tpushq $0x80\n\tlea 1f(%rip), %rax\n\tpush %rax\n\tlretq\n1:\tback\n"
        "a_iret:\tmov %rsp, %rcx\n\tpushq $0x20\n\tpush %rcx\n\tpushq $2\n\tpushq $0x80\n\t"
        "lea 1f(%rip), %rax\n\tpush %rax\n\tiretq\n1:\tback\n"
        "a_int:\tint $0x90\n\tret\n"
        "a_gate:\tpointer 0xA0\n\trex.W lcall *(%rsp)\n1:\tud2\n"
        "a_through_gate:\tadd $32, %rsp\n\tback\n"
        "a_user:\tmov %rsp, %rcx\n\tpushq $0x93\n\tpush %rcx\n\tpushq $2\n\tpushq $0x8B\n\t"
        "lea 1f(%rip), %rax\n\tpush %rax\n\tiretq\n1:\tint $0x80\n");

static uint64_t *const table = (uint64_t *)(uintptr_t)TABLE;

static bool on_vector(struct fault_frame *frame)
{
    return frame->vector == VECTOR;
}

static void fresh_table(void)
{
    uint64_t at = phys(a_through_gate);

    table[INDEX_CODE] = CODE;
    table[INDEX_CODE3] = CODE3;
    table[INDEX_DATA3] = DATA3;
    table[INDEX_GATE] = (at & 0xFFFF) | SEL(INDEX_CODE) << 16 | 0x8Cull << 40 | (at >> 16 & 0xFFFF) << 48;
    table[INDEX_GATE + 1] = 0;
}

static void test_loads(void)
{
    static const struct {
        const char *name;
        void (*load)(void *);
        uint32_t ends, code, data;
    } rows[] = {
        {"far-jump", a_jump, NO_FAULT, INDEX_CODE, 0},
        {"far-call", a_call, NO_FAULT, INDEX_CODE, 0},
        {"far-return", a_return, NO_FAULT, INDEX_CODE, 0},
        {"iret", a_iret, NO_FAULT, INDEX_CODE, 0},
        {"interrupt-gate", a_int, NO_FAULT, INDEX_CODE, 0},
        {"call-gate", a_gate, NO_FAULT, INDEX_CODE, 0},
        {"iret-to-cpl-3", a_user, USER_RETURN, INDEX_CODE3, INDEX_DATA3},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t rights = 0;

        fresh_table();
        check_eq("SDM-ACCESSED", rows[i].name, try_call(rows[i].load, NULL), rows[i].ends);
        check_eq("SDM-ACCESSED", rows[i].name, table[rows[i].code] & ACCESSED, ACCESSED);
        __asm__("lar %1, %0" : "=r"(rights) : "r"(SEL(rows[i].code)));
        check_eq("SDM-ACCESSED", rows[i].name, rights >> 8 & 1, 1);
        if (rows[i].data) {
            check_eq("SDM-ACCESSED", rows[i].name, table[rows[i].data] & ACCESSED, ACCESSED);
        }
    }
}

/* The write is one of the instruction, and can fault like others. */
static void test_read_only(void)
{
    uint64_t *entry = &page_tables[2 * 512 + (TABLE >> 21)];
    uint64_t cr0 = read_cr0();
    uint32_t vector;

    fresh_table();
    *entry &= ~WRITABLE;
    write_cr0(cr0 | CR0_WP);
    write_cr3(read_cr3());
    vector = try_call(a_jump, NULL);
    check_eq("SDM-ACCESSED", "read-only", vector, FAULT_PF);
    check_eq("SDM-ACCESSED", "read-only-code", last_fault.error, ERROR_WRITE_PROTECTED);
    check_eq("SDM-ACCESSED", "read-only-cs", last_fault.cs, SEL_CODE64);
    check_eq("SDM-ACCESSED", "read-only-flag", table[INDEX_CODE], CODE);
    write_cr0(cr0);
    table[INDEX_CODE] |= ACCESSED;
    write_cr0(cr0 | CR0_WP);
    check_eq("SDM-ACCESSED", "read-only-accessed", try_call(a_jump, NULL), NO_FAULT);
    write_cr0(cr0);
    *entry |= WRITABLE;
    write_cr3(read_cr3());
}

static void send(uint32_t icr)
{
    write32(0xFEE00310, 1u << 24);
    write32(0xFEE00300, icr);
    for (uint32_t i = 0; i < 20000; i++) {
        __asm__ volatile("pause" : : : "memory");
    }
}

/* 32-bit protected mode with task switches, on another processor. */
static void test_32_bit(void)
{
    static const char *const names[] = {
        "32-far-jump", "32-far-call", "32-far-return", "32-iret", "32-interrupt-gate", "32-call-gate",
        "32-task-code", "32-task-stack", "32-iret-to-cpl-3", "32-iret-to-cpl-3-stack", "32-inner-code",
        "32-inner-stack",
    };
    uint32_t first = 5;

    memcpy((void *)(uintptr_t)AP_AT, accessed_block, (size_t)(accessed_block_end - accessed_block));
    memset((void *)(uintptr_t)MAILBOX, 0, 16);
    send(ICR_INIT);
    send(ICR_SIPI);
    for (uint32_t i = 0; i < 100000000 && !read32(MAILBOX); i++) {
        __asm__ volatile("pause" : : : "memory");
    }
    check_eq("SDM-ACCESSED", "32-bit-ran", read32(MAILBOX), 1);
    check_eq("SDM-ACCESSED", "32-bit-table", read32(MAILBOX + 8), (first + ARRAY_SIZE(names)) * 8);
    for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
        uint64_t descriptor = read64(read32(MAILBOX + 4) + 8 * (first + i));

        check_eq("SDM-ACCESSED", names[i], descriptor & ACCESSED, ACCESSED);
    }
}

void run_tests(void)
{
    struct table_register old = read_gdtr();
    struct table_register gdtr = {PAGE_SIZE - 1, TABLE};

    memcpy(table, gdt, old.limit + 1u);
    *(volatile uint16_t *)(uintptr_t)(read_idtr().base + 16 * VECTOR + 2) = SEL(INDEX_CODE);
    __asm__ volatile("lgdt %0" : : "m"(gdtr));
    fault_hook = on_vector;
    test_loads();
    test_read_only();
    __asm__ volatile("lgdt %0" : : "m"(old));
    test_32_bit();
}
