;; @file
;  NMIs in VMX root operation.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "Layout.inc"

extern ASM_PFX(AsmResumeBegin)
extern ASM_PFX(AsmResumeEnd)

;
; The guest runs without NMI exiting, so an NMI that arrives here is the guest's.
; It is noted, and given to the guest by the next VM entry.
;
; Two things would lose or delay it. If the code that looks at the note has looked
; already, VM entry would come first: it is made to look again. And IRET would
; unblock NMIs, so that a second one would be merged with the first, which the
; processor itself keeps apart: so this returns without IRET, and NMIs stay blocked
; until VM entry sets what the guest has.
;
; Stack: RIP, CS, RFLAGS, RSP, SS, on a stack of its own (IST).
;
%define AT_RIP     0x10                 ; behind the two registers that are saved
%define AT_RFLAGS  0x20
%define AT_RSP     0x28

global ASM_PFX(AsmNmi)
ASM_PFX(AsmNmi):
    mov     byte [gs:CONTEXT_NMI_PENDING], 1
    push    rax
    push    rcx
    mov     rcx, [rsp + AT_RIP]
    lea     rax, [ASM_PFX(AsmResumeEnd)]
    cmp     rcx, rax
    jae     .return
    lea     rax, [ASM_PFX(AsmResumeBegin)]
    cmp     rcx, rax
    jb      .return
    mov     rcx, rax
.return:
    mov     rax, [rsp + AT_RSP]
    mov     [rax - 0x08], rcx
    mov     rcx, [rsp + AT_RFLAGS]
    mov     [rax - 0x10], rcx
    sub     rax, 0x10
    mov     [rsp + AT_RSP], rax
    pop     rcx
    pop     rax
    mov     rsp, [rsp + AT_RSP - 0x10]
    popfq
    ret
