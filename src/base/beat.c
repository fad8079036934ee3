#include "lsp/beat.h"

#include <stdatomic.h>

/* Of the process. The fields are read one by one: a reader may see a phase of now and a
 * layer of a moment ago. */
static struct {
  _Atomic uint64_t beats;
  _Atomic(const char *) phase;
  atomic_int layer, waits, excused;
} state = {.phase = "start", .layer = -1};

void lsp_beat(void) {
  (void)atomic_fetch_add_explicit(&state.beats, 1, memory_order_relaxed);
}

void lsp_beat_phase(const char *phase, int layer) {
  atomic_store_explicit(&state.phase, phase, memory_order_relaxed);
  atomic_store_explicit(&state.layer, layer, memory_order_relaxed);
  lsp_beat();
}

void lsp_beat_wait(int waits) {
  atomic_store_explicit(&state.waits, waits, memory_order_relaxed);
  if (!waits)
    lsp_beat();
}

void lsp_beat_excuse(int excused) {
  atomic_store_explicit(&state.excused, excused, memory_order_relaxed);
  lsp_beat();
}

lsp_beat_state lsp_beat_now(void) {
  return (lsp_beat_state){
      .beats = atomic_load_explicit(&state.beats, memory_order_relaxed),
      .phase = atomic_load_explicit(&state.phase, memory_order_relaxed),
      .layer = atomic_load_explicit(&state.layer, memory_order_relaxed),
      .waits = atomic_load_explicit(&state.waits, memory_order_relaxed),
      .excused = atomic_load_explicit(&state.excused, memory_order_relaxed)};
}
