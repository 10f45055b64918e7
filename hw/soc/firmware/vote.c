/* SPDX-License-Identifier: MIT */
#include "vote.h"

void vote_clear(vote *v, uint32_t classes) {
    v->classes = classes;
    v->executions = 0;
    v->winner = 0;
    for (uint32_t c = 0; c < classes; c++) {
        v->votes[c] = 0;
    }
}

void vote_add(vote *v, uint32_t label) {
    uint32_t votes = ++v->votes[label], most = v->votes[v->winner];
    v->executions++;
    if (votes > most || (votes == most && label < v->winner)) {
        v->winner = label;
    }
}

uint32_t vote_winner(const vote *v) { return v->winner; }

int vote_decided(const vote *v, uint32_t left) {
    uint32_t most = v->votes[v->winner];
    /* all others together cannot reach it, or one that has no vote can beat it */
    if (v->executions - most + left < most) {
        return 1;
    }
    if (left > most && v->classes > 1) {
        return 0;
    }
    for (uint32_t c = 0; c < v->classes; c++) {
        uint32_t reach = v->votes[c] + left;
        if (c != v->winner && (reach > most || (reach == most && c < v->winner))) {
            return 0;
        }
    }
    return 1;
}
