;; @file
;  Instructions that C cannot express. EFIAPI: rcx, rdx, r8, r9.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%define STM_HOST_CS  0x08
%define STM_HOST_DS  0x10
%define STM_HOST_TR  0x18

;
; rcx = pseudo-descriptor of the GDT, rdx = of the IDT.
;
global ASM_PFX(AsmLoadTables)
ASM_PFX(AsmLoadTables):
    lgdt    [rcx]
    lidt    [rdx]
    mov     eax, STM_HOST_DS
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    mov     fs, eax
    mov     gs, eax
    mov     eax, STM_HOST_TR
    ltr     ax
    pop     rax                         ; far return to reload CS
    push    STM_HOST_CS
    push    rax
    retfq

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
; rcx = STM_FIELD_VALUE, rdx = count.
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
; cx = port, dl = value.
;
global ASM_PFX(AsmPortWrite8)
ASM_PFX(AsmPortWrite8):
    mov     eax, edx
    mov     edx, ecx
    out     dx, al
    ret

;
; Reset Control Register of the chipset: system reset, then full reset. The
; triple fault resets a platform without it.
;
global ASM_PFX(AsmResetPlatform)
ASM_PFX(AsmResetPlatform):
    mov     edx, 0xCF9
    mov     al, 0x02
    out     dx, al
    mov     al, 0x06
    out     dx, al
    mov     al, 0x0E
    out     dx, al
    push    0
    push    0
    lidt    [rsp]
    ud2

global ASM_PFX(AsmReadXcr0)
ASM_PFX(AsmReadXcr0):
    xor     ecx, ecx
    xgetbv
    shl     rdx, 32
    or      rax, rdx
    ret

global ASM_PFX(AsmWriteXcr0)
ASM_PFX(AsmWriteXcr0):
    mov     rax, rcx
    mov     rdx, rcx
    shr     rdx, 32
    xor     ecx, ecx
    xsetbv
    ret

;
; rcx = counter, edx = addend.
;
global ASM_PFX(AsmAtomicAdd32)
ASM_PFX(AsmAtomicAdd32):
    mov     eax, edx
    lock xadd [rcx], eax
    ret
