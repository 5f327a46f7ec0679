;; @file
;  The waking routine: from real mode, where the firmware leaves, to 64-bit mode.
;
;  The template is copied to a page below 1 MB, whose address goes to the FACS.
;  The firmware jumps there with CS = address / 16, IP = 0.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

;
; WAKE_PARAMETERS
;
%define WAKE_GDTR             0x00
%define WAKE_PROTECTED        0x08
%define WAKE_LONG             0x10
%define WAKE_CR0              0x18
%define WAKE_CR3              0x1C
%define WAKE_CR4              0x20
%define WAKE_EFER             0x24
%define WAKE_STACK            0x28
%define WAKE_CONTINUE         0x30
%define WAKE_PARAMETERS_SIZE  0x58

%define SEL_DATA  0x10
%define MSR_EFER  0xC0000080

global ASM_PFX(gStmWakeTemplate)
global ASM_PFX(gStmWakeSize)
global ASM_PFX(gStmWakeProtectedOffset)
global ASM_PFX(gStmWakeLongOffset)
global ASM_PFX(gStmWakeParametersOffset)

    align   16
ASM_PFX(gStmWakeTemplate):
BITS 16
Template:
    cli
    cld
    xor     ebx, ebx
    mov     bx, cs
    mov     ds, bx
    shl     ebx, 4                      ; linear address of this copy
o32 lgdt    [(Parameters - Template) + WAKE_GDTR]
    mov     eax, cr0
    or      al, 1
    mov     cr0, eax
o32 jmp     far [(Parameters - Template) + WAKE_PROTECTED]

BITS 32
%define IN_COPY(Offset) ebx + (Parameters - Template) + Offset
ProtectedEntry:
    mov     eax, SEL_DATA
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    mov     eax, [IN_COPY(WAKE_CR4)]
    mov     cr4, eax
    mov     eax, [IN_COPY(WAKE_CR3)]
    mov     cr3, eax
    mov     ecx, MSR_EFER
    mov     eax, [IN_COPY(WAKE_EFER)]
    xor     edx, edx
    wrmsr
    mov     eax, [IN_COPY(WAKE_CR0)]
    mov     cr0, eax
    jmp     far [IN_COPY(WAKE_LONG)]

BITS 64
LongEntry:
    mov     rsp, [rbx + (Parameters - Template) + WAKE_STACK]
    jmp     [rbx + (Parameters - Template) + WAKE_CONTINUE]

    align   8
Parameters:
    times   WAKE_PARAMETERS_SIZE db 0
TemplateEnd:

    align   2
ASM_PFX(gStmWakeSize):
    dw      TemplateEnd - Template
ASM_PFX(gStmWakeProtectedOffset):
    dw      ProtectedEntry - Template
ASM_PFX(gStmWakeLongOffset):
    dw      LongEntry - Template
ASM_PFX(gStmWakeParametersOffset):
    dw      Parameters - Template
