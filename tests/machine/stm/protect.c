/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Accesses of the SMI handler, protection exceptions, lists and calls; and the scenes of one page. */
#include "protect.h"

/*
 * Each is one instruction that may be refused, and RET. RDI is the place: of configuration
 * space by ports what CF8H takes, with the lowest two bits of the register; of a string
 * instruction memory, its register is string_address.
 */
#define PCI_PORT                                                                \
    "mov %rax, %rcx\n\tmov %edi, %eax\n\tand $~3, %eax\n\tmov $0xCF8, %edx\n\tout %eax, %dx\n\t" \
    "mov %edi, %edx\n\tand $3, %edx\n\tadd $0xCFC, %edx\n\tmov %rcx, %rax\n"
#define PCI_STRING                                                              \
    "mov string_address(%rip), %eax\n\tmov $0xCF8, %edx\n\tout %eax, %dx\n\tmov $0xCFC, %edx\n\t" \
    "mov %rdi, %rsi\n\tmov $4, %ecx\n"
__asm__(".pushsection .text\n"
        "guarded_read:\nread_at:\tmov (%rdi), %eax\n\tret\n"
        "guarded_write:\nwrite_at:\tmov %eax, (%rdi)\n\tret\n"
        "guarded_in:\tmov %edi, %edx\nin_at:\tin %dx, %al\n\tret\n"
        "guarded_out:\tmov %edi, %edx\nout_at:\tout %al, %dx\n\tret\n"
        "guarded_in32:\tmov %edi, %edx\nin32_at:\tin %dx, %eax\n\tret\n"
        "guarded_rdmsr:\tmov %edi, %ecx\nrdmsr_at:\trdmsr\n\tret\n"
        "guarded_wrmsr:\tmov %edi, %ecx\n\txor %edx, %edx\nwrmsr_at:\twrmsr\n\tret\n"
        "guarded_pci_in8:\t" PCI_PORT "pci_in8_at:\tin %dx, %al\n\tret\n"
        "guarded_pci_in16:\t" PCI_PORT "pci_in16_at:\tin %dx, %ax\n\tret\n"
        "guarded_pci_in32:\t" PCI_PORT "pci_in32_at:\tin %dx, %eax\n\tret\n"
        "guarded_pci_out8:\t" PCI_PORT "pci_out8_at:\tout %al, %dx\n\tret\n"
        "guarded_pci_out16:\t" PCI_PORT "pci_out16_at:\tout %ax, %dx\n\tret\n"
        "guarded_pci_out32:\t" PCI_PORT "pci_out32_at:\tout %eax, %dx\n\tret\n"
        "guarded_insl:\t" PCI_STRING "insl_at:\tinsl\n\tmov %rdi, %rax\n\tret\n"
        "guarded_outsl:\t" PCI_STRING "outsl_at:\toutsl\n\tmov %rsi, %rax\n\tret\n"
        "guarded_rep_insb:\t" PCI_STRING "rep_insb_at:\trep insb\n\tmov %rdi, %rax\n\tadd %rcx, %rax\n\tret\n"
        "guarded_insl32:\t" PCI_STRING "insl32_at:\taddr32 insl\n\tmov %rdi, %rax\n\tret\n"
        "guarded_or:\nor_at:\tor %eax, (%rdi)\n\tret\n"
        "guarded_cr0:\tmov %cr0, %rax\n\txor %rdi, %rax\ncr0_at:\tmov %rax, %cr0\n\tret\n"
        "guarded_cr3:\tmov %cr3, %rax\n\txor %rdi, %rax\ncr3_at:\tmov %rax, %cr3\n\tret\n"
        "guarded_cr4:\tmov %cr4, %rax\n\txor %rdi, %rax\ncr4_at:\tmov %rax, %cr4\n\tret\n"
        "guarded_cr8:\tmov %cr8, %rax\n\txor %rdi, %rax\ncr8_at:\tmov %rax, %cr8\n\tret\n"
        "guarded_lmsw:\tsmsw %rax\n\txor %rdi, %rax\nlmsw_at:\tlmsw %ax\n\tret\n"
        "guarded_clts:\nclts_at:\tclts\n\tret\n"
        "guarded_read_cr3:\nread_cr3_at:\tmov %cr3, %rax\n\tret\n"
        "guarded_read_cr8:\nread_cr8_at:\tmov %cr8, %rax\n\tret\n"
        "protection_entry:\n"
        "\tmov %rsp, %rdi\n\tcall protection_main\n"
        "\tmov %eax, %ebx\n\tmov $4, %eax\n\tvmcall\n"
        "\tmov %eax, protection_status(%rip)\n"
        "\txor %ebx, %ebx\n\tmov $4, %eax\n\tvmcall\n\tud2\n"
        ".popsection\n");
#define ACCESS(name) extern uint8_t guarded_##name[], name##_at[];
ACCESS(read)
ACCESS(write)
ACCESS(in)
ACCESS(out)
ACCESS(rdmsr)
ACCESS(wrmsr)
ACCESS(in32)
ACCESS(pci_in8)
ACCESS(pci_in16)
ACCESS(pci_in32)
ACCESS(pci_out8)
ACCESS(pci_out16)
ACCESS(pci_out32)
ACCESS(insl)
ACCESS(outsl)
ACCESS(rep_insb)
ACCESS(insl32)
ACCESS(or)
ACCESS(outsl_fs)
ACCESS(outsl_fs32)
ACCESS(insl16)
ACCESS(insl_es)
ACCESS(outsl_es)
ACCESS(cr0)
ACCESS(cr3)
ACCESS(cr4)
ACCESS(cr8)
ACCESS(lmsw)
ACCESS(clts)
ACCESS(read_cr3)
ACCESS(read_cr8)
#undef ACCESS
extern uint8_t protection_entry[];

static const struct {
    uint8_t *code, *at; /* the function, and its instruction */
    uint32_t length;    /* with what follows it, so that RAX stays as the exception handler left it */
    uint32_t type;      /* TXT_SMM_PROTECTION_EXCEPTION_TYPE */
} accesses[ACCESS_KINDS] = {
    { guarded_read, read_at, 2, 1 },
    { guarded_write, write_at, 2, 1 },
    { guarded_in, in_at, 1, 4 },
    { guarded_out, out_at, 1, 4 },
    { guarded_rdmsr, rdmsr_at, 2, 2 },
    { guarded_wrmsr, wrmsr_at, 2, 2 },
    { guarded_in32, in32_at, 1, 4 },
    { guarded_pci_in8, pci_in8_at, 1, 5 },
    { guarded_pci_in16, pci_in16_at, 2, 5 },
    { guarded_pci_in32, pci_in32_at, 1, 5 },
    { guarded_pci_out8, pci_out8_at, 1, 5 },
    { guarded_pci_out16, pci_out16_at, 2, 5 },
    { guarded_pci_out32, pci_out32_at, 1, 5 },
    { guarded_insl, insl_at, 4, 5 },
    { guarded_outsl, outsl_at, 4, 5 },
    { guarded_rep_insb, rep_insb_at, 8, 5 },
    { guarded_insl32, insl32_at, 5, 5 },
    { guarded_or, or_at, 2, 5 },
    { guarded_outsl_fs, outsl_fs_at, 5, 5 },
    { guarded_outsl_fs32, outsl_fs32_at, 6, 5 },
    { guarded_insl16, insl16_at, 4, 5 },
    { guarded_insl_es, insl_es_at, 3, 5 },
    { guarded_outsl_es, outsl_es_at, 4, 5 },
    { guarded_cr0, cr0_at, 3, 3 },
    { guarded_cr3, cr3_at, 3, 3 },
    { guarded_cr4, cr4_at, 3, 3 },
    { guarded_cr8, cr8_at, 4, 3 },
    { guarded_lmsw, lmsw_at, 3, 3 },
    { guarded_clts, clts_at, 2, 3 },
    { guarded_read_cr3, read_cr3_at, 3, 3 },
    { guarded_read_cr8, read_cr8_at, 4, 3 },
};

volatile uint32_t nmi_count, protection_status;
static volatile enum access_kind access_kind;
volatile uint64_t access_place;
volatile uint64_t access_value = 0xA5, access_rax;
volatile uint32_t string_address;
volatile uint32_t access_fault, exceptions, spe_choice;
uint64_t frame[FRAME_SIZE / 8];

uint32_t protection_main(uint64_t *saved);

static void access_now(void *arg)
{
    uint64_t value = access_value, place = access_place;

    (void)arg;
    __asm__ volatile("call *%2" : "+a"(value), "+D"(place) : "r"(accesses[access_kind].code)
                     : "rcx", "rdx", "rsi", "cc", "memory");
    access_rax = value;
    handler_value = (uint32_t)value;
}

struct lookup lookup;

/* In the SMI handler. */
void guarded_access(void)
{
    if (access_kind == ACCESS_LOOKUP) {
        memcpy((void *)(uintptr_t)access_place, &lookup, sizeof(lookup));
        handler_value = call_stm_at(API_LOOKUP, access_place);
        memcpy(&lookup, (void *)(uintptr_t)access_place, sizeof(lookup));
        return;
    }
    if (access_kind == ACCESS_MOVES) {
        moves_in_handler();
        return;
    }
    addresses_in_handler();
    access_fault = try_call(access_now, NULL);
}

/* The firmware's handler of protection exceptions. */
uint32_t protection_main(uint64_t *saved)
{
    exceptions++;
    memcpy(frame, saved, FRAME_SIZE);
    if (SCENE_PROTECT == SCENE_NESTED) {
        access_now(NULL);
    }
    if (SCENE_PROTECT != SCENE_MANY) {
        saved[FRAME_RIP] += accesses[access_kind].length;
        saved[FRAME_RAX] = MENDED;
    }
    return spe_choice;
}

/* ---- lists ---- */
uint64_t list;      /* page with the list of a call */
uint32_t list_used;

void put_bytes(const void *descriptor, uint32_t size)
{
    memcpy((void *)(uintptr_t)(list + list_used), descriptor, size);
    list_used += size;
}

void put_header(uint32_t type, uint16_t length, const uint64_t body[])
{
    uint64_t header = type | (uint64_t)length << 32;

    put_bytes(&header, 8);
    put_bytes(body, length - 8u);
}

void list_start(uint64_t page)
{
    list = page;
    list_used = 0;
    memset((void *)(uintptr_t)page, 0, PAGE_SIZE);
}

void put_memory(uint64_t base, uint64_t length, uint32_t access)
{
    put_header(1, 32, (uint64_t[]){ base, length, access });
}

void put_io(uint32_t base, uint32_t length)
{
    put_header(2, 16, (uint64_t[]){ base | length << 16 });
}

void put_msr(uint32_t index, uint64_t read, uint64_t write)
{
    put_header(4, 32, (uint64_t[]){ index, read, write });
}

void put_trapped(uint32_t base, uint32_t length, uint32_t flags)
{
    put_header(6, 16, (uint64_t[]){ base | length << 16 | (uint64_t)flags << 32 });
}

void put_register(uint32_t type, uint64_t read, uint64_t write)
{
    put_header(8, 32, (uint64_t[]){ type, read, write });
}

void put_all(void)
{
    put_header(7, 8, NULL);
}

void put_end(uint64_t continuation)
{
    put_header(0, 16, (uint64_t[]){ continuation });
}

/* ReturnStatus of the descriptor at an offset. */
uint32_t granted(uint32_t offset)
{
    return read32(list + offset + 4) >> 16;
}

/* ---- calls ---- */
struct answer answer;

/* Low bits of the page and high halves of the registers do not count. */
void call(uint32_t number, uint64_t page, uint32_t edx)
{
    const uint64_t garbage = 0xABCD000000000000ull;

    answer.rax = garbage | number;
    answer.rbx = garbage | (uint32_t)page | 0x123;
    answer.rcx = garbage | page >> 32;
    answer.rdx = garbage | edx;
    __asm__ volatile("vmcall\n\tpushfq\n\tpopq %4"
                     : "+a"(answer.rax), "+b"(answer.rbx), "+c"(answer.rcx), "+d"(answer.rdx), "=r"(answer.flags)
                     :
                     : "cc", "memory");
    check_eq("API-FLAGS", "protect", answer.flags & RFLAGS_ARITHMETIC, answer.rax ? RFLAGS_CF : 0);
    check_eq("API-REGISTERS", "rbx", answer.rbx, garbage | (uint32_t)page | 0x123);
    check_eq("API-REGISTERS", "rcx", answer.rcx, garbage | page >> 32);
    if (number != API_RESOURCES || answer.rax != 0) {
        check_eq("API-REGISTERS", "rdx", answer.rdx, garbage | edx);
    }
}

void expect_list(const char *name, uint32_t number, uint32_t status)
{
    put_end(0);
    call(number, list, 0);
    check_eq("API-STATUS", name, answer.rax, status);
}

void expect_call(const char *name, uint32_t number, uint32_t status)
{
    uint32_t value = number, ebx = 0, ecx = 0, edx = 0;

    __asm__ volatile("vmcall" : "+a"(value), "+b"(ebx), "+c"(ecx), "+d"(edx) : : "cc", "memory");
    check_eq("API-STATUS", name, value, status);
}

/* One SMI whose handler makes an access. */
void handler_does(enum access_kind kind, uint64_t place)
{
    access_kind = kind;
    access_place = place;
    exceptions = 0;
    smi(HANDLER_ACCESS);
    handler_action = HANDLER_NOTHING;
}

/* Refused: the firmware's exception handler sees it, and mends it. */
void caught(const char *name, enum access_kind kind, uint64_t place)
{
    caught_as(name, kind, place, accesses[kind].type);
}

void caught_as(const char *name, enum access_kind kind, uint64_t place, uint32_t type)
{
    handler_does(kind, place);
    check_eq("CAUGHT", name, exceptions, 1);
    check_eq("CAUGHT-MENDED", name, handler_value, MENDED);
    check_eq("CAUGHT-CODE", name, frame[FRAME_CODE], type);
    check_eq("CAUGHT-RIP", name, frame[FRAME_RIP], phys(accesses[kind].at));
    check_eq("CAUGHT-RDI", name, frame[FRAME_RDI], place);
    check_eq("CAUGHT-CR3", name, frame[FRAME_CR3], HANDLER_TABLES);
    check_eq("CAUGHT-FAULT", name, access_fault, NO_FAULT);
}

void allowed(const char *name, enum access_kind kind, uint64_t place)
{
    handler_does(kind, place);
    check_eq("ALLOWED", name, exceptions, 0);
    check_eq("ALLOWED-FAULT", name, access_fault, NO_FAULT);
}

void allowed_value(const char *name, uint64_t place, uint32_t value)
{
    allowed(name, ACCESS_READ, place);
    check_eq("ALLOWED-VALUE", name, handler_value, value);
}

void set_exception_handler(void)
{
    write64(PSD_EXCEPTION, phys(protection_entry));
    write64(PSD_EXCEPTION + 8, SPE_STACK);
    write64(PSD_EXCEPTION + 16, SEL_DATA64 | 0x1Full << 16);
}

void start(void)
{
    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, STM_SUCCESS);
    expect_call("start", API_START, STM_SUCCESS);
}

void stop(void)
{
    expect_call("stop", API_STOP, STM_SUCCESS);
}

uint64_t guarded, data_page, list_page;

static void protected_page(void)
{
    start();
    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 7);
    expect_list("protect", API_PROTECT, STM_SUCCESS);
    expect_shutdown("CRASH", "the STM resets the platform");
    handler_does(ACCESS_READ, guarded);
    panic("the STM survived");
}

void run_tests(void)
{
    uint64_t pages[5];

    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    /* 1 GB from 4 GB on: a page of the image is at its start. */
    write64(phys(page_tables) + PAGE_SIZE + 32, ABOVE_4GB | 0x83);
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        pages[i] = phys(page_alloc());
        write32(pages[i], 0x1111u * i);
    }
    guarded = pages[2];
    data_page = pages[0];
    list_page = pages[4];
    if (SCENE_PROTECT != SCENE_ALONE) {
        smm_call(set_exception_handler);
    }
    spe_choice = SCENE_PROTECT == SCENE_PANIC ? PANIC_CHOICE : 0;
    if (SCENE_PROTECT == SCENE_CALLS) {
        run_calls();
    } else if (SCENE_PROTECT == SCENE_LISTS) {
        run_lists();
    } else if (SCENE_PROTECT == SCENE_CAPACITY) {
        run_capacity();
    } else if (SCENE_PROTECT == SCENE_LEAST) {
        run_least();
    } else if (SCENE_PROTECT == SCENE_PCI) {
        run_pci();
    } else if (SCENE_PROTECT == SCENE_ALL) {
        run_all();
    } else if (SCENE_PROTECT == SCENE_STEP) {
        run_step();
    } else if (SCENE_PROTECT == SCENE_FLAGS) {
        run_flags();
    } else if (SCENE_PROTECT == SCENE_NOT_WANTED) {
        run_not_wanted();
    } else if (SCENE_PROTECT == SCENE_FRAME) {
        run_frame();
    } else {
        protected_page();
    }
}
