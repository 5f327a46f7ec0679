;; @file
;  Move to the STM's own GDT, IDT and segments.
;
;  Copyright (c) 2026, STM Lab contributors
;  SPDX-License-Identifier: BSD-2-Clause-Patent
;;

    DEFAULT REL
    SECTION .text

%define VMX_HOST_CS  0x08
%define VMX_HOST_DS  0x10
%define VMX_HOST_TR  0x18

;
; rcx = pseudo-descriptor of the GDT, rdx = of the IDT.
;
global ASM_PFX(AsmLoadTables)
ASM_PFX(AsmLoadTables):
    lgdt    [rcx]
    lidt    [rdx]
    mov     eax, VMX_HOST_DS
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    mov     fs, eax
    mov     gs, eax
    mov     eax, VMX_HOST_TR
    ltr     ax
    pop     rax                         ; far return to reload CS
    push    VMX_HOST_CS
    push    rax
    retfq
