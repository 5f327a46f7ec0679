; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; a20_run(struct a20 *): VMXON with address bit 20 masked, outside VMX operation.
; The image itself lies at 1 MB and is gone meanwhile: code, stack, tables and the
; struct are where bit 20 is 0.  The block is copied to A20_AT.

        global  a20_block, a20_block_end, a20_fault

%define A20_AT  0x7000
%define PORT_92 0x92

; offsets in struct a20
%define A_CR3    0x00
%define A_VMXON  0x08
%define A_STACK  0x10
%define A_WRAPS  0x18                   ; what EVEN holds after a store to ODD
%define A_VECTOR 0x20                   ; of VMXON, 0: none
%define A_GDTR   0x28
%define A_IDTR   0x38
%define A_KEPT   0x48                   ; CR3, GDTR, IDTR, RSP of the caller

%define EVEN    0x1000000
%define ODD     0x1100000

        section .rodata
        bits    64
        align   16
a20_block:
        mov     rax, cr3
        mov     [rdi + A_KEPT], rax
        sgdt    [rdi + A_KEPT + 0x08]
        sidt    [rdi + A_KEPT + 0x18]
        mov     [rdi + A_KEPT + 0x28], rsp
        mov     rsp, [rdi + A_STACK]
        mov     rax, [rdi + A_CR3]
        mov     cr3, rax
        lgdt    [rdi + A_GDTR]
        lidt    [rdi + A_IDTR]
        in      al, PORT_92
        and     al, ~2
        out     PORT_92, al
        mov     dword [EVEN], 0x1111
        mov     dword [ODD], 0x2222
        mov     eax, [EVEN]
        mov     [rdi + A_WRAPS], rax
        vmxon   [rdi + A_VMXON]
        jmp     a20_open
a20_fault:                              ; #GP(0): error code on top
        mov     qword [rdi + A_VECTOR], 13
        add     rsp, 8
        mov     qword [rsp], A20_AT + a20_open - a20_block
        iretq
a20_open:
        in      al, PORT_92
        or      al, 2
        out     PORT_92, al
        mov     rax, [rdi + A_KEPT]
        mov     cr3, rax
        lgdt    [rdi + A_KEPT + 0x08]
        lidt    [rdi + A_KEPT + 0x18]
        mov     rsp, [rdi + A_KEPT + 0x28]
        ret
a20_block_end:
