/* The numbers of a tensor.
 *
 * Stored offsets need not be aligned, so elements are copied out of a byte buffer,
 * never reached through a cast pointer. Files are read by pread: what was cut short
 * since it was opened is an error, not a signal.
 *
 * What must hold: every number that is given is finite. One NaN in the weights would otherwise be found hours later, as NaN everywhere. */
#include "lsp/safetensors.h"

#include "lsp/durable.h"
#include "safetensors_internal.h"

#define XXH_INLINE_ALL
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { CHUNK = 4096, HASH_CHUNK = 1 << 20 };

/* 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static float half_to_float(uint16_t bits) {
  const uint32_t sign = (uint32_t)(bits >> 15) << 31;
  const uint32_t exponent = (bits >> 10) & 0x1f, fraction = bits & 0x3ff;
  float value = 0;
  if (exponent == 0) { /* zero and subnormal: fraction * 2^-24, exact in a float */
    value = (float)fraction * 0x1p-24F;
    return sign != 0 ? -value : value;
  }
  const uint32_t wide =
      sign | (exponent == 31 ? 255U : exponent + 112U) << 23 | fraction << 13;
  memcpy(&value, &wide, sizeof value);
  return value;
}

/* The upper half of a float. */
static float bfloat_to_float(uint16_t bits) {
  const uint32_t wide = (uint32_t)bits << 16;
  float value = 0;
  memcpy(&value, &wide, sizeof value);
  return value;
}

/* Bytes of one element; 0 for types that are not real numbers. */
static int real_size(lsp_dtype dtype) {
  switch (dtype) {
  case LSP_F64:
    return 8;
  case LSP_F32:
    return 4;
  case LSP_F16:
  case LSP_BF16:
    return 2;
  case LSP_I64:
  case LSP_I32:
  case LSP_U16:
  case LSP_U8:
  case LSP_OTHER:
    return 0;
  }
  return 0;
}

static double real_at(lsp_dtype dtype, const unsigned char *raw) {
  double wide = 0;
  float single = 0;
  uint16_t half = 0;
  switch (real_size(dtype)) {
  case 8:
    memcpy(&wide, raw, sizeof wide);
    return wide;
  case 4:
    memcpy(&single, raw, sizeof single);
    return (double)single;
  default:
    memcpy(&half, raw, sizeof half);
    single = dtype == LSP_F16 ? half_to_float(half) : bfloat_to_float(half);
    return (double)single;
  }
}

static lsp_status check_range(const lsp_checkpoint *c, const lsp_tensor *t,
                              int64_t first, int64_t n, lsp_failure *why) {
  LSP_ASSERT(first >= 0 && n >= 0 && first <= t->count && n <= t->count - first);
  if (real_size(t->dtype) != 0)
    return LSP_OK;
  return lsp_fail(
      why, LSP_E_FORMAT,
      "%s: tensor \"%s\" is of type %s; expected F64, F32, F16 or BF16; save "
      "the model again in one of these",
      lsp_checkpoint_path(c, t), t->name, t->dtype_name);
}

/* Elements as floats; their stored bytes go to raw (n * 8). */
static lsp_status read_chunk(const lsp_checkpoint *c, const lsp_tensor *t,
                             int64_t first, int64_t n, float *out, unsigned char *raw,
                             lsp_failure *why) {
  const lsp__shard *s = &c->shard[t->file];
  const int size = real_size(t->dtype);
  LSP_ASSERT(n <= CHUNK);
  const int64_t offset = t->offset + first * size;
  LSP_TRY(lsp_read_at(s->fd, s->path, raw, n * size, offset, why));
  for (int64_t i = 0; i < n; i++) {
    const double number = real_at(t->dtype, raw + i * size);
    if (!(fabs(number) <= (double)FLT_MAX))
      return lsp_fail(why, LSP_E_FORMAT,
                      "%s: tensor \"%s\": element %" PRId64 " (byte %" PRId64
                      ") is %g, "
                      "not a finite float32; this checkpoint is broken, use another",
                      s->path, t->name, first + i, offset + i * size, number);
    out[i] = (float)number;
  }
  return LSP_OK;
}

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static void digest(const XXH3_state_t *state, unsigned char out[16]) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
  memcpy(out, canonical.digest, sizeof canonical.digest);
}

/* Keeps the hash of a tensor's bytes. Bytes that are read twice are the same. */
static lsp_status keep_hash(const lsp_checkpoint *c, const lsp_tensor *t,
                            const XXH3_state_t *state, lsp_failure *why) {
  lsp__tensor_hash *kept = &c->hash[t - c->tensor];
  unsigned char hash[16];
  digest(state, hash);
  if (kept->known && memcmp(kept->byte, hash, sizeof hash) != 0)
    return lsp_fail(why, LSP_E_MISMATCH,
                    "%s: tensor \"%s\" changed while it was read; use a checkpoint "
                    "that nobody writes to",
                    lsp_checkpoint_path(c, t), t->name);
  memcpy(kept->byte, hash, sizeof hash);
  kept->known = 1;
  return LSP_OK;
}

lsp_status lsp_checkpoint_floats(const lsp_checkpoint *c, const lsp_tensor *t,
                                 int64_t first, int64_t n, float *out,
                                 lsp_failure *why) {
  unsigned char raw[CHUNK * 8];
  XXH3_state_t state;
  LSP_TRY(check_range(c, t, first, n, why));
  XXH3_INITSTATE(&state);
  (void)XXH3_128bits_reset(&state);
  for (int64_t done = 0; done < n; done += CHUNK) {
    const int64_t part = smaller(CHUNK, n - done);
    LSP_TRY(read_chunk(c, t, first + done, part, out + done, raw, why));
    (void)XXH3_128bits_update(&state, raw, (size_t)(part * real_size(t->dtype)));
  }
  return n == t->count ? keep_hash(c, t, &state, why) : LSP_OK;
}

/* What a tensor is, in a form that is the same whatever file it came from. */
static void hash_facts(XXH3_state_t *state, const lsp_tensor *t) {
  const int64_t rank = t->rank;
  (void)XXH3_128bits_update(state, t->name, strlen(t->name) + 1);
  (void)XXH3_128bits_update(state, t->dtype_name, strlen(t->dtype_name) + 1);
  (void)XXH3_128bits_update(state, &rank, sizeof rank);
  (void)XXH3_128bits_update(state, t->shape, (size_t)t->rank * sizeof *t->shape);
  (void)XXH3_128bits_update(state, &t->bytes, sizeof t->bytes);
}

/* The bytes of a tensor that was not given out whole. */
static lsp_status hash_bytes(const lsp_checkpoint *c, const lsp_tensor *t,
                             unsigned char *buffer, lsp_failure *why) {
  const lsp__shard *s = &c->shard[t->file];
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  (void)XXH3_128bits_reset(&state);
  for (int64_t done = 0; done < t->bytes; done += HASH_CHUNK) {
    const int64_t part = smaller(HASH_CHUNK, t->bytes - done);
    LSP_TRY(lsp_read_at(s->fd, s->path, buffer, part, t->offset + done, why));
    (void)XXH3_128bits_update(&state, buffer, (size_t)part);
  }
  return keep_hash(c, t, &state, why);
}

lsp_status lsp_checkpoint_hash(const lsp_checkpoint *c, unsigned char out[16],
                               lsp_failure *why) {
  XXH3_state_t *state = XXH3_createState();
  unsigned char *buffer = malloc(HASH_CHUNK);
  lsp_status status = LSP_OK;
  if (state == NULL || buffer == NULL)
    status = lsp_fail(why, LSP_E_MEMORY, "not enough memory to hash the checkpoint");
  else
    (void)XXH3_128bits_reset(state);
  for (int64_t i = 0; status == LSP_OK && i < c->count; i++) {
    if (!c->hash[i].known)
      status = hash_bytes(c, &c->tensor[i], buffer, why);
    hash_facts(state, &c->tensor[i]);
    (void)XXH3_128bits_update(state, c->hash[i].byte, sizeof c->hash[i].byte);
  }
  if (status == LSP_OK)
    digest(state, out);
  (void)XXH3_freeState(state);
  free(buffer);
  return status;
}
