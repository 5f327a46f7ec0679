/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Guest code: faults that the guest handles itself, PAE paging, CPUID, the end of everything. */
#include "guest.inc"
    .section .rodata

/* Each fault is preceded by the address behind it, in RBX. */
BEGIN fault, 64
    mov $(1f - code_fault + CODE), %ebx
    ud2
1:  mov $(2f - code_fault + CODE), %ebx
    xor %ecx, %ecx
    div %ecx
2:  mov $(3f - code_fault + CODE), %ebx
    mov $0x2345, %ecx
    mov $0x87654321, %edx
    rdmsr
3:  mov $(4f - code_fault + CODE), %ebx
    mov $0x40012345, %eax
    movl $1, (%rax)
4:  mov $(5f - code_fault + CODE), %ebx
    mov $0x40054321, %eax
    mov (%rax), %ecx
5:  mov $(6f - code_fault + CODE), %ebx
    mov $0x5678, %eax
    mov %ax, %ds
    /* A page that the guest itself removes from its tables, once used. */
6:  mov $0x200000, %eax
    movl $0x77, (%rax)
    mov (%rax), %eax
    out %al, $0x36
    andl $~1, TABLES + 0x2008
    invlpg 0x200000
    mov $(7f - code_fault + CODE), %ebx
    mov $0x200000, %eax
    movl $0x88, (%rax)
    /* And gives back read-only; CR0.WP is set first. */
7:  orl $1, TABLES + 0x2008
    andl $~2, TABLES + 0x2008
    mov %cr0, %rax
    or $0x10000, %eax
    mov %rax, %cr0
    mov $(8f - code_fault + CODE), %ebx
    mov $0x200000, %eax
    movl $0x99, (%rax)
8:  mov 0x200000, %eax
    out %al, $0x36
    hlt
END fault

/* Vectors 8 and 10 to 14 have an error code; the others get one. */
BEGIN fault_stubs, 64
    .set vector, 0
    .rept 15
    .balign 16
    .if vector != 8 && vector < 10
    push $0
    .endif
    push $vector
    jmp fault_common
    .set vector, vector + 1
    .endr
    .balign 16
fault_common:
    mov (%rsp), %eax
    out %al, $0x30
    mov 8(%rsp), %eax
    out %eax, $0x32
    cmpl $14, (%rsp)
    jne 1f
    mov %cr2, %rax
    out %eax, $0x34
1:  mov %rbx, 16(%rsp)
    add $16, %rsp
    iretq
END fault_stubs

/* PAE paging: other page-directory pointers, with and without a load of CR3. */
BEGIN pae, 32
    SAY 0x10, 1
    /* Copies the directory of 0-1 GB to a second place whose second entry maps 0 instead of 2 MB. */
    mov $(TABLES + 0x2000), %esi
    mov $0x20000, %edi
    mov $1024, %ecx
    cld
    rep movsl
    movl $0x83, 0x20008
    movl $0x1111, 0x100000
    movl $0x2222, 0x300000
    mov 0x300000, %eax
    out %eax, $0x12
    /* Another pointer in memory has no effect until CR3 is loaded. */
    movl $0x20001, 0x18000
    invlpg 0x300000
    mov 0x300000, %eax
    out %eax, $0x12
    mov %cr3, %eax
    mov %eax, %cr3
    mov 0x300000, %eax
    out %eax, $0x12
    movl $0xabcd, 0xd0000000
    hlt
END pae

BEGIN cpuid, 64
    mov $0x40000000, %eax
    cpuid
    mov %ebx, %eax
    out %eax, $0x10
    mov %ecx, %eax
    out %eax, $0x10
    mov $1, %eax
    cpuid
    /* Bit 31: under a hypervisor. */
    shr $31, %ecx
    mov %ecx, %eax
    out %al, $0x12
    hlt
END cpuid

BEGIN shutdown, 64
    SAY 0x10, 1
    lidt 1f - code_shutdown + CODE
    ud2
1:  .quad 0, 0
END shutdown
