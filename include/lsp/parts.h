/* Parts of a memory that are not rows of keys and values: a state that is handed along the
 * text. Names, types and shapes of them alone say what is carried from wave to wave, handed
 * from rank to rank, held by snapshots and by the slot, and counted by plan.
 *
 * A part is one block of numbers, row-major, in the memory of one layer or of the model.
 * Local, pure. */
#ifndef LSP_PARTS_H
#define LSP_PARTS_H

#include <stdint.h>

enum { LSP_PART_NAME = 32, LSP_PART_DIMS = 4, LSP_PARTS_OF_LAYER = 8 };

typedef enum { LSP_PART_F32, LSP_PART_F64, LSP_PART_I32, LSP_PART_I64 } lsp_part_type;

typedef struct {
  int layer;                /* -1: of the model */
  char name[LSP_PART_NAME]; /* [a-z_]: "matrix", "normalizer", ... */
  lsp_part_type type;
  int dims;
  int64_t dim[LSP_PART_DIMS];
} lsp_part;

/* Bytes of a number, of a part (-1: beyond 2^60, or a dimension below 0), and of n parts
 * one behind another: each begins at a multiple of 8. */
int64_t lsp_part_number(lsp_part_type type);
int64_t lsp_part_bytes(const lsp_part *part);
int64_t lsp_parts_bytes(const lsp_part *part, int n);

/* 1: the same layer, name, type and shape. */
int lsp_part_same(const lsp_part *a, const lsp_part *b);

/* "matrix (2, 8, 8) float64". */
enum { LSP_PART_WORDS = LSP_PART_NAME + 24 * LSP_PART_DIMS + 16 };
void lsp_part_words(const lsp_part *part, char text[LSP_PART_WORDS]);

/* Where part i of them begins. */
int64_t lsp_parts_at(const lsp_part *part, int i);

#endif
