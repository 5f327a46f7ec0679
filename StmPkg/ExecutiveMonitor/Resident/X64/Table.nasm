;; @file
;  Exceptions in VMX root operation: none is expected, each ends in a crash
;  record. All vectors use IST 1, the crash stack.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

extern ASM_PFX(ExecException)

;
; Stubs of 16 bytes. Vectors 8, 10-14, 17, 21, 29 and 30 come with an error
; code; the others push 0 in its place.
;
%define VECTORS_WITH_ERROR_CODE  0x60227D00

align 16
global ASM_PFX(AsmExceptionStubs)
ASM_PFX(AsmExceptionStubs):
%assign vector 0
%rep 32
    align   16
  %if ((VECTORS_WITH_ERROR_CODE >> vector) & 1) == 0
    push    0
  %endif
    push    vector
    jmp     near ExceptionCommon
  %assign vector vector + 1
%endrep
    align   16

ExceptionCommon:
    mov     rcx, [rsp]                  ; vector
    mov     rdx, [rsp + 8]              ; error code
    mov     r8, [rsp + 16]              ; RIP
    sub     rsp, 0x20
    and     rsp, -16
    cld
    call    ASM_PFX(ExecException)      ; does not return
    ud2
