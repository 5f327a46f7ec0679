;; @file
;  Instructions that may fault. A fault goes on at the address in Resume with the
;  stack as it was, so a tried instruction may not stand behind a push.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL

%define VECTOR_DB  1
%define VECTOR_UD  6
%define VECTOR_GP  13
%define RFLAGS_TF  0x100

    SECTION .data

align 16
;
; Operand of the VMX instructions: no VMCS, no valid descriptor.
;
Operand:
    dq      0, 0
Resume:
    dq      0
Vector:
    dq      0
global ASM_PFX(gTryStepRip)
ASM_PFX(gTryStepRip):
    dq      0
global ASM_PFX(gTryStepExpected)
ASM_PFX(gTryStepExpected):
    dq      0

    SECTION .text

;
; Try one instruction; fall through with rax = 0, or go to label %1.
;
%macro TRY 2+
    lea     rax, [%1]
    mov     [Resume], rax
    mov     qword [Vector], 0
    %2
%endmacro

;
; The same for an instruction that needs eax.
;
%macro TRY_EAX 3+
    lea     r11, [%1]
    mov     [Resume], r11
    mov     qword [Vector], 0
    mov     eax, %2
    %3
%endmacro

%macro SIMPLE 1+
    TRY     Done, %1
    jmp     Done
    align   64
%endmacro

;
; Every try ends here, with or without a fault.
;
Done:
    mov     rax, [Vector]
    ret

;
; ecx = number of the instruction.
;
global ASM_PFX(AsmTryInstruction)
ASM_PFX(AsmTryInstruction):
    mov     ecx, ecx
    shl     rcx, 6
    lea     r10, [Instructions]
    add     r10, rcx
    xor     ecx, ecx
    xor     edx, edx
    jmp     r10

    align   64
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

global ASM_PFX(AsmTryReadMsr)
ASM_PFX(AsmTryReadMsr):
    mov     r8, rdx
    TRY     Done, rdmsr
    shl     rdx, 32
    or      rax, rdx
    mov     [r8], rax
    jmp     Done

global ASM_PFX(AsmTryWriteMsr)
ASM_PFX(AsmTryWriteMsr):
    mov     r8d, edx
    shr     rdx, 32
    TRY_EAX Done, r8d, wrmsr
    jmp     Done

global ASM_PFX(AsmTryWriteCr0)
ASM_PFX(AsmTryWriteCr0):
    TRY     Done, mov cr0, rcx
    jmp     Done

global ASM_PFX(AsmTryWriteCr4)
ASM_PFX(AsmTryWriteCr4):
    TRY     Done, mov cr4, rcx
    jmp     Done

global ASM_PFX(AsmTryXsetbv)
ASM_PFX(AsmTryXsetbv):
    mov     r8d, edx
    shr     rdx, 32
    TRY_EAX Done, r8d, xsetbv
    jmp     Done

;
; ecx = number, rdx = rbx, r8 = result.
;
global ASM_PFX(AsmTryVmcall)
ASM_PFX(AsmTryVmcall):
    mov     r9, rbx
    mov     rbx, rdx
    TRY_EAX .fault, ecx, vmcall
    mov     [r8], rax
.fault:
    mov     rbx, r9
    jmp     Done

;
; POPF sets TF; the trap comes behind the next instruction, which the executive
; monitor carries out for us.
;
global ASM_PFX(AsmTryStep)
ASM_PFX(AsmTryStep):
    mov     r9, rbx
    lea     rax, [.stepped]
    mov     [ASM_PFX(gTryStepExpected)], rax
    mov     qword [Vector], 0
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
    mov     rbx, r9
    jmp     Done

global ASM_PFX(AsmTryDebug)
ASM_PFX(AsmTryDebug):
    push    rax
    mov     rax, [rsp + 8]
    mov     [ASM_PFX(gTryStepRip)], rax
    pop     rax
    mov     qword [Vector], VECTOR_DB
    and     qword [rsp + 16], ~RFLAGS_TF
    iretq

global ASM_PFX(AsmTryUndefined)
ASM_PFX(AsmTryUndefined):
    mov     qword [Vector], VECTOR_UD
    jmp     GoOn

global ASM_PFX(AsmTryProtection)
ASM_PFX(AsmTryProtection):
    add     rsp, 8                      ; error code
    mov     qword [Vector], VECTOR_GP
GoOn:
    push    rax
    mov     rax, [Resume]
    mov     [rsp + 8], rax
    pop     rax
    iretq
