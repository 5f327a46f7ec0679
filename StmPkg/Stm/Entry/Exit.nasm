;; @file
;  VM exits and VM entries of the STM.
;
;  HOST_RSP of a VMCS points just past the last register of one of the two register
;  sets at the start of STM_PROCESSOR. So the pushes fill that set; the stack is in the
;  page before.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "Layout.inc"
%include "VmxRegisters.inc"

%define VMCS_EXIT_REASON  0x4402
%define VMX_REASON_RSM    17

%define REGISTERS_SIZE  (15 * 8)            ; what PUSH_REGISTERS pushes

;
; From STM_PROCESSOR down to the stack, with room for the registers that the callee may
; store there.
;
%define TO_STACK  (STM_STACK_FROM_PROCESSOR + 0x20)

;
; %1 = place in the save-state map, from its end (StmSaveStateLib.h).
;
%define SAVED(Place)  rax + 0x200 - 8 * (Place)

extern ASM_PFX(StmDispatchSmmExit)
extern ASM_PFX(StmDispatchHandlerExit)
extern ASM_PFX(StmDispatchRsm)
extern ASM_PFX(StmPolicySmmExit)
extern ASM_PFX(StmPolicyRsm)
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
    sub     rsp, TO_STACK
    call    ASM_PFX(StmDispatchSmmExit)

;
; The way out of the STM, but for the last one (Session/Leave.nasm): enter what the C
; code decided on. Into the SMI handler or back to the interrupted side, the current
; VMCS knows; the processor takes guest state from it, and the general-purpose
; registers from here.
;
; rax = STM_ENTER: register set, bit 0 for VMRESUME; with bit 1 a save-state map. RSP is
; the top of the stack - 20H and stays so.
;
global ASM_PFX(AsmEnter)
ASM_PFX(AsmEnter):
    test    al, 2
    jnz     .smi
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
    lea     rcx, [rsp + TO_STACK]
    call    ASM_PFX(StmEntryFailed)     ; resets the platform, or has mended a return
    jmp     ASM_PFX(AsmEnter)

;
; The end of an SMI. RSM would take the registers from the save state, where the handler
; may have changed them. Each is read once, since other processors in SMM can write there.
;
.smi:
    and     al, ~3
    mov     rcx, [SAVED(2)]
    mov     rdx, [SAVED(3)]
    mov     rbx, [SAVED(4)]
    mov     rbp, [SAVED(6)]
    mov     rsi, [SAVED(7)]
    mov     rdi, [SAVED(8)]
    mov     r8, [SAVED(9)]
    mov     r9, [SAVED(10)]
    mov     r10, [SAVED(11)]
    mov     r11, [SAVED(12)]
    mov     r12, [SAVED(13)]
    mov     r13, [SAVED(14)]
    mov     r14, [SAVED(15)]
    mov     r15, [SAVED(16)]
    mov     rax, [SAVED(1)]
    vmresume
    add     rsp, TO_STACK + REGISTERS_SIZE  ; refused: keep them, as an SMM VM exit does
    PUSH_REGISTERS
    sub     rsp, TO_STACK
    jmp     .failed

;
; SMM VM exits under an optional policy.
;
global ASM_PFX(AsmPolicySmmExit)
ASM_PFX(AsmPolicySmmExit):
    PUSH_REGISTERS
    mov     rcx, rsp
    sub     rsp, TO_STACK
    call    ASM_PFX(StmPolicySmmExit)
    jmp     ASM_PFX(AsmEnter)

;
; VM exits of the SMI handler arrive here, RSM among them. After RSM, which goes to %1,
; its registers are of no use. Otherwise they go to STM_PROCESSOR.Handler, the second set;
; RCX and RSP end up as for the first.
;
%macro SMM_GUEST_EXIT 1
    mov     [rsp - REGISTERS_SIZE], rax ; its place in the set
    mov     eax, VMCS_EXIT_REASON
    vmread  rax, rax
    cmp     eax, VMX_REASON_RSM
    jne     %%other
    lea     rcx, [rsp - REGISTERS_SIZE - 0x80]
    lea     rsp, [rcx - TO_STACK]
    call    %1
    jmp     ASM_PFX(AsmEnter)
%%other:
    mov     rax, [rsp - REGISTERS_SIZE]
    PUSH_REGISTERS
    lea     rcx, [rsp - 0x80]
    lea     rsp, [rcx - TO_STACK]
    call    ASM_PFX(StmDispatchHandlerExit)
    jmp     ASM_PFX(AsmEnter)
%endmacro

global ASM_PFX(AsmSmmGuestExit)
ASM_PFX(AsmSmmGuestExit):
    SMM_GUEST_EXIT ASM_PFX(StmDispatchRsm)

global ASM_PFX(AsmPolicySmmGuestExit)
ASM_PFX(AsmPolicySmmGuestExit):
    SMM_GUEST_EXIT ASM_PFX(StmPolicyRsm)
