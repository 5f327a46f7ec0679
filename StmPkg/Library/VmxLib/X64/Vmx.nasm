;; @file
;  VMX instructions as functions. "Conventions", SDM 30.2 [31.2]: VMsucceed
;  clears CF and ZF, VMfailInvalid sets CF, VMfailValid sets ZF.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

;
; Turn the flags of the VMX instruction just executed into a VMX_RESULT.
;
%macro VMX_RETURN 0
    setc    al                          ; VmxFailInvalid = 1
    setz    cl
    add     cl, cl                      ; VmxFailValid = 2
    or      al, cl
    movzx   eax, al
    ret
%endmacro

;
; Run an instruction whose operand is a 64-bit physical address in memory.
; rcx = address.
;
%macro VMX_ADDRESS 1
    push    rcx
    %1      [rsp]
    lea     rsp, [rsp + 8]              ; ADD would change the flags
    VMX_RETURN
%endmacro

global ASM_PFX(AsmVmxOn)
ASM_PFX(AsmVmxOn):
    VMX_ADDRESS vmxon

global ASM_PFX(AsmVmxOff)
ASM_PFX(AsmVmxOff):
    vmxoff
    VMX_RETURN

global ASM_PFX(AsmVmClear)
ASM_PFX(AsmVmClear):
    VMX_ADDRESS vmclear

global ASM_PFX(AsmVmPtrLoad)
ASM_PFX(AsmVmPtrLoad):
    VMX_ADDRESS vmptrld

global ASM_PFX(AsmVmPtrStore)
ASM_PFX(AsmVmPtrStore):
    push    rax
    vmptrst [rsp]
    pop     rax
    ret

global ASM_PFX(AsmVmRead)
ASM_PFX(AsmVmRead):
    vmread  r8, rcx
    jbe     .failed                     ; CF or ZF
    mov     [rdx], r8
    xor     eax, eax
    ret
.failed:
    VMX_RETURN

global ASM_PFX(AsmVmWrite)
ASM_PFX(AsmVmWrite):
    vmwrite rcx, rdx
    VMX_RETURN

;
; rcx = type, rdx = EPT pointer; the descriptor's upper half is reserved.
;
global ASM_PFX(AsmInvEpt)
ASM_PFX(AsmInvEpt):
    push    0
    push    rdx
    invept  rcx, oword [rsp]
    lea     rsp, [rsp + 16]
    VMX_RETURN

;
; rcx = &Eax, rdx = &Ebx, r8d = Ecx, r9 = &Edx, [stack] = &Flags
;
global ASM_PFX(AsmStmVmCall)
ASM_PFX(AsmStmVmCall):
    push    rbx
    push    rsi
    push    rdi
    mov     r10, rcx
    mov     r11, rdx
    mov     rsi, [rsp + 3 * 8 + 8 + 32] ; &Flags: saved registers, return address, home area
    mov     eax, [r10]
    mov     ebx, [r11]
    mov     ecx, r8d
    mov     edx, [r9]
    vmcall
    pushfq
    pop     rdi
    mov     [rsi], rdi
    mov     [r10], eax
    mov     [r11], ebx
    mov     [r9], edx
    pop     rdi
    pop     rsi
    pop     rbx
    ret
