;; @file
;  The way from VMX root operation's state to the guest's, without a VM entry.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "Layout.inc"
%include "VmxRegisters.inc"

%define MSR_FS_BASE  0xC0000100
%define MSR_GS_BASE  0xC0000101

;
; rcx = EXEC_NATIVE_STATE, rdx = VMX_REGISTERS. Both, this code and the exit
; stack lie in reserved memory that the guest's page tables map at its own
; address: the firmware's do.
;
global ASM_PFX(AsmContinueNatively)
ASM_PFX(AsmContinueNatively):
    mov     r8, rcx
    mov     r9, rdx
    lgdt    [r8 + NATIVE_GDTR]
    lidt    [r8 + NATIVE_IDTR]
    mov     rax, [r8 + NATIVE_CR3]
    mov     cr3, rax
    mov     rax, [r8 + NATIVE_DR7]
    mov     dr7, rax

    mov     rax, [r8 + NATIVE_DS]
    mov     ds, eax
    mov     rax, [r8 + NATIVE_ES]
    mov     es, eax
    mov     rax, [r8 + NATIVE_FS]
    mov     fs, eax
    mov     rax, [r8 + NATIVE_GS]
    mov     gs, eax
    ;
    ; Loading a selector replaces the base.
    ;
    mov     ecx, MSR_FS_BASE
    mov     eax, [r8 + NATIVE_FS_BASE]
    mov     edx, [r8 + NATIVE_FS_BASE + 4]
    wrmsr
    mov     ecx, MSR_GS_BASE
    mov     eax, [r8 + NATIVE_GS_BASE]
    mov     edx, [r8 + NATIVE_GS_BASE + 4]
    wrmsr

    mov     rax, [r8 + NATIVE_LDTR]
    lldt    ax
    ;
    ; LTR wants an available TSS; the guest's descriptor is marked busy since the
    ; guest loaded it. A guest without a TSS (the firmware's case) keeps ours in
    ; the hidden part, see ExecParkTaskRegister.
    ;
    mov     rax, [r8 + NATIVE_TR]
    and     eax, 0xFFF8
    jz      .no_tr
    mov     rcx, [r8 + NATIVE_GDTR + 2]
    and     byte [rcx + rax + 5], 0xFD
    ltr     ax
.no_tr:
    push    qword [r8 + NATIVE_SS]
    push    qword [r8 + NATIVE_RSP]
    push    qword [r8 + NATIVE_RFLAGS]
    push    qword [r8 + NATIVE_CS]
    push    qword [r8 + NATIVE_RIP]
    mov     rax, r9
    LOAD_REGISTERS
    iretq

;
; The end of a processor before the platform's. SMIs and NMIs interrupt HLT.
;
global ASM_PFX(AsmHalt)
ASM_PFX(AsmHalt):
    cli
.again:
    hlt
    jmp     .again
