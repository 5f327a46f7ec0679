/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The q35 board as far as SMM needs it: MCH, ICH9 power management, APIC. */
#include "runtime.h"

#define MCH                 0u /* device numbers on bus 0 */
#define LPC                 31u

#define MCH_SMRAM           0x9Du
#define MCH_ESMRAMC         0x9Eu
#define SMRAM_D_OPEN        0x40u
#define SMRAM_G_SMRAME      0x08u
#define SMRAM_C_BASE_SEG    0x02u
#define ESMRAMC_TSEG_8MB    0x04u
#define ESMRAMC_T_EN        0x01u

#define LPC_PMBASE          0x40u
#define LPC_ACPI_CNTL       0x44u
#define LPC_GEN_PMCON_3     0xA4u
#define PMBASE              0x600u
#define SMI_EN              (PMBASE + 0x30u)
#define SMI_STS             (PMBASE + 0x34u)
#define SMI_EN_GBL          0x01u
#define SMI_EN_APMC         0x20u
#define SMI_EN_SWSMI_TMR    0x40u
#define SWSMI_RATE_SHIFT    6

#define APIC_BASE           0xFEE00000u
#define APIC_SVR            0xF0u
#define APIC_ICR_LOW        0x300u
#define APIC_ICR_HIGH       0x310u
#define APIC_ICR_ASSERT     (1u << 14)

#define POOL_BASE           0x400000u
#define POOL_END            0x1000000u

static uint64_t pool_next = POOL_BASE;

void *page_alloc(void)
{
    void *page = (void *)(uintptr_t)pool_next;

    if (pool_next >= POOL_END) {
        panic("page pool is empty");
    }
    pool_next += PAGE_SIZE;
    return memset(page, 0, PAGE_SIZE);
}

static uint32_t pci_address(uint32_t device, uint32_t function, uint32_t offset)
{
    return 0x80000000u | device << 11 | function << 8 | (offset & 0xFCu);
}

uint32_t pci_read32(uint32_t device, uint32_t function, uint32_t offset)
{
    outl(0xCF8, pci_address(device, function, offset));
    return inl(0xCFC);
}

void pci_write8(uint32_t device, uint32_t function, uint32_t offset,
                uint8_t value)
{
    outl(0xCF8, pci_address(device, function, offset));
    outb((uint16_t)(0xCFC + (offset & 3)), value);
}

void pci_write32(uint32_t device, uint32_t function, uint32_t offset,
                 uint32_t value)
{
    outl(0xCF8, pci_address(device, function, offset));
    outl(0xCFC, value);
}

void legacy_smram(bool open)
{
    pci_write8(MCH, 0, MCH_SMRAM,
               SMRAM_C_BASE_SEG | SMRAM_G_SMRAME | (open ? SMRAM_D_OPEN : 0));
}

void tseg_close(void)
{
    legacy_smram(false);
    pci_write8(MCH, 0, MCH_ESMRAMC, ESMRAMC_TSEG_8MB | ESMRAMC_T_EN);
}

void platform_init(void)
{
    outb(0x21, 0xFF); /* both interrupt controllers masked */
    outb(0xA1, 0xFF);
    write32(APIC_BASE + APIC_SVR, 0x1FF);

    pci_write32(LPC, 0, LPC_PMBASE, PMBASE | 1);
    pci_write8(LPC, 0, LPC_ACPI_CNTL, 0x80);
    outl(SMI_EN, SMI_EN_GBL | SMI_EN_APMC);
    smi_install(DEFAULT_SMBASE);
}

void smi_port_raise(uint8_t value)
{
    outb(SMI_PORT, value);
}

void smi_port_write(uint8_t value)
{
    uint32_t before = smis_served;

    smi_port_raise(value);
    if (smis_served == before) {
        panic("no SMI by port B2H");
    }
}

void smi_timer_start_at(uint32_t rate)
{
    uint32_t pmcon = pci_read32(LPC, 0, LPC_GEN_PMCON_3) & ~0xC0u;

    pci_write32(LPC, 0, LPC_GEN_PMCON_3, pmcon | rate << SWSMI_RATE_SHIFT);
    outl(SMI_STS, SMI_EN_SWSMI_TMR); /* left by the last one, it would be an SMI now */
    outl(SMI_EN, SMI_EN_GBL | SMI_EN_APMC | SMI_EN_SWSMI_TMR);
}

void smi_timer_start(void)
{
    smi_timer_start_at(SMI_EVERY_16_MS);
}

void smi_timer_stop(void)
{
    outl(SMI_EN, SMI_EN_GBL | SMI_EN_APMC);
}

void self_ipi(uint32_t delivery_mode, uint32_t vector)
{
    write32(APIC_BASE + APIC_ICR_HIGH, 0);
    write32(APIC_BASE + APIC_ICR_LOW,
            APIC_ICR_ASSERT | delivery_mode << 8 | vector);
}

void runtime_main(void);

void runtime_main(void)
{
    idt_init();
    platform_init();
    run_tests();
    finish();
}
