;; @file
;  The way out of MSEG.
;
;  A processor counts itself out while it is still inside: between the count and
;  the VM entry that deactivates the treatment there is always an instruction. At
;  that moment another processor may find nobody inside and build everything anew
;  that all share: the STM's page tables, IDT, EPT, bitmaps. So what comes after
;  the count uses nothing of it that changes:
;
;    code          text, never written after the load
;    page tables   the STM's, which are those of the activation. They are written
;                  meanwhile, but what maps the text, from the top table down, gets
;                  what it has, at the same place: BuildPageTables. In the page of
;                  the top table the VMCS database changes, too, whose words are no
;                  entries that are present
;    stack         none
;    registers     loaded before; RSP, which the VMCS holds, names the counter
;    VMCS          this processor's own, in its block, which no other processor
;                  ever gets and no activation of another one writes
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "Layout.inc"
%include "VmxRegisters.inc"

%define VMCS_HOST_RSP  0x6C14
%define VMCS_HOST_RIP  0x6C16

extern ASM_PFX(StmLeaveFailed)

;
; rcx = interrupted registers, rdx = counter, r8 = page tables,
; r9b = launched.
;
global ASM_PFX(AsmLeave)
ASM_PFX(AsmLeave):
    lea     rax, [.exit]
    mov     r10d, VMCS_HOST_RIP
    vmwrite r10, rax                    ; where the entry ends if it fails on guest state
    mov     cr3, r8                     ; identity, too: this code stays where it is
    mov     rsp, rdx
    mov     rax, rcx
    test    r9b, r9b
    jnz     .resume
    LOAD_REGISTERS
    lock dec dword [rsp]
    vmlaunch
    jmp     .failed
.resume:
    LOAD_REGISTERS
    lock dec dword [rsp]
    vmresume

;
; The processor refuses the entry: it is outside the count, but still here. It
; tries again without counting, from its own block and what is never written.
;
.failed:
    mov     eax, VMCS_HOST_RSP
    vmread  rcx, rax
    lea     rsp, [rcx - 15 * 8]         ; as .exit leaves it
    jmp     .again
.exit:
    PUSH_REGISTERS
.again:
    sub     rsp, STM_STACK_FROM_PROCESSOR + 0x20
    lea     rcx, [rsp + STM_STACK_FROM_PROCESSOR + 0x20]
    call    ASM_PFX(StmLeaveFailed)     ; resets the platform, or has mended the VMCS
    test    al, al                      ; launched
    lea     rax, [rsp + STM_STACK_FROM_PROCESSOR + 0x20]
    jnz     .resume_again
    LOAD_REGISTERS
    vmlaunch
    jmp     .failed
.resume_again:
    LOAD_REGISTERS
    vmresume
    jmp     .failed
