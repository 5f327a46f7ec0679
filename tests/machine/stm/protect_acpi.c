/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Where ACPI says that PCI configuration space is in memory, against what the chipset says. */
#include "protect.h"

#define PSD_RSDP (PSD + 0x80u)
#define SIZE_OF_ROOT 36u
#define HEADER   36u
#define XSDT_AT  0x100u /* in the page of the tables */
#define MCFG_AT  0x201u
#define LAST_BUS 255u

static uint64_t tables, root_pointer;

static void set_root_pointer(void)
{
    write64(PSD_RSDP, root_pointer);
}

static void sum_up(uint64_t address, uint32_t size, uint32_t place)
{
    uint8_t *bytes = (uint8_t *)(uintptr_t)address, sum = 0;

    bytes[place] = 0;
    for (uint32_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + bytes[i]);
    }
    bytes[place] = (uint8_t)-sum;
}

static void make_table(uint64_t address, const char *signature, uint64_t first, uint64_t second, uint64_t third,
                       uint32_t size)
{
    const uint64_t body[] = { first, second, third };

    memset((void *)(uintptr_t)address, 0, HEADER + size);
    memcpy((void *)(uintptr_t)address, signature, 4);
    write32(address + 4, HEADER + size);
    memcpy((void *)(uintptr_t)(address + HEADER), body, size);
    sum_up(address, HEADER + size, 9);
}

static void make_tables(uint64_t ecam)
{
    memset((void *)(uintptr_t)tables, 0, PAGE_SIZE);
    memcpy((void *)(uintptr_t)tables, "RSD PTR ", 8);
    *(uint8_t *)(uintptr_t)(tables + 15) = 2;
    write32(tables + 20, SIZE_OF_ROOT);
    write64(tables + 24, tables + XSDT_AT);
    sum_up(tables, 20, 8);
    sum_up(tables, SIZE_OF_ROOT, 32);
    make_table(tables + XSDT_AT, "XSDT", tables + MCFG_AT, 0, 0, 8);
    make_table(tables + MCFG_AT, "MCFG", 0, ecam, (uint64_t)LAST_BUS << 24, 24);
}

static void give_root_pointer(uint64_t address)
{
    root_pointer = address;
    smm_call(set_root_pointer);
}

static void session(const char *name, uint32_t status)
{
    activation_vmcs();
    expect_call(name, API_INITIALIZE, status);
    if (status == STM_SUCCESS) {
        stop();
    }
}

/* The chipset has ECAM at `ecam`, 256 MB. */
void check_acpi(uint64_t ecam)
{
    tables = phys(page_alloc());
    make_tables(ecam);
    give_root_pointer(tables);
    session("acpi-agrees", STM_SUCCESS);
    make_tables(ecam + 0x10000000);
    session("acpi-elsewhere", STM_UNSPECIFIED);
    make_tables(ecam);
    write32(tables + MCFG_AT + 10, 1);
    session("acpi-wrong-sum", STM_SUCCESS);
    make_tables(ecam);
    give_root_pointer(SMBASE + 0x8000);
    session("acpi-in-smram", STM_SUCCESS);
    give_root_pointer(tables);
    make_table(tables + MCFG_AT, "MCFG", 0, ecam, (uint64_t)LAST_BUS << 24 | 1, 24); /* of segment 1 */
    session("acpi-segments", STM_UNSPECIFIED);
    give_root_pointer(0);
    session("no-acpi", STM_SUCCESS);
}
