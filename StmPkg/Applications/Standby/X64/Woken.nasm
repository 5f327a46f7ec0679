;; @file
;  Behind the waking routine: UEFI's tables and segments.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

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

%define TSS_TYPE_BYTE  5
%define TSS_NOT_BUSY   0xFD
%define HOME_SPACE     0x20

extern ASM_PFX(gStandbyState)
extern ASM_PFX(StandbyWoken)

global ASM_PFX(AsmWoken)
global ASM_PFX(AsmReadState)

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
