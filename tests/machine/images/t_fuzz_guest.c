/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Random guests: code that changes modes, in a box of 2 MiB that EPT makes,
 * with defects in page tables, descriptors and EPT.  Every entry runs to an
 * exit, and what an exit has saved is accepted by the next entry.  The sequence
 * is fixed by SEED.
 */
#include "fuzz.h"
#include "vmx.h"

#define ROUNDS       200u
#define EXITS        20u
#define TIMER        1000u
#define RIGHTS_L     (1u << 13)
#define RIGHTS_D     (1u << 14)
#define BOX          0x2000000ull /* host-physical; guest-physical 0 */
#define EPT_RWX      7u
#define EPT_LEAF     (EPT_RWX | 6u << 3)
#define EPTP_WB4     0x1Eu
#define PROC2_BOX    (VMX_CPU2_EPT | VMX_CPU2_UNRESTRICTED_GUEST | 1u << 3 | 1u << 12 | 1u << 13)
#define PROC_BOX (VMX_CPU_SECONDARY_CONTROLS | VMX_CPU_UNCONDITIONAL_IO | VMX_CPU_MSR_BITMAPS | VMX_CPU_HLT | 1u << 10)

/* Guest-physical layout of the box. */
#define CODE         0x1000u
#define CODE_SIZE    0x2000u
#define STACK        0x7000u
#define GDT          0x8000u
#define IDT          0x9000u
#define PDPT         0x10000u
#define PD           0x11000u
#define PML4         0x12000u
#define PDPT64       0x13000u
#define PD32         0x14000u

static uint64_t ept_pml4, ept_pdpt, ept_pd, ept_pt, eptp_list;
static uint8_t *msr_bitmap;
static uint32_t exits, refused, failed_entries, kinds[70];

static uint32_t pick(uint32_t count)
{
    return (uint32_t)(next_random() >> 20) % count;
}

static bool one_in(uint32_t n)
{
    return pick(n) == 0;
}

/* Instructions that matter here; XX is replaced by random bytes. */
struct snippet {
    uint8_t length;
    uint8_t bytes[11];
};

static const struct snippet snippets[] = {
    {3, {0x0F, 0x22, 0xC0}},                               /* mov cr0, eax */
    {3, {0x0F, 0x22, 0xC3}},                               /* mov cr0, ebx */
    {3, {0x0F, 0x22, 0xD8}},                               /* mov cr3, eax */
    {3, {0x0F, 0x22, 0xD9}},                               /* mov cr3, ecx */
    {3, {0x0F, 0x22, 0xE0}},                               /* mov cr4, eax */
    {3, {0x0F, 0x22, 0xE2}},                               /* mov cr4, edx */
    {3, {0x0F, 0x20, 0xC0}},                               /* mov eax, cr0 */
    {3, {0x0F, 0x20, 0xE0}},                               /* mov eax, cr4 */
    {4, {0x0F, 0xBA, 0xF8, 0x1F}},                         /* btc eax, 31 */
    {4, {0x0F, 0xBA, 0xF8, 0x00}},                         /* btc eax, 0 */
    {4, {0x0F, 0xBA, 0xF8, 0x05}},                         /* btc eax, 5 */
    {11, {0x66, 0xB9, 0x80, 0, 0, 0xC0, 0x0F, 0x32, 0x90, 0x0F, 0x30}},
    {9, {0xB9, 0x80, 0, 0, 0xC0, 0x0F, 0x32, 0x0F, 0x30}}, /* EFER */
    {11, {0xB9, 0x80, 0, 0, 0xC0, 0x31, 0xD2, 0x31, 0xC0, 0x0F, 0x30}},
    {3, {0x0F, 0x01, 0xC1}},                               /* vmcall */
    {3, {0x0F, 0x01, 0xD4}},                               /* vmfunc */
    {2, {0xF3, 0x90}},                                     /* pause */
    {3, {0x0F, 0x01, 0x38}},                               /* invlpg */
    {4, {0x66, 0x0F, 0x38, 0x82}},                         /* invpcid */
    {2, {0x0F, 0x30}},                                     /* wrmsr */
    {2, {0x0F, 0xA2}},                                     /* cpuid */
    {2, {0x8E, 0xD8}},                                     /* mov ds, ax */
    {2, {0x8E, 0xD0}},                                     /* mov ss, ax */
    {1, {0x17}},                                           /* pop ss */
    {1, {0xCF}},                                           /* iret */
    {2, {0x48, 0xCF}},                                     /* iretq */
    {1, {0xCB}},                                           /* retf */
    {7, {0xEA, 0x00, 0x10, 0, 0, 0x08, 0}},                /* jmp 8:1000h */
    {5, {0xEA, 0x00, 0x10, 0x20, 0}},                      /* jmp 20h:1000h */
    {5, {0xEA, 0x00, 0x00, 0x00, 0x01}},                   /* jmp 100h:0 */
    {7, {0xEA, 0x00, 0x10, 0, 0, 0x18, 0}},                /* jmp 18h:1000h */
    {2, {0xCD, 0x21}},                                     /* int 21h */
    {1, {0xCC}},                                           /* int3 */
    {1, {0xF1}},                                           /* int1 */
    {2, {0x0F, 0x05}},                                     /* syscall */
    {2, {0x0F, 0x34}},                                     /* sysenter */
    {3, {0x0F, 0x00, 0xD8}},                               /* ltr ax */
    {3, {0x0F, 0x00, 0xD0}},                               /* lldt ax */
    {1, {0x9D}},                                           /* popf */
    {1, {0x50}},                                           /* push eax */
    {1, {0xFB}},                                           /* sti */
    {1, {0xF4}},                                           /* hlt */
    {2, {0x8B, 0x03}},                                     /* mov eax, [ebx] */
    {2, {0x89, 0x03}},                                     /* mov [ebx], eax */
    {5, {0xA1, 0xFE, 0xFF, 0xFF, 0xFF}},                   /* mov eax, [-2] */
    {3, {0x0F, 0x01, 0xF0}},                               /* lmsw ax */
    {2, {0x0F, 0x06}},                                     /* clts */
};

static void make_code(void)
{
    uint8_t *code = (uint8_t *)(BOX + CODE);

    for (uint32_t i = 0; i + 16 < CODE_SIZE;) {
        const struct snippet *s = &snippets[pick(ARRAY_SIZE(snippets))];

        memcpy(code + i, s->bytes, s->length);
        i += s->length;
        while (one_in(4)) {
            code[i++] = (uint8_t)next_random();
        }
    }
}

static void put(uint32_t address, uint64_t value, uint32_t odds)
{
    write64(BOX + address, one_in(odds) ? mutate(value) : value);
}

static void make_box(void)
{
    static const uint64_t descriptors[] = {
        0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x00AF9B000000FFFF,
        0x00009B000000FFFF, 0x000093000000FFFF, 0x0000890080000067, 0,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(descriptors); i++) {
        put(GDT + 8 * i, descriptors[i], 12);
    }
    for (unsigned i = 0; i < 512; i++) {
        put(IDT + 8 * i, 0x00008E0000081000, 30);
    }
    for (unsigned vector = 0; vector < 256; vector++) {
        write32(BOX + 4 * vector, 0x01000000 | (vector * 16));
    }
    for (unsigned i = 0; i < 4; i++) {
        put(PDPT + 8 * i, PD | 1, 6);
        put(PDPT64 + 8 * i, PD | 7, 20);
        write32(BOX + PD32 + 4 * i, 0xE7);
    }
    for (unsigned i = 0; i < 512; i++) {
        put(PD + 8 * i, (i & 1 ? 0x67 | PD : 0xE7), 40);
    }
    put(PML4, PDPT64 | 7, 20);
    make_code();
}

/* Host-physical places that a wild EPT entry may lead to. */
static const uint64_t places[] = {BOX, 0xFED00000, 0x80000000, 0xFFFFF000, 0xFFFFFFF000};

static void make_ept(void)
{
    write64(ept_pml4, ept_pdpt | EPT_RWX);
    write64(ept_pdpt, ept_pd | EPT_RWX);
    write64(ept_pd, ept_pt | EPT_RWX);
    for (uint64_t i = 0; i < 512; i++) {
        write64(ept_pt + 8 * i, BOX | i << 12 | EPT_LEAF);
    }
    while (!one_in(3)) {
        uint64_t entry = ept_pt + 8 * pick(24);

        write64(entry, places[pick(ARRAY_SIZE(places))] | (next_random() & 0x8000000000000FFFull));
    }
    if (one_in(10)) {
        write64(ept_pd, places[1 + pick(4)] | EPT_RWX);
    }
}

static void segment(unsigned index, uint16_t selector, uint64_t base, uint32_t limit, uint32_t rights)
{
    wr(VMCS_GUEST_ES_SELECTOR + 2 * index, selector);
    wr(VMCS_GUEST_BASE(index), base);
    wr(VMCS_GUEST_LIMIT(index), limit);
    wr(VMCS_GUEST_ACCESS_RIGHTS(index), rights);
}

static void guest_mode(void)
{
    static const uint32_t code_rights[] = {0x9B, 0xC09B, 0xC09B, 0xC09B, 0xA09B};
    unsigned mode = pick(5); /* real, unpaged, PAE, compatibility, 64-bit */
    bool flat = mode != 0, ia32e = mode >= 3, paging = mode >= 2;

    for (unsigned index = SEG_ES; index <= SEG_GS; index++) {
        segment(index, flat ? 0x10 : 0, 0, flat ? UINT32_MAX : 0xFFFF, flat ? 0xC093 : 0x93);
    }
    segment(SEG_CS, flat ? (mode == 4 ? 0x18 : 8) : CODE >> 4, flat ? 0 : CODE,
            flat ? UINT32_MAX : 0xFFFF, code_rights[mode]);
    segment(SEG_TR, 0x30, 0x8000, 0x67, 0x8B);
    wr(VMCS_GUEST_GDTR_BASE, GDT);
    wr(VMCS_GUEST_GDTR_LIMIT, 0x3F);
    wr(VMCS_GUEST_IDTR_BASE, flat ? IDT : 0);
    wr(VMCS_GUEST_IDTR_LIMIT, 0x3FF);
    wr(VMCS_GUEST_CR0, CR0_NE | CR0_ET | (flat ? CR0_PE : 0) | (paging ? CR0_PG : 0));
    wr(VMCS_GUEST_CR3, ia32e ? PML4 : PDPT);
    wr(VMCS_GUEST_CR4, CR4_VMXE | (paging ? CR4_PAE : 0));
    wr(VMCS_GUEST_IA32_EFER, ia32e ? EFER_LME | EFER_LMA : 0);
    wr(VMCS_ENTRY_CONTROLS, controls(MSR_VMX_TRUE_ENTRY, VMX_ENTRY_LOAD_EFER | (ia32e ? VMX_ENTRY_IA32E_GUEST : 0)));
    for (unsigned i = 0; i < 4; i++) {
        wr(0x280A + 2 * i, PD | 1);
    }
    wr(VMCS_GUEST_RIP, (flat ? CODE : 0) + pick(64));
    wr(VMCS_GUEST_RSP, STACK);
}

static void guest_registers(void)
{
    static const uint64_t values[] = {
        0, 1, CR0_NE | CR0_ET, CR0_NE | CR0_PE, 0x80000021, 0x80000031, 0x20, 0x2020, 0x2000, PDPT, PML4, PD32,
        0x10, 0x08, 0x18, 0x28, 0x30, 0x100, 0x500, 0xC0000080, 0x8000, 0xFFFFFFFF, 2, 3,
    };
    uint64_t *r = (uint64_t *)&guest;

    for (size_t i = 0; i < sizeof(guest) / sizeof(*r); i++) {
        r[i] = one_in(8) ? next_random() : values[pick(ARRAY_SIZE(values))];
    }
}

static uint64_t new_guest(void)
{
    static uint64_t region;

    if (!region) {
        region = vmcs_alloc();
    }
    memset((void *)(region + 4), 0, PAGE_SIZE - 4);
    vmclear(region);
    vmptrld(region);
    vmcs_fill_guest(NULL);
    wr(VMCS_PIN_CONTROLS, controls(MSR_VMX_TRUE_PIN, VMX_PIN_PREEMPTION_TIMER));
    wr(VMCS_PREEMPTION_TIMER_VALUE, TIMER);
    wr(VMCS_PROCESSOR_CONTROLS, controls(MSR_VMX_TRUE_PROC, PROC_BOX));
    wr(VMCS_SECONDARY_CONTROLS, controls(MSR_VMX_PROC2, PROC2_BOX));
    wr(VMCS_EPT_POINTER, ept_pml4 | EPTP_WB4 | (one_in(2) ? 1u << 6 : 0));
    wr(0x2018, 1);
    wr(0x2024, eptp_list);
    wr(VMCS_MSR_BITMAP, phys(msr_bitmap));
    wr(VMCS_EXIT_CONTROLS, controls(MSR_VMX_TRUE_EXIT, VMX_EXIT_HOST_ADDRESS_SPACE_SIZE | VMX_EXIT_SAVE_EFER | VMX_EXIT_LOAD_EFER));
    wr(VMCS_EXCEPTION_BITMAP, one_in(2) ? UINT32_MAX : (uint32_t)next_random());
    wr(VMCS_CR4_GUEST_HOST_MASK, one_in(2) ? CR4_VMXE : 0);
    wr(VMCS_CR0_GUEST_HOST_MASK, one_in(4) ? (uint32_t)next_random() : 0);
    make_box();
    make_ept();
    invept_all();
    guest_mode();
    guest_registers();
    return region;
}

static bool canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static void complain(uint32_t reason)
{
    check("VMX-URG-02", "saved-state-refused", false,
          "reason:%x,qualification:%q,cr0:%q,cr4:%q,efer:%q,rip:%q,rflags:%q,cs:%x,ss:%x,tr:%x,tr-base:%q,"
          "ldtr:%x,ldtr-base:%q,blocked:%x,activity:%x,pending:%q,entry:%x",
          reason, rd(VMCS_EXIT_QUALIFICATION), rd(VMCS_GUEST_CR0), rd(VMCS_GUEST_CR4), rd(VMCS_GUEST_IA32_EFER),
          rd(VMCS_GUEST_RIP), rd(VMCS_GUEST_RFLAGS), (uint32_t)rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS)),
          (uint32_t)rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_SS)), (uint32_t)rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_TR)),
          rd(VMCS_GUEST_BASE(SEG_TR)), (uint32_t)rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_LDTR)), rd(VMCS_GUEST_BASE(SEG_LDTR)),
          (uint32_t)rd(VMCS_GUEST_INTERRUPTIBILITY_STATE), (uint32_t)rd(VMCS_GUEST_ACTIVITY_STATE),
          rd(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), (uint32_t)rd(VMCS_ENTRY_CONTROLS));
}

/* Known of TCG: branches to addresses that are not canonical fault at the
 * target, and code segments with both L and D can be loaded. */
static bool known(void)
{
    uint32_t rights = (uint32_t)rd(VMCS_GUEST_ACCESS_RIGHTS(SEG_CS));

    return (rights & RIGHTS_L) && (rights & RIGHTS_D || !canonical(rd(VMCS_GUEST_RIP)));
}

/* After an exit: over the instruction, or let the missing page be there. */
static void go_on(uint32_t reason)
{
    uint32_t length = (uint32_t)rd(VMCS_EXIT_INSTRUCTION_LENGTH);

    if (reason == VMX_REASON_EPT_VIOLATION || reason == VMX_REASON_EPT_MISCONFIGURATION) {
        uint64_t page = rd(VMCS_GUEST_PHYSICAL_ADDRESS) >> 12;

        write64(ept_pd, ept_pt | EPT_RWX);
        invept_all();
        if (page < 512) {
            write64(ept_pt + 8 * page, BOX | page << 12 | EPT_LEAF);
            return;
        }
    }
    if (reason == VMX_REASON_EXCEPTION_NMI || reason == VMX_REASON_EPT_VIOLATION) {
        length = 1 + pick(4);
    }
    wr(VMCS_GUEST_RIP, (rd(VMCS_GUEST_RIP) + (length & 15)) & 0xFFFF);
    wr(VMCS_GUEST_INTERRUPTIBILITY_STATE, 0);
    wr(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
    wr(VMCS_PREEMPTION_TIMER_VALUE, TIMER);
    if (one_in(3)) {
        guest_registers();
    }
}

static void one_guest(void)
{
    uint64_t region = new_guest();
    uint32_t reason = guest_run(LAUNCH);

    if (reason >> 31) {
        failed_entries++;
        complain(reason);
        return;
    }
    for (unsigned i = 0; i < EXITS; i++) {
        exits++;
        if (reason < ARRAY_SIZE(kinds)) {
            kinds[reason]++;
        }
        if (reason == VMX_REASON_TRIPLE_FAULT) {
            break;
        }
        /* First exactly what was saved, then the next instruction. */
        if (!one_in(3)) {
            go_on(reason);
        }
        reason = guest_run(RESUME);
        if (reason >> 31) {
            if (!known()) {
                refused++;
                complain(reason);
            }
            break;
        }
    }
    vmclear(region);
}

void run_tests(void)
{
    unsigned seen = 0;

    vmx_start();
    if (!(rdmsr(MSR_VMX_TRUE_PIN) >> 32 & VMX_PIN_PREEMPTION_TIMER)) {
        panic("no preemption timer, no end of a guest");
    }
    ept_pml4 = phys(page_alloc());
    ept_pdpt = phys(page_alloc());
    ept_pd = phys(page_alloc());
    ept_pt = phys(page_alloc());
    eptp_list = phys(page_alloc());
    write64(eptp_list, ept_pml4 | EPTP_WB4);
    write64(eptp_list + 8, ept_pml4 | EPTP_WB4 | 1u << 6);
    /* Of all MSRs only IA32_EFER does not exit. */
    msr_bitmap = page_alloc();
    memset(msr_bitmap, 0xFF, PAGE_SIZE);
    msr_bitmap[0x400 + 0x80 / 8] &= 0xFE;
    msr_bitmap[0xC00 + 0x80 / 8] &= 0xFE;
    for (unsigned i = 0; i < ROUNDS; i++) {
        one_guest();
    }
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        seen += kinds[i] != 0;
    }
    check("VMX-URG-02", "first-entry", failed_entries == 0, "failed:%d", failed_entries);
    check("VMX-URG-02", "saved-state", refused == 0, "refused:%d,exits:%d", refused, exits);
    check("VMX-URG-02", "kinds-of-exits", seen >= 8, "kinds:%d", seen);
    check_vmx("VMX-INS-16", "vmxoff", vmxoff(), SUCCESS);
}
