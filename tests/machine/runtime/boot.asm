; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; Reset block of a test image: the last 4 KiB of the ROM.  Enters flat 32-bit
; mode, copies the image from ROM to RAM (code and data are then writable and
; below 4 GiB for every mode) and jumps to it.

%define ROM_BASE    0xFFFE0000
%define IMAGE_SIZE  (0x20000 - 0x1000)
%define LOAD_BASE   0x100000

        org     0xF000                  ; CS base is FFFF0000H after reset
        bits    16
start16:
        cli
        cld
        o32 lgdt [cs:boot_gdtr]
        mov     eax, cr0
        and     eax, 0x9FFFFFFF         ; caches on: CD = NW = 0
        or      eax, 1
        mov     cr0, eax
        jmp     dword 0x08:(0xFFFF0000 + start32)

        bits    32
start32:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esi, ROM_BASE
        mov     edi, LOAD_BASE
        mov     ecx, IMAGE_SIZE / 4
        rep movsd
        mov     eax, LOAD_BASE
        jmp     eax

        align   8
boot_gdt:
        dq      0
        dq      0x00CF9B000000FFFF      ; 08H: 32-bit code
        dq      0x00CF93000000FFFF      ; 10H: data
boot_gdtr:
        dw      boot_gdtr - boot_gdt - 1
        dd      0xFFFF0000 + boot_gdt

        times   0xFF0 - ($ - $$) db 0
reset_vector:
        jmp     start16
        times   0x1000 - ($ - $$) db 0
