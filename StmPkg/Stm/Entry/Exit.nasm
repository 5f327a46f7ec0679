;; @file
;  VM exits and VM entries of the STM.
;
;  HOST_RSP of a VMCS points behind the last register of one of the two register
;  sets at the start of STM_PROCESSOR. So the pushes fill that set, and the stack
;  below STM_PROCESSOR is free.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "Layout.inc"

extern ASM_PFX(StmDispatchSmiSide)
extern ASM_PFX(StmDispatchHandlerSide)
extern ASM_PFX(StmEntryFailed)

;
; SMM VM exits: STM_PROCESSOR.Interrupted.
;
global ASM_PFX(AsmSmiExit)
ASM_PFX(AsmSmiExit):
    PUSH_REGISTERS
    mov     rcx, rsp
    sub     rsp, 0x20
    call    ASM_PFX(StmDispatchSmiSide)

;
; Enter what the C code decided on. rax = STM_ENTER: register set, bit 0 for
; VMRESUME. RSP is STM_PROCESSOR - 20H and stays so.
;
global ASM_PFX(AsmEnter)
ASM_PFX(AsmEnter):
    test    al, 1
    jnz     .resume
    LOAD_REGISTERS
    vmlaunch
    jmp     .failed
.resume:
    dec     rax
    LOAD_REGISTERS
    vmresume
.failed:
    lea     rcx, [rsp + 0x20]
    call    ASM_PFX(StmEntryFailed)     ; does not return
    ud2

;
; Exits of the SMI handler: STM_PROCESSOR.Handler.
;
global ASM_PFX(AsmHandlerExit)
ASM_PFX(AsmHandlerExit):
    PUSH_REGISTERS
    lea     rcx, [rsp - 0x80]
    lea     rsp, [rcx - 0x20]
    call    ASM_PFX(StmDispatchHandlerSide)
    jmp     ASM_PFX(AsmEnter)
