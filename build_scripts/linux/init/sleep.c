/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Sleep, as a user asks the kernel for it, and a look around after each wake. */
#include <errno.h>
#include <fcntl.h>
#include <linux/suspend_ioctls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <x86intrin.h>

#include "lab.h"

enum { RECORD_PORT = 0x405 };

#define POWER "/sys/power/"

int write_word(const char *path, const char *word)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);

    if (file < 0) {
        return errno;
    }
    int error = write(file, word, strlen(word)) == (ssize_t)strlen(word) ? 0 : errno;
    close(file);
    return error;
}

static int read_number(const char *path)
{
    char text[32] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (read(file, text, sizeof(text) - 1) <= 0) {
        return -1;
    }
    close(file);
    return atoi(text);
}

void record(const char *event, int number, const char *word)
{
    char line[128];
    int length = snprintf(line, sizeof(line), "APP: ev=%s t=%llu number=%d way=%s\n", event, __rdtsc(), number, word);

    if (ioperm(RECORD_PORT, 1, 1) == 0) {
        for (int i = 0; i < length; i++) {
            outb((unsigned char)line[i], RECORD_PORT);
        }
    }
}

/* S3: whoever runs the machine wakes it. */
static int sleep_deep(void)
{
    int error = write_word(POWER "mem_sleep", "deep");

    return error ? error : write_word(POWER "state", "mem");
}

/* The processors idle and nothing is reset; the power button wakes, for which it needs its driver. */
static int sleep_s2idle(void)
{
    static bool button;

    if (!button) {
        load_module("button.ko", "");
        button = true;
    }
    return write_word(POWER "state", "freeze");
}

/* S4: the image of memory is made, but nobody stores it. Returns only if it fails. */
static int sleep_disk(void)
{
    int in_suspend = 0;
    int device = open("/dev/snapshot", O_RDONLY | O_CLOEXEC);

    if (device < 0 || ioctl(device, SNAPSHOT_FREEZE) || ioctl(device, SNAPSHOT_PLATFORM_SUPPORT, 1) ||
        ioctl(device, SNAPSHOT_CREATE_IMAGE, &in_suspend) || ioctl(device, SNAPSHOT_POWER_OFF)) {
        return errno;
    }
    return EIO;
}

void sleep_and_look(const char *way, int nights, void (*look)(void))
{
    for (int night = 1; night <= nights; night++) {
        /* Of the others none is left to run on meanwhile. */
        run_on(0);
        record("linux-sleep", night, way);
        int error = strcmp(way, "disk") == 0 ? sleep_disk() : strcmp(way, "s2idle") == 0 ? sleep_s2idle()
                                                                                         : sleep_deep();

        record("linux-wake", night, way);
        report("night", "number=%d way=%s error=%d success=%d fail=%d", night, way, error,
               read_number(POWER "suspend_stats/success"), read_number(POWER "suspend_stats/fail"));
        look();
    }
}
