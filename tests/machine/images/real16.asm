; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; Real-mode code for the SMRAM tests.  An SMI from real mode changes neither CR0
; nor CR4, so nothing but an explicit flush separates translations of ordinary
; memory from those of SMRAM.
;
; The block from real_block to real_block_end is copied to REAL_BASE;
; real_call(entry) runs one of its routines in real mode and returns.

%include "layout.inc"

%define REAL_BASE       0x7000
%define MAILBOX         0x6000          ; dwords: handler's read, ordinary read
%define AT(label)       ((label) - real_block + REAL_BASE)

        extern  gdt, enable_long_mode
        global  real_block, real_block_end, real_call
        global  real_plain_first, real_smm_first
        global  real_handler, real_handler_end

        section .text
        bits    64
; void real_call(uint32_t routine_offset)
real_call:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        mov     [saved_rsp], rsp
        sidt    [saved_idtr]
        mov     ebx, edi
        push    qword SEL_CODE16
        push    qword AT(real_enter)
        retfq

        bits    32
real_back32:
        mov     ax, SEL_DATA32
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     fs, ax
        mov     gs, ax
        mov     esp, [saved_rsp]
        call    enable_long_mode
        jmp     SEL_CODE64:.back64
        bits    64
.back64:
        mov     ax, SEL_DATA64
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        lidt    [saved_idtr]
        mov     rsp, [saved_rsp]
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret

        section .rodata
        bits    16
        align   16
real_block:
real_enter:                             ; 16-bit compatibility mode
        mov     ax, SEL_DATA16
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, 0x6F00
        mov     eax, cr0
        and     eax, 0x7FFFFFFF         ; PG = 0 leaves long mode
        mov     cr0, eax
        mov     ecx, 0xC0000080
        rdmsr
        and     eax, ~(1 << 8)
        wrmsr
        xor     eax, eax
        mov     cr4, eax
        mov     eax, cr0
        and     al, 0xFE
        mov     cr0, eax
        jmp     0:AT(.real)
.real:  xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     ax, 0xA000              ; the legacy SMRAM window
        mov     fs, ax
        add     bx, REAL_BASE
        call    bx
        cli
        o32 lgdt [AT(real_gdtr)]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     dword SEL_CODE32:real_back32

; Ordinary code reads the window before the handler does.
real_plain_first:
        mov     eax, [fs:0]
        mov     [MAILBOX + 4], eax
        out     0xB2, al
        ret

; Ordinary code reads the window after the handler did.
real_smm_first:
        out     0xB2, al
        mov     eax, [fs:0]
        mov     [MAILBOX + 4], eax
        ret

        align   8
real_gdtr:
        dw      0x57
        dd      gdt
real_block_end:

; The SMI handler of these tests: stays in real mode, only reads the window.
real_handler:
        mov     ax, 0xA000
        mov     fs, ax
        mov     eax, [fs:0]
        mov     [MAILBOX], eax          ; DS base is 0
        rsm
real_handler_end:


        section .bss
        alignb  8
saved_rsp:
        resq    1
saved_idtr:
        resb    10
