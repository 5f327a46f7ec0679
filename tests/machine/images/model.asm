; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; The interpreter of t_model.c.  It keeps nothing in registers over the
; instruction of an operation: a transition may end this program for good, or
; come back long after.  RSP survives all of them, in SMRAM and in the VMCS; it
; tells the program, and which operation (modulo 256) the program carried out last.

%include "layout.inc"

        extern  take, record, on_start, on_smi, on_exit, on_activation
        global  interpret, enter_program, exit_entry, start_entry, activation_entry
        global  stubs_begin, stubs_end, stub_fault

%define POSITION        0x200000C       ; struct shared
%define STACK_MASK      -0x10000
%define OPERATION_RSP   0xF000
%define APIC_ICR        0xFEE00300
%define SMI_PORT        0xB2

        section .text
        bits    64

start_entry:
        call    on_start
        jmp     interpret
exit_entry:
        call    on_exit
        jmp     interpret
activation_entry:
        call    on_activation
        jmp     interpret
; void enter_program(uint64_t rsp): the SMI handler's beginning, and the first program's.
enter_program:
        mov     rsp, rdi
        call    on_smi
interpret:
        call    take                    ; RAX = operation, RDX = its operand
        mov     ecx, [POSITION]
        and     ecx, 0xFF
        shl     ecx, 6
        and     rsp, STACK_MASK
        add     rsp, OPERATION_RSP
        sub     rsp, rcx
        mov     [rsp], rdx
        mov     ecx, [rax]
        mov     esi, [rax + 4]
        xor     r14d, r14d
        jmp     [table + rcx * 8]

stubs_begin:
do_vmxon:
        vmxon   [rsp]
        jmp     flags
do_vmclear:
        vmclear [rsp]
        jmp     flags
do_vmptrld:
        vmptrld [rsp]
        jmp     flags
do_vmwrite:
        vmwrite rsi, rdx
        jmp     flags
do_vmptrst:
        vmptrst [rsp]
        mov     r14, [rsp]
        jmp     flags
do_vmread:
        vmread  r14, rsi
        jmp     flags
do_vmlaunch:
        vmlaunch
        jmp     flags
do_vmresume:
        vmresume
        jmp     flags
do_vmcall:
        vmcall
        jmp     flags
do_vmxoff:
        vmxoff
        jmp     flags
do_rsm: rsm
        jmp     plain
do_rdmsr:
        mov     ecx, esi
        rdmsr
        mov     r14d, edx
        shl     r14, 32
        or      r14, rax
        jmp     plain
do_wrmsr:
        mov     ecx, esi
        mov     eax, edx
        shr     rdx, 32
        wrmsr
        jmp     plain
do_cpuid:
        xor     eax, eax
        cpuid
        jmp     plain
do_out:
        mov     eax, edx
        out     SMI_PORT, al
        jmp     plain
do_ipi:                                 ; taken in the pauses at the latest
        mov     ebx, APIC_ICR
        mov     [rbx + 0x10], edx
        mov     [rbx], esi
%rep 4
        pause
%endrep
        jmp     plain
do_iret:
        mov     rax, rsp
        push    SEL_DATA64
        push    rax
        pushfq
        push    SEL_CODE64
        push    plain
        iretq
do_store:
        mov     [rdx], esi
        jmp     plain
stubs_end:

flags:  pushfq
        pop     rax
        and     eax, 0x8D5
        jmp     done
plain:  xor     eax, eax
stub_fault:                             ; RAX = 100H + vector
done:   mov     rdi, rax
        mov     rsi, r14
        mov     rdx, rsp
        call    record
        jmp     interpret

        section .rodata
        align   8
table:  dq      0                       ; the beginning of a list
        dq      do_vmxon, do_vmclear, do_vmptrld, do_vmwrite, do_vmptrst
        dq      do_vmwrite, do_vmread, do_vmlaunch, do_vmresume, do_vmcall, do_vmxoff
        dq      do_rsm, do_rdmsr, do_wrmsr, do_cpuid, do_out, do_ipi, do_iret, do_store
