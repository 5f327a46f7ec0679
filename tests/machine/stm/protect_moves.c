/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Instructions that the STM emulates, against what the processor makes of them outside SMM. */
#include "protect.h"

/* RDI is the place, RAX, RCX and R9 hold values; all three come back. */
#define MOVES                                                                   \
    MOVE(0, "mov (%rdi), %al")                                                  \
    MOVE(1, "mov (%rdi), %ah")                                                  \
    MOVE(2, "mov (%rdi), %ax")                                                  \
    MOVE(3, "mov 1(%rdi), %eax")                                                \
    MOVE(4, "mov (%rdi), %r9d")                                                 \
    MOVE(5, "movzbl (%rdi), %eax")                                              \
    MOVE(6, "movzbw 1(%rdi), %r9w")                                             \
    MOVE(7, "movzwl (%rdi), %ecx")                                              \
    MOVE(8, "movsbl 1(%rdi), %eax")                                             \
    MOVE(9, "movsbq 1(%rdi), %r9")                                              \
    MOVE(10, "movswl (%rdi), %ecx")                                             \
    MOVE(11, "movswq (%rdi), %rax")                                             \
    MOVE(12, "movslq (%rdi), %rcx")                                             \
    MOVE(13, "mov %al, (%rdi)")                                                 \
    MOVE(14, "mov %ah, 1(%rdi)")                                                \
    MOVE(15, "mov %ax, (%rdi)")                                                 \
    MOVE(16, "mov %r9d, (%rdi)")                                                \
    MOVE(17, "movb $0x05, 2(%rdi)")                                             \
    MOVE(18, "movw $0x0A0B, (%rdi)")                                            \
    MOVE(19, "movl $0x03020100, (%rdi)")                                        \
    MOVE(20, "mov -0x100(%rdi,%rdx), %eax")                                     \
    MOVE(21, "mov %r9b, 0x7F(%rdx,%rdi)")                                       \
    MOVE(22, "mov %sil, (%rdi)")                                                \
    MOVE(23, "addr32 mov (%edi), %eax")
#define COUNT 24u

#define MOVE(number, text) "move_" #number ":\t" text "\n\tret\n"
__asm__(".pushsection .text\n" MOVES ".popsection\n");
#undef MOVE
#define MOVE(number, text) extern uint8_t move_##number[];
MOVES
#undef MOVE
#define MOVE(number, text) { "move-" #number, move_##number },
static const struct {
    const char *name;
    uint8_t *code;
} moves[COUNT] = { MOVES };
#undef MOVE

struct result {
    uint64_t rax, rcx, r9;
    uint32_t memory;
};

static uint64_t place;
static struct result handlers;
static unsigned which;

static void execute(struct result *result)
{
    register uint64_t r9 __asm__("r9") = 0x9999888877776663;
    uint64_t rax = 0x1111222233334405, rcx = 0xCCCCDDDDEEEEFFFF;

    write32(place, 0x0A8B0980);
    __asm__ volatile("call *%3"
                     : "+a"(rax), "+c"(rcx), "+r"(r9)
                     : "r"(moves[which].code), "D"(place), "d"(which == 20 ? 0x100ull : ~0x7Eull), "S"(0x0Cull)
                     : "cc", "memory");
    *result = (struct result){ rax, rcx, r9, read32(place) };
}

void moves_in_handler(void)
{
    execute(&handlers);
}

void check_moves(uint64_t base)
{
    struct result own;

    place = base;
    for (which = 0; which < COUNT; which++) {
        execute(&own);
        handler_does(ACCESS_MOVES, base);
        check_eq("MOVE-RAX", moves[which].name, handlers.rax, own.rax);
        check_eq("MOVE-RCX", moves[which].name, handlers.rcx, own.rcx);
        check_eq("MOVE-R9", moves[which].name, handlers.r9, own.r9);
        check_eq("MOVE-MEMORY", moves[which].name, handlers.memory, own.memory);
        check_eq("MOVE-ALLOWED", moves[which].name, exceptions, 0);
    }
}
