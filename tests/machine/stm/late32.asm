; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; An executive monitor in 32-bit protected mode, with 32-bit paging or PAE paging.
; late32_run() leaves 64-bit mode, enters VMX operation, makes the calls of late32_calls and
; keeps what each has left in the registers, leaves VMX operation and comes back to 64-bit
; mode.  CR0.WP and EFER.NXE stay as they are.  One of the calls may be a run of a guest,
; whose VMCS is in late32_guest.

%include "layout.inc"
%include "mode32.inc"

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
        ENTER_32 late32_stack, [late32_cr4], [late32_cr3]
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
        RETURN_TO_64 late32_stack

        bits    32
late32_guest_back:
        jmp     late32_run.guest_exit
; The guest, in the mode of the monitor.
late32_guest_code:
        out     0xB2, al
        vmcall

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
        SAVED_STATE
        alignb  16
        resb    4096
late32_stack:
