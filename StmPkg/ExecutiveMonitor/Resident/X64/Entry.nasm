;; @file
;  Entry point of the resident part.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

extern ASM_PFX(ExecMain)

;
; rcx = EXEC_PARAMETERS. On the caller's stack and page tables.
;
global ASM_PFX(_ModuleEntryPoint)
ASM_PFX(_ModuleEntryPoint):
    jmp     ASM_PFX(ExecMain)
