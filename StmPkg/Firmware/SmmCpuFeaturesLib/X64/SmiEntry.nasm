;------------------------------------------------------------------------------
; Entry to the SMI handlers, by the processor and by the STM.
;
; The template below is copied to SMBASE + 8000H of every processor, with the
; processor's parameters (SMI_ENTRY_PARAMETERS, SmiEntry.h) at its end.
;
; By the processor (default treatment): 16-bit code, CS base = SMBASE, paging
; off, EFER and CR4 cleared (SDM "SMI Handler Execution Environment", 34.5 [32.5]).
; By the STM (dual-monitor treatment): StmEntry, in 64-bit mode with the page
; tables, GDT and selectors of the processor's descriptor (PSD) and RSP =
; PSD.SmmSmiHandlerRsp. Nothing in the PSD asks for EFER.NXE, which the page
; tables need, so StmEntry sets it where the monitor has not, and so do the
; entries for the start and the stop of the STM.
;
; CR4.MCE is set only when the IDT is: a machine check in between would be
; delivered through whatever IDTR the interrupted code left (CVE-2025-3770).
;
; Copyright (c) 2026, STM Lab contributors
; SPDX-License-Identifier: BSD-2-Clause-Patent
;------------------------------------------------------------------------------

%include "StuffRsbNasm.inc"

%define HANDLER_OFFSET      0x8000
%define SEL_CODE32          0x08
%define SEL_DATA            0x20
%define SEL_TSS             0x40

%define PARAMETER_GDT       0x00
%define PARAMETER_GDT_BASE  0x02
%define PARAMETER_PROTECTED 0x08
%define PARAMETER_LONG      0x10
%define PARAMETER_BASE      0x18
%define PARAMETER_CR3       0x1C
%define PARAMETER_STACK     0x20
%define PARAMETER_FLAGS     0x24
%define PARAMETER_IDT       0x28
%define PARAMETER_HANDLER   0x38
%define PARAMETERS_SIZE     0x40

%define FLAG_XD             1
%define FLAG_MISC_ENABLE    2

%define MSR_MISC_ENABLE     0x1A0
%define MISC_ENABLE_XD_OFF  4               ; bit 34, in the upper half
%define MSR_EFER            0xC0000080
%define EFER_LME            0x100
%define EFER_NXE            0x800

%define CPUID_EXTENDED_SIGNATURE  0x80000001
%define CPUID_XD            0x100000        ; EDX
%define CPUID_GENU          'Genu'          ; EBX of GenuineIntel: has IA32_MISC_ENABLE

%define STM_API_RETURN_FROM_EXCEPTION  4
%define RESET_PORT          0xCF9
%define RESET_FULL          0x0E

%define CR0_KEEP            0x9FFAFFF3      ; all but CD, NW, AM, WP, TS, EM
%define CR0_PROTECTED       0x00000023      ; NE, MP, PE
%define CR0_LONG            0x80010023      ; PG, WP, NE, MP, PE
%define CR4_MCE             0x40
%define CR4_WITHOUT_MCE     0x628           ; OSXMMEXCPT, OSFXSR, PAE, DE

%define TSS_TYPE_BYTE       5
%define TSS_AVAILABLE       0x89

%define FXSAVE_SIZE         0x200
%define SHADOW_SPACE        0x20

extern ASM_PFX(CpuSmmDebugEntry)
extern ASM_PFX(SmiRendezvous)
extern ASM_PFX(CpuSmmDebugExit)
extern ASM_PFX(SmiProtectionException)

global ASM_PFX(gSmiEntryTemplate)
global ASM_PFX(gSmiEntrySize)
global ASM_PFX(gSmiEntryProtectedOffset)
global ASM_PFX(gSmiEntryLongOffset)
global ASM_PFX(gSmiEntryStmOffset)
global ASM_PFX(gSmiEntryParametersOffset)
global ASM_PFX(SmiEntryCommonHandler)
global ASM_PFX(SmiEntryStmSetup)
global ASM_PFX(SmiEntryStmTeardown)
global ASM_PFX(SmiEntryException)
global ASM_PFX(gSmiEntryStmStarted)

    DEFAULT REL
    SECTION .text

align 16
ASM_PFX(gSmiEntryTemplate):

BITS 16
Template:
%define IN_SEGMENT(Offset) HANDLER_OFFSET + (Parameters - Template) + Offset
o32 lgdt    [cs:IN_SEGMENT(PARAMETER_GDT)]
    mov     edi, [cs:IN_SEGMENT(PARAMETER_BASE)]
    mov     eax, cr0
    and     eax, CR0_KEEP
    or      eax, CR0_PROTECTED
    mov     cr0, eax
o32 jmp     far [cs:IN_SEGMENT(PARAMETER_PROTECTED)]

; edi = linear address of this copy
BITS 32
ProtectedEntry:
%define IN_COPY(Offset) edi + (Parameters - Template) + Offset
    mov     eax, SEL_DATA
    mov     ds, eax
    mov     es, eax
    mov     fs, eax
    mov     gs, eax
    mov     ss, eax
    mov     esp, [IN_COPY(PARAMETER_STACK)]

; The task register is loaded while paging is off: LTR sets the busy bit, and
; the page tables make the GDT read-only.
    mov     eax, [IN_COPY(PARAMETER_GDT_BASE)]
    mov     byte [eax + SEL_TSS + TSS_TYPE_BYTE], TSS_AVAILABLE
    mov     eax, SEL_TSS
    ltr     ax

    mov     eax, [IN_COPY(PARAMETER_CR3)]
    mov     cr3, eax
    mov     eax, CR4_WITHOUT_MCE
    mov     cr4, eax

; EFER.NXE faults while IA32_MISC_ENABLE disables XD; esi keeps what to restore.
    xor     esi, esi
    mov     ebp, [IN_COPY(PARAMETER_FLAGS)]
    test    ebp, FLAG_MISC_ENABLE
    jz      .xd_allowed
    mov     ecx, MSR_MISC_ENABLE
    rdmsr
    mov     esi, edx
    and     esi, MISC_ENABLE_XD_OFF
    jz      .xd_allowed
    and     edx, ~MISC_ENABLE_XD_OFF
    wrmsr
.xd_allowed:
    mov     ecx, MSR_EFER
    rdmsr
    or      eax, EFER_LME
    test    ebp, FLAG_XD
    jz      .efer_ready
    or      eax, EFER_NXE
.efer_ready:
    wrmsr
    mov     eax, cr0
    or      eax, CR0_LONG
    mov     cr0, eax
    jmp     far [IN_COPY(PARAMETER_LONG)]

BITS 64
LongEntry:
    lidt    [Parameters + PARAMETER_IDT]
    mov     rax, cr4
    or      eax, CR4_MCE
    mov     cr4, rax
    mov     esp, esp                        ; the upper halves are undefined here
    mov     esi, esi
    push    rsi
    jmp     [Parameters + PARAMETER_HANDLER]

StmEntry:
; Until EFER.NXE is set, bit 63 of a page-table entry is reserved. Only code is
; mapped without it, so neither stack nor data may be touched here. A monitor
; that has set NXE (ours has) costs one RDMSR and no VM exit; any access might
; be one under another monitor.
    xor     esi, esi                        ; nothing of IA32_MISC_ENABLE to restore
    mov     ebp, [Parameters + PARAMETER_FLAGS]
    test    ebp, FLAG_XD
    jz      .nxe_ready
    mov     ecx, MSR_EFER
    rdmsr
    test    eax, EFER_NXE
    jnz     .nxe_ready
    test    ebp, FLAG_MISC_ENABLE
    jz      .xd_allowed
    mov     ecx, MSR_MISC_ENABLE
    rdmsr
    mov     esi, edx
    and     esi, MISC_ENABLE_XD_OFF
    jz      .xd_allowed
    and     edx, ~MISC_ENABLE_XD_OFF
    wrmsr
.xd_allowed:
    mov     ecx, MSR_EFER
    rdmsr
    or      eax, EFER_NXE
    wrmsr
.nxe_ready:
    lidt    [Parameters + PARAMETER_IDT]
    mov     rax, cr0
    or      eax, CR0_LONG
    mov     cr0, rax
    mov     eax, CR4_WITHOUT_MCE | CR4_MCE
    mov     cr4, rax
    push    rsi
    jmp     [Parameters + PARAMETER_HANDLER]

align 8
Parameters:
    times PARAMETERS_SIZE db 0
TemplateEnd:

; Everything from here on stays in PiSmmCpuDxeSmm's image.

ASM_PFX(SmiEntryCommonHandler):
    mov     rbx, [rsp + 8]                  ; index of the processor
    sub     rsp, FXSAVE_SIZE
    fxsave64 [rsp]
    sub     rsp, SHADOW_SPACE

    mov     rcx, rbx
    call    ASM_PFX(CpuSmmDebugEntry)
    mov     rcx, rbx
    call    ASM_PFX(SmiRendezvous)
    mov     rcx, rbx
    call    ASM_PFX(CpuSmmDebugExit)

    add     rsp, SHADOW_SPACE
    fxrstor64 [rsp]
    add     rsp, FXSAVE_SIZE

    pop     rsi
    test    esi, esi
    jz      .leave
    mov     ecx, MSR_MISC_ENABLE
    rdmsr
    or      edx, esi
    wrmsr
.leave:
    StuffRsb64
    rsm

; Only EFI_SM_MONITOR_STATE_ACTIVATED depends on a start or stop of the STM: it is
; the number of processors that have been started and not stopped.
ASM_PFX(SmiEntryStmSetup):
    lea     r8, [.nxe_ready]
    jmp     EnableNxe
.nxe_ready:
    lock inc dword [ASM_PFX(gSmiEntryStmStarted)]
    jmp     LeaveFromImage

ASM_PFX(SmiEntryStmTeardown):
    lea     r8, [.nxe_ready]
    jmp     EnableNxe
.nxe_ready:
    lock dec dword [ASM_PFX(gSmiEntryStmStarted)]
    jmp     LeaveFromImage

; As in StmEntry, but that the image has no parameters without bit 63 in their
; page-table entry: CPUID answers instead. r8 = where to go on; esi = what to
; restore of IA32_MISC_ENABLE. Neither stack nor data may be touched.
EnableNxe:
    xor     esi, esi
    mov     ecx, MSR_EFER
    rdmsr
    test    eax, EFER_NXE
    jnz     .ready
    mov     eax, CPUID_EXTENDED_SIGNATURE
    cpuid
    test    edx, CPUID_XD
    jz      .ready
    xor     eax, eax
    cpuid
    cmp     ebx, CPUID_GENU
    jne     .xd_allowed
    mov     ecx, MSR_MISC_ENABLE
    rdmsr
    mov     esi, edx
    and     esi, MISC_ENABLE_XD_OFF
    jz      .xd_allowed
    and     edx, ~MISC_ENABLE_XD_OFF
    wrmsr
.xd_allowed:
    mov     ecx, MSR_EFER
    rdmsr
    or      eax, EFER_NXE
    wrmsr
.ready:
    jmp     r8

LeaveFromImage:
    test    esi, esi
    jz      .leave
    mov     ecx, MSR_MISC_ENABLE
    rdmsr
    or      edx, esi
    wrmsr
.leave:
    rsm

; From the STM, in the midst of an SMI handler: EFER is that handler's. RSP points
; to the frame, on a stack of its own.
ASM_PFX(SmiEntryException):
    mov     rcx, rsp
    sub     rsp, SHADOW_SPACE
    call    ASM_PFX(SmiProtectionException)
    mov     ebx, eax
    mov     eax, STM_API_RETURN_FROM_EXCEPTION
    vmcall

; A monitor that knows the interface has reset the platform by now.
    mov     edx, RESET_PORT
    mov     al, RESET_FULL
.reset:
    out     dx, al
    jmp     .reset

    SECTION .data

align 4
ASM_PFX(gSmiEntryStmStarted):       dd 0

    SECTION .rdata

ASM_PFX(gSmiEntrySize):             dw TemplateEnd - Template
ASM_PFX(gSmiEntryProtectedOffset):  dw ProtectedEntry - Template
ASM_PFX(gSmiEntryLongOffset):       dw LongEntry - Template
ASM_PFX(gSmiEntryStmOffset):        dw StmEntry - Template
ASM_PFX(gSmiEntryParametersOffset): dw Parameters - Template
