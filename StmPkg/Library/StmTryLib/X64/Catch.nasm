;; @file
;  Exception entries that leave the code that is being tried.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%define EXCEPTION_VECTORS  32
%define BYTES_PER_ENTRY    16

extern ASM_PFX(StmTryCaught)

;
; An entry for every vector, at a fixed distance. Whether there is an error code
; does not matter: nobody returns to this stack.
;
    align   16
global ASM_PFX(AsmTryEntries)
ASM_PFX(AsmTryEntries):
%assign Vector 0
%rep EXCEPTION_VECTORS
    mov     ecx, Vector
    jmp     Caught
    align   BYTES_PER_ENTRY
  %assign Vector Vector + 1
%endrep

Caught:
    cld                                 ; the code that faulted may have set DF
    and     rsp, -16
    sub     rsp, 32                     ; the callee's home for its arguments
    call    ASM_PFX(StmTryCaught)
    ud2                                 ; it does not return
