; SPDX-License-Identifier: BSD-2-Clause-Patent
;
; An STM that is none of this project's: an image with the MSEG header and the
; software header of the interface, nothing else, laid out as edk2's own tool lays one
; out: GDT in a page behind the headers, code behind that, variables in the static
; image. Its sizes are as odd as the interface allows: the static image does not end
; at a page, the page tables do not begin at its end, and it names two save-state maps.
;
; It runs the SMI handlers as its guest, as the PSD says, confines them in nothing, and
; lets them see no save state. INITIALIZE_PROTECTION, START and STOP are served, all else
; is answered with ERROR_INVALID_API; setup and teardown code of the firmware never run.

        bits    64
        default rel
        org     0

%define PAGE            0x1000
%define TABLES          6 * PAGE
%define STACK           PAGE                    ; of a processor, its two VMCSs before it
%define PER_PROCESSOR   (2 * PAGE + STACK)
%define PROCESSORS      8                       ; activations in all
%define AREA            0x10000                 ; where the processors' areas are
%define MSR_BITMAP      (AREA - PAGE)           ; zero, as the loader leaves it

%define CS_SELECTOR     0x38
%define DS_SELECTOR     0x40

%define API_START                 0x10001
%define API_STOP                  0x10002
%define API_INITIALIZE_PROTECTION 0x10007
%define ERROR_INVALID_API         0x80038001

%define EXIT_IO_SMI     5
%define EXIT_OTHER_SMI  6
%define EXIT_CPUID      10
%define EXIT_RSM        17
%define EXIT_VMCALL     18

%define DEACTIVATE      (1 << 11)               ; VM-entry control "deactivate dual-monitor treatment"
%define IA32E_GUEST     (1 << 9)
%define ENTRY_TO_SMM    (1 << 10)
%define LOAD_EFER       (1 << 15)
%define SAVE_DEBUG      (1 << 2)                ; VM-exit controls
%define HOST_64BIT      (1 << 9)
%define SAVE_EFER       (1 << 20)
%define USE_MSR_BITMAP  (1 << 28)
%define VMXE            (1 << 13)
%define PSD             0xFB00
%define BLOCKING_BY_SMI (1 << 2)
%define ARITHMETIC      0x8D5

%define VMX_PIN_CTLS    0x48D                   ; TRUE ones; the processor's, the exit's, the entry's behind it

mseg_header:
        dd      0                               ; MsegHeaderRevision: of whatever processor
        dd      1                               ; MonitorFeatures: IA-32e mode
        dd      gdt_end - gdt - 1
        dd      gdt - mseg_header
        dd      CS_SELECTOR
        dd      entry
        dd      PROCESSORS * PER_PROCESSOR + AREA + PAGE
        dd      CR3_OFFSET
        times   0x800 - ($ - $$) db 0

        db      1, 1                            ; StmSpecVerMajor, StmSpecVerMinor
        dw      0
        dd      STATIC_SIZE
        dd      STACK
        dd      AREA + 2 * PAGE + PROCESSORS * PER_PROCESSOR
        dd      3                               ; StmFeatures
        dd      2                               ; NumberOfRevIDs
        dd      0x80010100, 0x20064
        times   PAGE - ($ - $$) db 0

gdt:    times   CS_SELECTOR db 0
        dq      0x00AF9B000000FFFF
        dq      0x00CF93000000FFFF
gdt_end:
        times   2 * PAGE - ($ - $$) db 0

%macro PUSH_ALL 0
        push    r15
        push    r14
        push    r13
        push    r12
        push    r11
        push    r10
        push    r9
        push    r8
        push    rdi
        push    rsi
        push    rbp
        push    rbx
        push    rdx
        push    rcx
        push    rax
%endmacro

%macro POP_ALL 0
        pop     rax
        pop     rcx
        pop     rdx
        pop     rbx
        pop     rbp
        pop     rsi
        pop     rdi
        pop     r8
        pop     r9
        pop     r10
        pop     r11
        pop     r12
        pop     r13
        pop     r14
        pop     r15
%endmacro

%define SAVED_RAX 0                             ; of what PUSH_ALL has pushed
%define SAVED_RBX 24
%define REGISTERS 15

%define PUSHED (8 * REGISTERS)

; vmwrite of a register; EAX is lost
%macro WRITE 2
        mov     eax, %1
        vmwrite rax, %2
%endmacro

; vmread into a register; EAX is lost
%macro READ 2
        mov     eax, %2
        vmread  %1, rax
%endmacro

; Controls: what the processor demands, and EDX beside. Field, MSR.
%macro CONTROLS 2
        mov     ebx, edx
        mov     ecx, %2
        rdmsr
        or      ebx, eax
        WRITE   %1, rbx
%endmacro

; An activating VMCALL: every processor arrives with the same RSP.
entry:
        lock bts dword [lock_word], 0
        jc      entry
        PUSH_ALL
        mov     ebx, [activations]
        cmp     ebx, PROCESSORS
        jae     fail
        inc     dword [activations]
        imul    ebx, ebx, PER_PROCESSOR
        lea     rcx, [mseg_header]
        lea     rbx, [rcx + rbx + AREA]         ; this processor's VMCS, then its stack
        mov     rsi, rsp
        lea     rdi, [rbx + PER_PROCESSOR - 8 * REGISTERS]
        mov     rsp, rdi
        mov     ecx, REGISTERS
        cld
        rep     movsq
        mov     dword [lock_word], 0

        ; The activating VMCS lies where the executive monitor can write: copy it.
        push    rbx                             ; room for its address
        vmptrst [rsp]
        vmclear [rsp]
        jbe     fail
        mov     rsi, [rsp]
        mov     rdi, rbx
        mov     ecx, PAGE / 8
        rep     movsq
        mov     ecx, 0x480                      ; IA32_VMX_BASIC: revision of a VMCS
        rdmsr
        mov     [rbx + PAGE], eax
        mov     [rsp], rbx
        vmptrld [rsp]
        jbe     fail
        pop     rbx

        lea     rsi, [smm_exit]
        lea     rdi, [rbx + PER_PROCESSOR]
        call    host_state
        xor     edx, edx
        WRITE   0x400E, rdx                     ; MSR areas
        WRITE   0x4010, rdx
        WRITE   0x4014, rdx
        CONTROLS 0x4000, VMX_PIN_CTLS
        xor     edx, edx
        CONTROLS 0x4002, VMX_PIN_CTLS + 1
        mov     edx, HOST_64BIT | SAVE_DEBUG | SAVE_EFER
        CONTROLS 0x400C, VMX_PIN_CTLS + 2
        READ    rdx, 0x4012
        and     edx, IA32E_GUEST
        or      edx, LOAD_EFER
        CONTROLS 0x4012, VMX_PIN_CTLS + 3
        call    serve
        POP_ALL
        vmlaunch
        jmp     fail

smm_exit:
        PUSH_ALL
        call    serve
return:
        POP_ALL
        vmresume

fail:                                           ; reset, since nobody can be told
        mov     dx, 0xCF9
        mov     al, 6
        out     dx, al
        jmp     fail

; Host state of the current VMCS. RSI = RIP, RDI = RSP.
host_state:
        mov     rdx, cr0
        WRITE   0x6C00, rdx
        mov     rdx, cr3
        WRITE   0x6C02, rdx
        mov     rdx, cr4
        WRITE   0x6C04, rdx
        xor     edx, edx
        WRITE   0x6C06, rdx                     ; FS, GS and TR base
        WRITE   0x6C08, rdx
        WRITE   0x6C0A, rdx
        WRITE   0x6C0E, rdx                     ; IDTR base
        lea     rdx, [gdt]
        WRITE   0x6C0C, rdx
        mov     edx, CS_SELECTOR
        WRITE   0x0C02, rdx
        mov     edx, DS_SELECTOR
        WRITE   0x0C00, rdx
        WRITE   0x0C04, rdx
        WRITE   0x0C06, rdx
        WRITE   0x0C08, rdx
        WRITE   0x0C0A, rdx
        WRITE   0x0C0C, rdx
        WRITE   0x6C16, rsi
        WRITE   0x6C14, rdi
        ret

; What this exit is about; the pushed registers are behind the return address.
serve:
        READ    rcx, 0x4402
        movzx   ecx, cx
        cmp     ecx, EXIT_VMCALL
        je      .call
        cmp     ecx, EXIT_IO_SMI
        je      run_handler
        cmp     ecx, EXIT_OTHER_SMI
        je      run_handler
        jmp     fail

.call:  READ    rdx, 0x440C                     ; behind the VMCALL
        READ    rcx, 0x681E
        add     rcx, rdx
        WRITE   0x681E, rcx
        READ    rcx, 0x6820
        and     rcx, ~ARITHMETIC
        WRITE   0x6820, rcx
        mov     edx, [rsp + 8 + SAVED_RAX]
        mov     qword [rsp + 8 + SAVED_RAX], 0
        cmp     edx, API_INITIALIZE_PROTECTION
        je      .initialize
        cmp     edx, API_START
        je      .start
        cmp     edx, API_STOP
        je      .stop
        mov     eax, ERROR_INVALID_API
        mov     [rsp + 8 + SAVED_RAX], rax
        or      ecx, 1
        WRITE   0x6820, rcx
        ret

.initialize:
        mov     qword [rsp + 8 + SAVED_RBX], 0  ; no capability
        ret

.start: READ    rdx, 0x4824                     ; from now on SMIs come
        and     edx, ~BLOCKING_BY_SMI
        WRITE   0x4824, rdx
        ret

.stop:  READ    rdx, 0x4012
        or      edx, DEACTIVATE
        WRITE   0x4012, rdx
        ret

; An SMI: its handler becomes a guest. RBX = this processor's area.
run_handler:
        lock inc dword [smis]
        READ    r8, 0x4828                      ; SMBASE
        add     r8, PSD
        pop     rax                             ; nobody returns from here
        lea     rbx, [rsp + PUSHED - PER_PROCESSOR]
        mov     r9, rbx                         ; CONTROLS uses EBX
        lea     rdx, [rbx + PAGE]
        push    rdx
        vmclear [rsp]
        jbe     fail
        vmptrld [rsp]
        jbe     fail
        pop     rdx
        lea     rsi, [handler_exit]
        mov     rdi, rsp                        ; below the interrupted registers
        call    host_state
        lea     rsi, [handler_constants]
.next:  mov     ecx, [rsi]
        movsxd  rdx, dword [rsi + 4]
        vmwrite rcx, rdx
        add     rsi, 8
        cmp     ecx, 0x2800
        jne     .next
        xor     edx, edx
        CONTROLS 0x4000, VMX_PIN_CTLS
        mov     edx, USE_MSR_BITMAP
        CONTROLS 0x4002, VMX_PIN_CTLS + 1
        mov     edx, HOST_64BIT | SAVE_DEBUG
        CONTROLS 0x400C, VMX_PIN_CTLS + 2
        mov     edx, IA32E_GUEST | ENTRY_TO_SMM | LOAD_EFER
        CONTROLS 0x4012, VMX_PIN_CTLS + 3
        lea     rdx, [mseg_header + MSR_BITMAP]
        WRITE   0x2004, rdx
        mov     edx, 0x80010033                 ; PG, WP, NE, ET, MP, PE
        WRITE   0x6800, rdx
        WRITE   0x6004, rdx
        mov     edx, 0x80000021
        WRITE   0x6000, rdx
        movzx   edx, word [r8 + 0x14]           ; SmmCs, SmmDs, SmmSs, the others, TR
        WRITE   0x0802, rdx
        movzx   edx, word [r8 + 0x16]
        WRITE   0x0806, rdx
        movzx   edx, word [r8 + 0x18]
        WRITE   0x0804, rdx
        movzx   edx, word [r8 + 0x1A]
        WRITE   0x0800, rdx
        WRITE   0x0808, rdx
        WRITE   0x080A, rdx
        movzx   ecx, word [r8 + 0x1C]
        WRITE   0x080E, rcx
        mov     rdx, [r8 + 0x48]                ; GDT, and the base of the TSS in it
        WRITE   0x6816, rdx
        mov     esi, [rdx + rcx + 2]
        and     esi, 0xFFFFFF
        movzx   eax, byte [rdx + rcx + 7]
        shl     eax, 24
        or      esi, eax
        WRITE   0x6814, rsi
        mov     edx, [r8 + 0x50]
        dec     edx
        WRITE   0x4810, rdx
        mov     rdx, [r8 + 0x20]
        WRITE   0x6802, rdx                     ; CR3, RIP, RSP
        mov     rdx, [r8 + 0x38]
        WRITE   0x681E, rdx
        mov     rdx, [r8 + 0x40]
        WRITE   0x681C, rdx
        vmlaunch
        jmp     fail

; VM exits of the handler: RSM ends it, CPUID is executed for it, no other is due.
handler_exit:
        PUSH_ALL
        READ    rcx, 0x4402
        cmp     ecx, EXIT_CPUID
        jne     .rsm
        READ    rdx, 0x440C
        READ    rcx, 0x681E
        add     rcx, rdx
        WRITE   0x681E, rcx
        POP_ALL
        cpuid
        vmresume
        jmp     fail
.rsm:   cmp     ecx, EXIT_RSM
        jne     fail
        add     rsp, PUSHED
        lea     rbx, [rsp + PUSHED - PER_PROCESSOR]
        push    rbx
        vmptrld [rsp]
        jbe     fail
        pop     rbx
        jmp     return

; Field and value of what is the same for every handler; the link pointer is the last.
handler_constants:
        dd      0x4814, 0xC093, 0x4818, 0xC093, 0x481A, 0xC093, 0x481C, 0xC093, 0x481E, 0xC093
        dd      0x4800, -1, 0x4802, -1, 0x4804, -1, 0x4806, -1, 0x4808, -1, 0x480A, -1
        dd      0x6806, 0, 0x6808, 0, 0x680A, 0, 0x680C, 0, 0x680E, 0, 0x6810, 0
        dd      0x4816, 0xA09B                  ; CS
        dd      0x080C, 0, 0x6812, 0, 0x480C, 0, 0x4820, 0x10000        ; LDTR
        dd      0x480E, 0x67, 0x4822, 0x8B      ; TR
        dd      0x6818, 0, 0x4812, 0            ; IDTR
        dd      0x6804, VMXE | 0x30, 0x6006, 0x30, 0x6002, VMXE         ; CR4: VMXE is not shown
        dd      0x681A, 0x400, 0x2802, 0, 0x6820, 2, 0x6822, 0          ; DR7, DEBUGCTL, RFLAGS, pending #DB
        dd      0x482A, 0, 0x6824, 0, 0x6826, 0 ; SYSENTER
        dd      0x2806, 0xD00                   ; EFER: NXE, LMA, LME
        dd      0x4826, 0, 0x4824, 0xC          ; active, blocking by SMI and NMI
        dd      0x4004, 0, 0x400A, 0, 0x400E, 0, 0x4010, 0, 0x4014, 0, 0x4016, 0
        dd      0x2800, -1

; Variables, in the static image as a compiler's .data would be.
        align   4
lock_word:      dd 0
activations:    dd 0
smis:           dd 0
                db 0, 0, 0                      ; the end is nowhere in particular
image_end:

STATIC_SIZE     equ image_end - mseg_header
CR3_OFFSET      equ 4 * PAGE                    ; a page beyond the one behind the image
