; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; Exception entries and the calls that survive an exception.
;
; try_call(fn, arg) runs fn(arg); an exception inside ends it and its vector is
; returned, NO_FAULT otherwise.  Calls nest.

%include "layout.inc"

        extern  fault_handler
        global  fault_stubs, try_call, user_call, compat_call, fault_recover
        global  recover_rsp, compat_return

%define SOFTWARE_RETURN 0x80            ; INT 80H ends user_call

        section .text
        bits    64

; One 16-byte stub a vector; fault.c builds the IDT from this table.
        align   16
fault_stubs:
%assign vector 0
%rep 256
        align   16
%if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
        push    qword 0
%endif
        push    qword vector
        jmp     near fault_common
%assign vector vector + 1
%endrep

fault_common:
        cld
        push    rax
        push    rbx
        push    rcx
        push    rdx
        push    rsi
        push    rdi
        push    rbp
        push    r8
        push    r9
        push    r10
        push    r11
        push    r12
        push    r13
        push    r14
        push    r15
        mov     rdi, rsp
        mov     rbp, rsp
        and     rsp, -16
        call    fault_handler
        mov     rsp, rbp
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     r11
        pop     r10
        pop     r9
        pop     r8
        pop     rbp
        pop     rdi
        pop     rsi
        pop     rdx
        pop     rcx
        pop     rbx
        pop     rax
        add     rsp, 16
        iretq

%macro  save_context 0
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        push    qword [recover_rsp]
        mov     [recover_rsp], rsp
%endmacro

; uint32_t try_call(void (*fn)(void *), void *arg)
try_call:
        save_context
        mov     rax, rdi
        mov     rdi, rsi
        call    rax
try_done:
        mov     eax, NO_FAULT
; fault_handler continues here with RSP = recover_rsp and EAX = vector.
fault_recover:
        mov     cx, SEL_DATA64          ; the fault may have come from ring 3
        mov     ds, cx
        mov     es, cx
        pop     qword [recover_rsp]
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret

; uint32_t user_call(void (*fn)(void *), void *arg): as try_call, at CPL 3.
user_call:
        save_context
        push    qword SEL_USER_DATA | 3
        mov     eax, user_stack_top
        sub     rax, 8
        mov     rdx, user_done
        mov     [rax], rdx
        push    rax
        push    qword 2
        push    qword SEL_USER_CODE | 3
        push    rdi
        mov     rdi, rsi
        iretq
user_done:
        int     SOFTWARE_RETURN

; uint32_t compat_call(void (*fn32)(void)): as try_call, with fn32 being 32-bit
; code that ends in `jmp SEL_CODE64:compat_return`.
compat_call:
        save_context
        push    qword SEL_CODE32
        push    rdi
        retfq
compat_return:
        mov     rsp, [recover_rsp]
        jmp     try_done

        section .bss
        alignb  8
recover_rsp:
        resq    1
        alignb  16
        resb    4096
user_stack_top:
