/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Findings and settings. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab.h"

void report(const char *name, const char *format, ...)
{
    static int log = -1;
    char line[900];
    va_list arguments;
    int length = snprintf(line, sizeof(line), "<6>lab: %s ", name);

    va_start(arguments, format);
    length += vsnprintf(line + length, sizeof(line) - (size_t)length, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof(line)) {
        length = sizeof(line) - 1;
    }
    if (log < 0) {
        log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    }
    /* One write is one line of the log, which nothing tears apart. */
    if (write(log, line, (size_t)length) != length) {
        dprintf(2, "%s\n", line + 3);
    }
}

static const char *command_line(void)
{
    static char text[4096];

    if (!text[0]) {
        int file = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
        ssize_t length = file < 0 ? 0 : read(file, text + 1, sizeof(text) - 3);

        text[0] = ' ';
        if (length > 0) {
            text[1 + length] = '\0';
            text[strcspn(text, "\n")] = '\0';
        }
        close(file);
    }
    return text;
}

const char *setting(const char *name)
{
    char key[64];

    snprintf(key, sizeof(key), " %s=", name);
    const char *found = strstr(command_line(), key);
    if (!found) {
        return NULL;
    }
    found += strlen(key);
    return strndup(found, strcspn(found, " "));
}

const char *module_settings(const char *module)
{
    static char value[1024];
    char key[64];

    value[0] = '\0';
    snprintf(key, sizeof(key), " %s.", module);
    for (const char *at = command_line(); (at = strstr(at, key)) != NULL;) {
        size_t used = strlen(value);

        at += strlen(key);
        snprintf(value + used, sizeof(value) - used, "%s%.*s", used ? " " : "", (int)strcspn(at, " "), at);
    }
    return value;
}
