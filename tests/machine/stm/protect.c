/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * What the executive monitor protects, and what the SMI handler meets then.
 * SCENE_PROTECT says which run it is.
 */
#include "stm_under_test.h"

#define SCENE_CALLS   1 /* calls, and a firmware that handles protection exceptions */
#define SCENE_ALONE   2 /* a firmware that does not */
#define SCENE_NESTED  3 /* its handler touches the page itself */
#define SCENE_MANY    4 /* it never helps */
#define SCENE_PANIC   5 /* it gives up */
#define SCENE_LISTS   6 /* lists of the firmware that are no good */

#define FRAME_SIZE     224u
#define FRAME_INFO     19u /* index of VmcsExitInstructionInfo */
#define FRAME_LENGTH   20u
#define FRAME_QUAL     21u
#define FRAME_CODE     22u
#define FRAME_RIP      23u
#define FRAME_RSP      26u
#define FRAME_RAX      14u
#define FRAME_RDI      8u
#define FRAME_CR3      16u
#define SPE_STACK      (TSEG_BASE + 0x50000u)
#define LOOKUP_AT      (TSEG_BASE + 0x58000u)
#define BIOS_LIST      (TSEG_BASE + 0x60000u)
#define BIOS_LIST_TWO  (TSEG_BASE + 0x70001u)
#define MANY_RESOURCES 200u
#define MENDED         0x600Du
#define MSR_CLAIMED    0x174u
#define MSR_FREE       0x176u

enum access_kind { ACCESS_READ, ACCESS_WRITE, ACCESS_IN, ACCESS_OUT, ACCESS_RDMSR, ACCESS_WRMSR, ACCESS_KINDS, ACCESS_LOOKUP };

/* Each is one instruction that may be refused, and RET. */
__asm__(".pushsection .text\n"
        "guarded_read:\tmov (%rdi), %eax\n\tret\n"
        "guarded_write:\tmov %eax, (%rdi)\n\tret\n"
        "guarded_in:\tmov %edi, %edx\n1:\tin %dx, %al\n\tret\n"
        "guarded_out:\tmov %edi, %edx\n1:\tout %al, %dx\n\tret\n"
        "guarded_rdmsr:\tmov %edi, %ecx\n1:\trdmsr\n\tret\n"
        "guarded_wrmsr:\tmov %edi, %ecx\n\txor %edx, %edx\n1:\twrmsr\n\tret\n"
        "protection_entry:\n"
        "\tmov %rsp, %rdi\n\tcall protection_main\n"
        "\tmov %eax, %ebx\n\tmov $4, %eax\n\tvmcall\n"
        "\tmov %eax, protection_status(%rip)\n"
        "\txor %ebx, %ebx\n\tmov $4, %eax\n\tvmcall\n\tud2\n"
        ".popsection\n");
extern uint8_t guarded_read[], guarded_write[], guarded_in[], guarded_out[], guarded_rdmsr[], guarded_wrmsr[];
extern uint8_t protection_entry[];

static const struct {
    uint8_t *code;
    uint32_t before, length; /* bytes before the instruction, and of it */
    uint32_t type;           /* TXT_SMM_PROTECTION_EXCEPTION_TYPE */
} accesses[ACCESS_KINDS] = {
    { guarded_read, 0, 2, 1 },  { guarded_write, 0, 2, 1 }, { guarded_in, 2, 1, 4 },
    { guarded_out, 2, 1, 4 },   { guarded_rdmsr, 2, 2, 2 }, { guarded_wrmsr, 4, 2, 2 },
};

volatile uint32_t nmi_count, protection_status;
static volatile enum access_kind access_kind;
static volatile uint64_t access_place;
static volatile uint32_t access_value = 0xA5;
static volatile uint32_t access_fault, exceptions, spe_choice;
static uint64_t frame[FRAME_SIZE / 8];

uint32_t protection_main(uint64_t *saved);

static void access_now(void *arg)
{
    uint64_t value = access_value;

    (void)arg;
    __asm__ volatile("call *%2" : "+a"(value) : "D"(access_place), "r"(accesses[access_kind].code)
                     : "rcx", "rdx", "cc", "memory");
    handler_value = (uint32_t)value;
}

/* STM_ADDRESS_LOOKUP_DESCRIPTOR */
static struct lookup {
    uint64_t linear;
    uint32_t length;
    uint64_t cr3, eptp;
    uint32_t flags, reserved;
    uint64_t physical, mapped;
} __attribute__((packed)) lookup;

/* In the SMI handler. */
void guarded_access(void)
{
    if (access_kind == ACCESS_LOOKUP) {
        memcpy((void *)(uintptr_t)access_place, &lookup, sizeof(lookup));
        handler_value = call_stm_at(API_LOOKUP, access_place);
        memcpy(&lookup, (void *)(uintptr_t)access_place, sizeof(lookup));
        return;
    }
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
static uint64_t list;      /* page with the list of a call */
static uint32_t list_used;

static void put(const void *descriptor, uint32_t size)
{
    memcpy((void *)(uintptr_t)(list + list_used), descriptor, size);
    list_used += size;
}

static void put_header(uint32_t type, uint16_t length, const uint64_t body[])
{
    uint64_t header = type | (uint64_t)length << 32;

    put(&header, 8);
    put(body, length - 8u);
}

static void list_start(uint64_t page)
{
    list = page;
    list_used = 0;
    memset((void *)(uintptr_t)page, 0, PAGE_SIZE);
}

static void put_memory(uint64_t base, uint64_t length, uint32_t access)
{
    put_header(1, 32, (uint64_t[]){ base, length, access });
}

static void put_io(uint32_t base, uint32_t length)
{
    put_header(2, 16, (uint64_t[]){ base | length << 16 });
}

static void put_msr(uint32_t index, uint64_t read, uint64_t write)
{
    put_header(4, 32, (uint64_t[]){ index, read, write });
}

static void put_end(uint64_t continuation)
{
    put_header(0, 16, (uint64_t[]){ continuation });
}

/* ReturnStatus of the descriptor at an offset. */
static uint32_t granted(uint32_t offset)
{
    return read32(list + offset + 4) >> 16;
}

/* ---- calls ---- */
static struct {
    uint64_t rax, rbx, rcx, rdx, flags;
} answer;

/* Low bits of the page and high halves of the registers do not count. */
static void call(uint32_t number, uint64_t page, uint32_t edx)
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

static void expect_list(const char *name, uint32_t number, uint32_t status)
{
    put_end(0);
    call(number, list, 0);
    check_eq("API-STATUS", name, answer.rax, status);
}

static void expect_call(const char *name, uint32_t number, uint32_t status)
{
    uint32_t value = number, ebx = 0, ecx = 0, edx = 0;

    __asm__ volatile("vmcall" : "+a"(value), "+b"(ebx), "+c"(ecx), "+d"(edx) : : "cc", "memory");
    check_eq("API-STATUS", name, value, status);
}

/* One SMI whose handler makes an access. */
static void handler_does(enum access_kind kind, uint64_t place)
{
    access_kind = kind;
    access_place = place;
    exceptions = 0;
    smi(HANDLER_ACCESS);
    handler_action = HANDLER_NOTHING;
}

/* Refused: the firmware's exception handler sees it, and mends it. */
static void caught(const char *name, enum access_kind kind, uint64_t place)
{
    handler_does(kind, place);
    check_eq("CAUGHT", name, exceptions, 1);
    check_eq("CAUGHT-MENDED", name, handler_value, MENDED);
    check_eq("CAUGHT-CODE", name, frame[FRAME_CODE], accesses[kind].type);
    check_eq("CAUGHT-RIP", name, frame[FRAME_RIP], phys(accesses[kind].code) + accesses[kind].before);
    check_eq("CAUGHT-RDI", name, frame[FRAME_RDI], place);
    check_eq("CAUGHT-CR3", name, frame[FRAME_CR3], HANDLER_TABLES);
    check_eq("CAUGHT-FAULT", name, access_fault, NO_FAULT);
}

static void allowed(const char *name, enum access_kind kind, uint64_t place)
{
    handler_does(kind, place);
    check_eq("ALLOWED", name, exceptions, 0);
    check_eq("ALLOWED-FAULT", name, access_fault, NO_FAULT);
}

static void allowed_value(const char *name, uint64_t place, uint32_t value)
{
    allowed(name, ACCESS_READ, place);
    check_eq("ALLOWED-VALUE", name, handler_value, value);
}

/* ---- the firmware's side, in SMM under the default treatment ---- */
static uint64_t resources_pointer;

static void set_exception_handler(void)
{
    write64(PSD_EXCEPTION, phys(protection_entry));
    write64(PSD_EXCEPTION + 8, SPE_STACK);
    write64(PSD_EXCEPTION + 16, SEL_DATA64 | 0x1Full << 16);
}

static void set_resources(void)
{
    write64(PSD_RESOURCES, resources_pointer);
}

/* Two parts, at an odd address the second; more than a page of descriptors. */
static void make_bios_list(void)
{
    list_start(BIOS_LIST);
    put_msr(MSR_CLAIMED, ~0ull, ~0ull);
    put_end(BIOS_LIST_TWO);
    list_start(BIOS_LIST_TWO);
    memset((void *)(uintptr_t)list, 0, 2 * PAGE_SIZE);
    for (unsigned i = 0; i < MANY_RESOURCES; i++) {
        put_msr(0x200 + i, 0, 1);
    }
    put_io(SMI_PORT, 2);
    put_end(0);
}

static void make_mseg_list(void)
{
    list_start(BIOS_LIST);
    put_memory(MSEG_BASE, PAGE_SIZE, 1);
    put_end(0);
}

static void make_cyclic_list(void)
{
    list_start(BIOS_LIST);
    put_end(BIOS_LIST);
}

static void give_list(void (*make)(void), uint64_t pointer)
{
    if (make != NULL) {
        smm_call(make);
    }
    resources_pointer = pointer;
    smm_call(set_resources);
}

/* ---- scenes ---- */
static uint64_t guarded, data_page, list_page;

static void start(void)
{
    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, STM_SUCCESS);
    expect_call("start", API_START, STM_SUCCESS);
}

static void stop(void)
{
    expect_call("stop", API_STOP, STM_SUCCESS);
}

/* GET_BIOS_RESOURCES: both pages, and what cannot be had. */
static void check_bios_resources(void)
{
    uint32_t offset, count = 0;

    memset((void *)(uintptr_t)data_page, 0x77, PAGE_SIZE);
    call(API_RESOURCES, data_page, 0);
    check_eq("API-STATUS", "resources", answer.rax, STM_SUCCESS);
    check_eq("RESOURCES", "next", answer.rdx, 1);
    for (offset = 0; read32(data_page + offset) == 4; offset += 32) {
        count++;
    }
    check_eq("RESOURCES", "first", read32(data_page + 8), MSR_CLAIMED);
    check_eq("RESOURCES", "msrs", count, 127);
    check_eq("RESOURCES", "end", read64(data_page + offset), 16ull << 32);
    check_eq("RESOURCES", "end-continuation", read64(data_page + offset + 8), 0);

    memset((void *)(uintptr_t)data_page, 0x77, PAGE_SIZE);
    call(API_RESOURCES, data_page, 1);
    check_eq("API-STATUS", "resources-two", answer.rax, STM_SUCCESS);
    check_eq("RESOURCES", "last", answer.rdx, 0);
    offset = (MANY_RESOURCES + 1 - 127) * 32;
    check_eq("RESOURCES", "io", read64(data_page + offset), 2 | 16ull << 32);
    check_eq("RESOURCES", "last-end", read64(data_page + offset + 16), 16ull << 32);
    check_eq("RESOURCES", "nothing-behind", read64(data_page + offset + 32), 0x7777777777777777);

    call(API_RESOURCES, data_page, 2);
    check_eq("API-STATUS", "no-such-page", answer.rax, STM_PAGE_NOT_FOUND);
    call(API_RESOURCES, data_page, ~0u);
    check_eq("API-STATUS", "no-such-page", answer.rax, STM_PAGE_NOT_FOUND);
    call(API_RESOURCES, MSEG_BASE, 0);
    check_eq("API-STATUS", "page-in-mseg", answer.rax, STM_SECURITY_VIOLATION);
    call(API_RESOURCES, SMBASE, 0);
    check_eq("API-STATUS", "page-in-tseg", answer.rax, STM_SECURITY_VIOLATION);
    call(API_RESOURCES, 0xFEE00000, 0);
    check_eq("API-STATUS", "page-in-mmio", answer.rax, STM_SECURITY_VIOLATION);
    call(API_RESOURCES, 1ull << 40, 0);
    check_eq("API-STATUS", "page-beyond", answer.rax, STM_SECURITY_VIOLATION);
    call(API_PROTECT, SMBASE, 0);
    check_eq("API-STATUS", "list-in-tseg", answer.rax, STM_SECURITY_VIOLATION);

    call(API_RESOURCES, ABOVE_4GB, 1);
    check_eq("API-STATUS", "page-above-4gb", answer.rax, STM_SUCCESS);
    check_eq("RESOURCES", "above-4gb", memcmp((void *)(uintptr_t)ABOVE_4GB, (void *)(uintptr_t)data_page, offset + 32), 0);
}

static void check_memory(void)
{
    caught("read", ACCESS_READ, guarded);
    check_eq("CAUGHT", "qualification", frame[FRAME_QUAL] & 7, 1);
    check_eq("CAUGHT", "rsp-in-stack", frame[FRAME_RSP] > TSEG_BASE && frame[FRAME_RSP] < SPE_STACK, 1);
    caught("read-last-byte", ACCESS_READ, guarded + PAGE_SIZE - 1);
    caught("write", ACCESS_WRITE, guarded + 8);
    check_eq("CAUGHT", "not-written", read32(guarded + 8), 0);
    allowed_value("page-before", guarded - PAGE_SIZE, 0x1111);
    allowed_value("page-behind", guarded + PAGE_SIZE, 0x3333);

    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 2);
    expect_list("unprotect-writes", API_UNPROTECT, STM_SUCCESS);
    check_eq("RETURN-STATUS", "unprotect", granted(0), 1);
    caught("still-read", ACCESS_READ, guarded);
    list_start(list_page);
    put_memory(guarded + 5, 1, 7);
    expect_list("unprotect", API_UNPROTECT, STM_SUCCESS);
    allowed_value("unprotected", guarded, 0x2222);

    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 2);
    expect_list("protect-writes", API_PROTECT, STM_SUCCESS);
    allowed_value("read-only", guarded, 0x2222);
    caught("write-to-read-only", ACCESS_WRITE, guarded);
    list_start(list_page);
    put_memory(0, 1ull << 40, 7);
    expect_list("unprotect-mseg", API_UNPROTECT, STM_UNSPECIFIED);
    check_eq("RETURN-STATUS", "unprotect-mseg", granted(0), 0);
    caught("write-still", ACCESS_WRITE, guarded);
    handler_does(ACCESS_READ, MSEG_BASE);
    check_eq("OWN", "mseg", access_fault, FAULT_GP);
    check_eq("OWN", "mseg-no-exception", exceptions, 0);
    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 7);
    expect_list("unprotect-all", API_UNPROTECT, STM_SUCCESS);
    allowed("writable", ACCESS_WRITE, guarded + 8);
    check_eq("ALLOWED", "written", read32(guarded + 8), 0xA5);
}

static void check_ports_and_msrs(void)
{
    /* What launchers in the field ask for. */
    list_start(list_page);
    put_io(0x60, 5);
    put_msr(0x9B, ~0ull, ~0ull);
    put_msr(0x1A0, 0, 1);
    put_msr(MSR_FREE, 0, ~0ull);
    put_msr(0x3A, 0, ~0ull);
    expect_list("protect-field", API_PROTECT, STM_SUCCESS);
    for (unsigned offset = 0; offset < list_used - 16; offset += offset ? 32 : 16) {
        check_eq("RETURN-STATUS", "field", granted(offset), 1);
    }
    caught("in", ACCESS_IN, 0x64);
    check_eq("CAUGHT", "port", frame[FRAME_QUAL] >> 16, 0x64);
    check_eq("CAUGHT", "length", frame[FRAME_LENGTH], 1);
    caught("out", ACCESS_OUT, 0x60);
    allowed("next-port", ACCESS_IN, 0x65);
    caught("rdmsr", ACCESS_RDMSR, 0x9B);
    caught("wrmsr", ACCESS_WRMSR, MSR_FREE);
    allowed("rdmsr-of-write-only", ACCESS_RDMSR, MSR_FREE);
    list_start(list_page);
    put_io(0x62, 3);
    put_msr(0x9B, ~0ull, ~0ull);
    put_msr(MSR_FREE, 1, 1);
    put_io(0x403, 1);
    put_msr(0x1B, 1, 1);
    expect_list("unprotect-field", API_UNPROTECT, STM_SUCCESS);
    allowed("in-again", ACCESS_IN, 0x64);
    caught("in-still", ACCESS_IN, 0x61);
    allowed("rdmsr-again", ACCESS_RDMSR, 0x9B);
    handler_does(ACCESS_WRMSR, 0x9B);
    check_eq("OWN", "smm-monitor-ctl", access_fault, FAULT_GP);
    access_value = MSEG_BASE | 0x900; /* the processor itself would take it */
    handler_does(ACCESS_WRMSR, 0x1B);
    access_value = 0xA5;
    check_eq("OWN", "apic-base", access_fault, FAULT_GP);
    handler_does(ACCESS_OUT, 0x403);
    check_eq("OWN", "record-port", access_fault, FAULT_GP);
    allowed("wrmsr-again", ACCESS_WRMSR, MSR_FREE);
}

/* What the firmware needs is denied, the rest of the list is granted; a bad list changes nothing. */
static void check_denied(void)
{
    list_start(list_page);
    put_msr(MSR_CLAIMED, 1, 0);
    put_memory(guarded, PAGE_SIZE, 7);
    put_memory(TSEG_BASE - PAGE_SIZE, 2 * PAGE_SIZE, 7);
    put_io(0xB3, 1);
    put_header(7, 8, NULL);
    expect_list("claimed", API_PROTECT, STM_UNPROTECTABLE_RESOURCE);
    check_eq("RETURN-STATUS", "claimed-msr", granted(0), 0);
    check_eq("RETURN-STATUS", "free", granted(32), 1);
    check_eq("RETURN-STATUS", "tseg", granted(64), 0);
    check_eq("RETURN-STATUS", "claimed-io", granted(96), 0);
    check_eq("RETURN-STATUS", "all", granted(112), 0);
    caught("granted-one", ACCESS_READ, guarded);
    allowed("denied-one", ACCESS_RDMSR, MSR_CLAIMED);

    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 7);
    put_memory(guarded, 0, 7);
    expect_list("malformed", API_UNPROTECT, STM_MALFORMED);
    check_eq("RETURN-STATUS", "malformed", granted(0), 0);
    caught("nothing-changed", ACCESS_READ, guarded);
    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 7);
    write32(list + 4, 32 | 1 << 16);
    expect_list("status-set", API_UNPROTECT, STM_MALFORMED);
    check_eq("RETURN-STATUS", "cleared", granted(0), 0);
    list_start(list_page);
    put_end(list_page);
    call(API_PROTECT, list, 0);
    check_eq("API-STATUS", "continuation", answer.rax, STM_MALFORMED);
}

/* A page in each of 48 regions of 2 MB: more tables than there are. */
static void check_no_room(void)
{
    for (unsigned times = 0; times < 3; times++) {
        list_start(list_page);
        for (unsigned i = 0; i < 48; i++) {
            put_memory(ABOVE_4GB + 0x100000 + i * 0x200000ull, PAGE_SIZE, 7);
        }
        expect_list("no-room", API_PROTECT, STM_OUT_OF_RESOURCES);
        check_eq("RETURN-STATUS", "no-room", granted(0), 0);
    }
    allowed("no-room", ACCESS_READ, ABOVE_4GB + 0x100000);
}

static void check_list_above_4gb(void)
{
    list_start(ABOVE_4GB + PAGE_SIZE);
    put_memory(ABOVE_4GB, PAGE_SIZE, 7);
    expect_list("list-above-4gb", API_PROTECT, STM_SUCCESS);
    check_eq("RETURN-STATUS", "above-4gb", granted(0), 1);
    caught("above-4gb", ACCESS_READ, ABOVE_4GB + 0x100);
}

static void check_return_calls(void)
{
    spe_choice = 0x10;
    protection_status = 0;
    caught("reserved-choice", ACCESS_READ, guarded);
    check_eq("API-STATUS", "reserved-choice", protection_status, STM_INVALID_PARAMETER);
    spe_choice = 0;
}

#define LOOKUP_IA32E 0x10u /* InterruptedIa32eMode */

static void look_up(const char *name, uint64_t at, const struct lookup *request, uint32_t status)
{
    lookup = *request;
    lookup.physical = 0x5A5A;
    handler_does(ACCESS_LOOKUP, at);
    check_eq("LOOKUP", name, handler_value, status ? 1ull << 32 | status : 0);
    check_eq("LOOKUP-INPUT", name, lookup.linear, request->linear);
    if (status) {
        check_eq("LOOKUP-PHYSICAL", name, lookup.physical, 0x5A5A);
    }
}

/* `guarded` is protected. */
static void check_lookup(void)
{
    const struct lookup good = { data_page + 5, 8, read_cr3(), 0, LOOKUP_IA32E, 0, 0, 0 };
    struct lookup request = good;

    look_up("found", LOOKUP_AT, &good, STM_SUCCESS);
    check_eq("LOOKUP", "physical", lookup.physical, data_page + 5);
    request.cr3 += 0x1000;
    look_up("cr3", LOOKUP_AT, &request, STM_BAD_CR3);
    request = good;
    request.linear = 1ull << 39;
    look_up("not-mapped", LOOKUP_AT, &request, STM_PAGE_NOT_FOUND);
    request.linear = 1ull << 47;
    look_up("not-canonical", LOOKUP_AT, &request, STM_PAGE_NOT_FOUND);
    request.linear = guarded;
    look_up("protected", LOOKUP_AT, &request, STM_SECURITY_VIOLATION);
    request.linear = guarded - 4;
    look_up("into-protected", LOOKUP_AT, &request, STM_SECURITY_VIOLATION);
    request.length = 4;
    look_up("before-protected", LOOKUP_AT, &request, STM_SUCCESS);
    request = good;
    request.linear = MSEG_BASE;
    look_up("mseg", LOOKUP_AT, &request, STM_SECURITY_VIOLATION);
    request = good;
    request.length = 0;
    look_up("no-bytes", LOOKUP_AT, &request, STM_UNSPECIFIED);
    request.length = 0x10001;
    look_up("too-long", LOOKUP_AT, &request, STM_UNSPECIFIED);
    request = good;
    request.linear = ~0ull - 3;
    look_up("wraps", LOOKUP_AT, &request, STM_UNSPECIFIED);
    request = good;
    request.reserved = 1;
    look_up("reserved", LOOKUP_AT, &request, STM_UNSPECIFIED);
    request = good;
    request.eptp = 0x1E;
    look_up("ept-of-nobody", LOOKUP_AT, &request, STM_UNSPECIFIED);
    request = good;
    request.flags |= 1;
    look_up("one-to-one", LOOKUP_AT, &request, STM_NOT_SUPPORTED);
    look_up("outside-smram", list_page, &good, STM_UNSPECIFIED);
    look_up("crosses-page", LOOKUP_AT + PAGE_SIZE - 8, &good, STM_UNSPECIFIED);
}

/* A first call about resources is no first call. */
static void check_wrong_order(uint32_t number)
{
    activation_vmcs();
    list_start(list_page);
    expect_list("wrong-order", number, STM_UNSPECIFIED);
    smi_port_write(0);
}

static void calls(void)
{
    check_wrong_order(API_PROTECT);
    check_wrong_order(API_UNPROTECT);
    check_wrong_order(API_RESOURCES);
    smm_call(set_exception_handler);
    give_list(make_bios_list, BIOS_LIST);

    /* Before START. */
    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, STM_SUCCESS);
    check_bios_resources();
    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 7);
    expect_list("protect", API_PROTECT, STM_SUCCESS);
    check_eq("RETURN-STATUS", "protect", granted(0), 1);
    expect_call("start", API_START, STM_SUCCESS);
    check_memory();
    check_ports_and_msrs();
    check_denied();
    check_no_room();
    check_list_above_4gb();
    check_return_calls();
    check_lookup();
    stop();

    /* Another session protects nothing; its firmware has no list. */
    give_list(NULL, 0);
    start();
    allowed("next-session", ACCESS_READ, guarded);
    allowed("next-session-above-4gb", ACCESS_READ, ABOVE_4GB + 0x100);
    allowed("next-session-in", ACCESS_IN, 0x61);
    call(API_RESOURCES, data_page, 0);
    check_eq("API-STATUS", "no-list", answer.rax, STM_SUCCESS);
    check_eq("RESOURCES", "no-list-next", answer.rdx, 0);
    check_eq("RESOURCES", "lone-end", read64(data_page), 16ull << 32);
    check_eq("RESOURCES", "lone-end-continuation", read64(data_page + 8), 0);
    stop();
}

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

static void refused_list(const char *name, void (*make)(void), uint64_t pointer, uint32_t status)
{
    give_list(make, pointer);
    activation_vmcs();
    expect_call(name, API_INITIALIZE, status);
    smi_port_write(0);
}

static void lists(void)
{
    refused_list("mseg-claimed", make_mseg_list, BIOS_LIST, STM_UNPROTECTABLE);
    refused_list("cyclic", make_cyclic_list, BIOS_LIST, STM_UNSPECIFIED);
    refused_list("outside", NULL, 0x100000, STM_UNSPECIFIED);
    refused_list("in-mseg", NULL, MSEG_BASE + 0x1000, STM_UNSPECIFIED);
    give_list(make_bios_list, BIOS_LIST);
    start();
    stop();
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
    spe_choice = SCENE_PROTECT == SCENE_PANIC ? 3 : 0;
    if (SCENE_PROTECT == SCENE_CALLS) {
        calls();
    } else if (SCENE_PROTECT == SCENE_LISTS) {
        lists();
    } else {
        protected_page();
    }
}
