;; @file
;  Launch: the caller becomes the guest.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%define VMCS_GUEST_RSP     0x681C
%define VMCS_GUEST_RIP     0x681E
%define VMCS_GUEST_RFLAGS  0x6820

;
; The guest continues at .guest with the callee-saved registers that were pushed
; here: VM entry loads RSP and RIP, and no instruction in between changes the
; others.
;
global ASM_PFX(AsmLaunch)
ASM_PFX(AsmLaunch):
    push    rbx
    push    rbp
    push    rsi
    push    rdi
    push    r12
    push    r13
    push    r14
    push    r15
    mov     eax, VMCS_GUEST_RSP
    vmwrite rax, rsp
    lea     rcx, [.guest]
    mov     eax, VMCS_GUEST_RIP
    vmwrite rax, rcx
    pushfq
    pop     rcx
    mov     eax, VMCS_GUEST_RFLAGS
    vmwrite rax, rcx
    vmlaunch
    mov     eax, 1                      ; VmxFailInvalid
    jc      .out
    mov     eax, 2                      ; VmxFailValid
    jmp     .out
.guest:
    xor     eax, eax                    ; VmxSucceed
.out:
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     rdi
    pop     rsi
    pop     rbp
    pop     rbx
    ret
