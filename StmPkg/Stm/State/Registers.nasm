;; @file
;  Registers that no VMCS holds, in one go: every SMI reads them twice. Reading and
;  comparing is cheaper than writing, but for x87 and SSE, where it is the other way round.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%define MSR_IA32_KERNEL_GS_BASE  0xC0000102

%define OTHER_FX  0x40                      ; STM_OTHER_REGISTERS.Fx

;
; rcx = STM_OTHER_REGISTERS
;
global ASM_PFX(AsmReadOtherRegisters)
ASM_PFX(AsmReadOtherRegisters):
    mov     rax, dr0
    mov     [rcx], rax
    mov     rax, dr1
    mov     [rcx + 0x08], rax
    mov     rax, dr2
    mov     [rcx + 0x10], rax
    mov     rax, dr3
    mov     [rcx + 0x18], rax
    mov     rax, dr6
    mov     [rcx + 0x20], rax
    mov     rax, cr2
    mov     [rcx + 0x28], rax
    mov     rax, cr8
    mov     [rcx + 0x38], rax
    fxsave64 [rcx + OTHER_FX]
    mov     r8, rcx
    mov     ecx, MSR_IA32_KERNEL_GS_BASE
    rdmsr
    mov     [r8 + 0x30], eax
    mov     [r8 + 0x34], edx
    ret

;
; rcx = STM_OTHER_REGISTERS. Loads x87 and SSE. Returns 0 if the other registers still
; hold these values.
;
global ASM_PFX(AsmCompareOtherRegisters)
ASM_PFX(AsmCompareOtherRegisters):
    fxrstor64 [rcx + OTHER_FX]
    mov     r8, rcx
    mov     r9, dr0
    xor     r9, [r8]
    mov     rax, dr1
    xor     rax, [r8 + 0x08]
    or      r9, rax
    mov     rax, dr2
    xor     rax, [r8 + 0x10]
    or      r9, rax
    mov     rax, dr3
    xor     rax, [r8 + 0x18]
    or      r9, rax
    mov     rax, dr6
    xor     rax, [r8 + 0x20]
    or      r9, rax
    mov     rax, cr2
    xor     rax, [r8 + 0x28]
    or      r9, rax
    mov     rax, cr8
    xor     rax, [r8 + 0x38]
    or      r9, rax
    mov     ecx, MSR_IA32_KERNEL_GS_BASE
    rdmsr
    xor     eax, [r8 + 0x30]
    xor     edx, [r8 + 0x34]
    or      eax, edx
    or      rax, r9
    ret

;
; x87 and SSE as FNINIT and a processor's reset leave them: FCW, MXCSR, zeroes.
;
    align   16
InitialFx:
    dd      0x037F
    times 20 db 0
    dd      0x1F80
    times 512 - 28 db 0

global ASM_PFX(AsmScrubFx)
ASM_PFX(AsmScrubFx):
    fxrstor64 [InitialFx]
    ret
