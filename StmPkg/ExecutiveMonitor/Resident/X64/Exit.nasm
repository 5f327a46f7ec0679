;; @file
;  VM exits of the guest, and its resumption.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "Layout.inc"
%include "VmxRegisters.inc"

extern ASM_PFX(ExecDispatch)
extern ASM_PFX(ExecDeliverNmi)
extern ASM_PFX(ExecResumeFailed)

;
; HOST_RIP. HOST_RSP is VMX_CONTEXT.Registers.Reserved near the top of the exit
; stack, so that the pushes fill the context.
;
global ASM_PFX(AsmVmExit)
ASM_PFX(AsmVmExit):
    PUSH_REGISTERS
    mov     rcx, rsp
    sub     rsp, 0x20
    call    ASM_PFX(ExecDispatch)       ; returns only to resume the guest

;
; From here to the VM entry an NMI starts over (Nmi.nasm): RSP does not change, and
; the context stays as it is.
;
global ASM_PFX(AsmResumeBegin)
ASM_PFX(AsmResumeBegin):
    cmp     byte [gs:CONTEXT_NMI_PENDING], 0
    jne     DeliverNmi
    lea     rax, [rsp + 0x20]
    LOAD_REGISTERS
    vmresume
global ASM_PFX(AsmResumeEnd)
ASM_PFX(AsmResumeEnd):
    call    ASM_PFX(ExecResumeFailed)   ; does not return
    ud2

DeliverNmi:
    lea     rcx, [rsp + 0x20]
    call    ASM_PFX(ExecDeliverNmi)
    jmp     ASM_PFX(AsmResumeBegin)
