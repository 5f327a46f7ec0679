; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; What the second processor runs: for ever it turns a random bit of the guest's
; tables over and, a little later, back.  The code is copied to 8000H.

        global  racer_start, racer_end

%define AT(label)  (0x8000 + (label) - racer_start)
%define TABLES     0x3003000            ; sixteen pages of AREA, see vmcs_batch.py

        section .text
        bits    16
racer_start:
        cli
        xor     ax, ax
        mov     ds, ax
        lgdt    [AT(gdtr)]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     dword 8:AT(flat)

        bits    32
flat:   mov     ax, 16
        mov     ds, ax
        mov     esi, 0x2545F491
again:  mov     eax, esi                ; the next random number
        shl     eax, 13
        xor     esi, eax
        mov     eax, esi
        shr     eax, 17
        xor     esi, eax
        mov     eax, esi
        shl     eax, 5
        xor     esi, eax
        mov     eax, esi
        shr     eax, 8
        and     eax, 0xF0FC             ; of any page, what is used
        mov     ecx, esi
        mov     edx, 1
        shl     edx, cl
        xor     [eax + TABLES], edx
        mov     ecx, 30
.wait:  loop    .wait
        xor     [eax + TABLES], edx
        jmp     again

        align   8
gdt:    dq      0
        dq      0x00CF9B000000FFFF
        dq      0x00CF93000000FFFF
gdtr:   dw      gdtr - gdt - 1
        dd      AT(gdt)
racer_end:
