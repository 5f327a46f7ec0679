;; @file
;  First instruction of the STM: where the processor continues after an
;  activating VMCALL.
;
;  State on entry ("Activating the Dual-Monitor Treatment", SDM 34.15.6 [32.15.6];
;  DM-ACT-41 to DM-ACT-66): 64-bit mode on the header's page tables, CR0.WP = 0,
;  EFER.NXE as the executive monitor left it, IDT limit 0, a stale TR, RFLAGS = 2,
;  general-purpose registers of the caller. Every processor arrives with the same
;  RSP, so nothing may be pushed before this processor owns the entry stack.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "Layout.inc"
%include "VmxRegisters.inc"

extern ASM_PFX(StmActivate)
extern ASM_PFX(StmActivateProcessor)
extern ASM_PFX(AsmEnter)
extern ASM_PFX(AsmExceptionStubs)
extern ASM_PFX(AsmSmmExit)
extern ASM_PFX(AsmSmmGuestExit)
extern ASM_PFX(AsmPolicySmmExit)
extern ASM_PFX(AsmPolicySmmGuestExit)

global ASM_PFX(_ModuleEntryPoint)
ASM_PFX(_ModuleEntryPoint):
    ;
    ; The guest's RSP is in the VMCS, so RSP is the one register free to use.
    ; CR3 is the place of the activation tables, the end of the static image.
    ;
    mov     rsp, cr3
.lock:
    lock bts dword [rsp + STM_DYNAMIC_FROM_TABLES + STM_SHARED_LOCK], 0
    jnc     .locked
    pause                               ; the owner leaves the lock or resets the platform
    jmp     .lock
.locked:
    lea     rsp, [rsp + STM_DYNAMIC_FROM_TABLES + STM_ENTRY_STACK_TOP]
    push    0                           ; VMX_REGISTERS.Reserved
    PUSH_REGISTERS
    cld

    mov     rcx, rsp
    lea     rdx, [ASM_PFX(AsmExceptionStubs)]
    lea     r8, [ASM_PFX(AsmSmmExit)]
    lea     r9, [ASM_PFX(AsmSmmGuestExit)]
    sub     rsp, 0x30
    lea     rax, [ASM_PFX(AsmPolicySmmExit)]
    mov     [rsp + 0x20], rax
    lea     rax, [ASM_PFX(AsmPolicySmmGuestExit)]
    mov     [rsp + 0x28], rax
    call    ASM_PFX(StmActivate)        ; the processor's block, on its own tables

    lea     rsp, [rax - STM_STACK_FROM_PROCESSOR - 0x20]
    mov     rcx, rax
    call    ASM_PFX(StmActivateProcessor)
    jmp     ASM_PFX(AsmEnter)
