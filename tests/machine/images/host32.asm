; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; host32_run() leaves 64-bit mode, enters VMX operation in 32-bit protected mode
; with paging, launches the VMCS and comes back; VM exits lead to host32_exit.

%include "layout.inc"
%include "mode32.inc"

        extern  enable_long_mode, gdtr
        global  host32_run, host32_exit, host32_stack
        global  host32_cr3, host32_cr4, host32_vmxon, host32_vmcs
        global  host32_flags, host32_error, host32_state

%define FIELD_ERROR  0x4400
%define FIELD_REASON 0x4402

        section .text
        bits    64
host32_run:
        ENTER_32 host32_stack, [host32_cr4], [host32_cr3]
        vmxon   [host32_vmxon]
        vmptrld [host32_vmcs]
        mov     dword [host32_error], 0
        vmlaunch
        pushfd
        pop     dword [host32_flags]
        mov     eax, FIELD_ERROR
        vmread  [host32_error], eax
        jmp     leave

host32_exit:
        mov     [host32_state + 4], esp
        mov     eax, cr0
        mov     [host32_state + 8], eax
        mov     eax, cr3
        mov     [host32_state + 12], eax
        mov     eax, cr4
        mov     [host32_state + 16], eax
        mov     ecx, 0xC0000080
        rdmsr
        mov     [host32_state + 20], eax
        mov     eax, cs
        mov     [host32_state + 24], eax
        mov     eax, FIELD_REASON
        vmread  [host32_state], eax
        mov     dword [host32_flags], 0
leave:
        vmclear [host32_vmcs]
        vmxoff
        RETURN_TO_64 host32_stack

        section .bss
        alignb  16
host32_vmxon:
        resq    1
host32_vmcs:
        resq    1
host32_cr3:
        resd    1
host32_cr4:
        resd    1
host32_flags:
        resd    1
host32_error:
        resd    1
host32_state:
        resd    8
        SAVED_STATE
        alignb  16
        resb    4096
host32_stack:
