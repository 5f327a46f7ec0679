;; @file
;  VM exits and VM entries of the STM.
;
;  HOST_RSP of a VMCS points just past the last register of one of the two register
;  sets at the start of STM_PROCESSOR. So the pushes fill that set, and the stack
;  below STM_PROCESSOR is free.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "VmxRegisters.inc"

extern ASM_PFX(StmDispatchSmmExit)
extern ASM_PFX(StmDispatchHandlerExit)
extern ASM_PFX(StmEntryFailed)

;
; SMM VM exits arrive here, from root and from non-root operation: SMIs, and the
; executive monitor's VMCALLs. The processor is in SMM, on host state of the
; SMM-transfer VMCS; the general-purpose registers are still the interrupted ones,
; and go to STM_PROCESSOR.Interrupted.
;
global ASM_PFX(AsmSmmExit)
ASM_PFX(AsmSmmExit):
    PUSH_REGISTERS
    mov     rcx, rsp
    sub     rsp, 0x20
    call    ASM_PFX(StmDispatchSmmExit)

;
; The way out of the STM, but for the last one (Session/Leave.nasm): enter what the C
; code decided on. Into the SMI handler or back to the interrupted side, the current
; VMCS knows; the processor takes guest state from it, and the general-purpose
; registers from here.
;
; rax = STM_ENTER: register set, bit 0 for VMRESUME. RSP is STM_PROCESSOR - 20H and
; stays so.
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
    call    ASM_PFX(StmEntryFailed)     ; resets the platform, or has mended a return
    jmp     ASM_PFX(AsmEnter)

;
; VM exits of the SMI handler arrive here, RSM among them. Its registers go to
; STM_PROCESSOR.Handler, the second set; RCX and RSP end up as for the first.
;
global ASM_PFX(AsmSmmGuestExit)
ASM_PFX(AsmSmmGuestExit):
    PUSH_REGISTERS
    lea     rcx, [rsp - 0x80]
    lea     rsp, [rcx - 0x20]
    call    ASM_PFX(StmDispatchHandlerExit)
    jmp     ASM_PFX(AsmEnter)
