;; @file
;  A handler of protection exceptions that gives up the code that caused one.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL

%define FRAME_RIP                               0xB8  ; STM_PROTECTION_EXCEPTION_STACK_FRAME_X64.Rip
%define STM_API_RETURN_FROM_PROTECTION_EXCEPTION  4

    SECTION .data

global ASM_PFX(gAttackViolations)
ASM_PFX(gAttackViolations):
    dq      0

    SECTION .text

;
; rsp = the frame. The STM takes the registers from it, so none has to be kept.
;
global ASM_PFX(AsmProtectionException)
ASM_PFX(AsmProtectionException):
    inc     qword [ASM_PFX(gAttackViolations)]
    lea     rax, [GiveUp]
    mov     [rsp + FRAME_RIP], rax
    mov     eax, STM_API_RETURN_FROM_PROTECTION_EXCEPTION
    xor     ebx, ebx
    vmcall
GiveUp:
    ud2                                 ; on the stack of the violation: StmTry catches it
