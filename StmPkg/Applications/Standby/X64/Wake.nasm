;; @file
;  The waking routine: from real mode, where the firmware leaves, to UEFI.
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
; STANDBY_WAKE
;
%define WAKE_GDTR       0x00
%define WAKE_PROTECTED  0x08
%define WAKE_LONG       0x10
%define WAKE_CR0        0x18
%define WAKE_CR3        0x1C
%define WAKE_CR4        0x20
%define WAKE_EFER       0x24
%define WAKE_STACK      0x28
%define WAKE_CONTINUE   0x30
%define WAKE_DATA_SIZE  0x58

;
; STANDBY_STATE
;
%define STATE_GDTR  0x00
%define STATE_IDTR  0x10
%define STATE_CS    0x20
%define STATE_DS    0x22
%define STATE_ES    0x24
%define STATE_FS    0x26
%define STATE_GS    0x28
%define STATE_SS    0x2A
%define STATE_LDTR  0x2C
%define STATE_TR    0x2E

%define SEL_DATA       0x10
%define MSR_EFER       0xC0000080
%define TSS_TYPE_BYTE  5
%define TSS_NOT_BUSY   0xFD
%define HOME_SPACE     0x20

extern ASM_PFX(gStandbyState)
extern ASM_PFX(StandbyWoken)

global ASM_PFX(gWakeTemplate)
global ASM_PFX(gWakeSize)
global ASM_PFX(gWakeProtectedOffset)
global ASM_PFX(gWakeLongOffset)
global ASM_PFX(gWakeDataOffset)
global ASM_PFX(AsmWoken)
global ASM_PFX(AsmReadState)

    align   16
ASM_PFX(gWakeTemplate):
BITS 16
Template:
    cli
    cld
    xor     ebx, ebx
    mov     bx, cs
    mov     ds, bx
    shl     ebx, 4                      ; linear address of this copy
o32 lgdt    [(Data - Template) + WAKE_GDTR]
    mov     eax, cr0
    or      al, 1
    mov     cr0, eax
o32 jmp     far [(Data - Template) + WAKE_PROTECTED]

BITS 32
%define IN_COPY(Offset) ebx + (Data - Template) + Offset
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
    mov     rsp, [rbx + (Data - Template) + WAKE_STACK]
    jmp     [rbx + (Data - Template) + WAKE_CONTINUE]

    align   8
Data:
    times   WAKE_DATA_SIZE db 0
TemplateEnd:

    align   2
ASM_PFX(gWakeSize):
    dw      TemplateEnd - Template
ASM_PFX(gWakeProtectedOffset):
    dw      ProtectedEntry - Template
ASM_PFX(gWakeLongOffset):
    dw      LongEntry - Template
ASM_PFX(gWakeDataOffset):
    dw      Data - Template

;
; In 64-bit mode, on UEFI's page tables and a stack of our own.
;
ASM_PFX(AsmWoken):
    lea     rbx, [ASM_PFX(gStandbyState)]
    lgdt    [rbx + STATE_GDTR]
    lidt    [rbx + STATE_IDTR]
    mov     ax, [rbx + STATE_DS]
    mov     ds, ax
    mov     ax, [rbx + STATE_ES]
    mov     es, ax
    mov     ax, [rbx + STATE_FS]
    mov     fs, ax
    mov     ax, [rbx + STATE_GS]
    mov     gs, ax
    mov     ax, [rbx + STATE_SS]
    mov     ss, ax
    movzx   eax, word [rbx + STATE_CS]
    push    rax
    lea     rax, [.segments]
    push    rax
    retfq
.segments:
    lldt    [rbx + STATE_LDTR]
    ;
    ; LTR wants an available TSS, and UEFI's has been busy since it was loaded.
    ;
    movzx   eax, word [rbx + STATE_TR]
    test    eax, eax
    jz      .no_tr
    mov     rcx, [rbx + STATE_GDTR + 2]
    and     byte [rcx + rax + TSS_TYPE_BYTE], TSS_NOT_BUSY
    ltr     ax
.no_tr:
    sub     rsp, HOME_SPACE
    call    ASM_PFX(StandbyWoken)       ; does not return
    ud2

;
; rcx = STANDBY_STATE
;
ASM_PFX(AsmReadState):
    sgdt    [rcx + STATE_GDTR]
    sidt    [rcx + STATE_IDTR]
    mov     [rcx + STATE_CS], cs
    mov     [rcx + STATE_DS], ds
    mov     [rcx + STATE_ES], es
    mov     [rcx + STATE_FS], fs
    mov     [rcx + STATE_GS], gs
    mov     [rcx + STATE_SS], ss
    sldt    [rcx + STATE_LDTR]
    str     [rcx + STATE_TR]
    ret
