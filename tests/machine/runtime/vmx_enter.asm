; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; vm_enter(registers, launch), see vmx.h.  The VM exit continues on the stack of
; the call, so that an entry looks like a function call to the caller.

        global  vm_enter

%define FIELD_HOST_RSP  0x6C14
%define FIELD_HOST_RIP  0x6C16
%define EXITED          0x80000000
%define ARITHMETIC      0x8D5

; offsets in struct vm_registers
%define R_RAX 0x00
%define R_RBX 0x08
%define R_RCX 0x10
%define R_RDX 0x18
%define R_RSI 0x20
%define R_RDI 0x28
%define R_RBP 0x30
%define R_R8  0x38
%define R_R9  0x40
%define R_R10 0x48
%define R_R11 0x50
%define R_R12 0x58
%define R_R13 0x60
%define R_R14 0x68
%define R_R15 0x70

        section .text
        bits    64
vm_enter:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        push    rdi
        mov     eax, FIELD_HOST_RSP     ; fails without a current VMCS,
        vmwrite rax, rsp                ; and then the entry fails as well
        mov     eax, FIELD_HOST_RIP
        mov     ecx, vm_exit
        vmwrite rax, rcx
        test    esi, esi
        mov     rax, [rdi + R_RAX]
        mov     rbx, [rdi + R_RBX]
        mov     rcx, [rdi + R_RCX]
        mov     rdx, [rdi + R_RDX]
        mov     rsi, [rdi + R_RSI]
        mov     rbp, [rdi + R_RBP]
        mov     r8, [rdi + R_R8]
        mov     r9, [rdi + R_R9]
        mov     r10, [rdi + R_R10]
        mov     r11, [rdi + R_R11]
        mov     r12, [rdi + R_R12]
        mov     r13, [rdi + R_R13]
        mov     r14, [rdi + R_R14]
        mov     r15, [rdi + R_R15]
        mov     rdi, [rdi + R_RDI]
        jnz     .launch
        vmresume
        jmp     .failed
.launch:
        vmlaunch
.failed:
        pushfq
        pop     rax
        and     eax, ARITHMETIC
        pop     rdi
        jmp     done

vm_exit:
        xchg    rdi, [rsp]              ; RDI = registers, [RSP] = guest's RDI
        mov     [rdi + R_RAX], rax
        mov     [rdi + R_RBX], rbx
        mov     [rdi + R_RCX], rcx
        mov     [rdi + R_RDX], rdx
        mov     [rdi + R_RSI], rsi
        mov     [rdi + R_RBP], rbp
        mov     [rdi + R_R8], r8
        mov     [rdi + R_R9], r9
        mov     [rdi + R_R10], r10
        mov     [rdi + R_R11], r11
        mov     [rdi + R_R12], r12
        mov     [rdi + R_R13], r13
        mov     [rdi + R_R14], r14
        mov     [rdi + R_R15], r15
        pop     rax
        mov     [rdi + R_RDI], rax
        mov     eax, EXITED
done:
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret
