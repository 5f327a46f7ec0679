/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Creating and removing VMs. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm.h"
#include "lab.h"

enum { MODEL = 0x206a7 }; /* family 6, model 2AH */
/* Above all memory of these guests; KVM needs it where unrestricted guest is missing. */
enum { IDENTITY_MAP = 0xfffbc000u, TASK_STATE = 0xfffbd000u };

bool vm_open(struct vm *vm, const char *test, size_t size, bool irqchip)
{
    uint64_t identity_map = IDENTITY_MAP;

    memset(vm, 0, sizeof(*vm));
    vm->size = size;
    vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    vm->fd = vm->kvm < 0 ? -1 : ioctl(vm->kvm, KVM_CREATE_VM, 0);
    vm->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct kvm_userspace_memory_region region = {.memory_size = size, .userspace_addr = (uintptr_t)vm->memory};
    if (vm->fd < 0 || vm->memory == MAP_FAILED || ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) ||
        ioctl(vm->fd, KVM_SET_TSS_ADDR, TASK_STATE) || ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ||
        (irqchip && ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0)) || !vcpu_open(vm, 0)) {
        report("kvm", "test=%s trace=no-vm:%d", test, errno);
        vm_close(vm);
        return false;
    }
    return true;
}

bool vcpu_open(struct vm *vm, int index)
{
    struct vcpu *vcpu = &vm->vcpu[index];
    int size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[128];
    } cpuid = {.head.nent = 128};

    vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, index);
    if (vcpu->fd < 0 || size < 0) {
        return false;
    }
    vcpu->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (vcpu->run == MAP_FAILED || ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid)) {
        return false;
    }
    /*
     * That there is a hypervisor is said by its user-space part. TCG's model is a Pentium II with much added; a
     * Linux guest would look for the performance counters of one, which KVM has not.
     */
    for (unsigned i = 0; i < cpuid.head.nent; i++) {
        if (cpuid.entries[i].function == 1) {
            cpuid.entries[i].eax = MODEL;
            cpuid.entries[i].ecx |= 1u << 31;
        }
    }
    return ioctl(vcpu->fd, KVM_SET_CPUID2, &cpuid) == 0;
}

void vm_close(struct vm *vm)
{
    int size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

    for (int i = 0; i < 2; i++) {
        if (vm->vcpu[i].run) {
            munmap(vm->vcpu[i].run, (size_t)size);
            close(vm->vcpu[i].fd);
        }
    }
    if (vm->fd > 0) {
        close(vm->fd);
    }
    if (vm->kvm > 0) {
        close(vm->kvm);
    }
    munmap(vm->memory, vm->size);
}

void finish(struct vm *vm, const char *test)
{
    report("kvm", "test=%s trace=%s", test, vm->trace[0] == ' ' ? vm->trace + 1 : vm->trace);
    vm_close(vm);
}
