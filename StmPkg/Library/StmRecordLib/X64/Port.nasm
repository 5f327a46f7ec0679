;; @file
;  Port output.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

;
; cx = port, dl = value.
;
global ASM_PFX(StmPortWrite8)
ASM_PFX(StmPortWrite8):
    mov     eax, edx
    mov     edx, ecx
    out     dx, al
    ret
