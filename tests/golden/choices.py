#!/usr/bin/env python3
"""Choices of blocks (branches `chosen` and `selected`), each one checked against float64.

Usage: choices.py texts MODEL FOLDER          writes more documents; prints what a run has to --write
       choices.py check MODEL OUTPUT IDS...   the run: of these ids, one file a document

For every document: (a) float64 with the choices of the run (formulas.py) has its nll, hidden and what enters the layers
that choose, within the tolerance of test_reference.c; (b) no choice is one that float64 would not make.

(b) by scores in float64 from what the run itself says enters the layer, which (a) has compared; so only rounding within
the layer can turn a choice. With u = 2^-24 and gamma(n) = n u / (1 - n u), a sum of n products in float32 in any order,
with or without fused multiply-adds, is off by at most gamma(n) times the sum of their absolute values (Higham, Accuracy
and Stability of Numerical Algorithms, 3.1). `Rounded` carries that through norm, projection, norm of heads, turning,
means, products and softmax, to first order; SECOND pays for products of errors. A block that was left out and scores
higher than one that was taken by more than both their bounds is a fault. Where blocks enter the layer with the same
bits, scores are equal exactly, and the lower block has to be taken. (With `--gemm packed`: by BLAS a row may have other
bits in another place, so that rounding breaks ties.)

Then faults are planted into the choices of the run, one by one, and each check has to find its own.
"""
import sys

import h5py
import numpy as np

from formulas import BLOCK, Model, angles, of_blocks, slopes

U = 2.0 ** -24
EXP = 4  # an exponential in float32 is off by at most so many U (kernels_body.h: 1.5 ulp)
SECOND = 1.01  # products of errors: below 1e-4 of the errors themselves
TOLERANCE = 1e-5  # of test_reference.c
FEW = 0.02  # of all choices may lie within the bound, of which float32 in NumPy uses up less than 1/100
LENGTHS = (1, 63, 64, 65, 640, 1500)
REPEATED = 700  # rows of a document that repeats its first block


class Fault(Exception):
    """What is wrong with a run."""


def expect(holds, what):
    if not holds:
        raise Fault(what)


# ---------------------------------------------------------------- float64 with a bound of what float32 may be off by


def gamma(n):
    return n * U / (1 - n * U)


class Rounded:
    """Values in float64 and how far from each of them the run's may lie."""

    def __init__(self, value, error=None):
        self.value = np.asarray(value, np.float64)
        self.error = np.zeros_like(self.value) if error is None else error

    def map(self, f):
        """Something that moves numbers without rounding them."""
        return Rounded(f(self.value), f(self.error))

    def norm(self, kind, eps, weight, bias):
        """RMS or layer norm over the last axis, of n."""
        x, dx, n = self.value, self.error, self.value.shape[-1]
        if kind == "layer":
            mean = x.mean(-1, keepdims=True)
            dx = dx + dx.mean(-1, keepdims=True) + gamma(n + 1) * np.abs(x).mean(-1, keepdims=True)
            x = x - mean
            dx = dx + U * np.abs(x)
        square = (x * x).mean(-1, keepdims=True) + eps
        # of the root, relative: half of what its argument is off by, and its own, a division and two products
        relative = (np.abs(x) * dx).mean(-1, keepdims=True) / square + gamma(n + 2) / 2 + 5 * U
        y = x / np.sqrt(square) * weight
        dy = (dx + np.abs(x) * relative) / np.sqrt(square) * np.abs(weight)
        y = y + bias if kind == "layer" else y
        return Rounded(y, dy + (U * np.abs(y) if kind == "layer" else 0))

    def product(self, other, scale=1.0):
        """Rows (.., T, n) times rows (.., S, n): (.., T, S)."""
        other, n = other.map(lambda x: np.swapaxes(x, -1, -2)), self.value.shape[-1]
        a, b = np.abs(self.value), np.abs(other.value)
        error = a @ other.error + self.error @ b + gamma(n + 1) * (a @ b)
        return Rounded(scale * (self.value @ other.value), scale * error)

    def plus(self, bias):
        value = self.value + bias
        return Rounded(value, self.error + U * np.abs(value))

    def mean(self, axis, n):
        """Over axes of n numbers together."""
        return Rounded(self.value.mean(axis), self.error.mean(axis) + gamma(n + 2) * np.abs(self.value).mean(axis))

    def means(self, unit):
        """Of each `unit` rows of (T, ..)."""
        whole = len(self.value) // unit
        rows = self.map(lambda x: x[:whole * unit].reshape(whole, unit, *x.shape[1:]))
        return rows.mean(1, unit)

    def turned(self, position, theta):
        """Pairs (m, m + E/2) of (T, .., E) by a position; cos and sin are rounded, then two products and a sum."""
        E = self.value.shape[-1]
        shape = (len(self.value), *[1] * (self.value.ndim - 2), E // 2)
        cos, sin = (x.reshape(shape) for x in angles(position, E, theta))
        a, b = self.value[..., :E // 2], self.value[..., E // 2:]
        da, db = self.error[..., :E // 2], self.error[..., E // 2:]
        value = np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)
        first = np.abs(cos) * (da + 4 * U * np.abs(a)) + np.abs(sin) * (db + 4 * U * np.abs(b))
        second = np.abs(cos) * (db + 4 * U * np.abs(b)) + np.abs(sin) * (da + 4 * U * np.abs(a))
        return Rounded(value, np.concatenate([first, second], -1))

    def softmax(self, seen):
        """Over the last axis where seen: p is off by p (ds + the mean of ds under p), and by what exp and sums are.

        A sum may be rescaled by one more exponential for every 64 scores, when the largest so far changes.
        """
        score = np.where(seen, self.value, -np.inf)
        top = np.max(score, -1, initial=-1e300, keepdims=True)
        p = np.exp(score - top)
        p /= np.maximum(p.sum(-1, keepdims=True), 1e-300)
        ds = np.where(seen, self.error + U * np.abs(score - top, where=seen, out=np.zeros_like(score)), 0)
        n = seen.sum(-1, keepdims=True)
        return Rounded(p, p * (ds + (p * ds).sum(-1, keepdims=True) + gamma(n) + (n // 64 + 3) * (EXP + 1) * U))


# ---------------------------------------------------------------- scores of the blocks


def heads(layer, x, name):
    """Queries or keys (T, heads, E) before turning."""
    y = x.product(Rounded(layer.w(f"attention.{name}.weight")))
    y = y.plus(layer.w(f"attention.{name}.bias")) if layer.c["attention_bias"] else y
    y = y.map(lambda v: v.reshape(len(v), -1, layer.E))
    if not layer.c["query_key_norm"]:
        return y
    return y.norm("rms", layer.c["norm_eps"], layer.w(f"attention.{name}_norm.weight"), None)


def scores_by_block(layer, q, k):
    """chosen: the mean query of the block before against the mean key, (T, G, blocks), and which are candidates."""
    branch, T = layer.branch("chosen"), len(q.value)
    blocks, share = -(-T // BLOCK), layer.H // layer.G
    grouped = q.map(lambda x: x[:T // BLOCK * BLOCK].reshape(-1, BLOCK, layer.G, share, layer.E))
    asked = grouped.mean((1, 3), BLOCK * share).map(lambda x: x.swapaxes(0, 1))
    keys = k.means(BLOCK).map(lambda x: x.swapaxes(0, 1))
    before = np.arange(T) // BLOCK - 1
    pad = ((0, 0), (0, 1), (0, blocks - T // BLOCK))  # block 0 asks for nothing; what is not whole is no candidate
    score = asked.product(keys).map(lambda s: np.pad(s, pad)[:, before].swapaxes(0, 1))
    back = np.arange(T)[:, None] // BLOCK - np.arange(blocks)
    candidates = (back > branch.get("beyond", 0)) & (back <= branch["reach"])
    return score, np.repeat(candidates[:, None], layer.G, 1), np.ones((T, blocks), bool)


def probabilities(layer, head, q, k, at, seen):
    """Of the means k (M, G, E), which stand at `at`, for all queries of a head: (T, M)."""
    g = head // (layer.H // layer.G)
    s = q.map(lambda x: x[:, head]).product(k.map(lambda x: x[:, g]), layer.E ** -0.5)
    s.error += 2 * U * np.abs(s.value)  # the scale and its product
    if layer.c["position"] == "alibi":
        far = slopes(layer.H)[head] * (np.arange(len(seen))[:, None] - at)
        s = Rounded(s.value - far, s.error + 2 * U * (np.abs(s.value) + 2 * np.abs(far)))
    return s.softmax(seen)


def scores_by_token(layer, q, k):
    """selected: probabilities of the compressed branch, summed over the heads of a group and the means of a block."""
    (pool, first, end), = layer.pooled(layer.branch("compressed"), len(q.value))
    T, k, unit = len(q.value), k.means(pool), BLOCK // pool
    blocks, c = -(-T // BLOCK), np.arange(T // pool)
    at = (c + 1) * pool - 1
    if layer.c["position"] == "rotary":
        theta = layer.c["rotary_theta"]
        q, k = q.turned(np.arange(T), theta), k.turned(at, theta)
    seen = (c >= first[:, None]) & (c < end[:, None])

    def by_block(x):
        return np.pad(x, ((0, 0), (0, blocks * unit - len(c)))).reshape(T, blocks, unit)

    p = [probabilities(layer, head, q, k, at, seen).map(by_block) for head in range(layer.H)]
    value, error = (np.stack(x, 1).reshape(T, layer.G, layer.H // layer.G, blocks, unit).sum((2, 4))
                    for x in ([r.value for r in p], [r.error for r in p]))
    shown = by_block(seen).sum(-1)
    candidates = (shown > 0) & (np.arange(blocks) < np.arange(T)[:, None] // BLOCK)
    terms = unit * layer.H // layer.G
    return Rounded(value, error + gamma(terms) * value), np.repeat(candidates[:, None], layer.G, 1), shown == unit


def scores(layer, x):
    """(score (T, G, blocks), candidates, whole (T, blocks): of which everything counts) for what enters a layer."""
    x = x.norm(layer.c["norm"], layer.c["norm_eps"], layer.w("attention_norm.weight"), layer.w("attention_norm.bias"))
    score, candidates, whole = (scores_by_block if layer.branch("chosen") else scores_by_token)(
        layer, heads(layer, x, "q"), heads(layer, x, "k"))
    score.error *= SECOND
    return score, candidates, whole


def classes(layer, x):
    """For each block the first one that must score the same, or itself: its rows enter the layer with the same bits."""
    blocks = -(-len(x) // BLOCK)
    if layer.branch("selected") and layer.c["position"] != "none":
        return np.arange(blocks)  # the score depends on where a block stands
    padded = np.full((blocks * BLOCK, x.shape[1]), np.nan, x.dtype)
    padded[:len(x)] = x
    bits = [row.tobytes() for row in padded.reshape(blocks, -1)]
    return np.array([bits.index(b) for b in bits])


# ---------------------------------------------------------------- the checks


def check_lists(layer, lists, candidates):
    """The form of the lists (T, G, k); returns them as a mask (T, G, blocks)."""
    _, k = layer.chooser()
    T, _, blocks = candidates.shape
    own = (np.arange(T) // BLOCK)[:, None, None]
    expect(lists.shape == (T, layer.G, k), f"lists of the shape {lists.shape}, not {(T, layer.G, k)}")
    expect((lists >= -1).all(), "a number below -1")
    expect((lists != own).all(), "the own block in a list")
    expect((lists < own).all(), "a block of the future in a list")
    unused = lists == -1
    rising = (np.diff(lists) > 0) | unused[..., 1:]
    expect(rising.all() and (np.diff(unused.astype(int)) >= 0).all(), "a list that does not rise, or has gaps")
    taken = of_blocks(lists, blocks)
    expect(not (taken & ~candidates).any(), "a block that is no candidate")
    expect((taken.sum(-1) == np.minimum(k, candidates.sum(-1))).all(), "another number of blocks")
    if layer.branch("chosen"):
        same = lists[np.arange(T) // BLOCK * BLOCK]
        expect((lists == same)[np.arange(T) // BLOCK > 0].all(), "other lists within a block")
    return taken


def check_ties(taken, candidates, whole, kind):
    """Of equal blocks the lowest are taken; returns which lists (T, G) were decided so."""
    decided = np.zeros(taken.shape[:2], bool)
    for first in np.unique(kind):
        same = np.flatnonzero(kind == first)
        if len(same) > 1:
            counts = candidates[..., same] & whole[:, None, same]
            t, left = taken[..., same] & counts, ~taken[..., same] & counts
            lower_left = np.logical_or.accumulate(left, -1)[..., :-1]
            expect(not (lower_left & t[..., 1:]).any(), "of equal blocks not the lowest")
            decided |= t.any(-1) & left.any(-1)
    return decided


def check_scores(taken, left, score):
    """No block scores higher than one taken by more than the bounds; returns where bounds leave that open."""
    def left_is_higher(by):
        most = np.max(score.value + by, -1, where=left, initial=-np.inf)
        return most > np.min(score.value - by, -1, where=taken, initial=np.inf)

    expect(not left_is_higher(-score.error).any(), "a block that scores lower than one left out")
    return left_is_higher(score.error)


def check_choices(layer, x, lists, made):
    """All choices of a layer; returns how many left something out, are open, were decided by a tie."""
    score, candidates, whole = made
    taken = check_lists(layer, lists, candidates)
    left = candidates & ~taken
    unsure = check_scores(taken, left, score)
    tied = check_ties(taken, candidates, whole, classes(layer, x))
    own = slice(None, None, BLOCK if layer.branch("chosen") else 1)
    return np.array([m[own].sum() for m in (taken.any(-1) & left.any(-1), unsure & ~tied, tied)])


def close(have, want, what):
    """Rows of the run as float64 has them."""
    error = np.abs(have - want).max() / np.abs(want).max()
    expect(error <= TOLERANCE, f"{what}: off by {error:.1e}")
    return error


def check_forward(model, rows, choices):
    """nll, hidden and what enters the layers, as float64 has them with these choices; (largest error, what enters)."""
    entering, hidden, nll = model.run(rows["id"], choices)
    prefix, has = len(model.c["prefix"]), ~np.isnan(nll)
    expect(np.array_equal(np.isnan(rows["nll"]), ~has), "other rows without nll")
    off = np.max(np.abs(rows["nll"] - nll)[has] / np.maximum(1, nll[has]), initial=0)
    expect(off <= TOLERANCE, f"nll: off by {off:.1e}")
    off = max(off, close(rows["hidden"], hidden, "hidden"))
    for number in choices:
        off = max(off, close(rows[f"hidden_{number}"], entering[number][prefix:], f"hidden_{number}"))
    return off, entering


# ---------------------------------------------------------------- faults that must be found


def swapped(layer, lists, i, g, old, new, alone=False):
    """Lists with another block for one in the list of row i; of `chosen`, in those of its block, but for `alone`."""
    rows = [i] if alone or layer.branch("selected") else np.flatnonzero(np.arange(len(lists)) // BLOCK == i // BLOCK)
    other = lists.copy()
    changed = [new if c == old else c for c in lists[i, g]]
    other[rows, g] = sorted(changed, key=lambda c: (c < 0, c))
    return other


def planted(layer, x, lists, made):
    """(What is said of it, lists with this one fault) for every fault that these lists have room for."""
    score, candidates, whole = made
    taken, kind = of_blocks(lists, candidates.shape[-1]), classes(layer, x)
    left = candidates & ~taken
    for i, g in np.argwhere(taken.any(-1))[-1:]:
        old, own = lists[i, g, 0], i // BLOCK
        yield "own block", swapped(layer, lists, i, g, old, own)
        yield "future", swapped(layer, lists, i, g, old, own + 1)
        yield "another number", swapped(layer, lists, i, g, old, -1)
        for c in np.flatnonzero(~candidates[i, g, :own])[:1]:
            yield "no candidate", swapped(layer, lists, i, g, old, c)
    for i, g in np.argwhere(taken.any(-1) & left.any(-1))[-1:]:
        s, e, t, c = score.value[i, g], score.error[i, g], np.flatnonzero(taken[i, g]), np.flatnonzero(left[i, g])
        best, worst = t[np.argmax(s[t])], c[np.argmin(s[c])]
        if s[best] - e[best] > s[worst] + e[worst]:
            yield "scores lower", swapped(layer, lists, i, g, best, worst)
        if layer.branch("chosen") and i % BLOCK > 0:
            yield "within a block", swapped(layer, lists, i, g, best, worst, alone=True)
    for i, g in np.argwhere(check_ties(taken, candidates, whole, kind))[-1:]:
        t, c = (np.flatnonzero(m[i, g] & whole[i]) for m in (taken, left))
        old, new = next((a, b) for a in t for b in c if kind[a] == kind[b])
        yield "not the lowest", swapped(layer, lists, i, g, old, new)


def must_be_found(model):
    """Which faults the documents of a model always have room for."""
    faults, first = {"own block", "future", "another number", "scores lower", "off by"}, layers_of(model)[0]
    if any(layer.branch("chosen") for layer in layers_of(model)):
        faults |= {"within a block", "no candidate"}
    if first.number == 0 and (first.branch("chosen") or model.c["position"] == "none"):
        faults.add("not the lowest")  # blocks of the same ids enter the first layer with the same bits
    return faults


def is_found(check, word):
    """Whether a check fails with a word in what it says."""
    try:
        check()
    except Fault as fault:
        return word in str(fault)
    return False


# ---------------------------------------------------------------- files


def layers_of(model):
    """The layers that choose something."""
    return [layer for layer in model.layers if layer.chooser()[1] > 0]


def write_texts(model, folder):
    """Documents of random ids, and one whose blocks are all the same."""
    random = np.random.RandomState(8)
    texts = [random.randint(0, model.c["vocab_size"], n) for n in (*LENGTHS, BLOCK)]
    texts[-1] = np.resize(texts[-1], REPEATED)
    for number, text in enumerate(texts):
        text.astype("<u2").tofile(f"{folder}/random{number}.bin")
    print("id,nll,hidden", *(f"hidden:{n.number},chosen:{n.number}" for n in layers_of(model)), sep=",")


def read_rows(file, model, first, end):
    """(Rows of the datasets, the choices of each layer (T, G, k), where rows of the prefix choose nothing)."""
    tokens, prefix, choices = file["tokens"], len(model.c["prefix"]), {}
    rows = {name: tokens[name][first:end] for name in tokens if name.startswith(("id", "nll", "hidden"))}
    for layer in layers_of(model):
        n = layer.G * layer.chooser()[1]
        lists = tokens[f"chosen_{layer.number}"][first:end]
        expect((lists[:, n:] == -1).all(), "something behind the choices of a layer")
        lists = np.concatenate([np.full((prefix, n), -1, lists.dtype), lists[:, :n]])
        choices[layer.number] = lists.reshape(-1, layer.G, layer.chooser()[1])
    return rows, choices


def entered(written, x, prefix):
    """What entered a layer as the run has it; of the prefix, which it does not write, as float64 has it."""
    value = np.concatenate([x[:prefix], written.astype(np.float64)])
    error = np.zeros_like(value)
    error[:prefix] = TOLERANCE * np.abs(x).max()
    return Rounded(value, error)


def find_planted(model, layer, x, made, rows, choices, found):
    """Plants faults into the choices of a layer: all have to be found; float64 with other choices has other rows."""
    for word, lists in planted(layer, x, choices[layer.number], made):
        missed = not is_found(lambda: check_choices(layer, x, lists, made), word)
        if word == "scores lower" and "off by" not in found and not missed:
            missed = not is_found(lambda: check_forward(model, rows, {**choices, layer.number: lists}), "off by")
            found.add("off by")
        if missed:
            raise AssertionError(f"layer {layer.number}: a fault was planted and not found: {word}")
        found.add(word)


def check_document(model, rows, choices, found):
    """All checks of one document; returns (how far its rows are off float64's, counts of choices)."""
    off, entering = check_forward(model, rows, choices)
    counts = np.zeros(3, int)
    for layer in layers_of(model):
        x = entered(rows[f"hidden_{layer.number}"], entering[layer.number], len(model.c["prefix"]))
        made = scores(layer, x)
        counts += check_choices(layer, x.value, choices[layer.number], made)
        find_planted(model, layer, x.value, made, rows, choices, found)
    if len(ids := rows["id"]) > BLOCK and np.array_equal(ids[BLOCK:], ids[:-BLOCK]):
        counts[1] = 0  # blocks that are alike may score nearly alike; that document is for those that do exactly
    return off, counts


def check_run(model, output, paths):
    """All documents of a run; prints one line."""
    total, off, found, end = np.zeros(3, int), 0, set(), 0
    with h5py.File(output) as file:
        for path in paths:
            ids = np.fromfile(path, "<u2")
            first, end = end, end + len(ids)
            try:
                rows, choices = read_rows(file, model, first, end)
                expect(np.array_equal(rows["id"], ids), "other ids")
                one, counts = check_document(model, rows, choices, found)
            except Fault as fault:
                sys.exit(f"{path}: {fault}")
            off, total = max(off, one), total + counts
        expect(end == len(file["tokens/id"]), "more documents")
    print(f"{total[0]} choices, {total[1]} within the bound, {total[2]} by a tie; rows off by {off:.1e}; "
          f"{len(found)} planted faults found")
    if total[1] > FEW * total[0]:
        sys.exit("too many choices lie within the bound to say that they were checked")
    if not must_be_found(model) <= found:
        sys.exit(f"no room for the faults {must_be_found(model) - found}")


def main():
    what, model = sys.argv[1], Model(sys.argv[2])
    if what == "texts":
        write_texts(model, sys.argv[3])
    else:
        check_run(model, sys.argv[3], sys.argv[4:])


if __name__ == "__main__":
    main()
