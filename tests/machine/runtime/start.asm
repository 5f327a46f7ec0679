; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; 32-bit entry of a test image: clears .bss, builds identity page tables for
; 4 GiB, enters 64-bit mode and calls runtime_main().

%include "layout.inc"

        extern  runtime_main, bss_start, bss_end, no_ia32e_mode
        global  start32, page_tables, gdt, gdtr, tss, enable_long_mode

        section .text.start
        bits    32
start32:
        mov     edi, bss_start
        mov     ecx, bss_end
        sub     ecx, edi
        shr     ecx, 2
        xor     eax, eax
        rep stosd

        ; PML4[0] -> PDPT, PDPT[0..3] -> four page directories of 2-MiB pages.
        mov     dword [page_tables], page_tables + 0x1000 + 7
        mov     edi, page_tables + 0x1000
        mov     eax, page_tables + 0x2000 + 7
        mov     ecx, 4
.pdpt:  mov     [edi], eax
        add     eax, 0x1000
        add     edi, 8
        loop    .pdpt
        mov     edi, page_tables + 0x2000
        mov     eax, 0xE7               ; P, RW, US, A, D, PS
        mov     ecx, 2048
.pd:    mov     [edi], eax
        add     eax, 0x200000
        add     edi, 8
        loop    .pd

        ; TSS descriptor: base is known only to the linker.
        mov     eax, tss
        mov     [gdt + SEL_TSS + 2], ax
        shr     eax, 16
        mov     [gdt + SEL_TSS + 4], al
        mov     [gdt + SEL_TSS + 7], ah

        lgdt    [gdtr]
        mov     esp, boot_stack_top
        ; Here and not first: the first bytes of the ROM are what the hostile guests of
        ; test_robustness.py take for tables.
        mov     eax, 0x80000001
        cpuid
        bt      edx, 29                 ; IA-32e mode
        jnc     no_ia32e_mode
        call    enable_long_mode
        jmp     SEL_CODE64:start64

; Turns on PAE, LME, PG and the bits that VMX operation fixes in CR0; the caller
; then does a far jump to 64-bit code.  Changes EAX, ECX, EDX.
enable_long_mode:
        mov     eax, cr4
        or      eax, 1 << 5
        mov     cr4, eax
        mov     eax, page_tables
        mov     cr3, eax
        mov     ecx, 0xC0000080
        rdmsr
        or      eax, 1 << 8
        wrmsr
        mov     eax, cr0
        or      eax, 0x80000021         ; PG, NE, PE
        mov     cr0, eax
        ret

        bits    64
start64:
        mov     ax, SEL_DATA64
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     fs, ax
        mov     gs, ax
        mov     eax, fault_stack_top
        mov     [tss + 4], rax          ; RSP0
        mov     ax, SEL_TSS
        ltr     ax
        mov     rsp, boot_stack_top
        call    runtime_main
.stop:  hlt                             ; runtime_main ends the machine
        jmp     .stop

        section .data
        align   16
gdt:
        dq      0
        dq      0x00CF9B000000FFFF      ; 08H: 32-bit code, DPL 0
        dq      0x00CF93000000FFFF      ; 10H: data
        dq      0x00AF9B000000FFFF      ; 18H: 64-bit code
        dq      0x00CF93000000FFFF      ; 20H: data
        dq      0x0000890000000067, 0   ; 28H: TSS
        dq      0x00AFFB000000FFFF      ; 38H: 64-bit code, DPL 3
        dq      0x00CFF3000000FFFF      ; 40H: data, DPL 3
        dq      0x00009B000000FFFF      ; 48H: 16-bit code
        dq      0x000093000000FFFF      ; 50H: 16-bit data
gdt_end:
gdtr:   dw      gdt_end - gdt - 1
        dq      gdt

        section .bss
        alignb  4096
page_tables:
        resb    6 * 4096
        resb    16384
boot_stack_top:
        resb    16384
fault_stack_top:
tss:    resb    0x68
