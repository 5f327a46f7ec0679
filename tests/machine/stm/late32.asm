; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; An executive monitor in 32-bit protected mode, with 32-bit paging or PAE paging.
; late32_run() leaves 64-bit mode, enters VMX operation, makes the calls of late32_calls and
; keeps what each has left in the registers, leaves VMX operation and comes back to 64-bit
; mode.  CR0.WP and EFER.NXE stay as they are.  One of the calls may be a run of a guest,
; whose VMCS is in late32_guest.

%include "layout.inc"

        extern  enable_long_mode, gdtr
        global  late32_run, late32_cr3, late32_cr4, late32_vmxon, late32_vmcs
        global  late32_calls, late32_results, late32_flags, late32_stack
        global  late32_guest, late32_guest_code, late32_guest_back, late32_guest_reason

%define SMI         0xFFFFFFFF          ; instead of a call; 0 ends the list
%define GUEST       0xFFFFFFFE
%define EXIT_REASON 0x4402
%define RESULT_SIZE 64                  ; struct result in late.c
%define MSR_EFER    0xC0000080

        section .text
        bits    64
late32_run:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        mov     [saved_rsp], rsp
        sidt    [saved_idtr]
        push    qword SEL_CODE32
        mov     eax, late32
        push    rax
        retfq

        bits    32
late32:
        mov     ax, SEL_DATA32
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, late32_stack
        mov     eax, cr0
        and     eax, 0x7FFFFFFF
        mov     cr0, eax                ; leaves IA-32e mode
        mov     ecx, MSR_EFER
        rdmsr
        and     eax, ~(1 << 8)
        wrmsr
        mov     eax, [late32_cr4]
        mov     cr4, eax
        mov     eax, [late32_cr3]
        mov     cr3, eax
        mov     eax, cr0
        or      eax, 0x80000021
        mov     cr0, eax
        jmp     SEL_CODE32:.paged
.paged:
        vmxon   [late32_vmxon]
        pushfd
        pop     dword [late32_flags]
        vmptrld [late32_vmcs]
        mov     dword [index], 0
.next:
        mov     ebx, [index]
        mov     eax, [late32_calls + 4 * ebx]
        test    eax, eax
        jz      .off
        cmp     eax, GUEST
        je      .guest
        cmp     eax, SMI
        jne     .call
        out     0xB2, al
        inc     dword [index]
        jmp     .next
; The guest's first VM exit comes back to late32_guest_back, on an empty stack.
.guest:
        vmptrld [late32_guest]
        vmlaunch
        jmp     .guest_done             ; VM entry has failed: no exit reason
.guest_exit:
        mov     ebx, EXIT_REASON
        vmread  [late32_guest_reason], ebx
.guest_done:
        vmclear [late32_guest]
        inc     dword [index]
        jmp     .next
.call:
        xor     ebx, ebx
        xor     ecx, ecx
        mov     edx, 0xDEADBEEE         ; of START only bit 0 counts
        mov     esi, 0x51515151
        mov     edi, 0xD1D1D1D1
        mov     ebp, 0xB0B0B0B0
        vmcall
        pushfd
        push    eax
        mov     eax, [index]
        shl     eax, 6
        add     eax, late32_results
        pop     dword [eax]
        pop     dword [eax + 4]
        mov     [eax + 8], ebx
        mov     [eax + 12], ecx
        mov     [eax + 16], edx
        mov     [eax + 20], esi
        mov     [eax + 24], edi
        mov     [eax + 28], ebp
        mov     [eax + 32], esp
        mov     esi, eax
        mov     eax, cr0
        mov     [esi + 36], eax
        mov     eax, cr3
        mov     [esi + 40], eax
        mov     eax, cr4
        mov     [esi + 44], eax
        mov     ecx, MSR_EFER
        rdmsr
        mov     [esi + 48], eax
        mov     eax, cs
        mov     [esi + 52], eax
        inc     dword [index]
        jmp     .next
.off:
        vmclear [late32_vmcs]
        vmxoff
        pushfd
        pop     dword [late32_flags + 4]
        mov     eax, cr0
        and     eax, 0x7FFFFFFF
        mov     cr0, eax
        xor     eax, eax
        mov     cr4, eax
        lgdt    [gdtr]
        mov     esp, late32_stack
        call    enable_long_mode
        jmp     SEL_CODE64:late32_back64
late32_guest_back:
        jmp     late32.guest_exit
; The guest, in the mode of the monitor.
late32_guest_code:
        out     0xB2, al
        vmcall
        bits    64
late32_back64:
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
late32_results:
        resb    8 * RESULT_SIZE
late32_vmxon:
        resq    1
late32_vmcs:
        resq    1
late32_guest:
        resq    1
late32_guest_reason:
        resd    2
late32_cr3:
        resd    1
late32_cr4:
        resd    1
late32_calls:
        resd    8
late32_flags:
        resd    2
index:
        resd    1
        alignb  8
saved_rsp:
        resq    1
saved_idtr:
        resb    16
        alignb  16
        resb    4096
late32_stack:
