;------------------------------------------------------------------------------
; One access to memory that survives a general-protection fault.
;
; Copyright (c) 2026, STM Lab contributors
; SPDX-License-Identifier: BSD-2-Clause-Patent
;------------------------------------------------------------------------------

    DEFAULT REL
    SECTION .text

;------------------------------------------------------------------------------
; BOOLEAN EFIAPI ProbeRead (volatile UINT8 *Address, UINT8 *Value);
; BOOLEAN EFIAPI ProbeWrite (volatile UINT8 *Address, UINT8 *Value);
; TRUE: the access was made. FALSE: it faulted.
; No stack is used before the access, so the fault can return for the function.
;------------------------------------------------------------------------------
global ASM_PFX(ProbeRead)
ASM_PFX(ProbeRead):
    mov     al, [rcx]
    mov     [rdx], al
    mov     eax, 1
    ret

global ASM_PFX(ProbeWrite)
ASM_PFX(ProbeWrite):
    mov     al, [rdx]
    mov     [rcx], al
    mov     eax, 1
    ret

Faulted:
    xor     eax, eax
    ret

; Gate of vector 13 while a probe runs.
global ASM_PFX(ProbeFault)
ASM_PFX(ProbeFault):
    add     rsp, 8                          ; error code
    lea     rax, [Faulted]
    mov     [rsp], rax
    iretq
