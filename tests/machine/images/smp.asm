; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; Brings a second processor, started by SIPI at SMP_AT, to smp_main() in 64-bit
; mode with a stack of its own.

%include "layout.inc"
%include "start_up.inc"

        extern  enable_long_mode, gdtr, smp_main
        global  smp_block, smp_block_end, smp_stack_top, smp_guest

%define SMP_AT 0x8000

        section .data
        START_UP_CODE smp_block, SMP_AT, smp_entry32

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
