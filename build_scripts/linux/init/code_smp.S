/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Guest code: a second processor, started by INIT and startup IPI; shared memory; interprocessor interrupts. */
#include "guest.inc"
    .section .rodata
    .set ROUNDS, 100
    .set ADDITIONS, 10000
    .set SUM, DATA + 0x10
    .set READY, DATA + 0x20
    .set PINGS, DATA + 0x30
    .set PONGS, DATA + 0x40

.macro ADD_UP
    mov $ADDITIONS, %ecx
9:  lock incl SUM
    dec %ecx
    jnz 9b
.endm

BEGIN smp, 64
    mov $APIC, %ebx
    movl $0x1ff, 0xf0(%rbx)
    movl $0x01000000, 0x310(%rbx)
    movl $0x4500, 0x300(%rbx)
    movl $0x01000000, 0x310(%rbx)
    movl $0x4600 | STARTUP >> 12, 0x300(%rbx)
1:  pause
    cmpl $0, READY
    je 1b
    ADD_UP
    sti
    mov $ROUNDS, %edx
2:  mov PONGS, %esi
    movl $0x01000000, 0x310(%rbx)
    movl $0x4070, 0x300(%rbx)
3:  pause
    cmp PONGS, %esi
    je 3b
    dec %edx
    jnz 2b
    cli
4:  pause
    cmpl $2, READY
    jne 4b
    mov SUM, %eax
    out %eax, $0x10
    mov PINGS, %eax
    out %eax, $0x12
    mov PONGS, %eax
    out %eax, $0x14
    SAY END_PORT, 0
END smp

/* 70H on the second processor: counts, answers with 71H to the first. */
BEGIN smp_handlers, 64
    push %rax
    lock incl PINGS
    mov $APIC, %eax
    movl $0, 0xb0(%rax)
    movl $0, 0x310(%rax)
    movl $0x4071, 0x300(%rax)
    pop %rax
    iretq
    .balign 64
    push %rax
    lock incl PONGS
    mov $APIC, %eax
    movl $0, 0xb0(%rax)
    pop %rax
    iretq
END smp_handlers

/* The second processor begins here in real mode, with CS 0700H. */
BEGIN startup, 16
    cli
    xor %ax, %ax
    mov %ax, %ds
    lgdtl (8f - code_startup + STARTUP)
    lidtl (7f - code_startup + STARTUP)
    mov $TABLES, %eax
    mov %eax, %cr3
    mov $0x20, %eax
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    and $0x9fffffff, %eax
    or $0x80000001, %eax
    mov %eax, %cr0
    ljmpl $0x08, $(1f - code_startup + STARTUP)
    .code64
1:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0xf000, %esp
    mov $APIC, %ebx
    movl $0x1ff, 0xf0(%rbx)
    movl $1, READY
    ADD_UP
    movl $2, READY
    SAY 0x70, 0x77
2:  sti
    hlt
    jmp 2b
7:  .word 0xfff
    .long 0x4000
8:  .word 0x3f
    .long 0x800
END startup
