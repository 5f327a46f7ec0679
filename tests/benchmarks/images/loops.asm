; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; The loops that are measured, so short that an instruction count of a round trip
; can be read from this file.  A guest's loop keeps nothing in registers over an
; exit except what its handler leaves alone.

        global  bench_rounds, bench_ticks, bench_first, bench_pages, bench_table, bench_entry
        global  on_exit_skip, on_exit_nothing, on_exit_map
        global  guest_cpuid, guest_vmcall, guest_new_page, guest_spin
        global  native_cpuid, native_touch, native_flush

%define FIELD_GUEST_PHYSICAL 0x2400
%define FIELD_LENGTH         0x440C
%define FIELD_GUEST_RIP      0x681E
%define FIELD_HOST_RSP       0x6C14
%define FIELD_HOST_RIP       0x6C16
%define PAGE                 4096

        section .text
        bits    64

; uint64_t bench_ticks(void)
bench_ticks:
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        ret

; bool bench_rounds(uint64_t rounds, void (*on_exit)(void)): resumes the current
; VMCS until it has exited so many times; on_exit runs between an exit and the
; next entry.  False if an entry failed.
bench_rounds:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        mov     r12, rdi
        mov     r13, rsi
        mov     eax, FIELD_HOST_RSP
        vmwrite rax, rsp
        mov     eax, FIELD_HOST_RIP
        mov     ecx, .exit
        vmwrite rax, rcx
        jmp     .enter
.exit:  dec     r12
        jz      .done
        call    r13
.enter: vmresume
        xor     eax, eax
        jmp     .out
.done:  mov     eax, 1
.out:   pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret

; ---- what the host does at an exit ----
on_exit_skip:
        mov     eax, FIELD_GUEST_RIP
        mov     edx, FIELD_LENGTH
        vmread  r8, rax
        vmread  rdx, rdx
        add     r8, rdx
        vmwrite rax, r8
on_exit_nothing:
        ret

; Maps the missing page; changes RAX, RDX and R8 only.
on_exit_map:
        mov     eax, FIELD_GUEST_PHYSICAL
        vmread  rax, rax
        sub     rax, [bench_first]
        shr     rax, 12
        mov     rdx, [bench_table]
        mov     r8, [bench_entry]
        mov     [rdx + rax * 8], r8
        ret

; Reads one word of bench_pages pages from bench_first on.
%macro  TOUCH_PAGES 0
        mov     rsi, [bench_first]
        mov     ecx, [bench_pages]
        jrcxz   %%end
%%next: mov     rax, [rsi]
        add     rsi, PAGE
        dec     rcx
        jnz     %%next
%%end:
%endmacro

; ---- guests ----
guest_cpuid:
        TOUCH_PAGES
        xor     eax, eax
        cpuid
        jmp     guest_cpuid

guest_vmcall:
        vmcall
        jmp     guest_vmcall

guest_new_page:
        TOUCH_PAGES
        jmp     guest_new_page

guest_spin:
        nop
        jmp     guest_spin

; ---- the same without VMX: void native(uint64_t rounds) ----
native_cpuid:
        push    rbx
.next:  xor     eax, eax
        cpuid
        dec     rdi
        jnz     .next
        pop     rbx
        ret

native_touch:
        TOUCH_PAGES
        dec     rdi
        jnz     native_touch
        ret

native_flush:
        mov     rdx, cr3
.next:  TOUCH_PAGES
        mov     cr3, rdx
        dec     rdi
        jnz     .next
        ret

        section .data
        align   8
bench_first: dq 0
bench_pages: dq 0
bench_table: dq 0
bench_entry: dq 0
