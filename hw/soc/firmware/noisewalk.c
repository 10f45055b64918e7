/* SPDX-License-Identifier: MIT */
#include "noisewalk.h"

#include <stddef.h>

#include "bus.h"
#include "noise_registers.h"

#define REG(name) ((uint32_t)offsetof(noise_registers_t, name))
#define MASK(name) ((uint32_t)NOISE_REGISTERS__##name##_bm)

enum {
    VERSION_MAJOR = 1,
    POLLS = 1000 /* of what takes some clocks; a poll takes several */
};

typedef noise_registers__tapx_t tap_registers;

static uint32_t tap_reg(uint32_t tap, size_t offset) {
    return REG(tap) + tap * (uint32_t)sizeof(tap_registers) + (uint32_t)offset;
}

static nw_status checked(nw_status status) { return nw_bus_fault() ? NW_BUS_FAULT : status; }

/* Waits for a bit to fall that is up for some clocks. */
static nw_status wait_for_low(uint32_t offset, uint32_t mask) {
    for (int i = 0; i < POLLS; i++) {
        if (!(nw_bus_read(offset) & mask)) {
            return checked(NW_OK);
        }
    }
    return checked(NW_TIMEOUT);
}

nw_status nw_init(nw_device *device, uint32_t time_limit) {
    (void)nw_bus_fault();
    uint32_t identification = nw_bus_read(REG(IDENTIFICATION));
    if (nw_bus_fault()) {
        return NW_BUS_FAULT;
    }
    if (identification != NOISE_REGISTERS__IDENTIFICATION__VALUE_reset) {
        return NW_BAD_IDENTIFICATION;
    }
    uint32_t version = nw_bus_read(REG(VERSION));
    if (version >> NOISE_REGISTERS__VERSION__MAJOR_bp != VERSION_MAJOR) {
        return NW_BAD_VERSION;
    }
    device->taps = nw_bus_read(REG(TAPS));
    device->image_words = nw_bus_read(REG(IMAGE_WORDS));
    device->classes = nw_bus_read(REG(CLASSES));
    device->time_limit = time_limit;
    device->cause = NW_CAUSE_NONE;
    nw_bus_write(REG(CONTROL), MASK(CONTROL__RESET));
    nw_status status = wait_for_low(REG(STATUS), MASK(STATUS__RESETTING));
    if (status != NW_OK) {
        return status;
    }
    nw_bus_write(REG(IRQ_STATUS), MASK(IRQ_STATUS__DONE) | MASK(IRQ_STATUS__ERROR));
    nw_bus_write(REG(IRQ_ENABLE), MASK(IRQ_ENABLE__DONE) | MASK(IRQ_ENABLE__ERROR));
    return checked(NW_OK);
}

/* Whether settings of a tap may be written. */
static nw_status writable(const nw_device *device, uint32_t tap) {
    if (tap >= device->taps) {
        return NW_NO_SUCH_TAP;
    }
    if (nw_bus_read(REG(STATUS)) & MASK(STATUS__BUSY)) {
        return NW_BUSY;
    }
    return wait_for_low(tap_reg(tap, offsetof(tap_registers, STATUS)),
                        NOISE_REGISTERS__TAPX__STATUS__PENDING_bm);
}

nw_status nw_set_noise(nw_device *device, uint32_t tap, const nw_noise *noise) {
    const uint32_t known =
        NOISE_REGISTERS__TAPX__CONTROL__ENABLE_bm | NOISE_REGISTERS__TAPX__CONTROL__ADD_FIRST_bm |
        NOISE_REGISTERS__TAPX__CONTROL__PATTERN_bm | NOISE_REGISTERS__TAPX__CONTROL__LOADED_bm |
        NOISE_REGISTERS__TAPX__CONTROL__REPEATS_bm |
        NOISE_REGISTERS__TAPX__CONTROL__ADC_BITS_bm |
        NOISE_REGISTERS__TAPX__CONTROL__ADC_UNSIGNED_bm;
    if (noise->sigma_mul & ~(uint32_t)NOISE_REGISTERS__TAPX__SIGMA_MUL__VALUE_bm ||
        noise->control & ~known) {
        return NW_BAD_ARGUMENT;
    }
    nw_status status = writable(device, tap);
    if (status != NW_OK) {
        return status;
    }
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, SEED_LOW)), noise->seed_low);
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, SEED_HIGH)), noise->seed_high);
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, IMAGE_BASE)), noise->image_base);
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, SIGMA_ADD)), noise->sigma_add);
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, SIGMA_MUL)), noise->sigma_mul);
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, CONTROL)), noise->control);
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, GAIN_RATE)), noise->gain_rate);
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, SIGMA_RATE)), noise->sigma_rate);
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, ADC_STEP)), noise->adc_step);
    /* nothing is inside, so the next image is the first to come */
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, START)), nw_bus_read(REG(IMAGES_IN)));
    return checked(NW_OK);
}

nw_status nw_load_table(nw_device *device, uint32_t tap, const uint32_t *words, uint32_t entries) {
    nw_status status = writable(device, tap);
    if (status != NW_OK) {
        return status;
    }
    nw_bus_write(tap_reg(tap, offsetof(tap_registers, TABLE_PLACE)), 0);
    for (uint32_t i = 0; i < entries; i++) {
        nw_bus_write(tap_reg(tap, offsetof(tap_registers, TABLE_LOW)), words[2 * i]);
        nw_bus_write(tap_reg(tap, offsetof(tap_registers, TABLE_HIGH)), words[2 * i + 1]);
    }
    return checked(NW_OK);
}

nw_status nw_start(nw_device *device, uint32_t images, uint32_t image_address,
                   uint32_t result_address) {
    (void)device;
    if (nw_bus_read(REG(STATUS)) & MASK(STATUS__BUSY)) {
        return checked(NW_BUSY);
    }
    nw_bus_write(REG(IMAGES), images);
    nw_bus_write(REG(IMAGE_ADDRESS), image_address);
    nw_bus_write(REG(RESULT_ADDRESS), result_address);
    nw_bus_write(REG(CONTROL), MASK(CONTROL__START));
    return checked(NW_OK);
}

nw_status nw_finish(nw_device *device) {
    for (;;) {
        uint32_t events = nw_bus_read(REG(IRQ_STATUS));
        if (events != 0) {
            nw_bus_write(REG(IRQ_STATUS), events);
        }
        if (nw_bus_fault()) {
            return NW_BUS_FAULT;
        }
        if (events & MASK(IRQ_STATUS__ERROR)) {
            device->cause = nw_bus_read(REG(ERROR));
            return checked(NW_REFUSED);
        }
        if (events & MASK(IRQ_STATUS__DONE)) {
            return NW_OK;
        }
        if (!nw_bus_wait(device->time_limit)) {
            return NW_TIMEOUT;
        }
    }
}

nw_status nw_run(nw_device *device, uint32_t images, uint32_t image_address,
                 uint32_t result_address) {
    nw_status status = nw_start(device, images, image_address, result_address);
    return status == NW_OK ? nw_finish(device) : status;
}

uint32_t nw_cycles(const nw_device *device) {
    (void)device;
    return nw_bus_read(REG(CYCLES));
}

uint32_t nw_label(const nw_device *device) {
    (void)device;
    return nw_bus_read(REG(LABEL));
}

nw_status nw_digest(const nw_device *device, uint32_t tap, uint32_t *digest) {
    if (tap >= device->taps) {
        return NW_NO_SUCH_TAP;
    }
    *digest = nw_bus_read(tap_reg(tap, offsetof(tap_registers, DIGEST)));
    return checked(NW_OK);
}

nw_status nw_late(const nw_device *device, uint32_t tap, uint32_t *late) {
    if (tap >= device->taps) {
        return NW_NO_SUCH_TAP;
    }
    const uint32_t offset = tap_reg(tap, offsetof(tap_registers, STATUS));
    const uint32_t found = nw_bus_read(offset) & NOISE_REGISTERS__TAPX__STATUS__LATE_bm;
    if (found) {
        nw_bus_write(offset, found);
    }
    *late = found != 0;
    return checked(NW_OK);
}

uint32_t nw_result_words(const nw_device *device) { return device->classes + 1; }
