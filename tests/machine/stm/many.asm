; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; Several processors for the real STM: how each gets to many_main(), its SMI
; handler under the default treatment, and the one that the STM runs.

%include "layout.inc"
%include "start_up.inc"

        extern  enable_long_mode, gdtr, many_main, many_handler
        global  many_block, many_block_end, many_stack, many_number
        global  many_stub, many_stub_end, many_entry, many_setup, many_teardown
        global  many_setups, many_teardowns, many_begin32

%define MANY_AT        0x8000
%define HANDLER_TABLES (0x3800000 + 0x400000)   ; of firmware.c

        section .data
        START_UP_CODE many_block, MANY_AT, many_entry32

; Where the next processor finds its stack, and which one it is.
        align   8
many_stack:
        dq      0
many_number:
        dq      0
many_setups:
        dd      0
many_teardowns:
        dd      0

        section .text
        bits    32
many_entry32:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, [many_stack]
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
        mov     esp, [many_stack]
        mov     edi, [many_number]
        call    many_main
.stop:  hlt
        jmp     .stop

; Under the STM: the number of the processor lies where RSP points.
many_entry:
        mov     rdi, [rsp]
        sub     rsp, 16
        call    many_handler
        rsm
; The same for a handler that begins in 32-bit mode.
        bits    32
many_begin32:
        mov     eax, cr0
        and     eax, 0x7FFFFFFF         ; PAE paging, if it begins with it
        mov     cr0, eax
        mov     eax, cr4
        or      eax, 0x30
        mov     cr4, eax
        mov     eax, HANDLER_TABLES
        mov     cr3, eax
        mov     ecx, 0xC0000080
        rdmsr
        or      eax, 1 << 8
        wrmsr
        mov     eax, cr0
        or      eax, 0x80000000
        mov     cr0, eax
        jmp     SEL_CODE64:many_entry
        bits    64
many_setup:
        lock inc dword [many_setups]
        rsm
many_teardown:
        lock inc dword [many_teardowns]
        rsm

; At SMBASE + 8000H of each processor: nothing to do.
        section .rodata
        bits    16
many_stub:
        rsm
many_stub_end:
