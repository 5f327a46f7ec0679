; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; void state_smi(const uint64_t in[16], uint64_t out[16]): loads RAX, RBX, RCX,
; RDX, RSI, RDI, RBP, R8 to R15 and RFLAGS, raises an SMI by port B2H, and stores
; the same registers.  XMM0 to XMM15 and x87 are compared by FXSAVE around it.

        global  state_smi, state_fxsave, state_fxrstor

        section .text
        bits    64
state_smi:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        mov     [out_pointer], rsi
        push    qword [rdi + 0x78]
        mov     rax, [rdi + 0x00]
        mov     rbx, [rdi + 0x08]
        mov     rcx, [rdi + 0x10]
        mov     rdx, [rdi + 0x18]
        mov     rsi, [rdi + 0x20]
        mov     rbp, [rdi + 0x30]
        mov     r8, [rdi + 0x38]
        mov     r9, [rdi + 0x40]
        mov     r10, [rdi + 0x48]
        mov     r11, [rdi + 0x50]
        mov     r12, [rdi + 0x58]
        mov     r13, [rdi + 0x60]
        mov     r14, [rdi + 0x68]
        mov     r15, [rdi + 0x70]
        mov     rdi, [rdi + 0x28]
        mov     [rsp_before], rsp
        popfq
        out     0xB2, al
        pushfq
        xchg    rsp, [rsp_before]       ; equal if RSP was preserved
        xchg    rdi, [out_pointer]
        mov     [rdi + 0x00], rax
        mov     [rdi + 0x08], rbx
        mov     [rdi + 0x10], rcx
        mov     [rdi + 0x18], rdx
        mov     [rdi + 0x20], rsi
        mov     [rdi + 0x30], rbp
        mov     [rdi + 0x38], r8
        mov     [rdi + 0x40], r9
        mov     [rdi + 0x48], r10
        mov     [rdi + 0x50], r11
        mov     [rdi + 0x58], r12
        mov     [rdi + 0x60], r13
        mov     [rdi + 0x68], r14
        mov     [rdi + 0x70], r15
        mov     rax, [out_pointer]
        mov     [rdi + 0x28], rax
        mov     rax, [rsp]              ; the flags that PUSHFQ stored
        mov     [rdi + 0x78], rax
        mov     rax, [rsp_before]
        sub     rax, rsp
        mov     [rdi + 0x80], rax       ; 0: RSP unchanged
        add     rsp, 8
        push    qword 2
        popfq
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret

state_fxsave:
        fxsave64 [rdi]
        ret

state_fxrstor:
        fxrstor64 [rdi]
        ret

        section .bss
        alignb  8
out_pointer:
        resq    1
rsp_before:
        resq    1
