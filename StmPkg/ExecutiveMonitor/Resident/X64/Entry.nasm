;; @file
;  Entry point of the resident part.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "Layout.inc"

extern ASM_PFX(ExecMain)

;
; rcx = EXEC_PROCESSOR, edx = EXEC_COMMAND. On the caller's stack and page tables.
; What is pushed here is EXEC_FRAME, with which a guest is launched.
;
global ASM_PFX(_ModuleEntryPoint)
ASM_PFX(_ModuleEntryPoint):
    PUSH_CALLEE_SAVED
    mov     r8, rsp                     ; EXEC_FRAME
    sub     rsp, 0x28
    call    ASM_PFX(ExecMain)
    add     rsp, 0x28
    POP_CALLEE_SAVED
    ret
