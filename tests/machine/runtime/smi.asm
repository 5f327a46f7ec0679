; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; SMI handler: a position-independent stub that is copied to SMBASE+8000H and
; the code behind it that calls smi_dispatch() in 64-bit mode.

%include "layout.inc"

        extern  gdtr, enable_long_mode, smi_dispatch
        global  smi_stub, smi_stub_end, smi_stub_state

        section .rodata
        bits    16
        align   16
smi_stub:
        jmp     short smi_real_entry
        align   8
; What the handler found; struct smi_first_state, written at every SMI.
smi_stub_state:
.cr0:   dd      0
.cr4:   dd      0
.dr7:   dd      0
.gdtr:  dw      .gdt_end - .gdt - 1
        dd      0
        align   8
.gdt:   dq      0
        dq      0x00CF9B000000FFFF
        dq      0x00CF93000000FFFF
.gdt_end:
; No memory outside this stub is touched in real mode, so that it also works
; when the legacy window is open or closed around it.
smi_real_entry:
%define AT(label) cs:((label) - smi_stub + 0x8000)
        mov     eax, cr0
        mov     [AT(smi_stub_state.cr0)], eax
        mov     eax, cr4
        mov     [AT(smi_stub_state.cr4)], eax
        mov     eax, dr7
        mov     [AT(smi_stub_state.dr7)], eax
        xor     eax, eax
        mov     ax, cs                  ; SMBASE >> 4
        shl     eax, 4
        mov     ebx, eax
        add     eax, 0x8000 + (smi_stub_state.gdt - smi_stub)
        mov     [AT(smi_stub_state.gdtr + 2)], eax
        o32 lgdt [AT(smi_stub_state.gdtr)]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     dword 0x08:smi_entry32
smi_stub_end:

        section .text
        bits    32
smi_entry32:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     fs, ax
        mov     gs, ax
        mov     esp, smi_stack_top
        mov     [smi_base], ebx
        lgdt    [gdtr]
        call    enable_long_mode
        jmp     SEL_CODE64:.entry64
        bits    64
.entry64:
        mov     ax, SEL_DATA64
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        xor     edi, edi
        mov     edi, [smi_base]
        call    smi_dispatch
        rsm

        section .bss
        alignb  16
smi_base:
        resd    1
        alignb  16
        resb    16384
smi_stack_top:
