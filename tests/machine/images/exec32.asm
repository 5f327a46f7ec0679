; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; An executive monitor in 32-bit protected mode with 32-bit paging, and a 32-bit
; STM.  exec32_run() leaves 64-bit mode, enters VMX operation, activates, raises
; one SMI if exec32_smi is set, calls the STM again if exec32_again is set, leaves
; VMX operation and comes back to 64-bit mode.

%include "layout.inc"
%include "mode32.inc"

        extern  enable_long_mode, gdtr
        global  exec32_run, exec32_directory, exec32_vmxon, exec32_vmcs
        global  exec32_exit_controls, exec32_smi, exec32_again, exec32_flags
        global  exec32_vmcall, exec32_ebx
        global  stm32_entry, stm32_entry_end, stm32_fields, stm32_count
        global  stm32_state, stm32_flags, stm32_tops, stm32_marks

%define FIELD_EXIT_CONTROLS 0x400C
%define FIELD_GUEST_RIP     0x681E
%define CR4_VMXE_PSE        0x2010
%define TOP                 0xFFFFFFF0

        section .text
        bits    64
exec32_run:
        ENTER_32 stack32_top, CR4_VMXE_PSE, [exec32_directory]
        vmxon   [exec32_vmxon]
        pushfd
        pop     dword [exec32_flags]
        vmclear [exec32_vmcs]
        vmptrld [exec32_vmcs]
        mov     eax, FIELD_EXIT_CONTROLS
        vmwrite eax, [exec32_exit_controls]
        mov     eax, 0x10007
        mov     ebx, 0xBBBB
exec32_vmcall:
        vmcall
        pushfd
        pop     dword [exec32_flags + 4]
        mov     [exec32_ebx], ebx
        cmp     dword [exec32_smi], 0
        je      .no_smi
        out     0xB2, al
.no_smi:
        cmp     dword [exec32_again], 0
        je      .off
        vmcall
.off:
        vmxoff
        pushfd
        pop     dword [exec32_flags + 8]

        RETURN_TO_64 stack32_top

; The 32-bit STM, copied to MSEG.  48H is DEC EAX here and REX.W in 64-bit mode
; (DM-ACT-49): the first instruction tells in which mode it runs.
        section .rodata
        bits    32
        align   16
stm32_entry:
        mov     eax, 0
        db      0x48                    ; DEC EAX in 32-bit mode
        nop
        mov     [stm32_state + 0x00], eax
        mov     eax, cr0
        mov     [stm32_state + 0x04], eax
        mov     eax, cr3
        mov     [stm32_state + 0x08], eax
        mov     eax, cr4
        mov     [stm32_state + 0x0C], eax
        mov     ecx, 0xC0000080
        rdmsr
        mov     [stm32_state + 0x10], eax
        mov     [stm32_state + 0x14], esp
        mov     eax, cs
        mov     [stm32_state + 0x18], eax
        mov     eax, ss
        mov     [stm32_state + 0x1C], eax
        mov     [stm32_state + 0x20], ebx
; The end of the address space through each segment, with a GDT of zeros (DM-ACT-48).
        mov     eax, [ds:TOP]
        mov     [stm32_tops + 0x00], eax
        mov     eax, [es:TOP]
        mov     [stm32_tops + 0x04], eax
        mov     eax, [fs:TOP]
        mov     [stm32_tops + 0x08], eax
        mov     eax, [gs:TOP]
        mov     [stm32_tops + 0x0C], eax
        mov     eax, [ss:TOP]
        mov     [stm32_tops + 0x10], eax
        mov     eax, [cs:TOP]
        mov     [stm32_tops + 0x14], eax
; Stores through each data segment, and a push with ESP (DM-ACT-50).
        mov     dword [ds:stm32_marks + 0x00], 0xD0D0D0D0
        mov     dword [es:stm32_marks + 0x04], 0xE0E0E0E0
        mov     dword [fs:stm32_marks + 0x08], 0xF0F0F0F0
        mov     dword [gs:stm32_marks + 0x0C], 0x60606060
        mov     dword [ss:stm32_marks + 0x10], 0x55555555
        push    dword 0x12345678
        mov     eax, [ds:esp]
        mov     [stm32_marks + 0x14], eax
        mov     [stm32_marks + 0x18], esp
        pop     eax
        xor     esi, esi
.next:  cmp     esi, [stm32_count]
        jae     .written
        mov     eax, [stm32_fields + esi * 8]
        vmwrite eax, [stm32_fields + esi * 8 + 4]
        inc     esi
        jmp     .next
.written:
        mov     eax, FIELD_GUEST_RIP
        vmread  ecx, eax
        add     ecx, 3
        vmwrite eax, ecx
        mov     ebx, 0xCCCC
        vmlaunch
        pushfd
        pop     dword [stm32_flags]
        mov     dx, 0xF4                ; a failed entry ends the machine
        mov     al, 0x12
        out     dx, al
        hlt
stm32_entry_end:

        section .bss
        alignb  16
exec32_directory:
        resq    1
exec32_vmxon:
        resq    1
exec32_vmcs:
        resq    1
exec32_exit_controls:
        resd    1
exec32_smi:
        resd    1
exec32_again:
        resd    1
exec32_ebx:
        resd    1
exec32_flags:
        resd    4
stm32_count:
        resd    1
stm32_flags:
        resd    1
stm32_state:
        resd    16
stm32_tops:
        resd    6
stm32_marks:
        resd    7
        alignb  8
stm32_fields:
        resq    64
        SAVED_STATE
        alignb  16
        resb    4096
stack32_top:
