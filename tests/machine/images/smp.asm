; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; Brings a second processor, started by SIPI at SMP_AT, to smp_main() in 64-bit
; mode with a stack of its own.

%include "layout.inc"

        extern  enable_long_mode, gdtr, smp_main
        global  smp_block, smp_block_end, smp_stack_top, smp_guest

%define SMP_AT 0x8000

        section .data
        align   16
smp_block:
        bits    16
        cli
        xor     ax, ax
        mov     ds, ax
        o32 lgdt [SMP_AT + flat_gdtr - smp_block]
        mov     eax, cr0
        and     eax, 0x9FFFFFFF         ; CD = NW = 0
        or      al, 1
        mov     cr0, eax
        jmp     dword 0x08:smp_entry32
        align   8
flat:   dq      0
        dq      0x00CF9B000000FFFF
        dq      0x00CF93000000FFFF
flat_gdtr:
        dw      flat_gdtr - flat - 1
        dd      SMP_AT + flat - smp_block
smp_block_end:

        section .text
        bits    32
smp_entry32:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, smp_stack_top
        lgdt    [gdtr]
        call    enable_long_mode
        jmp     SEL_CODE64:.entry64
        bits    64
.entry64:
        mov     ax, SEL_DATA64
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     fs, ax
        mov     gs, ax
        mov     rsp, smp_stack_top
        call    smp_main
.stop:  hlt
        jmp     .stop

; The guest of both processors: R8 counts, R9 to R15 stay what they are.
smp_guest:
        inc     r8
        vmcall
        jmp     smp_guest

        section .bss
        alignb  16
        resb    16384
smp_stack_top:
