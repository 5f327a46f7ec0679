/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Guest code: interrupts and NMIs. */
#include "guest.inc"
    .section .rodata

/* One handler every 32 bytes for vectors 40H to 7FH: says its vector, sets the flag, ends the interrupt. */
BEGIN handlers, 64
    .set vector, 0x40
    .rept 64
    .balign 32
    push %rax
    SAY 0x5a, vector
    movb $1, DATA
    mov $APIC_EOI, %eax
    movl $0, (%rax)
    pop %rax
    iretq
    .set vector, vector + 1
    .endr
END handlers

BEGIN quiet_handler, 64
    push %rax
    incl DATA + 8
    mov $APIC_EOI, %eax
    movl $0, (%rax)
    pop %rax
    iretq
END quiet_handler

BEGIN interrupt, 64
    cli
    SAY 0x50, 1
    SAY 0x58, 2
    sti
    nop
    nop
    SAY 0x58, 3
    hlt
END interrupt

BEGIN nmi, 64
    SAY 0x50, 1
    nop
    SAY 0x58, 4
    hlt
END nmi

BEGIN nmi_handler, 64
    push %rax
    SAY 0x54, 2
    SAY 0x56, 3
    pop %rax
    iretq
END nmi_handler

/* Waits, with interrupts enabled, until a handler has run. */
.macro AWAIT
    sti
9:  pause
    cmpb $0, DATA
    je 9b
    cli
    movb $0, DATA
.endm

BEGIN irqchip, 64
    mov $APIC, %ebx
    movl $0x1ff, 0xf0(%rbx)
    /* Each line reaches the 8259 too, which is closed at first. */
    SAY 0x21, 0xff
    /* A message. */
    SAY 0x50, 1
    AWAIT
    /* Pin 5 of the I/O APIC, vector 45H, to processor 0. */
    mov $0xfec00000, %ecx
    movl $0x1a, (%rcx)
    movl $0x45, 0x10(%rcx)
    movl $0x1b, (%rcx)
    movl $0, 0x10(%rcx)
    SAY 0x51, 1
    AWAIT
    /* Pin 3 of the 8259 at vector 50H, through LINT0. */
    movl $0x700, 0x350(%rbx)
    SAY 0x20, 0x11
    SAY 0x21, 0x50
    SAY 0x21, 0x04
    SAY 0x21, 0x03
    SAY 0x21, 0xf7
    SAY 0x52, 1
    AWAIT
    /* The task priority holds a message back. */
    mov $15, %eax
    mov %rax, %cr8
    SAY 0x50, 2
    sti
    nop
    nop
    SAY 0x58, 5
    xor %eax, %eax
    mov %rax, %cr8
    AWAIT
    /* An IPI to itself. */
    movl $0x40049, 0x300(%rbx)
    AWAIT
    SAY 0x53, 1
    sti
    hlt
    cli
    SAY 0x58, 6
    SAY END_PORT, 0
END irqchip

BEGIN timer, 64
    mov $APIC, %ebx
    movl $0x1ff, 0xf0(%rbx)
    movl $0xb, 0x3e0(%rbx)
    /* One shot, 1 ms: while the processor runs, then while it halts. */
    movl $0x60, 0x320(%rbx)
    movl $1000000, 0x380(%rbx)
    AWAIT
    movl $0x61, 0x320(%rbx)
    movl $1000000, 0x380(%rbx)
    sti
    hlt
    cli
    SAY 0x58, 1
    /* Periodic: at least three of them, handled in silence. */
    movl $0x20030, 0x320(%rbx)
    movl $1000000, 0x380(%rbx)
    sti
1:  hlt
    cmpl $3, DATA + 8
    jb 1b
    cli
    movl $0, 0x380(%rbx)
    SAY 0x58, 2
    SAY END_PORT, 0
END timer
