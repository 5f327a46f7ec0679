/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* MANAGE_EVENT_LOG of the real STM: each status of the call, and each event where it happens. */
#include "stm_under_test.h"

enum { NEW_LOG = 1, CONFIGURE_LOG, START_LOG, STOP_LOG, CLEAR_LOG, DELETE_LOG };
enum { STARTED, STOPPED, INVALID_PARAMETER, HANDLED, UNCLAIMED, GRANTED, DENIED, UNPROTECTED, UNPROTECT_ERROR };
#define ALL_EVENTS 0x3FFu

#define LOG_ALLOCATED     0x8001000Fu
#define LOG_NOT_ALLOCATED 0x80010010u
#define LOG_NOT_STOPPED   0x80010011u
#define LOG_NOT_STARTED   0x80010012u
#define RESERVED_BIT_SET  0x80010013u
#define NO_EVENTS         0x80010014u
#define INVALID_PAGECOUNT 0x8001000Eu

#define VALID 2u
#define READ  4u
#define WRAPPED 8u
#define ENTRIES 16u

#define UNKNOWN_API 0x1F234u

/* The ISA bridge, 0:1F.0, and four writable bytes of it; the host bridge, and its address of ECAM. */
#define ISA_BRIDGE  0x8000F800u
#define PIRQ_A      0x60u
#define HOST_BRIDGE 0x80000000u
#define PCIEXBAR    0x60u
#define ECAM        0xB0000000ull
#define PCI_READ    1u
#define PCI_WRITE   2u

#define SPE_STACK   (TSEG_BASE + 0x50000u)

volatile uint32_t nmi_count;
static uint64_t request_page, log_page, other_page, list_page, guarded;
static uint32_t serial;

/* The firmware's handler of protection exceptions goes on behind the instruction of two bytes. */
__asm__(".pushsection .text\n"
        "skip_access:\n\taddq $2, 0xB8(%rsp)\n\txor %ebx, %ebx\n\tmov $4, %eax\n\tvmcall\n\tud2\n"
        "guarded_read:\tmov (%rdi), %eax\n\tret\n"
        "guarded_in:\tmov $0xCFD, %edx\n\tin %dx, %al\n\tnop\n\tret\n"
        "guarded_out:\tmov %edi, %eax\n\tmov $0xCFC, %edx\n\tout %eax, %dx\n\tnop\n\tret\n"
        ".popsection\n");
extern uint8_t skip_access[];
uint32_t guarded_read(uint64_t address);
void guarded_in(void);
void guarded_out(uint32_t value);

/* ---- calls ---- */
static void request(const char *name, uint32_t function, uint32_t value, uint64_t first, uint64_t second, uint32_t status)
{
    write32(request_page, function);
    write32(request_page + 4, value);
    write64(request_page + 8, first);
    write64(request_page + 16, second);
    check_eq("EVENT-LOG", name, call_stm_at(API_EVENT_LOG, request_page), status ? 1ull << 32 | status : STM_SUCCESS);
}

static void log_call(const char *name, uint32_t function, uint32_t value, uint32_t status)
{
    request(name, function, value, 0, 0, status);
}

static void expect_call(const char *name, uint32_t number, uint64_t page, uint32_t status)
{
    check_eq("API-STATUS", name, call_stm_at(number, page), status ? 1ull << 32 | status : STM_SUCCESS);
}

/* ---- what is in the log ---- */
static uint64_t entry(uint32_t number)
{
    return log_page + number % ENTRIES * 256;
}

/* The next event is of this type; its data begins with `first`. Returns where its data is. */
static uint64_t event(const char *name, uint32_t type, uint32_t first)
{
    uint64_t at = entry(serial);

    check_eq("EVENT-SERIAL", name, read32(at), serial);
    check_eq("EVENT-TYPE", name, read32(at + 4) & 0xFFFF, type);
    check_eq("EVENT-VALID", name, read32(at + 4) >> 16 & ~WRAPPED, VALID);
    check_eq("EVENT-DATA", name, read32(at + 8), first);
    write32(at + 4, read32(at + 4) | READ << 16);
    serial++;
    return at + 8;
}

static void no_event(const char *name)
{
    uint64_t at = entry(serial);

    check("EVENT-NONE", name, read32(at) != serial || (read32(at + 4) >> 16 & VALID) == 0, "type:%x",
          read32(at + 4) & 0xFFFF);
}

/* ---- calls, without an event ---- */
static void check_calls(void)
{
    log_call("none-yet", START_LOG, 0, LOG_NOT_ALLOCATED);
    log_call("none-yet", CONFIGURE_LOG, 1, LOG_NOT_ALLOCATED);
    log_call("none-yet", STOP_LOG, 0, LOG_NOT_ALLOCATED);
    log_call("none-yet", CLEAR_LOG, 0, LOG_NOT_ALLOCATED);
    log_call("none-yet", DELETE_LOG, 0, LOG_NOT_ALLOCATED);
    log_call("function-0", 0, 0, STM_INVALID_API);
    log_call("function-7", 7, 0, STM_INVALID_API);
    log_call("function-high", 0x80000001, 0, STM_INVALID_API);
    request("no-page", NEW_LOG, 0, log_page, 0, INVALID_PAGECOUNT);
    request("too-many", NEW_LOG, 65, log_page, 0, INVALID_PAGECOUNT);
    request("tseg", NEW_LOG, 2, log_page, SMBASE, STM_SECURITY_VIOLATION);
    request("mseg", NEW_LOG, 1, MSEG_BASE, 0, STM_SECURITY_VIOLATION);
    request("legacy-smram", NEW_LOG, 1, 0xA0000, 0, STM_SECURITY_VIOLATION);
    request("mmio", NEW_LOG, 1, 0xFEE00000, 0, STM_SECURITY_VIOLATION);
    request("beyond", NEW_LOG, 1, 1ull << 40, 0, STM_SECURITY_VIOLATION);
    request("not-aligned", NEW_LOG, 1, log_page + 8, 0, STM_INVALID_PARAMETER);
    request("twice", NEW_LOG, 2, log_page, log_page, STM_INVALID_PARAMETER);
    expect_call("request-in-tseg", API_EVENT_LOG, SMBASE, STM_SECURITY_VIOLATION);
    log_call("still-none", START_LOG, 0, LOG_NOT_ALLOCATED);

    write32(log_page, 0x5A5A5A5A);
    request("new", NEW_LOG, 1, log_page, 0, STM_SUCCESS);
    check_eq("EVENT-LOG", "cleared", read32(log_page), 0);
    request("new-twice", NEW_LOG, 1, other_page, 0, LOG_ALLOCATED);
    log_call("not-started", STOP_LOG, 0, LOG_NOT_STARTED);
    log_call("nothing-wanted", START_LOG, 0, NO_EVENTS);
    log_call("reserved", CONFIGURE_LOG, 1u << 10, RESERVED_BIT_SET);
    log_call("reserved-high", CONFIGURE_LOG, 1u << 31, RESERVED_BIT_SET);
    log_call("still-nothing-wanted", START_LOG, 0, NO_EVENTS);
    no_event("not-started");
    log_call("configure", CONFIGURE_LOG, ALL_EVENTS, STM_SUCCESS);
    no_event("configured");
    log_call("start", START_LOG, 0, STM_SUCCESS);
    event("started", STARTED, 0);
    log_call("start-twice", START_LOG, 0, LOG_NOT_STOPPED);
    log_call("configure-started", CONFIGURE_LOG, 1, LOG_NOT_STOPPED);
    log_call("clear-started", CLEAR_LOG, 0, LOG_NOT_STOPPED);
    log_call("delete-started", DELETE_LOG, 0, LOG_NOT_STOPPED);
    request("new-started", NEW_LOG, 1, other_page, 0, LOG_ALLOCATED);
    no_event("state-is-no-parameter");
}

/* ---- lists of resources ---- */
static void memory_list(uint64_t first, uint64_t second)
{
    const uint64_t pages[] = { first, second };

    memset((void *)(uintptr_t)list_page, 0, PAGE_SIZE);
    for (unsigned i = 0; i < 2; i++) {
        write64(list_page + 32 * i, 1 | 32ull << 32);
        write64(list_page + 32 * i + 8, pages[i]);
        write64(list_page + 32 * i + 16, PAGE_SIZE);
        write64(list_page + 32 * i + 24, 7);
    }
    write64(list_page + 64, 16ull << 32);
}

static void check_resources(void)
{
    uint64_t data;

    memory_list(guarded, SMBASE);
    expect_call("protect", API_PROTECT, list_page, STM_UNPROTECTABLE_RESOURCE);
    data = event("granted", GRANTED, 1);
    check_eq("EVENT-RESOURCE", "granted", read64(data + 8), guarded);
    data = event("denied", DENIED, 1);
    check_eq("EVENT-RESOURCE", "denied", read64(data + 8), SMBASE);
    memory_list(other_page, MSEG_BASE);
    expect_call("unprotect-mseg", API_UNPROTECT, list_page, STM_UNSPECIFIED);
    event("unprotect-error", UNPROTECT_ERROR, 1);
    data = event("unprotect-error", UNPROTECT_ERROR, 1);
    check_eq("EVENT-RESOURCE", "unprotect-error", read64(data + 8), MSEG_BASE);
    memory_list(other_page, other_page);
    expect_call("unprotect", API_UNPROTECT, list_page, STM_SUCCESS);
    event("unprotected", UNPROTECTED, 1);
    event("unprotected", UNPROTECTED, 1);
    memory_list(guarded, 0);
    write64(list_page + 16, 0);
    expect_call("malformed", API_PROTECT, list_page, STM_MALFORMED);
    event("malformed", INVALID_PARAMETER, API_PROTECT);
    no_event("resources");
}

/* ---- the handler ---- */
static void read_guarded(void)
{
    handler_value = guarded_read(guarded);
}

/* The STM's record port as a part of a wider access, and by a string instruction. */
static void out_word(void *arg)
{
    (void)arg;
    __asm__ volatile("outw %0, %1" : : "a"((uint16_t)0x2121), "d"((uint16_t)0x402));
}

static void out_string(void *arg)
{
    static const char text[] = "!!";
    const char *from = text;
    uint64_t count = 2;

    (void)arg;
    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"((uint16_t)0x403) : "memory");
}

static void forge(void)
{
    handler_value = try_call(out_word, NULL) == FAULT_GP;
    handler_value += try_call(out_string, NULL) == FAULT_GP;
}

static void check_handler(void)
{
    uint64_t data;

    /* What the STM traps for its own sake is no event. */
    smi(HANDLER_NOTHING);
    smi(HANDLER_CPUID);
    smi(HANDLER_CLOBBER);
    smi(HANDLER_OSXSAVE);
    smi(HANDLER_CR3);
    no_event("noise");

    handler_hook = read_guarded;
    smi(HANDLER_HOOK);
    data = event("handled", HANDLED, 1);
    check_eq("EVENT-RESOURCE", "handled", read64(data + 8), guarded);
    check_eq("EVENT-RESOURCE", "handled-access", read32(data + 24), 1);
    smi(HANDLER_READ_MSEG);
    data = event("mseg", UNCLAIMED, 1);
    check_eq("EVENT-RESOURCE", "mseg", read64(data + 8), MSEG_BASE + 0x800);
    smi(HANDLER_RECORD_PORT);
    data = event("port", UNCLAIMED, 2);
    check_eq("EVENT-RESOURCE", "port", read32(data + 8), 0x403 | 1u << 16);
    handler_hook = forge;
    smi(HANDLER_HOOK);
    check_eq("FORGED", "refused", handler_value, 2);
    data = event("word", UNCLAIMED, 2);
    check_eq("EVENT-RESOURCE", "word", read32(data + 8), 0x402 | 2u << 16);
    event("string", UNCLAIMED, 2);
    smi(HANDLER_WRITE_MONITOR_CTL);
    data = event("msr", UNCLAIMED, 4);
    check_eq("EVENT-RESOURCE", "msr", read32(data + 8), 0x9B);
    check_eq("EVENT-RESOURCE", "msr-read", read64(data + 16), 0);
    check_eq("EVENT-RESOURCE", "msr-write", read64(data + 24), ~0ull);
    smi(HANDLER_VMCALL);
    event("handler-api", INVALID_PARAMETER, 0x7777);
    expect_call("unknown", UNKNOWN_API, 0, STM_INVALID_API);
    event("executive-api", INVALID_PARAMETER, UNKNOWN_API);
    expect_call("page", API_PROTECT, SMBASE, STM_SECURITY_VIOLATION);
    event("page", INVALID_PARAMETER, API_PROTECT);
    no_event("handler");
}

/* ---- PCI configuration space ---- */
static void in_register(void)
{
    outl(0xCF8, ISA_BRIDGE | PIRQ_A);
    guarded_in();
}

static void out_register(void)
{
    outl(0xCF8, ISA_BRIDGE | PIRQ_A);
    guarded_out(0x80808080);
}

static void read_ecam(void)
{
    handler_value = guarded_read(ECAM + 0xF8000 + PIRQ_A);
}

static void write_own(void *arg)
{
    (void)arg;
    outl(0xCF8, HOST_BRIDGE | PCIEXBAR);
    guarded_out(0);
}

static void move_ecam(void)
{
    handler_value = try_call(write_own, NULL) == FAULT_GP;
}

/* The register is named, and not the port or the memory that leads to it. */
static void pci_event(const char *name, uint32_t type, uint32_t device, uint32_t place, uint32_t length, uint32_t access)
{
    uint64_t data = event(name, type, 5);

    check_eq("EVENT-PCI", name, read64(data) & 0xFFFFFFFFFFFFull, 5 | 22ull << 32); /* but for ReturnStatus */
    check_eq("EVENT-PCI-ACCESS", name, read32(data + 8), access | place << 16);
    check_eq("EVENT-PCI-LENGTH", name, read32(data + 12), length); /* bus 0, one node */
    check_eq("EVENT-PCI-NODE", name, read32(data + 16), 0x60101);
    check_eq("EVENT-PCI-DEVICE", name, read32(data + 20) & 0xFFFF, device << 8);
}

static void pci_call(uint32_t number)
{
    static const uint8_t descriptor[22] = { 5, 0, 0, 0, 22, 0, 0, 0, 3, 0, PIRQ_A, 0, 4, 0, 0, 0, 1, 1, 6, 0, 0, 0x1F };

    memset((void *)(uintptr_t)list_page, 0, PAGE_SIZE);
    memcpy((void *)(uintptr_t)list_page, descriptor, sizeof(descriptor));
    write64(list_page + sizeof(descriptor), 16ull << 32);
    expect_call("pci", number, list_page, STM_SUCCESS);
}

static void check_pci(void)
{
    pci_call(API_PROTECT);
    pci_event("granted", GRANTED, 0x1F, PIRQ_A, 4, PCI_READ | PCI_WRITE);
    handler_hook = in_register;
    smi(HANDLER_HOOK);
    pci_event("in", HANDLED, 0x1F, PIRQ_A + 1, 1, PCI_READ);
    handler_hook = out_register;
    smi(HANDLER_HOOK);
    pci_event("out", HANDLED, 0x1F, PIRQ_A, 4, PCI_WRITE);
    handler_hook = read_ecam;
    smi(HANDLER_HOOK);
    pci_event("ecam", HANDLED, 0x1F, PIRQ_A, 4, PCI_READ);
    handler_hook = move_ecam;
    smi(HANDLER_HOOK);
    check_eq("EVENT-PCI-FAULT", "own", handler_value, 1);
    pci_event("own", UNCLAIMED, 0, PCIEXBAR, 4, PCI_WRITE);
    pci_call(API_UNPROTECT);
    pci_event("unprotected", UNPROTECTED, 0x1F, PIRQ_A, 4, PCI_READ | PCI_WRITE);
    no_event("pci");
}

/* Only what is wanted; entries that nobody has read are overwritten, and say so. */
static void check_wanted(void)
{
    log_call("stop", STOP_LOG, 0, STM_SUCCESS);
    event("stopped", STOPPED, 0);
    expect_call("stopped", UNKNOWN_API, 0, STM_INVALID_API);
    no_event("stopped");
    log_call("clear", CLEAR_LOG, 0, STM_SUCCESS);
    check_eq("EVENT-LOG", "empty", read32(entry(0) + 4), 0);
    serial = 0;
    log_call("configure-one", CONFIGURE_LOG, 1u << INVALID_PARAMETER, STM_SUCCESS);
    log_call("start-one", START_LOG, 0, STM_SUCCESS);
    smi(HANDLER_READ_MSEG);
    no_event("not-wanted");
    for (uint32_t i = 0; i < ENTRIES + 1; i++) {
        expect_call("many", UNKNOWN_API + i, 0, STM_INVALID_API);
    }
    check_eq("EVENT-WRAP", "serial", read32(entry(0)), ENTRIES);
    check_eq("EVENT-WRAP", "flags", read32(entry(0) + 4) >> 16, VALID | WRAPPED);
    check_eq("EVENT-WRAP", "data", read32(entry(0) + 8), UNKNOWN_API + ENTRIES);
    check_eq("EVENT-WRAP", "next", read32(entry(1) + 4) >> 16, VALID);
    log_call("stop-again", STOP_LOG, 0, STM_SUCCESS);
    log_call("delete", DELETE_LOG, 0, STM_SUCCESS);
    log_call("deleted", START_LOG, 0, LOG_NOT_ALLOCATED);
}

static void set_exception_handler(void)
{
    write64(PSD_EXCEPTION, phys(skip_access));
    write64(PSD_EXCEPTION + 8, SPE_STACK);
    write64(PSD_EXCEPTION + 16, SEL_DATA64 | 0x1Full << 16);
}

/* A session that is over: its pages are the executive monitor's again. */
static void check_next_session(void)
{
    request("again", NEW_LOG, 1, log_page, 0, STM_SUCCESS);
    log_call("again", CONFIGURE_LOG, ALL_EVENTS, STM_SUCCESS);
    log_call("again", START_LOG, 0, STM_SUCCESS);
    expect_call("stop", API_STOP, 0, STM_SUCCESS);
    memset((void *)(uintptr_t)log_page, 0, PAGE_SIZE);
    activation_vmcs();
    expect_call("unknown-first", UNKNOWN_API, 0, STM_INVALID_API);
    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, 0, STM_SUCCESS);
    log_call("next-session", START_LOG, 0, LOG_NOT_ALLOCATED);
    expect_call("unknown", UNKNOWN_API, 0, STM_INVALID_API);
    check_eq("EVENT-LOG", "left-alone", read32(log_page + 4), 0);
    expect_call("stop-again", API_STOP, 0, STM_SUCCESS);
}

void run_tests(void)
{
    uint64_t *const pages[] = { &request_page, &log_page, &other_page, &list_page, &guarded };

    firmware_start();
    vmx_start();
    smm_monitor_ctl(MSEG_BASE | 1);
    smm_call(set_exception_handler);
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        *pages[i] = phys(page_alloc());
    }
    outl(0xCF8, HOST_BRIDGE | (PCIEXBAR + 4));
    outl(0xCFC, 0);
    outl(0xCF8, HOST_BRIDGE | PCIEXBAR);
    outl(0xCFC, (uint32_t)ECAM | 1);
    activation_vmcs();
    log_call("wrong-order", NEW_LOG, 1, STM_UNSPECIFIED);
    smi_port_write(0);
    activation_vmcs();
    expect_call("initialize", API_INITIALIZE, 0, STM_SUCCESS);
    check_calls();
    check_resources();
    expect_call("start", API_START, 0, STM_SUCCESS);
    check_handler();
    check_pci();
    check_wanted();
    check_next_session();
}
