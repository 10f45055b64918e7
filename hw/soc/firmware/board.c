/* SPDX-License-Identifier: MIT
 *
 * Application of a board: does what frames on the serial line ask for, and answers each.
 *
 *   kind      payload                                 answer
 *   HELLO     -                                       status, taps, words of an image, classes,
 *                                                     first free byte of memory, bytes of memory
 *   WRITE     address, words                          status
 *   READ      address, number of words                status, words
 *   NOISE     tap, its settings (nw_noise)            status
 *   TABLE     tap, address, entries                   status
 *   RUN       images, their address, the results'     status, cause, clocks of the run
 *   DIGEST    tap                                     status, digest of the last image
 *
 * Everything is words, the low byte first; a status is an `nw_status`. An answer has the kind and
 * the number of what it answers. A frame with the number of the last one is that one sent again,
 * because its answer was lost: it is answered again and not done again. HELLO is always done, so a
 * host can begin anew at any time.
 */
#include "frame.h"
#include "noisewalk.h"
#include "platform.h"

#ifndef DIVIDER
#error "the clocks of a bit on the serial line"
#endif

enum { HELLO = 'h', WRITE = 'w', READ = 'r', NOISE = 'n', TABLE = 't', RUN = 'g', DIGEST = 'd' };
enum {
    NOISE_WORDS = sizeof(nw_noise) / 4,
    GAP = 64 * 10 * DIVIDER, /* clocks of 64 bytes */
    TIME_LIMIT = 0x10000000 /* clocks of a run */
};

extern const uint32_t __job[];

static nw_device device;
static frame asked, answer;

static void put(uint32_t word) {
    answer.payload[answer.length / 4] = word;
    answer.length += 4;
}

/* Whether so many words at an address are free memory. */
static int is_free(uint32_t address, uint32_t words) {
    uint32_t first = (uint32_t)__job;
    return address % 4 == 0 && address >= first && address <= MEMORY_BYTES &&
           words <= (MEMORY_BYTES - address) / 4;
}

static void hello(void) {
    put(nw_init(&device, TIME_LIMIT));
    put(device.taps);
    put(device.image_words);
    put(device.classes);
    put((uint32_t)__job);
    put(MEMORY_BYTES);
}

static void write(const uint32_t *words, uint32_t count) {
    if (!count || !is_free(words[0], count - 1)) {
        put(NW_BAD_ARGUMENT);
        return;
    }
    uint32_t *memory = (uint32_t *)words[0];
    for (uint32_t i = 1; i < count; i++) {
        *memory++ = words[i];
    }
    put(NW_OK);
}

static void read(const uint32_t *words, uint32_t count) {
    if (count != 2 || words[1] >= FRAME_MOST / 4 || !is_free(words[0], words[1])) {
        put(NW_BAD_ARGUMENT);
        return;
    }
    put(NW_OK);
    const uint32_t *memory = (const uint32_t *)words[0];
    for (uint32_t i = 0; i < words[1]; i++) {
        put(memory[i]);
    }
}

static void table(const uint32_t *words, uint32_t count) {
    if (count != 3 || words[2] > MEMORY_BYTES / 8 || !is_free(words[1], 2 * words[2])) {
        put(NW_BAD_ARGUMENT);
        return;
    }
    put(nw_load_table(&device, words[0], (const uint32_t *)words[1], words[2]));
}

static void run(const uint32_t *words, uint32_t count) {
    if (count != 3) {
        put(NW_BAD_ARGUMENT);
        return;
    }
    device.cause = NW_CAUSE_NONE;
    put(nw_run(&device, words[0], words[1], words[2]));
    put(device.cause);
    put(nw_cycles(&device));
}

static void digest(const uint32_t *words, uint32_t count) {
    uint32_t found = 0;
    put(count == 1 ? nw_digest(&device, words[0], &found) : NW_BAD_ARGUMENT);
    put(found);
}

static void noise(const uint32_t *words, uint32_t count) {
    const nw_noise *settings = (const nw_noise *)(words + 1);
    put(count == 1 + NOISE_WORDS ? nw_set_noise(&device, words[0], settings) : NW_BAD_ARGUMENT);
}

static void obey(const uint32_t *words, uint32_t count) {
    switch (asked.kind) {
    case HELLO:
        hello();
        break;
    case WRITE:
        write(words, count);
        break;
    case READ:
        read(words, count);
        break;
    case NOISE:
        noise(words, count);
        break;
    case TABLE:
        table(words, count);
        break;
    case RUN:
        run(words, count);
        break;
    case DIGEST:
        digest(words, count);
        break;
    default:
        put(NW_BAD_ARGUMENT);
    }
}

int main(void) {
    int last = -1;
    serial_divider(DIVIDER);
    for (;;) {
        frame_receive(&asked, GAP);
        if (asked.kind == HELLO || asked.number != last) {
            answer.kind = asked.kind;
            answer.number = asked.number;
            answer.length = 0;
            obey(asked.payload, asked.length / 4);
            last = asked.number;
        }
        frame_send(&answer);
    }
}
