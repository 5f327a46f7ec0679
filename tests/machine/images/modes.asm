; SPDX-License-Identifier: BSD-2-Clause-Patent
; Guests of t_modes.c: an SMI by port B2H, OUTSB to it, CPUID, VMCALL.

        global  guest32, guest32_out, guest32_next, guest32_text, guest32_task
        global  guest_v86, guest_v86_end, guest_v86_next

        section .text
        bits    32
guest32:
        mov     eax, 1
        mov     edx, 0xB2
guest32_out:
        out     dx, al
guest32_next:
        mov     ebx, 0x12345678
        vmcall
        mov     esi, guest32_text
        outsb
        mov     ebx, 0x87654321
        vmcall
        cpuid
        vmcall

guest32_task:
        jmp     0x58:0                  ; an available TSS of the test's own GDT

        section .data
guest32_text:
        db      "x"

        section .rodata
        bits    16
; Copied to linear address 7000H and run with CS = 0700H.
guest_v86:
        mov     al, 1
        out     0xB2, al
guest_v86_next:
        mov     bx, 0x4321
        vmcall
        jmp     $
guest_v86_end:
