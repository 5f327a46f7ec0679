; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; SMI handlers that begin in 32-bit mode, without paging or with PAE paging, and their
; handlers of protection exceptions.  Their code is executed where
; firmware.c has copied it in SMRAM, since without paging an address is where it says: it
; refers to itself by MOVED(), and to data by its place in the image.

%include "layout.inc"

        extern  handler_count, smis_served, handler_entry
        global  handler32_plain, handler32_long, handler32_gate
        global  handler32_what, handler32_found, handler32_faults, handler32_idtr
        global  handler32_violation, handler32_exception, handler32_exception64
        global  handler32_frame, handler32_before, handler32_after, handler32_guarded
        global  handler32_exceptions, handler32_refused, handler32_detours

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
%define DATA_IN_GB_3   0xC0000000       ; where the last PDPTE makes it lie
%define RETURN         4                ; RETURN_FROM_PROTECTION_EXCEPTION

; STM_PROTECTION_EXCEPTION_STACK_FRAME_IA32; of the other one only RIP.
%define FRAME_CR3      28
%define FRAME_EIP      60
%define FRAME_ESP      72
%define FRAME_WORDS    20
%define FRAME64_RIP    0xB8
%define LENGTH         2                ; of the instruction that is caught
%define LOWER          64               ; by which ESP is moved

; From protected mode without paging to compatibility mode, with the handler's 64-bit tables.
; Changes EAX and EDX; ECX is MSR_EFER afterwards, for the way back.
%macro ENTER_IA32E 0
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
%endmacro

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
        dd      MOVED(.last_gb), MOVED(.read_last), MOVED(.paging_off), MOVED(handler32_violate)

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
        jmp     .nothing
; With PAE paging: another PDPTE in memory, and no load of CR3.
.last_gb:
        mov     eax, [HANDLER_PDPT]
        mov     [HANDLER_PDPT + 24], eax
        jmp     .nothing
.read_last:
        mov     eax, [DATA_IN_GB_3 + handler32_guarded]
        mov     [handler32_found + 24], eax
        jmp     .nothing
; With PAE paging: off, and on again.
.paging_off:
        mov     edi, MOVED(.nothing)
        mov     eax, cr0
        and     eax, ~CR0_PG
        mov     cr0, eax
        mov     ecx, cr0
        mov     [handler32_found + 24], ecx
        or      eax, CR0_PG
        mov     cr0, eax
        mov     ecx, cr0
        mov     [handler32_found + 28], ecx
.nothing:
        rsm

; Touches what is protected, with a pattern in every register.
handler32_violate:
        mov     esi, handler32_before
        mov     ebx, [esi + 20]
        mov     ecx, [esi + 16]
        mov     edx, [esi + 12]
        mov     ebp, [esi + 8]
        mov     eax, [esi + 24]
        mov     edi, [handler32_guarded]
        mov     esi, [esi + 4]
handler32_violation:
        mov     eax, [edi]
        mov     [handler32_after], edi
        mov     [handler32_after + 4], esi
        mov     [handler32_after + 8], ebp
        mov     [handler32_after + 12], edx
        mov     [handler32_after + 16], ecx
        mov     [handler32_after + 20], ebx
        mov     [handler32_after + 24], eax
        mov     [handler32_after + 28], esp
        rsm

; Handler of protection exceptions: a return with page tables outside SMRAM; if it is told
; to, one from IA-32e mode; then with every register inverted, behind the instruction.
handler32_exception:
        inc     dword [handler32_exceptions]
        mov     esi, esp
        mov     edi, handler32_frame
        mov     ecx, FRAME_WORDS
        rep movsd
        mov     dword [esp + FRAME_CR3], 0x100000
        mov     eax, RETURN
        xor     ebx, ebx
        vmcall
        mov     [handler32_refused], eax
        mov     eax, [handler32_frame + FRAME_CR3]
        mov     [esp + FRAME_CR3], eax
        cmp     dword [handler32_detours], 0
        je      .back
        dec     dword [handler32_detours]
        mov     dword [esp + FRAME_CR3], HANDLER_TABLES
        ENTER_IA32E
        mov     eax, RETURN
        vmcall
        mov     [handler32_refused + 4], eax
        mov     eax, cr0
        and     eax, ~CR0_PG
        mov     cr0, eax
        rdmsr
        and     eax, ~(1 << 8)
        wrmsr
.back:
        xor     ecx, ecx
.next:  not     dword [esp + 4 * ecx]
        inc     ecx
        cmp     ecx, FRAME_CR3 / 4
        jb      .next
        add     dword [esp + FRAME_EIP], LENGTH
        sub     dword [esp + FRAME_ESP], LOWER
        mov     eax, RETURN
        vmcall
        ud2

; The same of a handler that has gone on to 64-bit mode.
        bits    64
handler32_exception64:
        inc     dword [handler32_exceptions]
        add     qword [rsp + FRAME64_RIP], LENGTH
        mov     eax, RETURN
        xor     ebx, ebx
        vmcall
        ud2
        bits    32

; #GP: error code, EIP, CS, EFLAGS.  On with EDI.
handler32_gate:
        inc     dword [handler32_faults]
        add     esp, 4
        mov     [esp], edi
        iret

; To 64-bit mode first, then as firmware.c's handler does.
handler32_long:
        ENTER_IA32E
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
handler32_guarded:
        resd    1
handler32_exceptions:
        resd    1
handler32_refused:
        resd    2
handler32_detours:
        resd    1
handler32_before:
        resd    8
handler32_after:
        resd    8
handler32_frame:
        resd    FRAME_WORDS
