; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; host32_run() leaves 64-bit mode, enters VMX operation in 32-bit protected mode
; with paging, launches the VMCS and comes back; VM exits lead to host32_exit.

%include "layout.inc"

        extern  enable_long_mode, gdtr
        global  host32_run, host32_exit, host32_stack
        global  host32_cr3, host32_cr4, host32_vmxon, host32_vmcs
        global  host32_flags, host32_error, host32_state

%define FIELD_ERROR  0x4400
%define FIELD_REASON 0x4402

        section .text
        bits    64
host32_run:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        mov     [saved_rsp], rsp
        sidt    [saved_idtr]
        push    qword SEL_CODE32
        mov     eax, host32
        push    rax
        retfq

        bits    32
host32:
        mov     ax, SEL_DATA32
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, host32_stack
        mov     eax, cr0
        and     eax, 0x7FFFFFFF
        mov     cr0, eax                ; leaves IA-32e mode
        mov     ecx, 0xC0000080
        rdmsr
        and     eax, ~(1 << 8)
        wrmsr
        mov     eax, [host32_cr4]
        mov     cr4, eax
        mov     eax, [host32_cr3]
        mov     cr3, eax
        mov     eax, cr0
        or      eax, 0x80000021
        mov     cr0, eax
        jmp     SEL_CODE32:.paged
.paged:
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
        mov     eax, cr0
        and     eax, 0x7FFFFFFF
        mov     cr0, eax
        xor     eax, eax
        mov     cr4, eax
        lgdt    [gdtr]
        mov     ax, SEL_DATA32
        mov     ss, ax
        mov     esp, host32_stack
        call    enable_long_mode
        jmp     SEL_CODE64:.back64
        bits    64
.back64:
        mov     ax, SEL_DATA64
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     fs, ax
        mov     gs, ax
        lidt    [saved_idtr]
        mov     rsp, [saved_rsp]
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret

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
saved_rsp:
        resq    1
saved_idtr:
        resb    16
        alignb  16
        resb    4096
host32_stack:
