/* SPDX-License-Identifier: MIT
 *
 * Driver of an accelerator with noise taps. No dynamic memory, no state but `nw_device`.
 *
 * Every call that can fail returns an `nw_status`. Addresses are the device's own, in bytes.
 */
#ifndef NOISEWALK_H
#define NOISEWALK_H

#include <stdint.h>

typedef enum {
    NW_OK = 0,
    NW_BAD_IDENTIFICATION, /* something else is at the registers' address */
    NW_BAD_VERSION,        /* a register map that this driver does not know */
    NW_NO_SUCH_TAP,
    NW_BAD_ARGUMENT, /* more bits than the register has */
    NW_BUSY,         /* a run is under way */
    NW_TIMEOUT,      /* the device did not do it in time; `nw_init` empties it */
    NW_REFUSED,      /* the device cannot run that; `nw_device.cause` says why */
    NW_BUS_FAULT     /* the bus answered with an error */
} nw_status;

/* Causes of NW_REFUSED. */
typedef enum {
    NW_CAUSE_NONE = 0,
    NW_CAUSE_BUSY,
    NW_CAUSE_NO_IMAGES,
    NW_CAUSE_IMAGES_OUTSIDE, /* not in memory, or not at a whole word */
    NW_CAUSE_RESULTS_OUTSIDE
} nw_cause;

typedef struct {
    uint32_t taps;
    uint32_t image_words; /* words of an image in memory */
    uint32_t classes;     /* a result is a label and so many logits, a word each */
    uint32_t time_limit;  /* clocks that a run may take */
    uint32_t cause;       /* nw_cause of the last NW_REFUSED */
} nw_device;

/* Settings of a tap, as its registers take them. */
typedef struct {
    uint32_t seed_low;
    uint32_t seed_high;
    uint32_t image_base; /* number of the first image */
    uint32_t sigma_add;  /* LSB, 16 fractional bits; 8 where the tap's input has more than 17 bits */
    uint32_t sigma_mul;  /* 24 bits, 16 of them a fraction */
    uint32_t control;    /* bit 0 enable, 1 add first, 2 pattern, 3 loaded, 13:8 executions - 1,
                            19:16 bits of the ADC, 20 ADC unsigned */
    uint32_t gain_rate;  /* signed, 32 fractional bits */
    uint32_t sigma_rate;
    uint32_t adc_step; /* LSB, as many fractional bits as the tap's */
} nw_noise;

/* Recognises the device, empties it, takes all noise off and lets it interrupt. */
nw_status nw_init(nw_device *device, uint32_t time_limit);

/* Puts noise on a tap, from the next image on. */
nw_status nw_set_noise(nw_device *device, uint32_t tap, const nw_noise *noise);

/* Loads a table of quantiles into a tap; `words` has low and high word of each entry. */
nw_status nw_load_table(nw_device *device, uint32_t tap, const uint32_t *words, uint32_t entries);

/* Begins a run of images that lie one behind the other; so will its results. */
nw_status nw_start(nw_device *device, uint32_t images, uint32_t image_address,
                   uint32_t result_address);

/* Waits for the run's end. */
nw_status nw_finish(nw_device *device);

/* Both. */
nw_status nw_run(nw_device *device, uint32_t images, uint32_t image_address,
                 uint32_t result_address);

/* Clocks of the last run, from its start to its last result. */
uint32_t nw_cycles(const nw_device *device);

/* The last label. */
uint32_t nw_label(const nw_device *device);

/* Digest of the last image's stream behind a tap. */
nw_status nw_digest(const nw_device *device, uint32_t tap, uint32_t *digest);

/* Whether settings of a tap began to apply after their first image had passed, since the last call
 * or reset. Those of `nw_set_noise` never do. */
nw_status nw_late(const nw_device *device, uint32_t tap, uint32_t *late);

/* Words of a result in memory. */
uint32_t nw_result_words(const nw_device *device);

#endif
