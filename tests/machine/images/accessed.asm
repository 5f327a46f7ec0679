; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; A second processor in 32-bit protected mode that loads code and stack segments in
; every way that is not MOV, each from a descriptor whose accessed flag is clear.
;
;   MAILBOX      1 when it is done
;   MAILBOX + 4  address of its GDT
;   MAILBOX + 8  limit of its GDT

        global  accessed_block, accessed_block_end

%define AT      0x8000
%define MAILBOX 0x9000
%define STACK   0x9800
%define HERE(label) (AT + (label) - accessed_block)

%define TSS_1   0x08
%define TSS_2   0x10
%define GATE    0x18
%define DATA    0x20
%define FIRST   0x28                    ; far jump from real mode
%define BY_CALL 0x30
%define BY_RET  0x38
%define BY_IRET 0x40
%define BY_INT  0x48
%define BY_GATE 0x50
%define BY_TASK 0x58
%define TASK_SS 0x60
%define USER_CS 0x68                    ; IRET to CPL 3
%define USER_SS 0x70
%define BACK_CS 0x78                    ; INT from CPL 3
%define BACK_SS 0x80

        section .data
        align   16
accessed_block:
        bits    16
        cli
        xor     ax, ax
        mov     ds, ax
        lgdt    [HERE(gdtr)]
        lidt    [HERE(idtr)]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     dword FIRST:HERE(protected)
        bits    32
protected:
        mov     ax, DATA
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, STACK
        call    BY_CALL:HERE(called)
called: push    dword BY_RET
        push    dword HERE(returned)
        retf
returned:
        pushfd
        push    dword BY_IRET
        push    dword HERE(returned_again)
        iretd
returned_again:
        int     0                       ; its handler goes on below
int_0:  mov     esp, STACK
        call    GATE:0
through_gate:
        mov     ax, TSS_1
        ltr     ax
        jmp     TSS_2:0
in_task:                                ; now with the stack of BACK_SS in the TSS
        push    dword USER_SS | 3
        push    dword STACK
        push    dword 2
        push    dword USER_CS | 3
        push    dword HERE(user)
        iretd
user:   int     1
int_1:  mov     ax, DATA
        mov     ds, ax
        mov     dword [MAILBOX + 4], HERE(gdt32)
        mov     dword [MAILBOX + 8], gdt32_end - gdt32
        mov     dword [MAILBOX], 1
.stop:  hlt
        jmp     .stop

%macro  flat 1                          ; flat, with this type
        dq      0x00CF00000000FFFF | (%1 << 40)
%endmacro
%macro  gate 3                          ; selector, address below 64 KBytes, type
        dw      HERE(%2), %1, %3 << 8, 0
%endmacro

        align   8
gdt32:  dq      0
        dq      0x0000890000000067 | (HERE(tss_1) << 16)
        dq      0x0000890000000067 | (HERE(tss_2) << 16)
        gate    BY_GATE, through_gate, 0x8C
        flat    0x93
        flat    0x9A
        flat    0x9A
        flat    0x9A
        flat    0x9A
        flat    0x9A
        flat    0x9A
        flat    0x9A
        flat    0x92
        flat    0xFA
        flat    0xF2
        flat    0x9A
        flat    0x92
gdt32_end:
gdtr:   dw      gdt32_end - gdt32 - 1
        dd      HERE(gdt32)
idt:    gate    BY_INT, int_0, 0x8E
        gate    BACK_CS, int_1, 0xEE
idtr:   dw      15
        dd      HERE(idt)
        align   4
tss_1:  times   0x68 db 0
tss_2:  dd      0, STACK, BACK_SS, 0, 0, 0, 0, 0
        dd      HERE(in_task), 2
        dd      0, 0, 0, 0, STACK - 0x100, 0, 0, 0
        dd      DATA, BY_TASK, TASK_SS, DATA, DATA, DATA, 0
        dd      0x68 << 16
accessed_block_end:
