;; @file
;  Hypercall to the executive monitor.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

;
; rcx = number, rdx = in/out value for RBX, or 0. Returns RAX.
;
global ASM_PFX(AsmExecHypercall)
ASM_PFX(AsmExecHypercall):
    push    rbx
    mov     r8, rdx
    xor     ebx, ebx
    test    r8, r8
    jz      .call
    mov     rbx, [r8]
.call:
    mov     eax, ecx
    vmcall
    test    r8, r8
    jz      .out
    mov     [r8], rbx
.out:
    pop     rbx
    ret
