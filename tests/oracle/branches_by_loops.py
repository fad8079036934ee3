"""The attention of model_type `longspan` a second time: NumPy in float64, a loop over heads, queries and keys.

Shares nothing with data/reference.py; make_branches.py compares the two on a layer's own inputs.
"""
import math

import numpy as np

BLOCK = 64
WORD = 1 << 64
POOLED = ("compressed", "levels")
MEMORIES = ("learned", "store", "compressive")


def allowed(branch, head, i, j, causal=True):
    """Whether query i of a head sees key j through a branch that looks at positions alone."""
    kind = branch["type"]
    if j < 0 or (causal and j > i):
        return False
    if kind == "full":
        return True
    if kind == "local":
        w = branch["window"]
        w = w[head] if isinstance(w, list) else w
        return i - w < j if causal else abs(i - j) <= w
    if kind == "fixed":
        return j < branch["sinks"]
    if kind == "global":
        return i in global_rows(branch) or j in global_rows(branch)
    if branch.get("same_length", False):
        return j >= max(0, i - branch["memory"] + 1)
    return j >= max(0, math.floor(i / branch["segment"]) * branch["segment"] - branch["memory"])


def global_rows(branch):
    """The rows that everyone sees, as a set."""
    return set(range(branch["tokens"])) if "tokens" in branch else set(branch["positions"])


def splitmix(z):
    """One output of splitmix64 from the state z."""
    z = (z + 0x9E3779B97F4A7C15) % WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % WORD
    return z ^ (z >> 31)


def drawn_blocks(branch, layer, head, b, rows, causal):
    """The blocks that block b of a head draws."""
    r, reach, beyond = branch["blocks"], branch["reach"], branch.get("beyond", 0)
    if causal:
        candidates = [c for c in range(b - reach, b - beyond) if c >= 0]
    else:
        candidates = [c for c in range(b - reach, b + reach + 1) if abs(c - b) > beyond and c >= 0 and c * BLOCK < rows]
    n = len(candidates)
    if n <= r:
        return candidates
    key = branch.get("seed", 0)
    for word in (layer, head, b):
        key = splitmix(key) ^ word
    key, taken = splitmix(key), []
    for t in range(r):
        u, m = splitmix((key + t * 0x9E3779B97F4A7C15) % WORD), n - r + t
        x = (u * (m + 1)) >> 64
        taken.append(m if x in taken else x)
    return [candidates[x] for x in taken]


def first_of_levels(branch, i):
    """For levels 0, 1, ..: (rows a unit, first unit shown, the unit after the last)."""
    w, p, n = branch["window"], branch["pool"], branch["levels"]
    f = max(0, math.floor((i - w + 1) / p) * p)
    shown = [(1, f, i + 1)]
    for level in range(1, n + 1):
        u = p ** level
        assert f % u == 0
        e = f // u
        a = max(0, e - w) if level == n else max(0, math.floor((e - w) / p) * p)
        shown.append((u, a, e))
        f = a * u
    return shown


def alibi_slope(head, heads):
    """The slope of a head as the ALiBi paper has it."""
    n = 1
    while 2 * n <= heads:
        n *= 2
    if head < n:
        return 2 ** (-8 * (head + 1) / n)
    return 2 ** (-8 * (2 * (head - n) + 1) / (2 * n))


def rotated(x, angle_by, config, width):
    """A copy of one head's vector, turned by a position."""
    x = x.copy()
    for pair in range(width // 2):
        a, b = (pair, pair + width // 2) if config.get("rotary_pairs", "half") == "half" else (2 * pair, 2 * pair + 1)
        t = angle_by * config.get("rotary_theta", 10000.0) ** (-2 * pair / width)
        x[a], x[b] = x[a] * math.cos(t) - x[b] * math.sin(t), x[b] * math.cos(t) + x[a] * math.sin(t)
    return x


class Layer:
    """One layer's attention; w has the tensors of layers.N.attention without that prefix."""

    def __init__(self, config, number, w):
        self.config, self.number, self.w = config, number, w
        layers = config["layers"]
        layer = layers[number] if isinstance(layers, list) else layers
        self.layer, self.branches, self.merge = layer, layer["branches"], layer.get("merge", "softmax")
        self.heads = config["num_attention_heads"]
        self.groups = config.get("num_key_value_heads") or self.heads
        self.share = self.heads // self.groups
        self.E = config.get("head_dim") or config["hidden_size"] // self.heads
        self.scale = config.get("attention_scale") or 1 / math.sqrt(self.E)
        self.causal = config.get("causal", True)
        self.taken = {}  # (head, query): what it took from a store, the best first

    def project(self, name, x, number, norm=None):
        """Head `number` of q, k or v at one row; norm names its norm, if it has one."""
        rows = slice(number * self.E, (number + 1) * self.E)
        y = self.w[f"{name}.weight"][rows] @ x
        y = y + self.w[f"{name}.bias"][rows] if self.config.get("attention_bias") else y
        if self.config.get("query_key_norm") and norm:
            y = y / math.sqrt(np.mean(y * y) + self.config.get("norm_eps", 1e-5)) * self.w[f"{norm}.weight"]
        return y

    def score(self, head, q, k, i, j):
        """s(i, j) of one head, for a key that stands at j."""
        config, w, E, scale = self.config, self.w, self.E, self.scale
        position = config.get("position", "rotary")
        if position == "rotary":
            width, at = config.get("rotary_width") or E, i
            for b in self.branches:
                local = next((x for x in self.branches if x["type"] == "local"), None)
                if b.get("place") == "window" and not allowed(local, head, i, j):
                    reach = local["window"][head] if isinstance(local["window"], list) else local["window"]
                    at = j + min(i - j, reach - 1 + b["sinks"] - j)
            s = scale * float(rotated(q, at, config, width) @ rotated(k, j, config, width))
        elif position == "relative":
            t, D = i - j, config["hidden_size"]
            t = min(t, config["clamp_len"]) if config.get("clamp_len", 0) > 0 else t
            angles = [t * 10000 ** (-2 * m / D) for m in range(D // 2)]
            r = np.array([math.sin(a) for a in angles] + [math.cos(a) for a in angles])
            R = w["relative.weight"][head * E:(head + 1) * E]
            s = scale * float((q + w["relative.u"][head]) @ k + (q + w["relative.v"][head]) @ (R @ r))
        else:
            s = scale * float(q @ k)
            s -= alibi_slope(head, self.heads) * abs(i - j) if position == "alibi" else 0
        cap = config.get("score_cap", 0)
        return cap * math.tanh(s / cap) if cap > 0 else s

    # ------------------------------------------------------------ keys that a branch offers

    def unit(self, g, level, branch, c):
        """(key, value) of pooled row c of a level: the mean of the rows below it, which may be means themselves."""
        if level == 0:
            return self.k[g][c], self.v[g][c]
        known = self.known.setdefault((branch["type"], g, level, c), [])
        if not known:
            below = [self.unit(g, level - 1, branch, d) for d in range(c * branch["pool"], (c + 1) * branch["pool"])]
            known += [sum(k for k, _ in below) / len(below), sum(v for _, v in below) / len(below)]
        return known

    def pooled_keys(self, branch, head, i):
        """{(level, c): (key, value, position)} of what query i sees of means."""
        keys, g = {}, head // self.share
        if branch["type"] == "compressed":
            pool, reach = branch["pool"], branch["reach"] if "reach" in branch else 0
            for c in range(len(self.k[g]) // pool):
                if (c + 1) * pool - 1 <= i and (reach == 0 or c >= (i + 1) // pool - reach):
                    keys[1, c] = (*self.unit(g, 1, branch, c), (c + 1) * pool - 1)
            return keys
        for level, (u, a, e) in enumerate(first_of_levels(branch, i)):
            for c in range(a, e):
                keys[level, c] = (*self.unit(g, level, branch, c), (c + 1) * u - 1)
        return keys

    def dynamic_weight(self, branch, head, x):
        """What exp(score) at the distance x is multiplied by."""
        share = min(1.0, max(0.0, float(self.w["span"][head])))
        span = float(np.float32(branch["window"]) * np.float32(share))
        return min(1.0, max(0.0, (branch["ramp"] + span - x) / branch["ramp"]))

    def seen_rows(self, branch, head, i):
        """The rows that query i sees through a branch that shows rows."""
        rows, own, kind = len(self.k[0]), i // BLOCK, branch["type"]
        if kind == "dynamic":
            return [j for j in range(i + 1) if self.dynamic_weight(branch, head, i - j) > 0]
        if kind == "random":
            blocks = drawn_blocks(branch, self.number, head, own, rows, self.causal)
        elif kind == "chosen":
            blocks = [own] + self.chosen_blocks(branch, head // self.share, own)
        elif kind == "selected":
            blocks = [own] + self.selected_blocks(branch, head // self.share, i)
        else:
            return [j for j in range(rows) if allowed(branch, head, i, j, self.causal)]
        return [j for j in range(rows) if j // BLOCK in blocks and (j <= i or not self.causal)]

    def chosen_blocks(self, branch, g, b):
        """The best blocks by the mean key against the mean query of the block before b."""
        candidates = [c for c in range(b - branch["reach"], b - branch.get("beyond", 0)) if c >= 0]
        if not candidates:
            return []
        before = range((b - 1) * BLOCK, b * BLOCK)
        query = np.mean([self.q[h][i] for h in range(g * self.share, (g + 1) * self.share) for i in before], axis=0)
        score = {c: float(query @ np.mean(self.k[g][c * BLOCK:(c + 1) * BLOCK], axis=0)) for c in candidates}
        return sorted(candidates, key=lambda c: (-score[c], c))[:branch["blocks"]]

    def selected_blocks(self, branch, g, i):
        """The blocks whose means have the largest probabilities, summed over the heads of the group."""
        compressed = next(b for b in self.branches if b["type"] == "compressed")
        total = {}
        for head in range(g * self.share, (g + 1) * self.share):
            keys = self.pooled_keys(compressed, head, i)
            score = {c: self.score(head, self.q[head][i], k, i, at) for (_, c), (k, _, at) in keys.items()}
            norm = sum(math.exp(s - max(score.values())) for s in score.values())
            for c, s in score.items():
                block = c * compressed["pool"] // BLOCK
                total[block] = total.get(block, 0) + math.exp(s - max(score.values())) / norm
        candidates = [c for c in total if c < i // BLOCK]
        return sorted(candidates, key=lambda c: (-total[c], c))[:branch["blocks"] - 1]

    # ------------------------------------------------------------ memories

    def slots(self, branch, head):
        """{name: (score, value)} of learned slots; self.asks is the query."""
        g, q, cap = head // self.share, self.asks, self.config.get("score_cap", 0)
        q = q + self.w["relative.u"][head] if self.config.get("position") == "relative" else q
        found = {}
        for m in range(branch["slots"]):
            s = self.scale * float(q @ self.w["memory_keys"][g][m])
            found["slot", m] = cap * math.tanh(s / cap) if cap > 0 else s, self.w["memory_values"][g][m]
        return found

    def past_row(self, branch, g, c):
        """(key, value) of row c of the compressed past, which x was made into."""
        if (g, c) not in self.pasts:
            rows = self.x[c * branch["pool"]:(c + 1) * branch["pool"]]
            row = sum(rows) / len(rows)
            if branch.get("compress", "mean") == "convolution":
                row = sum(self.w["compress.weight"][:, :, j] @ z for j, z in enumerate(rows)) + self.w["compress.bias"]
            self.pasts[g, c] = self.project("k", row, g, "k_norm"), self.project("v", row, g)
        return self.pasts[g, c]

    def past(self, branch, head, i):
        """{name: (score, value)} of the compressed past."""
        recurrence = next(b for b in self.branches if b["type"] == "recurrence")
        left = i - i % recurrence["segment"] - recurrence["memory"]
        units = [c for c in range(len(self.x)) if (c + 1) * branch["pool"] <= left]
        found = {}
        for c in units[-branch["rows"]:] if branch.get("rows", 0) else units:
            k, v = self.past_row(branch, head // self.share, c)
            found["past", c] = self.score(head, self.asks, k, i, c * branch["pool"] + branch["pool"] - 1), v
        return found

    def stored(self, branch, head, i, shown):
        """{name: (score, value)} of what a query takes from a store, of the keys before those in `shown`."""
        end = i - i % branch["segment"]
        first = max(0, end - branch["memory"]) if branch["memory"] else 0
        found = []
        for j in range(first, min(end, min(shown, default=end))):
            q, k = self.asks, self.k[head // self.share][j]
            if branch.get("keys", "plain") == "rotated":
                width = self.config.get("rotary_width") or self.E
                q, k = rotated(q, i, self.config, width), rotated(k, j, self.config, width)
            if branch.get("similarity", "scaled") == "cosine":
                length = [math.sqrt(sum(x * x) + 1e-12) for x in (q, k)]
                s = abs(float(self.w["store_scale"][head])) * float(q @ k) / length[0] / length[1]
            else:
                s = self.scale * float(q @ k)
            found.append((-s, j))
        taken = sorted(found)[:branch["neighbours"]]
        self.taken[head, i] = [j for _, j in taken]
        return {("store", j): (-s, self.v[head // self.share][j]) for s, j in taken}

    def recalled(self, branch, head, i):
        """What a query reads from a compressive memory: of every pair that was written so much as its key matches."""
        def sigma(x):
            return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))

        def read(x, keys, values):
            match = keys @ x
            return match @ values / max(match.sum(), 1e-10)

        g = head % self.groups if branch.get("heads", "grouped") == "tiled" else head // self.share
        S = branch["segment"]
        if g not in self.written:
            keys, values = sigma(np.array(self.k[g])), np.array(self.v[g])
            for s in range(S, len(values), S) if branch.get("rule") == "delta" else ():
                values[s:s + S] -= [read(k, keys[:s], values[:s]) for k in keys[s:s + S]]
            self.written[g] = keys, values
        return read(sigma(self.asks), *(x[:i // S * S] for x in self.written[g]))

    # ------------------------------------------------------------ one query

    def seen(self, branch, head, i):
        """{name of a key: (score, value)} of what one branch shows by itself."""
        if branch["type"] == "learned":
            return self.slots(branch, head)
        if branch["type"] == "compressed_past":
            return self.past(branch, head, i)
        if branch["type"] == "store":
            return self.stored(branch, head, i, ())
        if branch["type"] in POOLED:
            return {name: (self.score(head, self.q[head][i], k, i, at), v)
                    for name, (k, v, at) in self.pooled_keys(branch, head, i).items()}
        keys, g = {}, head // self.share
        for j in self.seen_rows(branch, head, i):
            s = self.score(head, self.q[head][i], self.k[g][j], i, j)
            s += math.log(self.dynamic_weight(branch, head, i - j)) if branch["type"] == "dynamic" else 0
            keys[0, j] = s, self.v[g][j]
        return keys

    def gathered(self, keys, plain):
        """The values that one softmax, or plain weighting, gathers; 0 where nothing is seen."""
        if not keys:
            return np.zeros(self.E)
        most = max(s for s, _ in keys.values())
        weight = {name: s if plain else math.exp(s - most) for name, (s, _) in keys.items()}
        total = 1 if plain else sum(weight.values())
        return sum(weight[name] * v for name, (_, v) in keys.items()) / total

    def shares(self, head, x):
        """By what the branches' results are multiplied."""
        n = len(self.branches)
        if self.merge == "gate":
            gate = np.exp(self.w["gate"][:, head])
            return gate / gate.sum()
        if self.merge == "input_gate":
            rows = [self.w["gate_input.weight"][b * self.heads + head] for b in range(n)]
            return [1 / (1 + math.exp(-float(row @ x))) for row in rows]
        if self.merge == "memory_gate":
            gate = 1 / (1 + math.exp(-float(self.w["memory_gate"][head])))
            return [1 - gate, gate] if self.layer.get("gate_of", "memory") == "memory" else [gate, 1 - gate]
        return np.ones(n)

    def own_result(self, head, i, x):
        """A global row's result from projections of its own over all rows."""
        q = self.project("global_q", x[i], head, "q_norm")
        keys, g = {}, head // self.share
        for j, row in enumerate(x):
            k, v = self.project("global_k", row, g, "k_norm"), self.project("global_v", row, g)
            keys[0, j] = self.score(head, q, k, i, j), v
        return self.gathered(keys, False)

    def head_output(self, head, i, x):
        """y of one head at query i."""
        if any(b.get("projections") == "own" and i in global_rows(b) for b in self.branches):
            return self.own_result(head, i, x)
        self.asks = self.q[head][i]
        if self.merge == "memory_gate":
            memory = next(b for b in self.branches if b["type"] in MEMORIES)
            parts = [self.together([b for b in self.branches if b is not memory], head, i),
                     self.together([memory], head, i)]
            if self.layer.get("gate_empty", "mix") == "skip" and i < memory.get("segment", 0):
                return parts[0]
        elif self.merge == "softmax":
            return self.together(self.branches, head, i)
        else:
            parts = [self.together([b], head, i) for b in self.branches]
        if self.merge == "concat":
            return parts
        return sum(share * part for share, part in zip(self.shares(head, x[i]), parts))

    def together(self, branches, head, i):
        """One softmax, or plain weighting, over what branches show."""
        if branches[0]["type"] == "compressive":
            return self.recalled(branches[0], head, i)
        union = {}
        for b in branches:
            union.update(self.seen(b, head, i) if b["type"] != "store" else {})
        for b in branches:
            union.update(self.stored(b, head, i, [j for kind, j in union if kind == 0]) if b["type"] == "store" else {})
        return self.gathered(union, branches[0].get("normalize", "softmax") == "none")

    def run(self, x, queries):
        """A(x) at the queries named; x (T, D) is what the layer's attention reads."""
        x, self.known, self.pasts, self.written = np.asarray(x, np.float64), {}, {}, {}
        self.x = x
        self.q = [[self.project("q", row, h, "q_norm") for row in x] for h in range(self.heads)]
        self.k = [[self.project("k", row, g, "k_norm") for row in x] for g in range(self.groups)]
        self.v = [[self.project("v", row, g) for row in x] for g in range(self.groups)]
        y = [[self.head_output(head, i, x) for head in range(self.heads)] for i in queries]
        if self.merge == "concat":
            y = [[part for branch in zip(*of_heads) for part in branch] for of_heads in y]
        y = np.array(y).reshape(len(queries), -1)
        out = y @ self.w["o.weight"].T
        return out + self.w["o.bias"] if self.config.get("output_bias") else out
