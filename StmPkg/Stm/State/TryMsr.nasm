;; @file
;  RDMSR and WRMSR that may fault. Which MSRs there are and which values they take is for
;  the processor to say; a list of the STM's own would age.
;
;  #GP(0) at one of the two instructions comes to StmTryFailed, by way of the exception
;  handler (Exit/Fault.c). It goes on without IRET, which would unblock NMIs.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%define KEPT_SIZE  0x40

;
; What a function has to keep: a fault comes back from the middle of StmException, which
; has changed some of it by then.
;
%macro KEEP_REGISTERS 0
    push    rbx
    push    rbp
    push    rdi
    push    rsi
    push    r12
    push    r13
    push    r14
    push    r15
%endmacro

;
; ecx = MSR, rdx = where the value goes. Returns TRUE, or FALSE.
;
global ASM_PFX(AsmTryReadMsr)
ASM_PFX(AsmTryReadMsr):
    mov     r8, rdx
    KEEP_REGISTERS
Read:
    rdmsr
    mov     [r8], eax
    mov     [r8 + 4], edx
    mov     eax, 1
    add     rsp, KEPT_SIZE
    ret

;
; ecx = MSR, rdx = value. Returns TRUE, or FALSE.
;
global ASM_PFX(AsmTryWriteMsr)
ASM_PFX(AsmTryWriteMsr):
    mov     eax, edx
    shr     rdx, 32
    KEEP_REGISTERS
Write:
    wrmsr
    mov     eax, 1
    add     rsp, KEPT_SIZE
    ret

;
; rcx = RIP of an exception, rdx = RSP. Returns if the RIP is neither of the two, else
; from the function that has faulted, with FALSE.
;
global ASM_PFX(AsmTryFailed)
ASM_PFX(AsmTryFailed):
    lea     rax, [Read]
    cmp     rcx, rax
    je      .failed
    lea     rax, [Write]
    cmp     rcx, rax
    je      .failed
    ret
.failed:
    mov     rsp, rdx
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rsi
    pop     rdi
    pop     rbp
    pop     rbx
    xor     eax, eax
    ret
