; SPDX-License-Identifier: BSD-2-Clause-Patent
; VMX instructions in compatibility mode, for compat_call().

%include "layout.inc"

        extern  compat_return
        global  compat_vmcall, compat_vmxoff, compat_vmread, compat_others, compat_others_end

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

; The other instructions, COMPAT_SLOT bytes each; none reads its operand.
%define COMPAT_SLOT 32
%macro  other 1+
        align   COMPAT_SLOT
        %1
        jmp     SEL_CODE64:compat_return
%endmacro

        align   COMPAT_SLOT
compat_others:
        other   vmxon [0x1000]
        other   vmclear [0x1000]
        other   vmptrld [0x1000]
        other   vmptrst [0x1000]
        other   vmwrite eax, ecx
        other   vmlaunch
        other   vmresume
        other   invept eax, [0x1000]
        other   invvpid eax, [0x1000]
        align   COMPAT_SLOT
compat_others_end:
