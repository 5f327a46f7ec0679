; SPDX-License-Identifier: BSD-2-Clause-Patent
; The guest of t_unrestricted.c: real mode, 32-bit without paging, PAE paging,
; compatibility and 64-bit mode, and back.  The block is copied to
; guest-physical 7000H, which EPT maps to somewhere else.
;
; STEP n stops twice: VMCALL with EAX = n, then CPUID.  BAD n is followed by an
; instruction that must raise #GP.

        global  ug_block, ug_block_end
        global  ug_start, ug_again, ug_vm86, ug_handler, ug_violation, ug_wrap, ug_lmsw

%define BASE    0x7000
%define AT(x)   ((x) - ug_block + BASE)
%define PDPT    0x10000                 ; of PAE paging
%define PML4    0x12000

%macro STEP 1
        mov     eax, %1
        vmcall
        cpuid
%endmacro
%macro BAD 1
        mov     ebp, %1
%endmacro

        section .rodata
        align   16
ug_block:
        bits    16
ug_start:
        STEP    1
        ; #GP: paging without protection
        mov     eax, cr0
        or      eax, 0x80000000
        BAD     101
        mov     cr0, eax
        ; a software interrupt and its return
        xor     ebx, ebx
        int     0x21
        STEP    2                       ; EBX = 2121H
        ; data segment, and a store through it
        mov     ax, 0x1800
        mov     ds, ax
        mov     word [0x10], 0x5A5A
        STEP    3
        xor     ax, ax
        mov     ds, ax
        o32 lgdt [AT(ug_gdtr)]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        STEP    4                       ; protected, CS still of real mode
        jmp     dword 0x08:AT(ug_32)

ug_handler:                             ; of INT 21H, and of what is injected
        mov     bx, 0x2121
        iret

ug_lmsw:
        xor     ax, ax
        lmsw    ax
        vmcall

        bits    32
ug_32:
        mov     ax, 0x10
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, 0x6000
        STEP    5
        ; #GP: IA-32e mode without PAE
        mov     ecx, 0xC0000080
        xor     edx, edx
        mov     eax, 0x100
        wrmsr
        mov     eax, cr0
        or      eax, 0x80000000
        BAD     102
        mov     cr0, eax
        ; PAE paging
        mov     ecx, 0xC0000080
        xor     eax, eax
        xor     edx, edx
        wrmsr
        mov     eax, cr4
        or      eax, 0x20
        mov     cr4, eax
        mov     eax, PDPT
        mov     cr3, eax
        mov     eax, cr0
        or      eax, 0x80000000
        mov     cr0, eax
        STEP    6
        ; and without paging again
        mov     eax, cr0
        and     eax, 0x7FFFFFFF
        mov     cr0, eax
        STEP    7
        ; compatibility mode
        mov     eax, PML4
        mov     cr3, eax
        mov     ecx, 0xC0000080
        mov     eax, 0x100
        xor     edx, edx
        wrmsr
        STEP    8                       ; LME without LMA
        mov     eax, cr0
        or      eax, 0x80000000
        mov     cr0, eax
        STEP    9
        jmp     0x18:AT(ug_64)

        bits    64
ug_64:
        STEP    10
        ; #GP: none of the three can go away here
        mov     rax, cr0
        and     eax, 0x7FFFFFFF
        BAD     103
        mov     cr0, rax
        mov     rax, cr4
        and     eax, ~0x20
        BAD     104
        mov     cr4, rax
        mov     ecx, 0xC0000080
        xor     eax, eax
        xor     edx, edx
        BAD     105
        wrmsr
        push    qword 0x08
        push    qword AT(ug_back32)
        retfq

        bits    32
ug_back32:
        STEP    11
        mov     eax, cr0
        and     eax, 0x7FFFFFFF
        mov     cr0, eax
        STEP    12
        mov     ecx, 0xC0000080
        xor     eax, eax
        xor     edx, edx
        wrmsr
        mov     eax, cr4
        and     eax, ~0x20
        mov     cr4, eax
        mov     ax, 0x28
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        jmp     0x20:AT(ug_16)
        bits    16
ug_16:
        STEP    13                      ; 16-bit protected
        mov     eax, cr0
        and     al, 0xFE
        mov     cr0, eax
        STEP    14                      ; real mode, CS still of protected
        jmp     (BASE >> 4):(ug_real - ug_block)
ug_real:
        xor     ax, ax
        mov     ds, ax
        mov     ss, ax
        STEP    15
        STEP    99

ug_again:                               ; an injected event has run the handler
        STEP    16
        STEP    99

ug_violation:
        mov     ax, 0xF000
        mov     ds, ax
        mov     ax, [0xFFFE]            ; linear FFFFEH
        STEP    17
        STEP    99

; VM86: from real mode by way of protected mode.
ug_vm86:
        cli
        o32 lgdt [AT(ug_gdtr)]
        mov     eax, cr0
        or      al, 1
        mov     cr0, eax
        jmp     dword 0x08:AT(.protected)
        bits    32
.protected:
        mov     ax, 0x10
        mov     ss, ax
        mov     esp, 0x6000
        push    dword 0                 ; GS, FS, DS, ES
        push    dword 0
        push    dword 0
        push    dword 0
        push    dword 0                 ; SS:SP
        push    dword 0x5000
        push    dword 0x23002           ; VM, IOPL 3
        push    dword BASE >> 4
        push    dword .virtual - ug_block
        iretd
        bits    16
.virtual:
        STEP    18
        STEP    99

        bits    32
; Protected mode without paging: the last two bytes below 4 GiB and the first
; two bytes.
ug_wrap:
        mov     ecx, [0xFFFFFFFE]
        STEP    19
        STEP    99

        align   8
ug_gdt:
        dq      0
        dq      0x00CF9B000000FFFF      ; 08H: 32-bit code
        dq      0x00CF93000000FFFF      ; 10H: data
        dq      0x00AF9B000000FFFF      ; 18H: 64-bit code
        dq      0x00009B000000FFFF      ; 20H: 16-bit code, base 0
        dq      0x000093000000FFFF      ; 28H: 16-bit data
ug_gdt_end:
ug_gdtr:
        dw      ug_gdt_end - ug_gdt - 1
        dd      AT(ug_gdt)
ug_block_end:
