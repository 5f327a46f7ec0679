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

%define REGISTERS_SIZE  (15 * 8)            ; what PUSH_REGISTERS pushes

extern ASM_PFX(StmActivate)
extern ASM_PFX(StmActivateProcessor)
extern ASM_PFX(AsmEnter)
extern ASM_PFX(AsmExceptionStubs)
extern ASM_PFX(AsmSmmExit)
extern ASM_PFX(AsmSmmGuestExit)
extern ASM_PFX(AsmPolicySmmExit)
extern ASM_PFX(AsmPolicySmmGuestExit)

%define MSR_EFER  0xC0000080
%define EFER_NXE  11

;
; Behind the four pointers of their page, for linear addresses that nobody uses: the lock of
; these words, and 64 bits in two words each. As entries none of them is present, since the
; low half of each is 0, or in the lock bit 1 alone.
;
%define ASIDE_LOCK  STM_ASIDE
%define ASIDE_RAX   STM_ASIDE + 0x08
%define ASIDE_RCX   STM_ASIDE + 0x18
%define ASIDE_RDX   STM_ASIDE + 0x28
%define ASIDE_EFER  STM_ASIDE + 0x38

;
; Put a register aside, %1 = place, %2 = register, %3 = its low half; it is lost. And back.
;
%macro PUT_ASIDE 3
    mov     [rsp + %1 + 4], %3
    shr     %2, 32
    mov     [rsp + %1 + 12], %3
%endmacro

%macro TAKE_BACK 2
    mov     %2, [rsp + %1]
    shr     %2, 32
    or      %2, [rsp + %1 + 8]
    and     qword [rsp + %1], 0
    and     qword [rsp + %1 + 8], 0
%endmacro

global ASM_PFX(_ModuleEntryPoint)
ASM_PFX(_ModuleEntryPoint):
    ;
    ; The guest's RSP is in the VMCS, so RSP is the one register free to use.
    ; CR3 is the place of the activation tables, the end of the static image.
    ;
    mov     rsp, cr3
.aside:
    lock bts dword [rsp + ASIDE_LOCK], 1
    jnc     .enable
    pause                               ; for the time that another one waits for its turn
    jmp     .aside

    ;
    ; With EFER.NXE = 0 the processor could not reach any other data: their pages have XD.
    ;
.enable:
    PUT_ASIDE ASIDE_RAX, rax, eax
    PUT_ASIDE ASIDE_RCX, rcx, ecx
    PUT_ASIDE ASIDE_RDX, rdx, edx
    mov     ecx, MSR_EFER
    rdmsr
    mov     [rsp + ASIDE_EFER + 4], eax ; its other half is reserved
    bts     eax, EFER_NXE
    wrmsr
.lock:
    lock bts dword [rsp + STM_DYNAMIC_FROM_TABLES + STM_SHARED_LOCK], 0
    jnc     .locked
    pause                               ; the owner leaves the lock or resets the platform
    jmp     .lock
.locked:
    TAKE_BACK ASIDE_RAX, rax
    TAKE_BACK ASIDE_RCX, rcx
    TAKE_BACK ASIDE_RDX, rdx
    lea     rsp, [rsp + STM_DYNAMIC_FROM_TABLES + STM_ENTRY_STACK_TOP]
    push    0                           ; VMX_REGISTERS.Reserved
    PUSH_REGISTERS
    cld

    mov     rbx, cr3
    mov     eax, [rbx + ASIDE_EFER + 4]
    mov     [rsp + REGISTERS_SIZE], rax ; in Reserved: EFER
    and     qword [rbx + ASIDE_EFER], 0
    and     dword [rbx + ASIDE_LOCK], 0

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
