/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Guest code: ports, memory-mapped devices and MSRs in each mode, and the way through all modes. */
#include "guest.inc"
    .section .rodata

BEGIN real, 16
    SAY 0x10, 0x41
    in $0x12, %ax
    inc %ax
    out %ax, $0x14
    mov $0xa000, %ax
    mov %ax, %ds
    movb $0x5a, 0
    mov 0x10, %ax
    out %ax, $0x16
    xor %ax, %ax
    mov %ax, %ds
    mov $(1f - code_real + CODE), %si
    mov $3, %cx
    mov $0x18, %dx
    cld
    rep outsb
    movw $(2f - code_real + CODE), 0x21 * 4
    movw $0, 0x21 * 4 + 2
    int $0x21
    hlt
1:  .ascii "abc"
2:  SAY 0x1a, 0x99
    iret
END real

BEGIN protected, 32
    mov $0x11223344, %eax
    mov $0x1020, %dx
    out %eax, %dx
    movl $0xdeadbeef, 0xd0000000
    movw $0xcafe, 0xd0000004
    mov 0xd0000008, %eax
    out %eax, %dx
    movzbl 0xd000000c, %eax
    out %eax, %dx
    mov $(1f - code_protected + CODE), %esi
    mov $0xd0000020, %edi
    mov $2, %ecx
    cld
    rep movsl
    mov $DATA, %edi
    mov $0x22, %dx
    insl
    mov DATA, %eax
    out %eax, %dx
    hlt
1:  .long 0x01020304, 0x05060708
END protected

BEGIN long, 64
    mov $0xd0000000, %ebx
    mov $0x1122334455667788, %rax
    mov %rax, (%rbx)
    mov 8(%rbx), %rcx
    mov %ecx, %eax
    out %eax, $0x30
    mov $0x12345, %ecx
    rdmsr
    out %eax, $0x32
    mov $0xaabbccdd, %eax
    mov $0x11, %edx
    wrmsr
    /* One that KVM serves itself. */
    mov $0xc0000082, %ecx
    mov $0x5566, %eax
    xor %edx, %edx
    wrmsr
    xor %eax, %eax
    rdmsr
    out %eax, $0x34
    rdtsc
    mov %eax, %esi
    mov %edx, %edi
    rdtsc
    sub %esi, %eax
    sbb %edi, %edx
    shr $31, %edx
    mov %edx, %eax
    out %al, $0x36
    mov $0x778899aa, %eax
    movd %eax, %xmm3
    xor %eax, %eax
    movd %xmm3, %eax
    out %eax, $0x38
    /* TPR, debug registers, control registers. */
    mov $5, %eax
    mov %rax, %cr8
    mov %cr8, %rax
    out %al, $0x3a
    mov $0x1234, %eax
    mov %rax, %dr1
    mov %dr1, %rbx
    mov %ebx, %eax
    out %eax, $0x3c
    mov %cr0, %rax
    or $8, %eax
    mov %rax, %cr0
    mov %cr0, %rax
    out %eax, $0x3e
    hlt
END long

/* From real mode through protected mode and compatibility mode to long mode and all the way back. */
BEGIN modes, 16
    SAY 0x10, 1
    lgdtl (9f - code_modes + CODE)
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $0x18, $(1f - code_modes + CODE)
    .code32
1:  mov $0x10, %eax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    SAY 0x10, 2
    mov $TABLES, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x20, %eax
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    SAY 0x10, 3
    ljmp $0x08, $(2f - code_modes + CODE)
    .code64
2:  mov $0x1122334455667788, %rax
    shr $60, %rax
    add $3, %eax
    out %al, $0x10
    ljmpl *(8f - code_modes + CODE)
    .code32
3:  mov %cr0, %eax
    and $0x7fffffff, %eax
    mov %eax, %cr0
    mov $0xc0000080, %ecx
    rdmsr
    and $0xfffffeff, %eax
    wrmsr
    SAY 0x10, 5
    mov $0x28, %eax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    ljmp $0x20, $(4f - code_modes + CODE)
    .code16
4:  mov %cr0, %eax
    and $0xfffffffe, %eax
    mov %eax, %cr0
    ljmp $0, $(5f - code_modes + CODE)
5:  xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    SAY 0x10, 6
    hlt
8:  .long 3b - code_modes + CODE
    .word 0x18
9:  .word 0x3f
    .long 0x800
END modes
