/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Loader and SMI handler for the real STM: what the firmware does otherwise. */
#include "stm_under_test.h"

#define HANDLER_GDT     (TSEG_BASE + 0x30000u)
#define HANDLER_TSS     (TSEG_BASE + 0x30100u)
#define HANDLER_STACK   (TSEG_BASE + 0x40000u)
#define SEL_HANDLER_TSS 0x58u
#define GDT_SIZE        0x58u

#define TABLE_FLAGS 0x63u
#define LARGE_FLAGS 0xE3u

#define FILE_STATIC_SIZE 0x804u
#define LOADER_DATA_SIZE 0x80u /* behind it the STM looks for zeros */

/* What a firmware that only copies leaves where the STM's own loader would have put its data. */
#ifndef FOUND_THERE
#define FOUND_THERE 0
#endif

/* What MSEG has: by default 2 MB, as in the lab. */
#ifndef MSEG_BYTES
#define MSEG_BYTES 0x200000u
#endif

/* An unusual value, so that reserved bytes of the map show who wrote them. */
#define UNTOUCHED 0xA5

__asm__(".pushsection .rodata\n"
        "mseg_file:\n\t.incbin \"" MSEG_FILE "\"\n"
        ".popsection\n");
extern const uint8_t mseg_file[];
static const uint8_t mseg_digest[32] = { MSEG_DIGEST };

/*
 * The handler's entry as the firmware's: IDT, CR0 and CR4, then C, then RSM.
 * CR4 is written without VMXE, as code that knows nothing of an STM does.
 */
__asm__(".pushsection .text\n"
        ".globl handler_entry\nhandler_entry:\n"
        "\tmov %cr0, %rax\n\tor $0x80010023, %eax\n\tmov %rax, %cr0\n"
        "\tmov $0x668, %eax\n\tmov %rax, %cr4\n"
        "\tlidt handler_idtr(%rip)\n"
        "\tpush $0\n\tcall handler_main\n\tpop %rax\n\trsm\n"
        "handler_setup:\n\tpush $0\n\tcall setup_main\n\tpop %rax\n\trsm\n"
        "handler_teardown:\n\tpush $0\n\tcall teardown_main\n\tpop %rax\n\trsm\n"
        ".popsection\n");
extern uint8_t handler_entry[], handler_setup[], handler_teardown[];

volatile uint32_t handler_count, setup_count, teardown_count;
volatile enum handler_action handler_action;
volatile uint64_t handler_value;
void (*volatile handler_hook)(void), (*volatile setup_hook)(void), (*volatile teardown_hook)(void);
volatile uint32_t setup_rax;
uint8_t handler_map[512], default_map[512];
struct table_register handler_idtr;

void handler_main(void);
void setup_main(void);
void teardown_main(void);

static void read_mseg(void *arg)
{
    (void)arg;
    handler_value = read32(MSEG_BASE + 0x800);
}

static void record_port(void *arg)
{
    (void)arg;
    outb(0x403, '!');
}

static void write_vmxe(void *arg)
{
    (void)arg;
    write_cr4(read_cr4() | 0x2000);
}

static void write_osxsave(void *arg)
{
    (void)arg;
    write_cr4(read_cr4() | 0x40000);
}

volatile uint32_t clobbered, clobber_faults;

static void clobber(void)
{
    write_dr0(0x1111);
    write_dr1(0x1112);
    write_dr2(0x1113);
    write_dr3(0x1114);
    write_dr6(0xFFFF0FF1);
    write_dr7(0x401);
    write_cr2(0x2222);
    wrmsr(0x174, 0x33);
    wrmsr(0x175, 0x4444);
    wrmsr(0x176, 0x5555);
    wrmsr(0xC0000080, rdmsr(0xC0000080) | 1);
    wrmsr(0xC0000081, 0x23001000000000);
    wrmsr(0xC0000082, 0xFFFF800000001234);
    wrmsr(0xC0000082, 0x2222);
    wrmsr(0xC0000083, 0x3333);
    wrmsr(0xC0000084, 0x44444444);
    wrmsr(0xC0000103, 0x55);
    wrmsr(0xC0000102, 0x6666);
    __asm__ volatile("swapgs" : : : "memory");
    clobbered = rdmsr(0xC0000082) == 0x2222 && rdmsr(0xC0000103) == 0x55;
    clobber_faults = try_wrmsr(0xC0000082, 1ull << 47) == FAULT_GP;
    clobber_faults += try_wrmsr(0xC0000084, 1ull << 32) == FAULT_GP;
    clobber_faults += try_wrmsr(0xC0000103, 1ull << 32) == FAULT_GP;
}

volatile uint32_t clobber_which;

static void clobber_one(void)
{
    switch (clobber_which) {
    case 0:
        write_dr0(0x1111);
        break;
    case 1:
        write_dr1(0x1112);
        break;
    case 2:
        write_dr2(0x1113);
        break;
    case 3:
        write_dr3(0x1114);
        break;
    case 4:
        write_dr6(0xFFFF0FF1);
        break;
    case 5:
        write_cr2(0x2222);
        break;
    default:
        wrmsr(0xC0000102, 0x6666);
        break;
    }
}

/* IRET to the next instruction: what it does to NMIs is the point. */
static void iret_to_itself(void)
{
    __asm__ volatile("mov %%rsp, %%rcx\n\t"
                     "mov %%ss, %%eax\n\tpush %%rax\n\tpush %%rcx\n\tpushfq\n\t"
                     "mov %%cs, %%eax\n\tpush %%rax\n\t"
                     "lea 1f(%%rip), %%rax\n\tpush %%rax\n\tiretq\n1:"
                     :
                     :
                     : "rax", "rcx", "cc", "memory");
}

/* Memory operand of the VMX instructions below: not a VMCS. */
static uint64_t operand[2];

#define TRY(name, text)                                                        \
    static void name(void *arg)                                                \
    {                                                                          \
        (void)arg;                                                             \
        __asm__ volatile(text : : "r"(operand), "a"(0ull) : "cc", "memory");   \
    }
TRY(try_vmclear, "vmclear (%0)")
TRY(try_vmlaunch, "vmlaunch")
TRY(try_vmptrld, "vmptrld (%0)")
TRY(try_vmptrst, "vmptrst (%0)")
TRY(try_vmread, "vmread %1, (%0)")
TRY(try_vmresume, "vmresume")
TRY(try_vmwrite, "vmwrite (%0), %1")
TRY(try_vmxoff, "vmxoff")
TRY(try_vmxon, "vmxon (%0)")
TRY(try_invept, "invept (%0), %1")
TRY(try_invvpid, "invvpid (%0), %1")
TRY(try_vmfunc, "vmfunc")
TRY(try_getsec, ".byte 0x0F, 0x37")

/* How many of them do not raise #UD. */
static uint32_t vmx_instructions(void)
{
    static void (*const all[])(void *) = {
        try_vmclear, try_vmlaunch, try_vmptrld, try_vmptrst, try_vmread,
        try_vmresume, try_vmwrite, try_vmxoff, try_vmxon, try_invept,
        try_invvpid, try_vmfunc, try_getsec,
    };
    uint32_t others = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        others += try_call(all[i], NULL) != FAULT_UD;
    }
    return others;
}

static void triple_fault(void)
{
    static const struct table_register none;

    __asm__ volatile("lidt %0\n\tud2" : : "m"(none));
}

/* A call of the STM API with an address in ECX:EBX: status, and CF in bit 32. */
uint64_t call_stm_at(uint32_t number, uint64_t address)
{
    uint64_t flags;

    __asm__ volatile("vmcall\n\tpushfq\n\tpopq %1"
                     : "+a"(number), "=r"(flags)
                     : "b"((uint32_t)address), "c"((uint32_t)(address >> 32))
                     : "cc", "memory");
    return number | (flags & 1) << 32;
}

static uint64_t call_stm(uint32_t number)
{
    return call_stm_at(number, 0);
}

/* Setup interrupts nobody, so the STM has no map to write. */
void setup_main(void)
{
    setup_count++;
    setup_rax = read32(SAVE_MAP + 0x1F8);
    if (setup_hook) {
        setup_hook();
    }
}

void teardown_main(void)
{
    teardown_count++;
    if (teardown_hook) {
        teardown_hook();
    }
}

void handler_main(void)
{
    uint32_t out[4];

    memcpy(handler_map, (void *)(uintptr_t)SAVE_MAP, sizeof(handler_map));
    handler_count++;
    smis_served++;
    switch (handler_action) {
    case HANDLER_NOTHING:
        break;
    case HANDLER_CHANGE_RAX:
        write64(SAVE_MAP + 0x1F8, 0x123456789ABCDEF0);
        break;
    case HANDLER_CPUID:
        cpuid(1, 0, out);
        handler_value = out[2];
        break;
    case HANDLER_VMCALL:
        handler_value = call_stm(0x7777);
        break;
    case HANDLER_MAP:
        handler_value = call_stm(API_MAP);
        break;
    case HANDLER_INVD:
        __asm__ volatile("invd" : : : "memory");
        handler_value = 1;
        break;
    case HANDLER_CLOBBER:
        clobber();
        break;
    case HANDLER_CLOBBER_ONE:
        clobber_one();
        break;
    case HANDLER_SMBASE:
        handler_value = rdmsr(0x9E);
        break;
    case HANDLER_READ_MSEG:
        handler_value = try_call(read_mseg, NULL);
        break;
    case HANDLER_WRITE_MONITOR_CTL:
        handler_value = try_wrmsr(0x9B, 0);
        break;
    case HANDLER_RECORD_PORT:
        handler_value = try_call(record_port, NULL);
        break;
    case HANDLER_VMXE:
        handler_value = try_call(write_vmxe, NULL);
        break;
    case HANDLER_OSXSAVE:
        handler_value = try_call(write_osxsave, NULL);
        break;
    case HANDLER_TRIPLE_FAULT:
        triple_fault();
        break;
    case HANDLER_BREAK_PSD:
        write64(PSD_RIP, 1ull << 63); /* not canonical */
        break;
    case HANDLER_BREAK_GDT:
        write64(PSD_GDT, 0x100000); /* outside SMRAM */
        break;
    case HANDLER_SKIP_BYTE:
        if (++handler_value == 2) {
            write64(SAVE_MAP + 0x178, read64(SAVE_MAP + 0x178) + 1);
        }
        break;
    case HANDLER_CACHE:
        write_cr0(read_cr0() | 0x60000000);
        handler_value = read_cr0() & 0x60000000;
        break;
    case HANDLER_CR3:
        write_cr3(read_cr3());
        handler_value = read_cr3();
        break;
    case HANDLER_VMX:
        handler_value = vmx_instructions();
        break;
    case HANDLER_NMI:
        iret_to_itself();
        self_ipi(IPI_NMI, 0);
        cpuid(1, 0, out);
        handler_value = nmi_count;
        break;
    case HANDLER_IRET:
        iret_to_itself();
        cpuid(1, 0, out);
        handler_value = nmi_count;
        break;
    case HANDLER_ACCESS:
#ifdef SCENE_PROTECT
        guarded_access();
#endif
        break;
    case HANDLER_HOOK:
        handler_hook();
        break;
    case EXECUTIVE_LEGACY_SMRAM:
    case EXECUTIVE_OVERWRITES:
        break;
    case HANDLER_MOVE_SMBASE:
        write32(SAVE_MAP + 0x100, 0x30000);
        break;
    }
}

/*
 * Page tables of the handler: identity, but that the image's code and constants are a copy
 * in SMRAM, where alone the STM lets a handler execute.
 */
static void build_handler_tables(void)
{
    uint64_t code = (phys(mseg_file) + PAGE_SIZE) & ~(uint64_t)(PAGE_SIZE - 1);
    uint64_t directories = HANDLER_TABLES + 2 * PAGE_SIZE, first = HANDLER_TABLES + 6 * PAGE_SIZE;

    memcpy((void *)(uintptr_t)HANDLER_TABLES, page_tables, 6 * PAGE_SIZE);
    write64(HANDLER_TABLES, (HANDLER_TABLES + PAGE_SIZE) | TABLE_FLAGS);
    for (unsigned i = 0; i < 4; i++) {
        write64(HANDLER_TABLES + PAGE_SIZE + 8 * i, (directories + i * PAGE_SIZE) | TABLE_FLAGS);
    }
    write64(HANDLER_TABLES + PAGE_SIZE + 32, ABOVE_4GB | LARGE_FLAGS);
    write64(directories, first | TABLE_FLAGS);
    for (uint64_t i = 0; i < 512; i++) {
        write64(first + 8 * i, i * PAGE_SIZE | TABLE_FLAGS);
    }
    for (uint64_t page = IMAGE_BASE; page < code; page += PAGE_SIZE) {
        write64(first + 8 * (page / PAGE_SIZE), (page - IMAGE_BASE + HANDLER_TEXT) | TABLE_FLAGS);
    }
    memcpy((void *)(uintptr_t)HANDLER_TEXT, (void *)(uintptr_t)IMAGE_BASE, code - IMAGE_BASE);
}

void load_stm(uint32_t processors)
{
    uint8_t *mseg = (uint8_t *)(uintptr_t)MSEG_BASE;
    uint32_t size = *(const uint32_t *)(mseg_file + FILE_STATIC_SIZE);
    uint64_t tables = MSEG_BASE + size, loader = tables + 0x6000;

    build_handler_tables();
    memset(mseg, 0, 0x200000);
    memcpy(mseg, mseg_file, size);
    write64(tables, (tables + PAGE_SIZE) | TABLE_FLAGS);
    for (unsigned i = 0; i < 4; i++) {
        write64(tables + PAGE_SIZE + 8 * i,
                (tables + (2 + i) * PAGE_SIZE) | TABLE_FLAGS);
    }
    for (uint64_t i = 0; i < 2048; i++) {
        write64(tables + 2 * PAGE_SIZE + 8 * i, i << 21 | LARGE_FLAGS);
    }
#ifdef COPIED
    /* Nobody has promised to zero it. */
    memset((void *)(uintptr_t)loader, FOUND_THERE, LOADER_DATA_SIZE);
    (void)processors;
    (void)mseg_digest;
#else
    memcpy((void *)(uintptr_t)loader, "STMLOADR", 8);
    write64(loader + 8, MSEG_BASE);
    write64(loader + 16, MSEG_BYTES);
    write64(loader + 24, TSEG_BASE);
    write64(loader + 32, TSEG_SIZE);
    write32(loader + 40, processors);
    write32(loader + 44, 40);
    memcpy((void *)(uintptr_t)(loader + 48), mseg_digest, sizeof(mseg_digest));
    write64(loader + 80, RENDEZVOUS);
    write64(loader + 88, SNAPSHOT);
#endif
}

static void put16(uint32_t offset, uint16_t value)
{
    *(volatile uint16_t *)(uintptr_t)(PSD + offset) = value;
}

static void write_psd(void)
{
    memset((void *)(uintptr_t)PSD, 0, 0x89);
    memcpy((void *)(uintptr_t)PSD, "TXTPSSIG", 8);
    put16(0x08, 0x89);
    put16(0x10, 0x000F);
    put16(0x14, SEL_CODE64);
    put16(0x16, SEL_DATA64);
    put16(0x18, SEL_DATA64);
    put16(0x1A, SEL_DATA64);
    put16(0x1C, SEL_HANDLER_TSS);
    write64(PSD_CR3, HANDLER_TABLES);
    write64(PSD + 0x28, phys(handler_setup));
    write64(PSD + 0x30, phys(handler_teardown));
    write64(PSD + 0x38, phys(handler_entry));
    write64(PSD + 0x40, HANDLER_STACK);
    write64(PSD_GDT, HANDLER_GDT);
    write32(PSD + 0x50, GDT_SIZE + 16);
    write32(PSD + 0x54, 0x20064);
    memcpy((void *)(uintptr_t)HANDLER_GDT, gdt, GDT_SIZE);
    write64(HANDLER_GDT + SEL_HANDLER_TSS,
            0x67 | (uint64_t)(HANDLER_TSS & 0xFFFFFF) << 16 | 0x89ull << 40 |
                (uint64_t)(HANDLER_TSS >> 24) << 56);
    write64(HANDLER_GDT + SEL_HANDLER_TSS + 8, 0);
}

static void move_smbase(void)
{
    write32(DEFAULT_SMBASE + 0xFF00, SMBASE);
}

/*
 * The runtime's stub finds SMBASE from its CS selector, which holds only bits
 * 19:4.  Its copy in TSEG gets the value as a constant: MOV EAX instead of
 * XOR EAX, EAX; MOV AX, CS; SHL EAX, 4.
 */
static void install_stub(void)
{
    static const uint8_t computed[] = { 0x66, 0x31, 0xC0, 0x8C, 0xC8,
                                        0x66, 0xC1, 0xE0, 0x04 };
    uint8_t *code = (uint8_t *)(uintptr_t)(SMBASE + 0x8000);

    smi_install(SMBASE);
    for (unsigned i = 0; i < 256; i++) {
        if (memcmp(code + i, computed, sizeof(computed)) == 0) {
            code[i] = 0x66;
            code[i + 1] = 0xB8;
            write32(phys(code) + i + 2, SMBASE);
            memset(code + i + 6, 0x90, 3);
            return;
        }
    }
    panic("the SMI stub is not what it was");
}

static void keep_map(void)
{
    memcpy(default_map, (void *)(uintptr_t)SAVE_MAP, sizeof(default_map));
    /* Reserved bytes that RSM does not read; the STM must not write them. */
    memset((void *)(uintptr_t)(SAVE_MAP + 0xA0), UNTOUCHED, 0x30);
    memset((void *)(uintptr_t)(SAVE_MAP + 0xD8), UNTOUCHED, 0x24);
    memset((void *)(uintptr_t)(SAVE_MAP + 0x104), UNTOUCHED, 0x44);
}

static void change_byte(void)
{
    *(volatile uint8_t *)(uintptr_t)(MSEG_BASE + 0x700) ^= 1;
}

void modify_image(void)
{
    smm_call(change_byte);
}

static void begin(bool load)
{
    handler_idtr = read_idtr();
    install_stub();
    if (load) {
        load_stm(1);
    } else {
        build_handler_tables();
    }
    write_psd();
    smm_call(move_smbase);
    smi_hook = keep_map;
    smi_port_write(0);
    check_eq("FW", "smbase", smi_smbase, SMBASE);
    tseg_close();
}

void firmware_start(void)
{
    begin(true);
}

void firmware_wake(void)
{
    begin(false);
}
