;; @file
;  Launch: the loader becomes the guest, or a guest begins with given registers.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%include "Layout.inc"
%include "VmxRegisters.inc"

extern ASM_PFX(ExecResumeFailed)

%define VMCS_GUEST_RSP     0x681C
%define VMCS_GUEST_RIP     0x681E
%define VMCS_GUEST_RFLAGS  0x6820

;
; rcx = EXEC_FRAME. The guest continues where the entry point would return to, with
; the registers that the entry point saved and RAX = 0, ExecOk: VM entry loads RSP
; and RIP, and no instruction in between changes the others. The resident part
; itself is hidden from the guest.
;
global ASM_PFX(AsmLaunch)
ASM_PFX(AsmLaunch):
    PUSH_CALLEE_SAVED
    lea     rdx, [rcx + FRAME_RETURN_ADDRESS + 8]
    mov     eax, VMCS_GUEST_RSP
    vmwrite rax, rdx
    mov     rdx, [rcx + FRAME_RETURN_ADDRESS]
    mov     eax, VMCS_GUEST_RIP
    vmwrite rax, rdx
    pushfq
    pop     rdx
    mov     eax, VMCS_GUEST_RFLAGS
    vmwrite rax, rdx
    mov     r15, [rcx]
    mov     r14, [rcx + 0x08]
    mov     r13, [rcx + 0x10]
    mov     r12, [rcx + 0x18]
    mov     rdi, [rcx + 0x20]
    mov     rsi, [rcx + 0x28]
    mov     rbp, [rcx + 0x30]
    mov     rbx, [rcx + 0x38]
    xor     eax, eax
    vmlaunch
    mov     eax, 1                      ; VmxFailInvalid
    jc      .out
    mov     eax, 2                      ; VmxFailValid
.out:
    POP_CALLEE_SAVED
    ret

;
; rcx = VMX_REGISTERS. Everything else of the guest is in the current VMCS.
;
global ASM_PFX(AsmLaunchWith)
ASM_PFX(AsmLaunchWith):
    mov     rax, rcx
    LOAD_REGISTERS
    vmlaunch
    sub     rsp, 0x28
    call    ASM_PFX(ExecResumeFailed)   ; does not return
    ud2
