; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; The interpreter of t_model.c.  It keeps nothing in registers over the
; instruction of an operation: a transition may end this program for good, or
; come back long after.  RSP survives all of them, in SMRAM and in the VMCS; it
; tells the program, and which operation (modulo 256) the program carried out last.

%include "layout.inc"

        extern  poll, record, on_back, on_start, on_enter, on_exit, on_activation
        global  interpret, enter_program, exit_entry, start_entry, activation_entry
        global  stubs_begin, stubs_end, stub_fault

%define POSITION        0x200000C       ; struct shared
%define DONE            0x2000080       ; struct turn
%define ACTOR           0x2000084
%define LEAST_PAUSES    0x2000088
%define NOBODY          -1
%define PROCESSORS      0x2000100       ; struct processor
%define KEY             0
%define PAUSES          4
%define STACK           8
%define STACKS          0x1100000
%define STM             4
%define FIRST_RSP       0xF800
%define STACK_MASK      -0x10000
%define OPERATION_RSP   0xF000
%define APIC_ID         0xFEE00020
%define APIC_ICR        0xFEE00300
%define SMI_PORT        0xB2

        section .text
        bits    64

start_entry:
        call    on_start
        jmp     wait_here
exit_entry:
        call    on_exit
        jmp     wait_here
activation_entry:
        mov     ecx, APIC_ID
        mov     ecx, [rcx]
        shr     ecx, 24
        shl     ecx, 19                 ; eight stacks a processor
        lea     rsp, [rcx + STACKS + (STM << 16) + FIRST_RSP]
        call    on_activation
        jmp     wait_here
; void enter_program(uint64_t rsp, uint32_t how): the SMI handler's beginning, a start-up, and the first program's.
enter_program:
        mov     rsp, rdi
        mov     edi, esi
        call    on_enter
        jmp     wait_here

; RCX = number of this processor / its struct processor, from the stack.
%macro  OWN_NUMBER 0
        mov     rcx, rsp
        shr     rcx, 19
        and     ecx, 1
%endmacro
%macro  OWN_PROCESSOR 0
        OWN_NUMBER
        shl     ecx, 6
        add     ecx, PROCESSORS
%endmacro

; Waits until nothing can arrive any more from the last operation.  Until then an SMI, an INIT or an NMI may come in
; between any two jumps, and a transition keeps no register but RSP: what stands between two jumps begins with that.
; The code is within a page, so that the machine translates each such part as a whole.
        align   256
wait_longer:
        pause
interpret:
        OWN_PROCESSOR
        cmp     [rcx + STACK], rsp
        jne     came_back               ; after another program, or this one elsewhere
        OWN_PROCESSOR
        xor     edx, edx
        mov     eax, [POSITION]
        cmp     eax, [DONE]
        sete    dl
        lea     eax, [rax * 2 + rdx]
        cmp     [rcx + KEY], eax
        mov     [rcx + KEY], eax
        jne     begin_to_wait
        OWN_PROCESSOR
        mov     eax, [rcx + PAUSES]
        inc     eax
        mov     [rcx + PAUSES], eax
        cmp     eax, [LEAST_PAUSES]
        jb      wait_longer
        OWN_NUMBER
        mov     eax, [POSITION]
        cmp     eax, [DONE]
        sete    dl
        cmp     [ACTOR], ecx
        sete    dh
        or      dl, dh
        cmp     dword [ACTOR], NOBODY
        sete    dh
        or      dl, dh
        jz      wait_longer             ; another's operation is under way
        call    poll                    ; RAX = operation, RDX = its operand
        test    rax, rax
        jnz     carry_out
        jmp     wait_longer
begin_to_wait:
        OWN_PROCESSOR
        mov     dword [rcx + PAUSES], 0
        jmp     wait_longer
came_back:
        call    on_back
wait_here:
        OWN_PROCESSOR
        mov     [rcx + STACK], rsp
        jmp     interpret

carry_out:
        mov     ecx, [POSITION]
        and     ecx, 0xFF
        shl     ecx, 6
        and     rsp, STACK_MASK
        add     rsp, OPERATION_RSP
        sub     rsp, rcx
        OWN_PROCESSOR
        mov     [rcx + STACK], rsp
        mov     [rsp], rdx
        movzx   ecx, byte [rax]
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
        jmp     wait_here

        section .rodata
        align   8
table:  dq      0                       ; the beginning of a list
        dq      do_vmxon, do_vmclear, do_vmptrld, do_vmwrite, do_vmptrst
        dq      do_vmwrite, do_vmread, do_vmlaunch, do_vmresume, do_vmcall, do_vmxoff
        dq      do_rsm, do_rdmsr, do_wrmsr, do_cpuid, do_out, do_ipi, do_iret, do_store
