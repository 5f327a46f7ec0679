/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* PCI configuration space: registers of the ISA bridge, 0:1F.0, by ports and in memory. */
#include "protect.h"

#define ADDRESS_PORT 0xCF8u
#define DATA_PORT    0xCFCu
#define FUNCTION     0x8000F800u /* 0:1F.0 */
#define HOST_BRIDGE  0x80000000u
#define ROOT_PORT    0x80001800u /* 0:3.0, a bridge */
#define BEHIND       0x80010000u /* 1:0.0, behind it */
#define PCIEXBAR     0x60u
#define ECAM         0xB0000000ull
#define OVER_FLASH   0xF0000000u /* 256 MB, where flash memory and interrupt controllers are */
#define ECAM_PAGE    (ECAM + 0xF8000)
#define HIGH_ECAM    (ABOVE_4GB + 0x10000000)
#define HIGH_PAGE    (HIGH_ECAM + 0xF8000)
#define HIGH_PORT    (HIGH_ECAM + 0x18000)
#define ID           0x00u /* vendor and device */
#define PMBASE       0x40u
#define PIRQ_A       0x60u /* four bytes, writable */
#define PIRQ_E       0x68u /* four more */
#define LEFT         0x8000F8ACu /* at CF8H when the SMI comes */
#define PAGE         1u    /* TXT_SMM_PROTECTION_EXCEPTION_TYPE */
#define PCI          5u
#define GARBAGE      0x1122334400000000ull

uint32_t config_read(uint32_t address)
{
    outl(ADDRESS_PORT, address);
    return inl(DATA_PORT);
}

void config_write(uint32_t address, uint32_t value)
{
    outl(ADDRESS_PORT, address);
    outl(DATA_PORT, value);
}

static void set_ecam(uint64_t place)
{
    config_write(HOST_BRIDGE | PCIEXBAR, 0);
    config_write(HOST_BRIDGE | (PCIEXBAR + 4), (uint32_t)(place >> 32));
    config_write(HOST_BRIDGE | PCIEXBAR, place != 0 ? (uint32_t)place | 1 : 0);
}

/* Device and function of each node in `path`. */
void put_pci(const uint8_t *path, uint32_t nodes, uint32_t base, uint32_t length, uint32_t access)
{
    uint8_t text[16 + 6 * 4] = { 5, 0, 0, 0, (uint8_t)(16 + 6 * nodes), 0, 0, 0, (uint8_t)access, 0,
                                 (uint8_t)base, (uint8_t)(base >> 8), (uint8_t)length, (uint8_t)(length >> 8),
                                 0, (uint8_t)(nodes - 1) };

    for (uint32_t i = 0; i < nodes; i++) {
        const uint8_t node[6] = { 1, 1, 6, 0, path[2 * i + 1], path[2 * i] };

        memcpy(text + 16 + 6 * i, node, sizeof(node));
    }
    put_bytes(text, 16 + 6 * nodes);
}

static const uint8_t isa_bridge[] = { 0x1F, 0 };

static void protect_registers(uint32_t number)
{
    list_start(list_page);
    put_pci(isa_bridge, 1, PMBASE, 4, 3);
    put_pci(isa_bridge, 1, PIRQ_A, 4, 2);
    expect_list("pci", number, STM_SUCCESS);
    check_eq("RETURN-STATUS", "pci", granted(0), 1);
    check_eq("RETURN-STATUS", "pci-second", granted(22), 1);
}

/* The interrupted side finds at CF8H what it has left there. */
static void latch(const char *name)
{
    check_eq("PCI-LATCH", name, inl(ADDRESS_PORT), LEFT);
}

void value(const char *name, enum access_kind kind, uint64_t place, uint64_t rax)
{
    outl(ADDRESS_PORT, LEFT);
    access_value = GARBAGE | 0x55667788;
    allowed(name, kind, place);
    check_eq("PCI-VALUE", name, access_rax, rax);
    latch(name);
    access_value = 0xA5;
}

void refused(const char *name, enum access_kind kind, uint64_t place, uint32_t type)
{
    outl(ADDRESS_PORT, LEFT);
    caught_as(name, kind, place, type);
    latch(name);
}

void faults(const char *name, enum access_kind kind, uint64_t place, uint32_t fault)
{
    outl(ADDRESS_PORT, LEFT);
    handler_does(kind, place);
    check_eq("PCI-FAULT", name, access_fault, fault);
    check_eq("PCI-FAULT-EXCEPTION", name, exceptions, 0);
    latch(name);
}

static void check_ports(void)
{
    uint32_t id = config_read(FUNCTION | ID);

    value("in32", ACCESS_PCI_IN32, FUNCTION | ID, id);
    value("in16", ACCESS_PCI_IN16, FUNCTION | (ID + 2), GARBAGE | 0x55660000 | id >> 16);
    value("in8", ACCESS_PCI_IN8, FUNCTION | (ID + 1), GARBAGE | 0x55667700 | (id >> 8 & 0xFF));
    value("in16-unaligned", ACCESS_PCI_IN16, FUNCTION | (ID + 1), GARBAGE | 0x55660000 | (id >> 8 & 0xFFFF));
    value("before-protected", ACCESS_PCI_IN32, FUNCTION | (PMBASE - 4), config_read(FUNCTION | (PMBASE - 4)));
    value("behind-protected", ACCESS_PCI_IN32, FUNCTION | (PMBASE + 4), config_read(FUNCTION | (PMBASE + 4)));
    value("in32-to-ordinary-ports", ACCESS_PCI_IN32, FUNCTION | (ID + 2), 0xFFFF0000 | id >> 16);
    refused("in32-protected", ACCESS_PCI_IN32, FUNCTION | PMBASE, PCI);
    refused("in8-protected", ACCESS_PCI_IN8, FUNCTION | (PMBASE + 3), PCI);
    refused("in16-half-protected", ACCESS_PCI_IN16, FUNCTION | (PMBASE + 3), PCI);

    config_write(FUNCTION | PIRQ_A, 0x80808080);
    config_write(FUNCTION | PIRQ_E, 0x80808080);
    refused("out8-protected", ACCESS_PCI_OUT8, FUNCTION | PIRQ_A, PCI);
    refused("out32-protected", ACCESS_PCI_OUT32, FUNCTION | PIRQ_A, PCI);
    check_eq("PCI-REGISTER", "not-written", config_read(FUNCTION | PIRQ_A), 0x80808080);
    value("in32-of-write-protected", ACCESS_PCI_IN32, FUNCTION | PIRQ_A, 0x80808080);
    access_value = 0x05;
    allowed("out8", ACCESS_PCI_OUT8, FUNCTION | (PIRQ_E + 1));
    check_eq("PCI-REGISTER", "written", config_read(FUNCTION | PIRQ_E), 0x80800580);
    access_value = 0x0607;
    allowed("out16-unaligned", ACCESS_PCI_OUT16, FUNCTION | (PIRQ_E + 1));
    check_eq("PCI-REGISTER", "written-unaligned", config_read(FUNCTION | PIRQ_E), 0x80060780);
    access_value = 0x80808080;
    allowed("out32", ACCESS_PCI_OUT32, FUNCTION | PIRQ_E);
    check_eq("PCI-REGISTER", "written-32", config_read(FUNCTION | PIRQ_E), 0x80808080);
    access_value = 0xA5;

    value("latch-as-left", ACCESS_IN32, ADDRESS_PORT, LEFT);
    value("not-enabled", ACCESS_PCI_IN32, FUNCTION & ~0x80000000u, 0xFFFFFFFF);
    faults("pciexbar", ACCESS_PCI_OUT32, HOST_BRIDGE | PCIEXBAR, FAULT_GP);
    value("pciexbar-read", ACCESS_PCI_IN32, HOST_BRIDGE | PCIEXBAR, config_read(HOST_BRIDGE | PCIEXBAR));
}

/* INS and OUTS: the handler's rights to the memory count, page tables and EPT alike. */
static void check_strings(void)
{
    uint32_t id = config_read(FUNCTION | ID), pirq;

    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 7);
    expect_list("page-too", API_PROTECT, STM_SUCCESS);

    string_address = FUNCTION | ID;
    write64(data_page, 0x7777777777777777);
    value("insl", ACCESS_INSL, data_page, data_page + 4);
    check_eq("PCI-STRING", "insl", read64(data_page), 0x7777777700000000 | id);
    write64(data_page, 0x7777777777777777);
    value("insl-32-bit-address", ACCESS_INSL32, data_page, data_page + 4);
    check_eq("PCI-STRING", "insl-32-bit-address", read64(data_page), 0x7777777700000000 | id);
    write64(data_page, 0x7777777777777777);
    value("rep-insb", ACCESS_REP_INSB, data_page, data_page + 4);
    check_eq("PCI-STRING", "rep-insb", read64(data_page), 0x7777777700000000 | (id & 0xFF) * 0x01010101u);

    /* From one page to the next; and into one that is protected. */
    write32(guarded + PAGE_SIZE - 4, 0);
    value("insl-two-pages", ACCESS_INSL, data_page + PAGE_SIZE - 2, data_page + PAGE_SIZE + 2);
    check_eq("PCI-STRING", "two-pages", read32(data_page + PAGE_SIZE - 2), id);
    write32(guarded - 4, 0x22222222);
    write32(guarded, 0x33333333);
    refused("insl-into-protected", ACCESS_INSL, guarded - 2, PAGE);
    check_eq("PCI-STRING", "protected-not-written", read32(guarded), 0x33333333);
    refused("insl-protected", ACCESS_INSL, guarded, PAGE);
    refused("outsl-protected", ACCESS_OUTSL, guarded, PAGE);
    faults("insl-mseg", ACCESS_INSL, MSEG_BASE + 0x800, FAULT_GP);
    faults("insl-not-mapped", ACCESS_INSL, 1ull << 39, FAULT_PF);
    faults("insl-not-canonical", ACCESS_INSL, 1ull << 47, FAULT_GP);

    pirq = config_read(FUNCTION | PIRQ_E);
    string_address = FUNCTION | PIRQ_E;
    faults("outsl-mseg", ACCESS_OUTSL, MSEG_BASE + 0x800, FAULT_GP);
    faults("outsl-not-mapped", ACCESS_OUTSL, 1ull << 39, FAULT_PF);
    check_eq("PCI-REGISTER", "outsl-refused", config_read(FUNCTION | PIRQ_E), pirq);
    write32(data_page, 0x83828180);
    value("outsl", ACCESS_OUTSL, data_page, data_page + 4);
    check_eq("PCI-REGISTER", "outsl", config_read(FUNCTION | PIRQ_E), 0x83828180);

    string_address = FUNCTION | PMBASE;
    write32(data_page, 0x77777777);
    refused("insl-of-protected", ACCESS_INSL, data_page, PCI);
    check_eq("PCI-STRING", "register-not-read", read32(data_page), 0x77777777);
    list_start(list_page);
    put_memory(guarded, PAGE_SIZE, 7);
    expect_list("page-too", API_UNPROTECT, STM_SUCCESS);
}

/* The same registers in memory. */
static void check_ecam(void)
{
    uint32_t id = read32(ECAM_PAGE + ID);

    check_eq("PCI-ECAM", "is-there", id, config_read(FUNCTION | ID));
    value("ecam-read", ACCESS_READ, ECAM_PAGE + ID, id);
    value("ecam-behind-protected", ACCESS_READ, ECAM_PAGE + PMBASE + 4, read32(ECAM_PAGE + PMBASE + 4));
    refused("ecam-read-protected", ACCESS_READ, ECAM_PAGE + PMBASE, PCI);
    refused("ecam-half-protected", ACCESS_READ, ECAM_PAGE + PMBASE - 1, PCI);
    write32(ECAM_PAGE + PIRQ_A, 0x80808080);
    write32(ECAM_PAGE + PIRQ_E, 0x80808080);
    refused("ecam-write-protected", ACCESS_WRITE, ECAM_PAGE + PIRQ_A + 3, PCI);
    check_eq("PCI-REGISTER", "ecam-not-written", read32(ECAM_PAGE + PIRQ_A), 0x80808080);
    value("ecam-read-of-write-protected", ACCESS_READ, ECAM_PAGE + PIRQ_A, 0x80808080);
    access_value = 0x81828384;
    allowed("ecam-write", ACCESS_WRITE, ECAM_PAGE + PIRQ_E);
    check_eq("PCI-REGISTER", "ecam-written", read32(ECAM_PAGE + PIRQ_E), 0x81828384);
    access_value = 0xA5;
    /* An instruction that reads and writes is not carried out, nor skipped. */
    refused("ecam-or", ACCESS_OR, ECAM_PAGE + PIRQ_E, PCI);
    check_eq("PCI-REGISTER", "ecam-or", read32(ECAM_PAGE + PIRQ_E), 0x81828384);
    /* The last register of the page, and the pages beside it. */
    value("ecam-last", ACCESS_READ, ECAM_PAGE + 0xFFC, read32(ECAM_PAGE + 0xFFC));
    refused("ecam-beyond-page", ACCESS_READ, ECAM_PAGE + 0xFFE, PCI);
    allowed("ecam-page-before", ACCESS_READ, ECAM_PAGE - 4);
    allowed("ecam-page-behind", ACCESS_READ, ECAM_PAGE + PAGE_SIZE);
    faults("ecam-pciexbar", ACCESS_WRITE, ECAM + PCIEXBAR, FAULT_GP);
    value("ecam-host-bridge", ACCESS_READ, ECAM + PCIEXBAR, (uint32_t)ECAM | 1);
    access_value = read32(ECAM + 0x2C);
    allowed("ecam-host-bridge-write", ACCESS_WRITE, ECAM + 0x2C);
    check_moves(ECAM_PAGE + PIRQ_E);
}

/* A function behind a bridge: the path is followed, and the bridge's bus numbers stay. */
static void check_path(void)
{
    static const uint8_t path[] = { 3, 0, 0, 0 }, nowhere[] = { 0x1F, 0, 0, 0 }, too_far[] = { 3, 0, 0, 0, 0, 0 };

    config_write(ROOT_PORT | 0x18, 0x00010100);
    config_write(BEHIND | 0x3C, 0x11);
    list_start(list_page);
    put_pci(path, 2, 0x3C, 1, 2);
    put_pci(nowhere, 2, 0, 4, 3);
    put_pci(too_far, 3, 0, 4, 3);
    expect_list("path", API_PROTECT, STM_UNPROTECTABLE_RESOURCE);
    check_eq("RETURN-STATUS", "path", granted(0), 1);
    check_eq("RETURN-STATUS", "no-bridge", granted(28), 0);
    check_eq("RETURN-STATUS", "bridge-without-number", granted(56), 0);
    refused("behind-bridge", ACCESS_PCI_OUT8, BEHIND | 0x3C, PCI);
    value("behind-bridge-read", ACCESS_PCI_IN8, BEHIND | 0x3C, GARBAGE | 0x55667711);
    refused("bus-number", ACCESS_PCI_OUT8, ROOT_PORT | 0x19, PCI);
    refused("bus-numbers", ACCESS_PCI_OUT32, ROOT_PORT | 0x18, PCI);
    value("bus-number-read", ACCESS_PCI_IN8, ROOT_PORT | 0x19, GARBAGE | 0x55667701);
    allowed("beside-bus-numbers", ACCESS_PCI_OUT8, ROOT_PORT | 0x1B);
    list_start(list_page);
    put_pci(path, 2, 0x3C, 1, 2);
    expect_list("path", API_UNPROTECT, STM_SUCCESS);
    allowed("behind-bridge-again", ACCESS_PCI_OUT8, BEHIND | 0x3C);
}

/*
 * Above 4 GB memory lies, for the STM: under the snapshot policy the handler gets copies of it, and
 * without EPT leaves of 1 GB it is mapped when it is touched. None of this is so of registers.
 */
static void check_high_ecam(void)
{
    set_ecam(HIGH_ECAM);
    check_eq("PCI-ECAM", "is-above-4gb", read32(HIGH_PAGE + ID), config_read(FUNCTION | ID));
    start();
    protect_registers(API_PROTECT);
    refused("high-read-protected", ACCESS_READ, HIGH_PAGE + PMBASE, PCI);
    write32(HIGH_PAGE + PIRQ_A, 0x80808080);
    write32(HIGH_PAGE + PIRQ_E, 0x80808080);
    refused("high-write-protected", ACCESS_WRITE, HIGH_PAGE + PIRQ_A, PCI);
    check_eq("PCI-REGISTER", "high-not-written", read32(HIGH_PAGE + PIRQ_A), 0x80808080);
    access_value = 0x85848382;
    allowed("high-write", ACCESS_WRITE, HIGH_PAGE + PIRQ_E);
    check_eq("PCI-REGISTER", "high-written", read32(HIGH_PAGE + PIRQ_E), 0x85848382);
    /* Of a function of which nothing is protected any instruction will do. */
    write32(HIGH_PORT + 0x3C, 0);
    access_value = 0x11;
    allowed("high-or", ACCESS_OR, HIGH_PORT + 0x3C);
    check_eq("PCI-REGISTER", "high-or", read32(HIGH_PORT + 0x3C) & 0xFF, 0x11);
    access_value = 0xA5;
    faults("high-pciexbar", ACCESS_WRITE, HIGH_ECAM + PCIEXBAR, FAULT_GP);
    protect_registers(API_UNPROTECT);
    allowed("high-again", ACCESS_READ, HIGH_PAGE + PMBASE);
    access_value = (uint32_t)HIGH_ECAM | 1;
    allowed("high-pciexbar-again", ACCESS_PCI_OUT32, HOST_BRIDGE | PCIEXBAR);
    access_value = 0xA5;
    stop();
}

/*
 * The handler moves ECAM before anything is protected, to where the STM cannot guard it. With the
 * size that is reserved the machine keeps it where it was.
 */
static void check_moved_ecam(void)
{
    static const uint32_t places[] = { (uint32_t)ECAM | 7, (uint32_t)ECAM | 6, OVER_FLASH | 1 };

    set_ecam(ECAM);
    start();
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        access_value = places[i];
        allowed("pciexbar-elsewhere", ACCESS_PCI_OUT32, HOST_BRIDGE | PCIEXBAR);
        list_start(list_page);
        put_pci(isa_bridge, 1, PMBASE, 4, 3);
        expect_list("ecam-elsewhere", API_PROTECT, STM_UNSPECIFIED);
        check_eq("RETURN-STATUS", "ecam-elsewhere", granted(0), 0);
    }
    access_value = (uint32_t)ECAM | 1;
    allowed("pciexbar-back", ACCESS_PCI_OUT32, HOST_BRIDGE | PCIEXBAR);
    access_value = 0xA5;
    protect_registers(API_PROTECT);
    refused("back-read-protected", ACCESS_READ, ECAM_PAGE + PMBASE, PCI);
    protect_registers(API_UNPROTECT);
    stop();
}

void run_pci(void)
{
    for (unsigned ecam = 0; ecam < 2; ecam++) {
        set_ecam(ecam != 0 ? ECAM : 0);
        start();
        allowed("before", ACCESS_PCI_IN32, FUNCTION | PMBASE);
        protect_registers(API_PROTECT);
        check_ports();
        check_strings();
        check_addresses();
        if (ecam != 0) {
            check_ecam();
        }
        check_path();
        protect_registers(API_UNPROTECT);
        allowed("again", ACCESS_PCI_IN32, FUNCTION | PMBASE);
        if (ecam != 0) {
            allowed("ecam-again", ACCESS_READ, ECAM_PAGE + PMBASE);
        }
        stop();
    }
    check_moved_ecam();
    check_acpi(ECAM);
    check_high_ecam();
}
