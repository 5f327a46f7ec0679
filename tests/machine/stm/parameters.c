/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * Parameters of the executive monitor's calls: pages that are not its own, pages above 4 GB,
 * bits that no call has a use for. Rules are in tests/unit/stm_api_rules.toml.
 */
#include "orders.h"

#define STM_INVALID_VMCS_DATABASE 0x8001000Cu
#define STM_INVALID_PAGECOUNT     0x8001000Eu
#define STM_LOG_NOT_ALLOCATED     0x80010010u

#define CONFIGURE_LOG 2u
#define DELETE_LOG    6u
#define LOG_PAGES     64u /* most that NEW_LOG takes */

static uint64_t page, other_page;

/* Pages where a write of the STM's could do more than one of the executive monitor's. */
static const struct {
    const char *name;
    uint64_t address;
} foreign[] = {
    { "legacy-smram", 0xA0000 },
    { "legacy-smram-end", 0xBF000 },
    { "tseg", TSEG_BASE },
    { "smbase", SMBASE },
    { "below-mseg", MSEG_BASE - PAGE_SIZE },
    { "mseg", MSEG_BASE },
    { "mseg-end", RAM_SIZE - PAGE_SIZE },
    { "behind-tseg", RAM_SIZE },
    { "ecam", 0xB0000000 },
    { "io-apic", 0xFEC00000 },
    { "apic", 0xFEE00000 },
    { "flash-end", 0xFFFFF000 },
    { "beyond", 1ull << 40 },
    { "beyond-far", 1ull << 51 },
    { "wraps", ~0ull << 12 },
};

static const struct {
    const char *name;
    uint32_t number;
} with_page[] = {
    { "protect", API_PROTECT },
    { "unprotect", API_UNPROTECT },
    { "resources", API_RESOURCES },
    { "database", API_VMCS_DATABASE },
    { "event-log", API_EVENT_LOG },
};

/* The answer, and that RBX, RCX, RDX and all others are as before. */
static void refused(const char *id, const char *name, uint32_t number, uint64_t at, uint32_t edx, uint32_t status)
{
    check_eq(id, name, make_call(number, at, edx), status);
    check_eq("REGISTERS", name, registers_kept(false, false), true);
    check_eq("FLAGS", name, call_flags & RFLAGS_ARITHMETIC, RFLAGS_CF);
}

static void answered(const char *id, const char *name, uint32_t number, uint64_t at)
{
    check_eq(id, name, make_call(number, at, 0), STM_SUCCESS);
}

/* The page with the request. */
static void check_pages(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(with_page); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(foreign); j++) {
            refused(with_page[i].name, foreign[j].name, with_page[i].number, foreign[j].address, 0,
                    STM_SECURITY_VIOLATION);
        }
    }
}

static void database(uint64_t vmcs, uint32_t policy, uint32_t add)
{
    write64(page, vmcs);
    write32(page + 8, policy);
    write32(page + 12, add);
}

/* The VMCS that a request names. */
static void check_vmcs(void)
{
    for (unsigned j = 0; j < ARRAY_SIZE(foreign); j++) {
        for (uint32_t add = 0; add < 2; add++) {
            database(foreign[j].address, 0, add);
            refused("VMCS", foreign[j].name, API_VMCS_DATABASE, page, 0, STM_SECURITY_VIOLATION);
        }
    }
    for (unsigned bit = 0; bit < 12; bit++) {
        database(other_page | 1u << bit, 0, 1);
        refused("VMCS", "not-aligned", API_VMCS_DATABASE, page, 0, STM_INVALID_PARAMETER);
    }
    for (unsigned bit = 10; bit < 32; bit++) {
        database(other_page, 1u << bit, 1);
        refused("VMCS", "reserved", API_VMCS_DATABASE, page, 0, STM_INVALID_PARAMETER);
    }
    database(other_page, 2 << 4, 1);
    refused("VMCS", "xstate-2", API_VMCS_DATABASE, page, 0, STM_INVALID_PARAMETER);
    database(other_page, 0, 2);
    refused("VMCS", "add-or-remove-2", API_VMCS_DATABASE, page, 0, STM_INVALID_PARAMETER);
    /* None of these has added it. */
    database(other_page, 0, 0);
    refused("VMCS", "not-there", API_VMCS_DATABASE, page, 0, STM_INVALID_VMCS_DATABASE);
}

static void event_log(uint32_t function, uint32_t value)
{
    write32(page, function);
    write32(page + 4, value);
}

/* The pages of a log: each in turn is another's, all others are good. */
static void check_log_pages(void)
{
    event_log(1, 3);
    for (unsigned place = 0; place < 3; place++) {
        for (unsigned j = 0; j < ARRAY_SIZE(foreign); j++) {
            for (unsigned i = 0; i < 3; i++) {
                write64(page + 8 + 8 * i, i == place ? foreign[j].address : other_page + i * PAGE_SIZE);
            }
            refused("LOG-PAGE", foreign[j].name, API_EVENT_LOG, page, 0, STM_SECURITY_VIOLATION);
        }
    }
    event_log(1, LOG_PAGES + 1);
    refused("LOG-PAGE", "65", API_EVENT_LOG, page, 0, STM_INVALID_PAGECOUNT);
    event_log(1, ~0u);
    refused("LOG-PAGE", "all-ones", API_EVENT_LOG, page, 0, STM_INVALID_PAGECOUNT);
    event_log(CONFIGURE_LOG, 1);
    refused("LOG-PAGE", "none-made", API_EVENT_LOG, page, 0, STM_LOG_NOT_ALLOCATED);
    for (unsigned i = 0; i < 3; i++) {
        check_eq("LOG-PAGE", "not-written", read32(other_page + i * PAGE_SIZE), 0x77777777);
    }
}

/* Low halves of EBX and ECX: a page above 4 GB is read and written by each call. */
static void check_above_4gb(void)
{
    const uint64_t was = page;

    page = ABOVE_4GB;
    memset((void *)(uintptr_t)page, 0, 3 * PAGE_SIZE);
    write64(page, 1 | 32ull << 32);
    write64(page + 8, ABOVE_4GB + 2 * PAGE_SIZE);
    write64(page + 16, PAGE_SIZE);
    write64(page + 24, 7);
    write64(page + 32, 16ull << 32);
    answered("ABOVE-4GB", "protect", API_PROTECT, page);
    check_eq("ABOVE-4GB", "granted", read32(page + 4), 32 | 1u << 16);
    write32(page + 4, 32);
    answered("ABOVE-4GB", "unprotect", API_UNPROTECT, page);
    check_eq("ABOVE-4GB", "given-back", read32(page + 4), 32 | 1u << 16);
    memset((void *)(uintptr_t)page, 0x77, PAGE_SIZE);
    answered("ABOVE-4GB", "resources", API_RESOURCES, page);
    check_eq("ABOVE-4GB", "lone-end", read64(page), 16ull << 32);
    check_eq("ABOVE-4GB", "continuation", read64(page + 8), 0);
    check_eq("ABOVE-4GB", "nothing-behind", read64(page + 16), 0x7777777777777777);
    database(ABOVE_4GB + PAGE_SIZE, 4, 1);
    answered("ABOVE-4GB", "vmcs", API_VMCS_DATABASE, page);
    refused("ABOVE-4GB", "vmcs-again", API_VMCS_DATABASE, page, 0, STM_INVALID_VMCS_DATABASE);
    database(ABOVE_4GB + PAGE_SIZE, 0, 0);
    answered("ABOVE-4GB", "vmcs-removed", API_VMCS_DATABASE, page);
    memset((void *)(uintptr_t)(ABOVE_4GB + PAGE_SIZE), 0x77, PAGE_SIZE);
    event_log(1, 1);
    write64(page + 8, ABOVE_4GB + PAGE_SIZE);
    answered("ABOVE-4GB", "log", API_EVENT_LOG, page);
    check_eq("ABOVE-4GB", "log-cleared", read64(ABOVE_4GB + 2 * PAGE_SIZE - 8), 0);
    event_log(DELETE_LOG, 0);
    answered("ABOVE-4GB", "log-deleted", API_EVENT_LOG, page);
    page = was;
}

/* The last page that is the executive monitor's on this side, and the first on the other. */
static void check_edges(void)
{
    static const uint64_t edges[] = { 0x9F000, TSEG_BASE - PAGE_SIZE };

    for (unsigned i = 0; i < ARRAY_SIZE(edges); i++) {
        memset((void *)(uintptr_t)edges[i], 0x77, PAGE_SIZE);
        answered("EDGE", "resources", API_RESOURCES, edges[i]);
        check_eq("EDGE", "written", read64(edges[i]), 16ull << 32);
    }
}

/* EDX of GET_BIOS_RESOURCES: a list of one page has no other. */
static void check_page_index(void)
{
    memset((void *)(uintptr_t)page, 0x77, PAGE_SIZE);
    for (unsigned bit = 0; bit < 32; bit++) {
        refused("PAGE-INDEX", "none", API_RESOURCES, page, 1u << bit, STM_PAGE_NOT_FOUND);
    }
    check_eq("PAGE-INDEX", "not-written", read64(page), 0x7777777777777777);
}

/* EDX of START: bit 0 counts, no other bit does anything. */
static void check_options(uint32_t options)
{
    uint64_t control = rdmsr(0x9B);

    activation_vmcs();
    succeed(API_INITIALIZE);
    check_eq("OPTIONS", "start", make_call(API_START, 0, options), STM_SUCCESS);
    check_eq("OPTIONS", "registers", registers_kept(false, false), true);
    check_eq("OPTIONS", "monitor-ctl", rdmsr(0x9B) ^ control,
             (options & SMI_UNBLOCKING_BY_VMXOFF) ? MONITOR_CTL_UNBLOCKING : 0);
    check_eq("OPTIONS", "start-again", make_call(API_START, 0, ~options), STM_ALREADY_STARTED);
    check_eq("OPTIONS", "monitor-ctl", rdmsr(0x9B) ^ control,
             (options & SMI_UNBLOCKING_BY_VMXOFF) ? MONITOR_CTL_UNBLOCKING : 0);
    succeed(API_STOP);
    check_eq("OPTIONS", "monitor-ctl-after", rdmsr(0x9B), control);
}

/* Numbers of nobody's, and the high half of RAX. */
static void check_numbers(void)
{
    for (unsigned bit = 4; bit < 32; bit++) {
        refused("NUMBER", "unknown", API_STOP ^ 1u << bit, 0, 0, STM_INVALID_API);
    }
    for (uint32_t number = 0; number < 5; number++) {
        refused("NUMBER", "of-the-handler", number, 0, 0, STM_INVALID_API);
    }
    refused("NUMBER", "first", 0x10000, 0, 0, STM_INVALID_API);
    refused("NUMBER", "last", 0x10009, 0, 0, STM_INVALID_API);
    refused("NUMBER", "all-ones", ~0u, 0, 0, STM_INVALID_API);
}

void parameters(void)
{
    page = phys(page_alloc());
    other_page = phys(page_alloc());
    page_alloc();
    page_alloc();
    memset((void *)(uintptr_t)other_page, 0x77, 3 * PAGE_SIZE);
    /* 1 GB from 4 GB on. */
    write64(phys(page_tables) + PAGE_SIZE + 32, ABOVE_4GB | 0x83);
    activation_vmcs();
    succeed(API_INITIALIZE);
    check_pages();
    check_vmcs();
    check_log_pages();
    check_above_4gb();
    check_edges();
    check_page_index();
    check_numbers();
    succeed(API_STOP);
    check_options(0);
    check_options(1);
    check_options(~1u);
    check_options(~0u);
}
