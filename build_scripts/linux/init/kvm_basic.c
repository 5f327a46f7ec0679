/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Tests of one processor without interrupts. */
#include <string.h>
#include <sys/ioctl.h>

#include "kvm.h"
#include "lab.h"

#define SIMPLE(NAME, MODE, SIZE)                                                                                             \
    void test_##NAME(const char *name)                                                                                 \
    {                                                                                                                  \
        struct vm vm;                                                                                                  \
        if (vm_open(&vm, name, SIZE, false)) {                                                                         \
            LOAD(&vm, GUEST_CODE, NAME);                                                                               \
            enter_mode(&vm, &vm.vcpu[0], MODE, GUEST_CODE);                                                            \
            run(&vm, &vm.vcpu[0], NULL);                                                                               \
            finish(&vm, name);                                                                                         \
        }                                                                                                              \
    }

/* Above 640 KB a device begins. */
SIMPLE(real, MODE_REAL, 0xa0000)
SIMPLE(protected, MODE_PROTECTED, GUEST_MEMORY)
SIMPLE(pae, MODE_PAE, GUEST_MEMORY)
SIMPLE(modes, MODE_REAL, GUEST_MEMORY)
SIMPLE(shutdown, MODE_LONG, GUEST_MEMORY)
SIMPLE(cpuid, MODE_LONG, GUEST_MEMORY)

void test_long(const char *name)
{
    struct vm vm;
    struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {KVM_MSR_EXIT_REASON_UNKNOWN}};

    if (vm_open(&vm, name, GUEST_MEMORY, false)) {
        if (ioctl(vm.fd, KVM_ENABLE_CAP, &cap)) {
            trace(&vm, "no-msr-exits");
        }
        LOAD(&vm, GUEST_CODE, long);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        run(&vm, &vm.vcpu[0], NULL);
        finish(&vm, name);
    }
}

/* Stubs of the fault test: one every 16 bytes from the start of DATA + 1000H. */
void test_fault(const char *name)
{
    struct vm vm;
    enum { STUBS = 0xa000, STRIDE = 16, VECTORS = 15 };

    if (vm_open(&vm, name, GUEST_MEMORY, false)) {
        LOAD(&vm, GUEST_CODE, fault);
        LOAD(&vm, STUBS, fault_stubs);
        enter_mode(&vm, &vm.vcpu[0], MODE_LONG, GUEST_CODE);
        set_gates(&vm, 0, VECTORS, STUBS, STRIDE);
        run(&vm, &vm.vcpu[0], NULL);
        finish(&vm, name);
    }
}
