/* The words of --store. */
#include "lsp/recall.h"

#include "lsp/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Positions and layers are counted up to these. */
#define POSITIONS_MOST (1LL << 40)
enum { LAYER_MOST = 4095, SEGMENT = 512 };

typedef struct {
  const char *text; /* all of it */
  lsp_recall *recall;
  lsp_failure *why;
} words;

static lsp_status refuse(const words *w, const char *what) {
  return lsp_fail(w->why, LSP_E_USAGE,
                  "--store %.60s: %s; expected "
                  "layers:LIST,k:K,gate:G[,memory:M][,segment:S][,keys:plain|rotated], "
                  "such as layers:3+5+7,k:32,gate:0.1",
                  w->text, what);
}

/* Takes a number off the beginning of *at; 0: there is none from low to high. */
static int take_number(const char **at, long long low, long long high,
                       long long *number) {
  char *end = NULL;
  if (**at < '0' || **at > '9')
    return 0;
  errno = 0;
  *number = strtoll(*at, &end, 10);
  *at = end;
  return errno == 0 && *number >= low && *number <= high;
}

/* --- one key after another ------------------------------------------------------- */

static lsp_status take_layers(const words *w, const char **at) {
  lsp_recall *r = w->recall;
  long long first = 0, last = -1, before = -1;
  do {
    *at += r->ranges > 0; /* the '+' */
    if (!take_number(at, 0, LAYER_MOST, &first))
      return refuse(w, "\"layers\" is no list of numbers");
    last = first;
    if (**at == '-') {
      ++*at;
      if (!take_number(at, first, LAYER_MOST, &last))
        return refuse(w,
                      "\"layers\" has a range that does not rise, or goes beyond layer "
                      "4095");
    }
    if (first <= before)
      return refuse(w, "\"layers\" do not rise");
    if (r->ranges == LSP_RECALL_RANGES)
      return refuse(w, "\"layers\" has too many parts (64 at most); use ranges");
    r->range[r->ranges].first = (int)first;
    r->range[r->ranges++].last = (int)last;
    before = last;
  } while (**at == '+');
  return LSP_OK;
}

static lsp_status take_k(const words *w, const char **at) {
  long long k = 0;
  if (!take_number(at, 1, LSP_NEIGHBOURS_MAX, &k))
    return refuse(w, "\"k\" is not from 1 to 256");
  w->recall->neighbours = (int)k;
  return LSP_OK;
}

static lsp_status take_gate(const words *w, const char **at) {
  char *end = NULL;
  const int number = (**at >= '0' && **at <= '9') || **at == '.';
  const double gate = number ? strtod(*at, &end) : 0;
  if (end == NULL || !(gate > 0 && gate < 1))
    return refuse(w, "\"gate\" is no number above 0 and below 1");
  w->recall->gate = gate;
  *at = end;
  return LSP_OK;
}

static lsp_status take_memory(const words *w, const char **at) {
  long long memory = 0;
  if (!take_number(at, 0, POSITIONS_MOST, &memory))
    return refuse(w, "\"memory\" is no number of positions from 0 to 2^40");
  w->recall->memory = memory;
  return LSP_OK;
}

static lsp_status take_segment(const words *w, const char **at) {
  long long segment = 0;
  if (!take_number(at, 1, POSITIONS_MOST, &segment))
    return refuse(w, "\"segment\" is no number of positions from 1 to 2^40");
  w->recall->segment = segment;
  return LSP_OK;
}

static lsp_status take_keys(const words *w, const char **at) {
  static const char *const kinds[] = {"plain", "rotated"};
  for (int i = 0; i < 2; i++) {
    const size_t n = strlen(kinds[i]);
    if (strncmp(*at, kinds[i], n) != 0)
      continue;
    w->recall->rotated = i;
    *at += n;
    return LSP_OK;
  }
  return refuse(w, "\"keys\" is neither plain nor rotated");
}

static const struct {
  const char *name;
  int required;
  lsp_status (*take)(const words *w, const char **at);
} keys[] = {{"layers:", 1, take_layers},   {"k:", 1, take_k},
            {"gate:", 1, take_gate},       {"memory:", 0, take_memory},
            {"segment:", 0, take_segment}, {"keys:", 0, take_keys}};

enum { KEYS = sizeof keys / sizeof keys[0] };

/* Number of the key that a text begins with; KEYS: none. */
static int key_at(const char *at) {
  int i = 0;
  while (i < KEYS && strncmp(at, keys[i].name, strlen(keys[i].name)) != 0)
    i++;
  return i;
}

/* --- all of it ------------------------------------------------------------------- */

lsp_status lsp_recall_parse(const char *text, lsp_recall *recall, lsp_failure *why) {
  const words w = {text, recall, why};
  int there[KEYS] = {0};
  memset(recall, 0, sizeof *recall);
  recall->segment = SEGMENT;
  if (text == NULL)
    return LSP_OK;
  for (const char *at = text;; at++) {
    const int i = key_at(at);
    if (i == KEYS)
      return refuse(&w, "an unknown key");
    if (there[i]++ > 0)
      return refuse(&w, "a key twice");
    at += strlen(keys[i].name);
    LSP_TRY(keys[i].take(&w, &at));
    if (*at == '\0')
      break;
    if (*at != ',')
      return refuse(&w, "a value is followed by something else than a comma");
  }
  for (int i = 0; i < KEYS; i++)
    if (keys[i].required && !there[i])
      return refuse(&w, "layers, k or gate is missing");
  return LSP_OK;
}

/* The shortest decimal that is the same number. */
static void print_gate(double gate, char text[32]) {
  int digits = 1;
  do
    (void)snprintf(text, 32, "%.*g", digits, gate);
  while (strtod(text, NULL) != gate && ++digits <= 17);
}

void lsp_recall_print(const lsp_recall *recall, char text[LSP_RECALL_SIZE]) {
  char gate[32];
  int n = snprintf(text, LSP_RECALL_SIZE, "layers:");
  for (int i = 0; i < recall->ranges && n < LSP_RECALL_SIZE; i++) {
    const int first = recall->range[i].first, last = recall->range[i].last;
    const char *plus = i > 0 ? "+" : "";
    n += snprintf(text + n, LSP_RECALL_SIZE - (size_t)n,
                  first == last ? "%s%d" : "%s%d-%d", plus, first, last);
  }
  print_gate(recall->gate, gate);
  LSP_ASSERT(n < LSP_RECALL_SIZE);
  n += snprintf(text + n, LSP_RECALL_SIZE - (size_t)n,
                ",k:%d,gate:%s,memory:%lld,segment:%lld,keys:%s", recall->neighbours,
                gate, (long long)recall->memory, (long long)recall->segment,
                recall->rotated ? "rotated" : "plain");
  LSP_ASSERT(n < LSP_RECALL_SIZE);
}

int lsp_recall_has(const lsp_recall *recall, int layer) {
  for (int i = 0; i < recall->ranges; i++)
    if (layer >= recall->range[i].first && layer <= recall->range[i].last)
      return 1;
  return 0;
}
