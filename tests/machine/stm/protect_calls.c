/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Calls about resources, and lists of the firmware that are no good. */
#include "protect.h"

/* ---- the firmware's side, in SMM under the default treatment ---- */
static uint64_t resources_pointer;

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

void give_list(void (*make)(void), uint64_t pointer)
{
    if (make != NULL) {
        smm_call(make);
    }
    resources_pointer = pointer;
    smm_call(set_resources);
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
    put_msr(MSR_FREE, ~0ull, ~0ull);
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
    expect_list("claimed", API_PROTECT, STM_UNPROTECTABLE_RESOURCE);
    check_eq("RETURN-STATUS", "claimed-msr", granted(0), 0);
    check_eq("RETURN-STATUS", "free", granted(32), 1);
    check_eq("RETURN-STATUS", "tseg", granted(64), 0);
    check_eq("RETURN-STATUS", "claimed-io", granted(96), 0);
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

static void check_list_above_4gb(void)
{
    list_start(ABOVE_4GB + PAGE_SIZE);
    put_memory(ABOVE_4GB, PAGE_SIZE, 7);
    expect_list("list-above-4gb", API_PROTECT, STM_SUCCESS);
    check_eq("RETURN-STATUS", "above-4gb", granted(0), 1);
    caught("above-4gb", ACCESS_READ, ABOVE_4GB + 0x100);
}

/* EBX from 10H on is reserved; the firmware's handler goes on with 0 then. */
static void check_return_calls(void)
{
    for (unsigned bit = 4; bit < 32; bit++) {
        spe_choice = 1u << bit | bit % 16;
        protection_status = 0;
        caught("reserved-choice", ACCESS_READ, guarded);
        check_eq("API-STATUS", "reserved-choice", protection_status, STM_INVALID_PARAMETER);
    }
    spe_choice = 0;
}

/* A first call about resources is no first call. */
static void check_wrong_order(uint32_t number)
{
    activation_vmcs();
    list_start(list_page);
    expect_list("wrong-order", number, STM_UNSPECIFIED);
    smi_port_write(0);
}

void run_calls(void)
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

static void refused_list(const char *name, void (*make)(void), uint64_t pointer, uint32_t status)
{
    give_list(make, pointer);
    activation_vmcs();
    expect_call(name, API_INITIALIZE, status);
    smi_port_write(0);
}

void run_lists(void)
{
    refused_list("mseg-claimed", make_mseg_list, BIOS_LIST, STM_UNPROTECTABLE);
    refused_list("cyclic", make_cyclic_list, BIOS_LIST, STM_UNSPECIFIED);
    refused_list("outside", NULL, 0x100000, STM_UNSPECIFIED);
    refused_list("in-mseg", NULL, MSEG_BASE + 0x1000, STM_UNSPECIFIED);
    give_list(make_bios_list, BIOS_LIST);
    start();
    stop();
}

