; SPDX-License-Identifier: BSD-2-Clause-Patent
; VMX instructions in compatibility mode, for compat_call().

%include "layout.inc"

        extern  compat_return
        global  compat_vmcall, compat_vmxoff, compat_vmread

        section .text
        bits    32
compat_vmcall:
        vmcall
        jmp     SEL_CODE64:compat_return
compat_vmxoff:
        vmxoff
        jmp     SEL_CODE64:compat_return
compat_vmread:
        mov     eax, 0x681E
        vmread  ecx, eax
        jmp     SEL_CODE64:compat_return
