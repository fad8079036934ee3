/* A model of any size with random weights, written as a checkpoint: what a benchmark
 * runs. Weights are small enough that nothing overflows.
 *
 *   transfo-xl   relative positions, relu, layer norm after, heads of 64
 *   others       model_type longspan: rotary positions, two key heads for eight query
 *                heads, silu with a gate, RMS norm before, heads of 64; the branches of all
 *                layers as they stand in config.json */
#ifndef LSP_BENCH_RANDOM_MODEL_H
#define LSP_BENCH_RANDOM_MODEL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *layers; /* of a longspan model; NULL: transfo-xl */
  int two_sided;
  int gates; /* of views, by input: so many a head; 0: none */
  int d_model, n_head, d_inner, n_layer;
  int mem_len; /* keys that a query sees */
  int tgt_len, same_length;
} random_model;

static int random_shared(const random_model *m) {
  return m->n_head % 4 == 0 ? m->n_head / 4 : 1;
}

typedef struct {
  FILE *header;
  int64_t offset;
} random_list;

static void random_tensor(random_list *l, const char *name, int64_t rows,
                          int64_t cols) {
  const int64_t bytes = 4 * rows * (cols > 0 ? cols : 1);
  (void)fprintf(l->header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[",
                l->offset ? "," : "{", name);
  if (cols > 0)
    (void)fprintf(l->header, "%lld,%lld", (long long)rows, (long long)cols);
  else
    (void)fprintf(l->header, "%lld", (long long)rows);
  (void)fprintf(l->header, "],\"data_offsets\":[%lld,%lld]}", (long long)l->offset,
                (long long)(l->offset + bytes));
  l->offset += bytes;
}

/* A tensor of a layer. 0 none, 1 D, 2 A, 3 3A, 4 F, 5 heads, 6 head width, 7 G E, 8 gates
 * of the heads */
typedef struct {
  const char *name;
  int rows, cols;
} random_part;

static void random_layer(random_list *l, const random_model *m, const char *prefix,
                         const random_part *part, int parts, int i) {
  const int width = m->d_model / m->n_head;
  const int64_t size[] = {0,
                          m->d_model,
                          m->d_model,
                          3 * (int64_t)m->d_model,
                          m->d_inner,
                          m->n_head,
                          width,
                          (int64_t)width * random_shared(m),
                          (int64_t)m->gates * m->n_head};
  char name[128];
  for (int k = 0; k < parts; k++) {
    (void)snprintf(name, sizeof name, "%slayers.%d.%s", prefix, i, part[k].name);
    random_tensor(l, name, size[part[k].rows], size[part[k].cols]);
  }
}

static void random_transfo_xl(random_list *l, const random_model *m) {
  static const random_part part[] = {
      {"dec_attn.qkv_net.weight", 3, 1},  {"dec_attn.r_net.weight", 2, 1},
      {"dec_attn.o_net.weight", 1, 2},    {"dec_attn.layer_norm.weight", 1, 0},
      {"dec_attn.layer_norm.bias", 1, 0}, {"dec_attn.r_w_bias", 5, 6},
      {"dec_attn.r_r_bias", 5, 6},        {"pos_ff.CoreNet.0.weight", 4, 1},
      {"pos_ff.CoreNet.0.bias", 4, 0},    {"pos_ff.CoreNet.3.weight", 1, 4},
      {"pos_ff.CoreNet.3.bias", 1, 0},    {"pos_ff.layer_norm.weight", 1, 0},
      {"pos_ff.layer_norm.bias", 1, 0}};
  random_tensor(l, "transformer.word_emb.emb_layers.0.weight", 256, m->d_model);
  for (int i = 0; i < m->n_layer; i++)
    random_layer(l, m, "transformer.", part, (int)(sizeof part / sizeof part[0]), i);
  random_tensor(l, "crit.out_layers.0.bias", 256, 0);
}

static void random_longspan(random_list *l, const random_model *m) {
  static const random_part part[] = {
      {"attention_norm.weight", 1, 0}, {"attention.q.weight", 2, 1},
      {"attention.k.weight", 7, 1},    {"attention.v.weight", 7, 1},
      {"attention.o.weight", 1, 2},    {"feed_norm.weight", 1, 0},
      {"feed.up.weight", 4, 1},        {"feed.gate.weight", 4, 1},
      {"feed.down.weight", 1, 4},      {"attention.gate_input.weight", 8, 1}};
  const int parts = (int)(sizeof part / sizeof part[0]) - (m->gates == 0);
  random_tensor(l, "embed.weight", 256, m->d_model);
  for (int i = 0; i < m->n_layer; i++)
    random_layer(l, m, "", part, parts, i);
  random_tensor(l, "norm.weight", m->d_model, 0);
}

static void random_config(FILE *f, const random_model *m) {
  const int width = m->d_model / m->n_head;
  if (m->layers != NULL)
    (void)fprintf(
        f,
        "{\"model_type\":\"longspan\",\"tokenizer\":\"bytes\",\"vocab_size\":256,"
        "\"hidden_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":%d,"
        "\"num_key_value_heads\":%d,\"head_dim\":%d,\"intermediate_size\":%d,"
        "\"norm\":\"rms\",\"position\":\"rotary\",\"activation\":\"silu\","
        "\"gated\":true,\"causal\":%s,\"layers\":%s}\n",
        m->d_model, m->n_layer, m->n_head, random_shared(m), width, m->d_inner,
        m->two_sided ? "false" : "true", m->layers);
  else
    (void)fprintf(
        f,
        "{\"model_type\":\"transfo-xl\",\"tokenizer\":\"bytes\",\"vocab_size\":256,"
        "\"cutoffs\":[],\"d_model\":%d,\"d_embed\":%d,\"n_head\":%d,\"d_head\":%d,"
        "\"d_inner\":%d,\"n_layer\":%d,\"div_val\":1,\"mem_len\":%d,"
        "\"clamp_len\":-1,\"tgt_len\":%d,\"same_length\":%s,\"untie_r\":true}\n",
        m->d_model, m->d_model, m->n_head, width, m->d_inner, m->n_layer, m->mem_len,
        m->tgt_len, m->same_length ? "true" : "false");
}

/* Uniform in (-0.05, 0.05) and the same every time. */
static void random_fill(FILE *f, int64_t floats) {
  uint64_t s = 88172645463325252u;
  for (int64_t i = 0; i < floats; i++) {
    s ^= s << 13, s ^= s >> 7, s ^= s << 17;
    const float value = ((float)(s >> 40) * 0x1p-24f - 0.5f) * 0.1f;
    (void)fwrite(&value, sizeof value, 1, f);
  }
}

/* 0 if it could not be written. */
static int random_model_write(const random_model *m, const char *dir) {
  char path[1024], *header = NULL;
  size_t bytes = 0;
  (void)snprintf(path, sizeof path, "%s/config.json", dir);
  FILE *config = fopen(path, "w");
  if (config == NULL)
    return 0;
  random_config(config, m);
  (void)fclose(config);
  random_list l = {open_memstream(&header, &bytes), 0};
  if (l.header == NULL)
    return 0;
  if (m->layers != NULL)
    random_longspan(&l, m);
  else
    random_transfo_xl(&l, m);
  (void)fputc('}', l.header);
  (void)fclose(l.header);
  (void)snprintf(path, sizeof path, "%s/model.safetensors", dir);
  FILE *f = fopen(path, "wb");
  if (f == NULL)
    return 0;
  const uint64_t n = bytes;
  (void)fwrite(&n, sizeof n, 1, f);
  (void)fwrite(header, 1, bytes, f);
  random_fill(f, l.offset / 4);
  free(header);
  return fclose(f) == 0;
}

#endif
