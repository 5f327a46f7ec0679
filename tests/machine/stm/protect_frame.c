/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* STM_PROTECTION_EXCEPTION_STACK_FRAME_X64: what the STM writes into it, and what it takes from it at the return. */
#include "protect.h"

#define REGISTERS  15u
#define FRAME_CR8  15u /* indices */
#define FRAME_CR2  17u
#define FRAME_CR0  18u
#define FRAME_CS   24u
#define FRAME_FLAGS 25u
#define FRAME_SS   27u
#define LOWER      64u /* by which RSP is moved */
#define NEW_CR2    0x9000u

/* Indices in the frame of the registers in the order of struct vm_registers. */
static const uint8_t index_of[REGISTERS] = { 14, 13, 12, 11, 9, 8, 10, 7, 6, 5, 4, 3, 2, 1, 0 };

struct vm_registers frame_registers, frame_after;
uint64_t frame_rsp[2], frame_flags;
uint32_t frame_refused;
static uint64_t cr0_after, cr2_after, cr8_after;
static uint16_t cs_after, ss_after;

__asm__(".pushsection .text\n"
        "frame_code:\n"
        "\tpush %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n"
        "\tmov %rsp, frame_rsp(%rip)\n"
        "\tpushfq\n\torq $0x8D5, (%rsp)\n\tpopfq\n"
        "\tmov frame_registers(%rip), %rax\n\tmov frame_registers + 8(%rip), %rbx\n"
        "\tmov frame_registers + 16(%rip), %rcx\n\tmov frame_registers + 24(%rip), %rdx\n"
        "\tmov frame_registers + 32(%rip), %rsi\n\tmov frame_registers + 40(%rip), %rdi\n"
        "\tmov frame_registers + 48(%rip), %rbp\n\tmov frame_registers + 56(%rip), %r8\n"
        "\tmov frame_registers + 64(%rip), %r9\n\tmov frame_registers + 72(%rip), %r10\n"
        "\tmov frame_registers + 80(%rip), %r11\n\tmov frame_registers + 88(%rip), %r12\n"
        "\tmov frame_registers + 96(%rip), %r13\n\tmov frame_registers + 104(%rip), %r14\n"
        "\tmov frame_registers + 112(%rip), %r15\n"
        "frame_at:\n"
        "\tmov (%rdi), %eax\n"
        "\tmov %rax, frame_after(%rip)\n\tmov %rbx, frame_after + 8(%rip)\n"
        "\tmov %rcx, frame_after + 16(%rip)\n\tmov %rdx, frame_after + 24(%rip)\n"
        "\tmov %rsi, frame_after + 32(%rip)\n\tmov %rdi, frame_after + 40(%rip)\n"
        "\tmov %rbp, frame_after + 48(%rip)\n\tmov %r8, frame_after + 56(%rip)\n"
        "\tmov %r9, frame_after + 64(%rip)\n\tmov %r10, frame_after + 72(%rip)\n"
        "\tmov %r11, frame_after + 80(%rip)\n\tmov %r12, frame_after + 88(%rip)\n"
        "\tmov %r13, frame_after + 96(%rip)\n\tmov %r14, frame_after + 104(%rip)\n"
        "\tmov %r15, frame_after + 112(%rip)\n"
        "\tmov %rsp, frame_rsp + 8(%rip)\n\tmov frame_rsp(%rip), %rsp\n"
        "\tpushfq\n\tpopq frame_flags(%rip)\n"
        "\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n"
        "frame_entry:\n"
        "\tmov %rsp, %rdi\n\tcall frame_spoil\n"
        "\txor %ebx, %ebx\n\tmov $4, %eax\n\tvmcall\n\tmov %eax, frame_refused(%rip)\n"
        "\tmov %rsp, %rdi\n\tcall frame_change\n"
        "\txor %ebx, %ebx\n\tmov $4, %eax\n\tvmcall\n\tud2\n"
        ".popsection\n");
void frame_code(void);
extern uint8_t frame_entry[], frame_at[];
void frame_spoil(uint64_t *saved);
void frame_change(uint64_t *saved);

/* With page tables outside its SMRAM the handler would run on what others can write: refused, it may try again. */
void frame_spoil(uint64_t *saved)
{
    exceptions++;
    memcpy(frame, saved, FRAME_SIZE);
    saved[FRAME_CR3] = 0x100000;
}

/* Everything else; what the return does not take is changed, too. */
void frame_change(uint64_t *saved)
{
    saved[FRAME_CR3] = HANDLER_TABLES;
    for (unsigned i = 0; i < REGISTERS; i++) {
        saved[index_of[i]] = ~saved[index_of[i]];
    }
    saved[FRAME_RIP] += 2;
    saved[FRAME_RSP] -= LOWER;
    saved[FRAME_FLAGS] &= ~0x8D5ull;
    saved[FRAME_CR2] = NEW_CR2;
    saved[FRAME_CR8] ^= 5;
    saved[FRAME_CR0] ^= 1u << 16;
    saved[FRAME_CS] = SEL_CODE32;
    saved[FRAME_SS] = 0;
}

static void violate(void)
{
    write_cr2(0x7000);
    frame_code();
    cr0_after = read_cr0();
    cr2_after = read_cr2();
    cr8_after = read_cr8();
    __asm__ volatile("mov %%cs, %0\n\tmov %%ss, %1" : "=r"(cs_after), "=r"(ss_after));
}

static void set_frame_handler(void)
{
    write64(PSD_EXCEPTION, phys(frame_entry));
}

void run_frame(void)
{
    const uint64_t *const before = &frame_registers.rax, *const after = &frame_after.rax;

    smm_call(set_frame_handler);
    start();
    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 7);
    expect_list("frame", API_PROTECT, STM_SUCCESS);
    for (unsigned i = 0; i < REGISTERS; i++) {
        (&frame_registers.rax)[i] = 0x0101010101010101ull * (i + 0x11);
    }
    frame_registers.rdi = guarded;
    exceptions = 0;
    handler_hook = violate;
    smi(HANDLER_HOOK);
    check_eq("FRAME", "exceptions", exceptions, 1);
    check_eq("FRAME", "page-tables-outside", frame_refused, STM_INVALID_PARAMETER);
    for (unsigned i = 0; i < REGISTERS; i++) {
        check_eq("FRAME-REGISTER", "in-the-frame", frame[index_of[i]], before[i]);
        check_eq("FRAME-REGISTER", "from-the-frame", after[i], ~before[i]);
    }
    check_eq("FRAME", "rsp", frame[FRAME_RSP], frame_rsp[0]);
    check_eq("FRAME", "rsp-after", frame_rsp[1], frame_rsp[0] - LOWER);
    check_eq("FRAME", "rip", frame[FRAME_RIP], phys(frame_at));
    check_eq("FRAME", "rflags", frame[FRAME_FLAGS] & RFLAGS_ARITHMETIC, RFLAGS_ARITHMETIC);
    check_eq("FRAME", "rflags-after", frame_flags & RFLAGS_ARITHMETIC, 0);
    check_eq("FRAME", "cr2", frame[FRAME_CR2], 0x7000);
    check_eq("FRAME", "cr2-after", cr2_after, NEW_CR2);
    check_eq("FRAME", "cr3", frame[FRAME_CR3], HANDLER_TABLES);
    check_eq("FRAME", "cr0", frame[FRAME_CR0], cr0_after);
    check_eq("FRAME", "cr8", frame[FRAME_CR8], cr8_after);
    check_eq("FRAME", "cs", frame[FRAME_CS], SEL_CODE64);
    check_eq("FRAME", "cs-after", cs_after, SEL_CODE64);
    check_eq("FRAME", "ss", frame[FRAME_SS], SEL_DATA64);
    check_eq("FRAME", "ss-after", ss_after, SEL_DATA64);
    check_eq("FRAME", "qualification", frame[FRAME_QUAL] & 7, 1);
    check_eq("FRAME", "error-code", frame[FRAME_CODE], 1);
    stop();
}
