; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; SMI handlers that begin in 32-bit mode without paging.  Their code is executed where
; firmware.c has copied it in SMRAM, since without paging an address is where it says: it
; refers to itself by MOVED(), and to data by its place in the image.

%include "layout.inc"

        extern  handler_count, smis_served, handler_entry
        global  handler32_plain, handler32_long, handler32_gate
        global  handler32_what, handler32_found, handler32_faults, handler32_idtr

%define IMAGE_BASE     0x100000
%define HANDLER_TEXT   (0x3800000 + 0x410000)   ; of firmware.c
%define HANDLER_TABLES (0x3800000 + 0x400000)
%define HANDLER_PDPT   (HANDLER_TABLES + 0x7000) ; of handler32.c
%define MOVED(label)   (label - IMAGE_BASE + HANDLER_TEXT)
%define MSEG           0x3E00000
%define SAVED_RAX      (0x3810000 + 0xFE00 + 0x1F8)
%define MSR_EFER       0xC0000080
%define CR0_PG         0x80000000
%define CR4_PSE_PAE    0x30
%define RECORD_PORT    0x403


        section .text
        bits    32

; Everything in 32-bit mode.
handler32_plain:
        inc     dword [handler_count]
        inc     dword [smis_served]
        mov     [handler32_found + 0], esp
        mov     eax, cr0
        mov     [handler32_found + 4], eax
        mov     eax, cr4
        mov     [handler32_found + 8], eax
        mov     eax, cs
        mov     [handler32_found + 12], eax
        mov     ecx, MSR_EFER
        rdmsr
        mov     [handler32_found + 16], eax
        mov     eax, cr3
        mov     [handler32_found + 20], eax
        lidt    [handler32_idtr]
        mov     ebx, [handler32_what]
        jmp     [MOVED(.table) + 4 * ebx]
        align   4
.table: dd      MOVED(.nothing), MOVED(.cpuid), MOVED(.vmcall), MOVED(.saved), MOVED(.mseg), MOVED(.port)
        dd      MOVED(.no_tables), MOVED(.foreign_tables), MOVED(.execute), MOVED(.tables)

.cpuid: mov     eax, 1
        xor     ecx, ecx
        cpuid
        mov     [handler32_found + 24], ecx
        jmp     .nothing
.vmcall:
        mov     eax, 0x7777             ; no call of the STM's
        vmcall
        mov     [handler32_found + 24], eax
        jmp     .nothing
.saved: mov     dword [SAVED_RAX], 0x9ABCDEF0
        mov     dword [SAVED_RAX + 4], 0x12345678
        jmp     .nothing
; What the handler may not: the STM injects #GP, which goes on at EDI.
.mseg:  mov     edi, MOVED(.nothing)
        mov     eax, [MSEG + 0x800]
        jmp     .nothing
.port:  mov     edi, MOVED(.nothing)
        mov     dx, RECORD_PORT
        mov     al, '!'
        out     dx, al
        jmp     .nothing
; Paging with CR3 as it is at the start: nobody's page tables.
.no_tables:
        mov     edi, MOVED(.nothing)
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        jmp     .nothing
; Page tables outside SMRAM.
.foreign_tables:
        mov     edi, MOVED(.nothing)
        mov     eax, 0x200000
        mov     cr3, eax
        jmp     .nothing
; Code outside SMRAM.
.execute:
        mov     edi, MOVED(.nothing)
        mov     eax, 0x200000
        jmp     eax
; Its own page tables: PAE paging, off again.
.tables:
        mov     eax, cr4
        or      eax, CR4_PSE_PAE
        mov     cr4, eax
        mov     eax, HANDLER_PDPT
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     edi, MOVED(.nothing)
        mov     cr0, eax
        mov     ecx, cr0
        mov     [handler32_found + 24], ecx
        and     eax, ~CR0_PG
        mov     cr0, eax
        mov     ecx, cr0
        mov     [handler32_found + 28], ecx
.nothing:
        rsm

; #GP: error code, EIP, CS, EFLAGS.  On with EDI.
handler32_gate:
        inc     dword [handler32_faults]
        add     esp, 4
        mov     [esp], edi
        iret

; To 64-bit mode first, then as firmware.c's handler does.
handler32_long:
        mov     eax, cr4
        or      eax, CR4_PSE_PAE
        mov     cr4, eax
        mov     eax, HANDLER_TABLES
        mov     cr3, eax
        mov     ecx, MSR_EFER
        rdmsr
        or      eax, 1 << 8
        wrmsr
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        jmp     SEL_CODE64:handler_entry

        section .bss
        alignb  4
handler32_what:
        resd    1
handler32_found:
        resd    8
handler32_faults:
        resd    1
handler32_idtr:
        resb    8
