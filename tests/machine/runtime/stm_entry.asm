; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; First code of the stub STM, copied to MSEG.  It notes the state that the
; activation produced before anything changes it; all data is addressed
; absolutely, the code itself does not depend on its place.

        extern  stm_c_entry
        global  stm_entry, stm_entry_end, at_entry, at_entry_registers

        section .rodata
        bits    64
        align   16
stm_entry:
        mov     [at_entry_registers + 0x00], rax
        mov     [at_entry_registers + 0x08], rbx
        mov     [at_entry_registers + 0x10], rcx
        mov     [at_entry_registers + 0x18], rdx
        mov     [at_entry_registers + 0x20], rsi
        mov     [at_entry_registers + 0x28], rdi
        mov     [at_entry_registers + 0x30], rbp
        mov     [at_entry_registers + 0x38], r8
        mov     [at_entry_registers + 0x40], r9
        mov     [at_entry_registers + 0x48], r10
        mov     [at_entry_registers + 0x50], r11
        mov     [at_entry_registers + 0x58], r12
        mov     [at_entry_registers + 0x60], r13
        mov     [at_entry_registers + 0x68], r14
        mov     [at_entry_registers + 0x70], r15
        mov     [at_entry.rsp], rsp
        pushfq
        pop     rax
        mov     [at_entry.rflags], rax
        mov     rax, cr0
        mov     [at_entry.cr0], rax
        mov     rax, cr3
        mov     [at_entry.cr3], rax
        mov     rax, cr4
        mov     [at_entry.cr4], rax
        mov     rax, cr8
        mov     [at_entry.cr8], rax
        mov     rax, dr7
        mov     [at_entry.dr7], rax
        lea     rax, [rel stm_entry]
        mov     [at_entry.rip], rax
        mov     ebx, at_entry.efer
        mov     ecx, 0xC0000080         ; IA32_EFER
        call    .save_msr
        mov     ecx, 0xC0000100         ; IA32_FS_BASE
        call    .save_msr
        mov     ecx, 0xC0000101         ; IA32_GS_BASE
        call    .save_msr
        mov     ecx, 0x1D9              ; IA32_DEBUGCTL
        call    .save_msr
        sub     rsp, 16
        sgdt    [rsp]
        mov     ax, [rsp]
        mov     [at_entry.gdtr_limit], ax
        mov     rax, [rsp + 2]
        mov     [at_entry.gdtr_base], rax
        sidt    [rsp]
        mov     ax, [rsp]
        mov     [at_entry.idtr_limit], ax
        mov     rax, [rsp + 2]
        mov     [at_entry.idtr_base], rax
        add     rsp, 16
        mov     ax, cs
        mov     [at_entry.cs], ax
        mov     ax, ss
        mov     [at_entry.ss], ax
        mov     ax, ds
        mov     [at_entry.ds], ax
        mov     ax, es
        mov     [at_entry.es], ax
        mov     ax, fs
        mov     [at_entry.fs], ax
        mov     ax, gs
        mov     [at_entry.gs], ax
        sldt    ax
        mov     [at_entry.ldtr], ax
        str     ax
        mov     [at_entry.tr], ax
        mov     eax, stm_c_entry
        call    rax
.stop:  hlt
        jmp     .stop

.save_msr:                              ; stores at EBX and advances it
        rdmsr
        mov     [rbx], eax
        mov     [rbx + 4], edx
        add     ebx, 8
        ret
stm_entry_end:

        section .bss
        alignb  16
at_entry_registers:
        resq    15
        alignb  16
at_entry:                               ; struct stm_entry_state
.rsp:           resq 1
.rflags:        resq 1
.cr0:           resq 1
.cr3:           resq 1
.cr4:           resq 1
.cr8:           resq 1
.dr7:           resq 1
.efer:          resq 1                  ; the next four in this order
.fs_base:       resq 1
.gs_base:       resq 1
.debugctl:      resq 1
.rip:           resq 1
.gdtr_limit:    resw 1
.idtr_limit:    resw 1
.cs:            resw 1
.ss:            resw 1
.ds:            resw 1
.es:            resw 1
.fs:            resw 1
.gs:            resw 1
.ldtr:          resw 1
.tr:            resw 1
                resd 1
.gdtr_base:     resq 1
.idtr_base:     resq 1
