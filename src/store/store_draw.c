/* The skeletons of a run, drawn in memory, and what follows from them: the extents that
 * every rank writes to, and "layout" of the identity. Rank 0 alone; changes nothing on
 * disk. */
#include "lsp/store.h"

#include "store_internal.h"

#include <stdlib.h>
#include <string.h>

/* The attributes of a spec and one more: the identity. The caller frees the list. */
static lsp_attribute *with_identity(const lsp_attribute *attribute, int attributes,
                                    const char *identity) {
  lsp_attribute *list = malloc(((size_t)attributes + 1) * sizeof *list);
  if (list == NULL)
    return NULL;
  if (attributes > 0)
    memcpy(list, attribute, (size_t)attributes * sizeof *list);
  list[attributes] = (lsp_attribute){"identity", identity};
  return list;
}

static lsp_status no_memory(lsp__opening *o) {
  return lsp_fail(o->why, LSP_E_MEMORY, "%s: not enough memory to lay it out",
                  o->names.output.at);
}

static lsp_status draw_output(lsp__opening *o) {
  lsp_output_spec spec = o->spec->output;
  lsp_attribute *list =
      with_identity(spec.attribute, spec.attributes, o->spec->identity);
  if (list == NULL)
    return no_memory(o);
  spec.attribute = list;
  spec.attributes++;
  const lsp_status status =
      lsp_layout_output(&spec, &o->output, o->facts->output, o->why);
  free(list);
  return status;
}

static lsp_status draw_memory(lsp__opening *o, lsp_memory_spec spec, lsp_skeleton *out,
                              lsp_extent *extent) {
  lsp_attribute *list =
      with_identity(spec.attribute, spec.attributes, o->spec->identity);
  if (list == NULL)
    return no_memory(o);
  spec.attribute = list;
  spec.attributes++;
  const lsp_status status = lsp_layout_memory(&spec, out, extent, o->why);
  free(list);
  return status;
}

/* Both areas have all parts, under names of their own. */
static lsp_part part_in_area(const lsp_part *part, int area) {
  lsp_part p = *part;
  const size_t n = strlen(p.name);
  LSP_ASSERT(n + sizeof "_b" <= sizeof p.name);
  memcpy(p.name + n, area == 0 ? "_a" : "_b", sizeof "_a");
  return p;
}

/* One snapshot, of two areas and a ring (lsp/store.h); what is in it is in the journal.
 */
static lsp_status draw_slot(lsp__opening *o) {
  const int64_t nowhere = 0;
  lsp_memory_spec spec = o->spec->memory;
  spec.rows = 2 * spec.fixed + 3 * spec.rows;
  spec.fixed = spec.pooled = 0;
  spec.layer_rows = NULL;
  spec.snapshots = 1;
  spec.document = spec.position = &nowhere;
  lsp_part *areas = malloc(((size_t)spec.parts * 2 + 1) * sizeof *areas);
  if (areas == NULL)
    return no_memory(o);
  for (int i = 0; i < 2 * spec.parts; i++)
    areas[i] = part_in_area(&spec.part[i % spec.parts], i / spec.parts);
  spec.part = areas;
  spec.parts *= 2;
  const lsp_status status = draw_memory(o, spec, &o->slot, o->facts->slot);
  free(areas);
  return status;
}

static void put_hex(char *out, const lsp_skeleton *s) {
  static const char digit[] = "0123456789abcdef";
  for (size_t i = 0; i < sizeof s->hash; i++) {
    out[2 * i] = digit[s->hash[i] >> 4];
    out[2 * i + 1] = digit[s->hash[i] & 15];
  }
}

/* "layout" of the identity: the hashes of the skeletons, joined by dots. */
static lsp_status add_layout(lsp__opening *o) {
  const lsp_skeleton *const drawn[] = {&o->output, &o->memory, &o->slot};
  char text[3 * 33 + 1] = "";
  for (size_t i = 0; i < 3; i++) {
    memset(text + 33 * i, '-', 32);
    text[33 * i + 32] = '.';
    if (drawn[i]->fd >= 0)
      put_hex(text + 33 * i, drawn[i]);
  }
  text[3 * 33 - 1] = '\0';
  if (json_object_set_new(o->identity, "layout", json_string(text)) != 0)
    return no_memory(o);
  return LSP_OK;
}

static void set_target(lsp__opening *o, int file, const lsp__path *path,
                       const lsp_skeleton *skeleton) {
  lsp__target *t = &o->facts->file[file];
  if (skeleton->fd < 0)
    return;
  t->path = *path;
  t->bytes = skeleton->bytes;
  memcpy(t->layout, skeleton->hash, sizeof t->layout);
}

lsp_status lsp__store_draw(lsp__opening *o) {
  const lsp_memory_spec *m = &o->spec->memory;
  lsp__facts *f = o->facts;
  f->snapshots = m->snapshots;
  f->layers = m->layers;
  f->rows = m->rows;
  f->fixed = m->fixed;
  f->width = m->width;
  f->hidden_width = m->hidden_width;
  f->parts = m->parts;
  LSP_TRY(draw_output(o));
  if (m->snapshots > 0)
    LSP_TRY(draw_memory(o, *m, &o->memory, f->memory));
  if (m->parts > 0 || (m->layers > 0 && m->rows + m->fixed > 0 && m->width > 0))
    LSP_TRY(draw_slot(o));
  set_target(o, LSP__OUTPUT, &o->names.output_part, &o->output);
  set_target(o, LSP__MEMORY, &o->names.memory_part, &o->memory);
  set_target(o, LSP__SLOT, &o->names.slot, &o->slot);
  return add_layout(o);
}
