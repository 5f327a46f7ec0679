/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Guest code: what a debugger and a migration watch. */
#include "guest.inc"
    .section .rodata

BEGIN spin, 64
1:  jmp 1b
END spin

BEGIN step, 64
    nop
    nop
    mov $7, %eax
    jmp 1f
    nop
1:  out %al, $0x10
    nop
    hlt
END step

BEGIN dirty, 64
    SAY 0x50, 0
    movb $1, 0x100000
    movb $1, 0x102000
    SAY 0x50, 1
    movb $1, 0x141000
    movb $1, 0x141800
    SAY 0x50, 2
    mov 0x100000, %al
    SAY 0x50, 3
    movb $1, 0x100000
    SAY 0x50, 4
    hlt
END dirty

BEGIN readonly, 64
    movl $0x31415926, 0x100000
    mov 0x800000, %eax
    out %eax, $0x10
    movl $0x27182818, 0x800000
    mov 0x800000, %eax
    out %eax, $0x10
    movl $0x16180339, 0x100000
    mov 0x800000, %eax
    out %eax, $0x10
    hlt
END readonly
