;; @file
;  VM exits of the guest, and its resumption.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "VmxRegisters.inc"

extern ASM_PFX(ExecDispatch)
extern ASM_PFX(ExecResumeFailed)

;
; HOST_RIP. HOST_RSP is VMX_CONTEXT.Registers.Reserved at the top of the exit
; stack, so that the pushes fill the context.
;
global ASM_PFX(AsmVmExit)
ASM_PFX(AsmVmExit):
    PUSH_REGISTERS
    mov     rcx, rsp
    sub     rsp, 0x20
    call    ASM_PFX(ExecDispatch)       ; returns only to resume the guest
    lea     rax, [rsp + 0x20]
    LOAD_REGISTERS
    vmresume
    call    ASM_PFX(ExecResumeFailed)   ; does not return
    ud2
