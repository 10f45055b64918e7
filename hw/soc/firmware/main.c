/* SPDX-License-Identifier: MIT
 *
 * Application: runs a batch of images under one noise setting after another, or has each image vote
 * over several executions, and prints what it found on the serial line:
 *
 *   noisewalk taps <n> classes <n>
 *   point <number>
 *   image <number> <label> <logits, hexadecimal>
 *   run <images> <clocks of the device> <clocks of the firmware, settings included>
 *   vote <image> <label> <executions>
 *   error <call> <status> <cause>
 *   end
 */
#include "job.h"
#include "noisewalk.h"
#include "platform.h"
#include "vote.h"

extern const job __job;

static nw_device device;
static vote ballot;

static void put_field(uint32_t value) {
    put_char(' ');
    put_decimal(value);
}

static int failed(const char *call, nw_status status) {
    if (status == NW_OK) {
        return 0;
    }
    put_text("error ");
    put_text(call);
    put_field(status);
    put_field(device.cause);
    put_char('\n');
    return 1;
}

static const uint32_t *result_of(uint32_t image) {
    return (const uint32_t *)__job.result_address + image * nw_result_words(&device);
}

static void print_image(uint32_t image, const uint32_t *result) {
    put_text("image");
    put_field(image);
    put_field(result[0]);
    for (uint32_t c = 0; c < device.classes; c++) {
        put_char(' ');
        put_hex(result[1 + c]);
    }
    put_char('\n');
}

static void print_run(uint32_t images, uint32_t of_device, uint32_t of_firmware) {
    put_text("run");
    put_field(images);
    put_field(of_device);
    put_field(of_firmware);
    put_char('\n');
}

/* All images at once. */
static int run_batch(const nw_noise *noise) {
    uint32_t begin = clocks();
    for (uint32_t t = 0; t < device.taps; t++) {
        if (failed("set_noise", nw_set_noise(&device, t, &noise[t]))) {
            return 1;
        }
    }
    nw_status status = nw_run(&device, __job.images, __job.image_address, __job.result_address);
    uint32_t took = clocks() - begin;
    if (failed("run", status)) {
        return 1;
    }
    for (uint32_t i = 0; i < __job.images; i++) {
        print_image(i, result_of(i));
    }
    print_run(__job.images, nw_cycles(&device), took);
    return 0;
}

/* One execution of an image; each has a seed of its own. */
static int execute(const nw_noise *noise, uint32_t image, uint32_t execution) {
    for (uint32_t t = 0; t < device.taps; t++) {
        /* a clean tap stays as the first execution has left it */
        if (!(noise[t].control & 1) && (image || execution)) {
            continue;
        }
        nw_noise own = noise[t];
        own.seed_high += execution;
        own.image_base += image;
        if (failed("set_noise", nw_set_noise(&device, t, &own))) {
            return 1;
        }
    }
    uint32_t from = __job.image_address + 4 * image * device.image_words;
    return failed("run", nw_run(&device, 1, from, __job.result_address));
}

static int run_votes(const nw_noise *noise) {
    uint32_t in_device = 0, in_firmware = 0, executions = 0;
    for (uint32_t i = 0; i < __job.images; i++) {
        uint32_t begin = clocks();
        vote_clear(&ballot, device.classes);
        for (uint32_t e = 0; e < __job.executions; e++) {
            if (execute(noise, i, e)) {
                return 1;
            }
            vote_add(&ballot, result_of(0)[0]);
            in_device += nw_cycles(&device);
            if (__job.early && vote_decided(&ballot, __job.executions - ballot.executions)) {
                break;
            }
        }
        uint32_t winner = vote_winner(&ballot);
        in_firmware += clocks() - begin;
        executions += ballot.executions;
        put_text("vote");
        put_field(i);
        put_field(winner);
        put_field(ballot.executions);
        put_char('\n');
    }
    print_run(executions, in_device, in_firmware);
    return 0;
}

static int run_job(void) {
    if (failed("init", nw_init(&device, __job.time_limit))) {
        return 1;
    }
    put_text("noisewalk taps");
    put_field(device.taps);
    put_text(" classes");
    put_field(device.classes);
    put_char('\n');
    if (__job.magic != JOB_MAGIC || device.classes > VOTE_MOST_CLASSES) {
        return failed("job", NW_BAD_ARGUMENT);
    }
    for (uint32_t t = 0; t < device.taps && __job.table_entries; t++) {
        const uint32_t *words = (const uint32_t *)__job.table_address;
        if (failed("load_table", nw_load_table(&device, t, words, __job.table_entries))) {
            return 1;
        }
    }
    for (uint32_t p = 0; p < __job.points; p++) {
        const nw_noise *noise = &__job.noise[p * device.taps];
        put_text("point");
        put_field(p);
        put_char('\n');
        if (__job.executions ? run_votes(noise) : run_batch(noise)) {
            return 1;
        }
    }
    return 0;
}

int main(void) {
    serial_divider(__job.divider);
    if (!run_job()) {
        put_text("end\n");
    }
    return 0;
}
