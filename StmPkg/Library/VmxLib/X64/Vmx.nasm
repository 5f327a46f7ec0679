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

;
; rcx = field. A VMREAD that fails leaves its destination alone.
;
global ASM_PFX(VmRead)
ASM_PFX(VmRead):
    xor     eax, eax
    vmread  rax, rcx
    ret

;
; rcx = field, rdx = value. Neither CF nor ZF: TRUE.
;
global ASM_PFX(VmWrite)
ASM_PFX(VmWrite):
    vmwrite rcx, rdx
    seta    al
    ret

;
; rcx = UINT16 encodings, rdx = UINT64 values, r8 = count.
;
global ASM_PFX(AsmVmReadList)
ASM_PFX(AsmVmReadList):
    movzx   eax, word [rcx]
    vmread  [rdx], rax
    add     rcx, 2
    add     rdx, 8
    dec     r8
    jnz     ASM_PFX(AsmVmReadList)
    ret

;
; rcx = VMX_FIELD_VALUE, rdx = count.
;
global ASM_PFX(AsmVmWriteList)
ASM_PFX(AsmVmWriteList):
    mov     rax, [rcx]
    vmwrite rax, [rcx + 8]
    add     rcx, 16
    dec     rdx
    jnz     ASM_PFX(AsmVmWriteList)
    ret

;
; The task-priority register, which no VMCS holds.
;
global ASM_PFX(AsmReadCr8)
ASM_PFX(AsmReadCr8):
    mov     rax, cr8
    ret

global ASM_PFX(AsmWriteCr8)
ASM_PFX(AsmWriteCr8):
    mov     cr8, rcx
    ret

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
