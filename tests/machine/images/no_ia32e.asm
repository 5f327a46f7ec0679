; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; DM-ACT-17: a processor without IA-32e mode refuses an STM that wants it.  No C here, which
; would be 64-bit code: start32 comes to no_ia32e_mode in flat 32-bit mode.

        global  no_ia32e_mode:function
        global  run_tests

%define MSEG         0x8000             ; below the image
%define DIRECTORY    0x610000           ; 4-MB pages, identity
%define VMXON_REGION 0x620000
%define VMCS_REGION  0x630000
%define STM_STACK    0x640000
%define SMI_ENTRY    0x38000
%define ICR_LOW      0xFEE00300
%define CR4_VMXE_PSE 0x2010
%define EXIT_CONTROLS     0x400C
%define INSTRUCTION_ERROR 0x4400
%define MSEG_FEATURES     24            ; the error
%define ZF           0x40

; check NAME, EAX = got, EBX = want
%macro  CHECK 1
        mov     esi, %%name
        call    check
        jmp     %%end
%%name: db      %1, 0
%%end:
%endmacro

        section .text
        bits    32
run_tests:                              ; of the 64-bit start, which is not reached
        ret
no_ia32e_mode:
        ; IA32_SMM_MONITOR_CTL, which SMM alone can write
        mov     esi, handler
        mov     edi, SMI_ENTRY
        mov     ecx, handler_end - handler
        rep movsb
        mov     dword [ICR_LOW + 0x10], 0
        mov     dword [ICR_LOW], 0x4200
        mov     ecx, 1000
.smi:   pause
        loop    .smi
        mov     ecx, 0x9B
        rdmsr
        mov     ebx, MSEG | 1
        CHECK   "smm-monitor-ctl"

        mov     edi, DIRECTORY
        mov     eax, 0xE7
        mov     ecx, 1024
.page:  stosd
        add     eax, 0x400000
        loop    .page
        mov     eax, CR4_VMXE_PSE
        mov     cr4, eax
        mov     eax, DIRECTORY
        mov     cr3, eax
        mov     eax, cr0
        or      eax, 0x80000021
        mov     cr0, eax
        mov     ecx, 0x3A               ; IA32_FEATURE_CONTROL
        mov     eax, 5
        xor     edx, edx
        wrmsr
        mov     ecx, 0x480              ; IA32_VMX_BASIC
        rdmsr
        and     eax, 0x7FFFFFFF
        mov     [VMXON_REGION], eax
        mov     [VMCS_REGION], eax
        mov     ecx, 0x485              ; IA32_VMX_MISC
        rdmsr
        mov     [MSEG], edx             ; MSEG revision identifier
        vmxon   [vmxon_pointer]
        vmclear [vmcs_pointer]
        vmptrld [vmcs_pointer]
        mov     ecx, 0x48F              ; IA32_VMX_TRUE_EXIT_CTLS
        rdmsr
        mov     edx, EXIT_CONTROLS
        vmwrite edx, eax

        mov     dword [MSEG + 4], 1     ; IA-32e mode SMM feature bit
        vmcall
        pushfd
        pop     eax
        and     eax, 0x8D5
        mov     ebx, ZF
        CHECK   "vmfail-valid"
        mov     edx, INSTRUCTION_ERROR
        vmread  eax, edx
        mov     ebx, MSEG_FEATURES
        CHECK   "error"
        ; the same header without the bit activates
        mov     dword [MSEG + 4], 0
        mov     dword [MSEG + 16], 0x08
        mov     dword [MSEG + 20], stm - MSEG
        mov     dword [MSEG + 24], STM_STACK - MSEG
        mov     dword [MSEG + 28], DIRECTORY - MSEG
        vmcall
        xor     eax, eax                ; back here: it has not
        mov     ebx, 1
        CHECK   "without-the-bit"
        jmp     finish
stm:
        mov     eax, 1
        mov     ebx, 1
        CHECK   "without-the-bit"
finish:
        mov     esi, end_record
        call    print
        mov     al, [checks]
        add     al, '0'
        out     dx, al
        mov     esi, failures_word
        call    print
        mov     al, [failures]
        add     al, '0'
        out     dx, al
        mov     al, 10
        out     dx, al
        mov     al, 0x10
        cmp     byte [failures], 0
        je      .exit
        inc     al
.exit:  out     0xF4, al
        hlt

; ESI = text; DX is the console's port afterwards.
print:
        mov     dx, 0x402
.next:  lodsb
        test    al, al
        jz      .end
        out     dx, al
        jmp     .next
.end:   ret

; ESI = name, EAX = got, EBX = want
check:
        mov     ebp, eax
        push    esi
        mov     esi, check_record
        call    print
        pop     esi
        call    print
        inc     byte [checks]
        mov     esi, passed
        cmp     ebp, ebx
        je      .told
        inc     byte [failures]
        mov     esi, failed
.told:  call    print
        mov     ecx, 8
.digit: rol     ebp, 4
        mov     al, 0x0F
        and     eax, ebp
        and     eax, 0x0F
        mov     al, [digits + eax]
        out     dx, al
        loop    .digit
        mov     al, 10
        out     dx, al
        ret

        section .rodata
        bits    16
handler:
        mov     ecx, 0x9B
        mov     eax, MSEG | 1
        xor     edx, edx
        wrmsr
        rsm
handler_end:
check_record:  db "CHECK id=", "DM-ACT-17", " name=", 0
passed:        db " result=pass detail=got:0x", 0
failed:        db " result=fail detail=got:0x", 0
end_record:    db "END checks=", 0
failures_word: db " failures=", 0
digits:        db "0123456789abcdef"
        align   8
vmxon_pointer: dq VMXON_REGION
vmcs_pointer:  dq VMCS_REGION

        section .data
checks:        db 0
failures:      db 0
