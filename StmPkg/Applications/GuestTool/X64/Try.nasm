;; @file
;  Instructions that may fault, as routines for StmTry.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL

%define RFLAGS_TF  0x100

;
; TRY_OPERANDS, in Try.c.
;
%define OPERANDS_NUMBER  0x00
%define OPERANDS_VALUE   0x08
%define OPERANDS_RESULT  0x10

;
; TRY_STRING, in Try.h.
;
%define STRING_KIND      0x00
%define STRING_PORT      0x08
%define STRING_BACKWARD  0x10
%define STRING_COUNT     0x18
%define STRING_ADDRESS   0x20

    SECTION .data

align 16
;
; Operand of the VMX instructions: no VMCS, no valid descriptor.
;
Operand:
    dq      0, 0
global ASM_PFX(gTryStepRip)
ASM_PFX(gTryStepRip):
    dq      0
global ASM_PFX(gTryStepExpected)
ASM_PFX(gTryStepExpected):
    dq      0

    SECTION .text

%define BYTES_PER_INSTRUCTION  16

%macro SIMPLE 1+
    %1
    ret
    align   BYTES_PER_INSTRUCTION
%endmacro

;
; rcx = TRY_OPERANDS; OPERANDS_NUMBER selects the instruction.
;
global ASM_PFX(AsmRunInstruction)
ASM_PFX(AsmRunInstruction):
    mov     rax, [rcx + OPERANDS_NUMBER]
    shl     rax, 4                      ; BYTES_PER_INSTRUCTION
    lea     r10, [Instructions]
    add     r10, rax
    xor     eax, eax
    xor     ecx, ecx
    xor     edx, edx
    jmp     r10

    align   BYTES_PER_INSTRUCTION
Instructions:
    SIMPLE  vmxon   [Operand]
    SIMPLE  vmxoff
    SIMPLE  vmclear [Operand]
    SIMPLE  vmptrld [Operand]
    SIMPLE  vmptrst [Operand]
    SIMPLE  vmread  rdx, rcx
    SIMPLE  vmwrite rcx, rdx
    SIMPLE  vmlaunch
    SIMPLE  vmresume
    SIMPLE  invept  rcx, oword [Operand]
    SIMPLE  invvpid rcx, oword [Operand]
    SIMPLE  getsec
    SIMPLE  invd
    SIMPLE  rdtscp

;
; rcx = TRY_OPERANDS. A fault is left with rbx as StmTry's caller had it, so that
; it need not be restored here for that case.
;
global ASM_PFX(AsmRunVmcall)
ASM_PFX(AsmRunVmcall):
    push    rbx
    mov     r8, rcx
    mov     eax, [r8 + OPERANDS_NUMBER]
    mov     rbx, [r8 + OPERANDS_VALUE]
    vmcall
    mov     [r8 + OPERANDS_RESULT], rax
    pop     rbx
    ret

;
; rcx = TRY_STRING. A fault is left with DF = 0 and with rbx, rsi and rdi as
; StmTry's caller had them.
;
global ASM_PFX(AsmRunString)
ASM_PFX(AsmRunString):
    push    rbx
    push    rsi
    push    rdi
    mov     rbx, rcx
    mov     rax, [rbx + STRING_KIND]
    shl     rax, 4                      ; BYTES_PER_INSTRUCTION
    lea     r10, [Strings]
    add     r10, rax
    mov     edx, [rbx + STRING_PORT]
    mov     rcx, [rbx + STRING_COUNT]
    mov     rsi, [rbx + STRING_ADDRESS]
    mov     rdi, rsi
    cmp     qword [rbx + STRING_BACKWARD], 0
    je      .forward
    std
.forward:
    call    r10
    cld
    mov     [rbx + STRING_COUNT], rcx
    mov     rax, [rbx + STRING_ADDRESS]
    cmp     rdi, rax
    cmove   rdi, rsi                    ; OUTS moves RSI
    mov     [rbx + STRING_ADDRESS], rdi
    pop     rdi
    pop     rsi
    pop     rbx
    ret

    align   BYTES_PER_INSTRUCTION
Strings:
    SIMPLE  insb
    SIMPLE  rep insb
    SIMPLE  outsb
    SIMPLE  rep outsb
    SIMPLE  a32 rep outsb

;
; POPF sets TF; the trap comes behind the next instruction, which the executive
; monitor carries out for us.
;
global ASM_PFX(AsmRunStep)
ASM_PFX(AsmRunStep):
    push    rbx
    lea     rax, [.stepped]
    mov     [ASM_PFX(gTryStepExpected)], rax
    xor     eax, eax
    xor     ecx, ecx
    pushfq
    or      qword [rsp], RFLAGS_TF
    popfq
    cpuid
.stepped:
    nop
    pushfq
    and     qword [rsp], ~RFLAGS_TF
    popfq
    pop     rbx
    ret

;
; Interrupt entry for the trap: notes where it came and goes on without TF.
;
global ASM_PFX(AsmStepped)
ASM_PFX(AsmStepped):
    push    rax
    mov     rax, [rsp + 8]
    mov     [ASM_PFX(gTryStepRip)], rax
    pop     rax
    and     qword [rsp + 16], ~RFLAGS_TF
    iretq
