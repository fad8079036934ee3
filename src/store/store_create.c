/* What a run makes before its first wave, and takes away after its last.
 *
 * Creation, on rank 0: FILE.h5.part.tmp is locked; what a run that never came to its
 * journal left is removed; memory file, slots and output are installed; last of all the
 * journal. Until the journal is there, nothing of it counts, and a crash leaves only
 * files that the next run replaces. The lock goes with the file when it is renamed to
 * FILE.h5.part, so two runs cannot create at once.
 *
 * What must hold: FILE.h5 and FILE.memory.h5 themselves are not touched here. */
#include "lsp/store.h"

#include "lsp/durable.h"
#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
                              lsp_extent extent[LSP_MEMORY_DATASETS]) {
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

/* One snapshot; where it lies in a document is in the journal. */
static lsp_status draw_slot(lsp__opening *o) {
  const int64_t nowhere = 0;
  lsp_memory_spec spec = o->spec->memory;
  spec.snapshots = 1;
  spec.document = spec.position = &nowhere;
  return draw_memory(o, spec, &o->slot, o->facts->slot);
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
}

lsp_status lsp__store_draw(lsp__opening *o) {
  const lsp_memory_spec *m = &o->spec->memory;
  lsp__facts *f = o->facts;
  f->snapshots = m->snapshots;
  f->layers = m->layers;
  f->rows = m->rows;
  f->width = m->width;
  f->hidden_width = m->hidden_width;
  LSP_TRY(draw_output(o));
  if (m->snapshots > 0)
    LSP_TRY(draw_memory(o, *m, &o->memory, f->memory));
  if (m->layers > 0 && m->rows > 0 && m->width > 0)
    LSP_TRY(draw_slot(o));
  set_target(o, LSP__OUTPUT, &o->names.output_part, &o->output);
  set_target(o, LSP__MEMORY, &o->names.memory_part, &o->memory);
  set_target(o, LSP__SLOT, &o->names.slot[0], &o->slot);
  set_target(o, LSP__SLOT + 1, &o->names.slot[1], &o->slot);
  return add_layout(o);
}

static lsp_status remove_with_tmp(const lsp__path *path, lsp_failure *why) {
  const lsp__path tmp = lsp__store_tmp(path);
  LSP_TRY(lsp__store_remove(path->at, why));
  return lsp__store_remove(tmp.at, why);
}

lsp_status lsp__store_remove_rest(const lsp__names *names, lsp_failure *why) {
  LSP_TRY(remove_with_tmp(&names->slot[0], why));
  LSP_TRY(remove_with_tmp(&names->slot[1], why));
  return lsp_sync_folder_of(names->output.at, why);
}

/* What a run that never came to its journal left; not FILE.h5.part.tmp, which is the
 * lock. */
static lsp_status remove_strays(const lsp__names *names, lsp_failure *why) {
  const lsp__path tmp = lsp__store_tmp(&names->journal);
  LSP_TRY(lsp__store_remove(tmp.at, why));
  LSP_TRY(lsp__store_remove(names->output_part.at, why));
  LSP_TRY(remove_with_tmp(&names->memory_part, why));
  return lsp__store_remove_rest(names, why);
}

lsp_status lsp__store_install_slot(lsp__opening *o, int slot) {
  return lsp_skeleton_install(&o->slot, o->names.slot[slot].at, o->why);
}

static lsp_status install(lsp__opening *o) {
  if (o->memory.fd >= 0)
    LSP_TRY(lsp_skeleton_install(&o->memory, o->names.memory_part.at, o->why));
  for (int i = 0; i < 2 && o->slot.fd >= 0; i++)
    LSP_TRY(lsp__store_install_slot(o, i));
  return lsp_skeleton_install(&o->output, o->names.output_part.at, o->why);
}

static lsp_status create_journal(lsp__opening *o) {
  char *text = json_dumps(o->identity, JSON_COMPACT);
  if (text == NULL)
    return no_memory(o);
  const lsp_status status =
      lsp_journal_create(o->names.journal.at, text, &o->journal, o->why);
  free(text);
  if (o->lock >= 0) /* the journal that was replaced */
    (void)close(o->lock);
  o->lock = -1;
  LSP_TRY(status);
  return lsp__store_lock(o, o->names.journal.at, 0, &o->lock);
}

/* A run that is being created holds FILE.h5.part.tmp, which becomes FILE.h5.part. */
static lsp_status nobody_holds(lsp__opening *o, const lsp__path *path) {
  int there = 0, fd = -1;
  LSP_TRY(lsp__store_look(path->at, &there, NULL, o->why));
  if (!there)
    return LSP_OK;
  const lsp_status status = lsp__store_lock(o, path->at, 0, &fd);
  if (fd >= 0)
    (void)close(fd);
  return status;
}

lsp_status lsp__store_clean(lsp__opening *o) {
  const lsp__path tmp = lsp__store_tmp(&o->names.output_part);
  if (nobody_holds(o, &tmp) != LSP_OK ||
      nobody_holds(o, &o->names.output_part) != LSP_OK)
    return LSP_OK;
  LSP_TRY(lsp__store_remove(tmp.at, o->why));
  return remove_strays(&o->names, o->why);
}

/* A creation failed: what it made holds disk space. The journal goes first, for good.
 */
static void take_back(const lsp__names *names) {
  if (lsp__store_remove(names->journal.at, NULL) == LSP_OK &&
      lsp_sync_folder_of(names->journal.at, NULL) == LSP_OK)
    (void)remove_strays(names, NULL);
}

static lsp_status create_locked(lsp__opening *o) {
  int there = 0;
  LSP_TRY(nobody_holds(o, &o->names.output_part));
  LSP_TRY(lsp__store_look(o->names.journal.at, &there, NULL, o->why));
  if (there && o->lock < 0)
    return lsp_fail(o->why, LSP_E_MISMATCH,
                    "%s: another run has just begun to write this output; wait for its "
                    "end, or name another output",
                    o->names.output.at);
  if (there) {
    LSP_TRY(lsp__store_remove(o->names.journal.at, o->why));
    LSP_TRY(lsp_sync_folder_of(o->names.journal.at, o->why));
  }
  LSP_TRY(remove_strays(&o->names, o->why));
  lsp_status status = install(o);
  if (status == LSP_OK)
    status = create_journal(o);
  if (status != LSP_OK && o->journal == NULL)
    take_back(&o->names);
  return status;
}

lsp_status lsp__store_create(lsp__opening *o) {
  const lsp__path tmp = lsp__store_tmp(&o->names.output_part);
  int creation = -1;
  LSP_TRY(lsp__store_lock(o, tmp.at, O_CREAT, &creation));
  const lsp_status status = create_locked(o);
  if (status != LSP_OK)
    (void)lsp__store_remove(tmp.at, NULL);
  (void)close(creation);
  return status;
}
