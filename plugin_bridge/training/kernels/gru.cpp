// A GRU over all steps of a sequence, forward and backward, for processors.
//
// Rows of a batch know nothing of each other, so that a block of rows goes through all steps by itself: its
// state stays in the first cache and the weights in the second, and threads never wait for each other. A few
// steps at a time make a chunk, whose products with the input weights, and whose gradients of all weights, are
// products of larger matrices.
//
// Gates are in the order of torch: r, z, n; gradients of a step in the order n, r, z, n times r, so that those
// of the input products (the first three) and those of the hidden products (the last three) lie side by side.

#include "products.h"

namespace {

constexpr int ROWS = 24;  // in a block
constexpr int STEPS = 8;  // in a chunk

// Sequences as (batch, steps, bands, features): each band of each in the batch is a row.
struct Sizes {
    int64_t batch, steps, bands, given, hidden;
    int h, i;  // hidden and given, padded

    Sizes(const int64_t* five)
        : batch(five[0]), steps(five[1]), bands(five[2]), given(five[3]), hidden(five[4]),
          h(padded(static_cast<int>(hidden))), i(padded(static_cast<int>(given))) {}
    int64_t rows() const { return batch * bands; }
    int64_t blocks() const { return (rows() + ROWS - 1) / ROWS; }
    int64_t cell(int64_t row, int64_t step) const {
        return (row / bands * steps + step) * bands + row % bands;
    }
};

// Copy some rows of one step between a sequence and padded rows.
void gather(const Sizes& s, const float* from, int64_t features, int64_t first, int rows, int64_t step,
            float* to, int64_t to_down) {
    for (int row = 0; row < rows; row++)
        std::memcpy(to + row * to_down, from + s.cell(first + row, step) * features, features * 4);
}

void scatter(const Sizes& s, const float* from, int64_t from_down, int64_t features, int64_t first, int rows,
             int64_t step, float* to) {
    for (int row = 0; row < rows; row++)
        std::memcpy(to + s.cell(first + row, step) * features, from + row * from_down, features * 4);
}

// Weights (3 * hidden, features), gate by gate, as padded (3 * h, f) in an order of gates, or its transpose.
Numbers packed(const Sizes& s, const float* weights, int64_t features, const int (&order)[3], bool transposed) {
    const int f = padded(static_cast<int>(features));
    Numbers made(static_cast<size_t>(3) * s.h * f);
    for (int part = 0; part < 3; part++)
        for (int64_t unit = 0; unit < s.hidden; unit++)
            for (int64_t feature = 0; feature < features; feature++) {
                const int64_t row = static_cast<int64_t>(part) * s.h + unit;
                made[transposed ? feature * 3 * s.h + row : row * f + feature] =
                    weights[(order[part] * s.hidden + unit) * features + feature];
            }
    return made;
}

Numbers packed_bias(const Sizes& s, const float* bias) {
    Numbers made(static_cast<size_t>(3) * s.h);
    for (int part = 0; part < 3; part++) std::memcpy(made + part * s.h, bias + part * s.hidden, s.hidden * 4);
    return made;
}

constexpr int GATES[3] = {0, 1, 2}, NEW_FIRST[3] = {2, 0, 1};

struct Forward {
    const Sizes s;
    const float *x, *before;
    const Numbers w_in, w_hidden, b_in, b_hidden;
    float *out, *kept;

    // What each gate is told by the input, and by the state of the step before, and what follows.
    void step(int rows, const float* told, const float* recalled, float* state, float* keep) const {
        for (int row = 0; row < rows; row++)
            for (int at = 0; at < s.h; at += LANES) {
                const float *g = told + row * 3 * s.h + at, *q = recalled + row * 3 * s.h + at;
                float* k = keep + row * 4 * s.h + at;
                const Vector r = sigmoid(load(g) + load(q)), z = sigmoid(load(g + s.h) + load(q + s.h));
                const Vector hidden = load(q + 2 * s.h), n = tangent(load(g + 2 * s.h) + r * hidden);
                store(k, r), store(k + s.h, z), store(k + 2 * s.h, n), store(k + 3 * s.h, hidden);
                store(state + row * s.h + at, n + z * (load(state + row * s.h + at) - n));
            }
    }

    void operator()(int, int64_t begin, int64_t end) const {
        Numbers inputs(STEPS * ROWS * s.i), told(STEPS * ROWS * 3 * s.h), recalled(ROWS * 3 * s.h);
        Numbers state(ROWS * s.h);
        for (int64_t first = begin * ROWS; first < std::min(end * ROWS, s.rows()); first += ROWS) {
            const int rows = static_cast<int>(std::min<int64_t>(ROWS, s.rows() - first));
            float* keep = kept + first * s.steps * 4 * s.h;
            for (int row = 0; row < rows; row++)
                std::memcpy(state + row * s.h, before + (first + row) * s.hidden, s.hidden * 4);
            for (int64_t at = 0; at < s.steps; at += STEPS) {
                const int steps = static_cast<int>(std::min<int64_t>(STEPS, s.steps - at));
                for (int step = 0; step < steps; step++)
                    gather(s, x, s.given, first, rows, at + step, inputs + step * rows * s.i, s.i);
                for (int cell = 0; cell < steps * rows; cell++)
                    std::memcpy(told + cell * 3 * s.h, b_in, 3 * s.h * 4);
                add_product(steps * rows, 3 * s.h, static_cast<int>(s.given), {inputs, s.i, 1}, w_in, 3 * s.h,
                            told, 3 * s.h);
                for (int step = 0; step < steps; step++) {
                    for (int row = 0; row < rows; row++) std::memcpy(recalled + row * 3 * s.h, b_hidden, 3 * s.h * 4);
                    add_product(rows, 3 * s.h, static_cast<int>(s.hidden), {state, s.h, 1}, w_hidden, 3 * s.h,
                                recalled, 3 * s.h);
                    this->step(rows, told + step * rows * 3 * s.h, recalled, state,
                               keep + (at + step) * rows * 4 * s.h);
                    scatter(s, state, s.h, s.hidden, first, rows, at + step, out);
                }
            }
        }
    }
};

// Gradients of all weights, those of one thread.
struct Learned {
    Numbers w_in, w_hidden, bias;
    explicit Learned(const Sizes& s)
        : w_in(static_cast<size_t>(3) * s.h * s.i), w_hidden(static_cast<size_t>(3) * s.h * s.h), bias(4 * s.h) {}
};

struct Backward {
    const Sizes s;
    const float *x, *before, *out, *kept, *wanted;
    const Numbers w_in, w_hidden;
    float *d_x, *d_before;
    std::vector<Learned>& learned;

    // From the gradient of a step's state those of its gates; of what goes on to the step before, what z lets by.
    void step(int rows, const float* keep, const float* previous, float* carried, float* d) const {
        for (int row = 0; row < rows; row++)
            for (int at = 0; at < s.h; at += LANES) {
                const float* k = keep + row * 4 * s.h + at;
                float *to = d + row * 4 * s.h + at, *carry = carried + row * s.h + at;
                const Vector r = load(k), z = load(k + s.h), n = load(k + 2 * s.h), hidden = load(k + 3 * s.h);
                const Vector whole = load(carry), through = whole * z, d_n = (whole - through) * (1.0f - n * n);
                store(to, d_n);
                store(to + s.h, d_n * hidden * r * (1.0f - r));
                store(to + 2 * s.h, (load(previous + row * s.h + at) - n) * through * (1.0f - z));
                store(to + 3 * s.h, d_n * r);
                store(carry, through);
            }
    }

    void operator()(int thread, int64_t begin, int64_t end) const {
        Numbers inputs(STEPS * ROWS * s.i), d_inputs(STEPS * ROWS * s.i), previous(STEPS * ROWS * s.h);
        Numbers d(STEPS * ROWS * 4 * s.h), carried(ROWS * s.h);
        Learned& mine = learned[thread];
        for (int64_t first = begin * ROWS; first < std::min(end * ROWS, s.rows()); first += ROWS) {
            const int rows = static_cast<int>(std::min<int64_t>(ROWS, s.rows() - first));
            const float* keep = kept + first * s.steps * 4 * s.h;
            std::memset(carried, 0, ROWS * s.h * 4);
            for (int64_t at = (s.steps - 1) / STEPS * STEPS; at >= 0; at -= STEPS) {
                const int steps = static_cast<int>(std::min<int64_t>(STEPS, s.steps - at));
                recall(first, rows, at, steps, inputs, previous);
                for (int step = steps - 1; step >= 0; step--) {
                    float* now = d + step * rows * 4 * s.h;
                    want(first, rows, at + step, carried);
                    this->step(rows, keep + (at + step) * rows * 4 * s.h, previous + step * rows * s.h, carried, now);
                    add_product(rows, s.h, 3 * s.h, {now + s.h, 4 * s.h, 1}, w_hidden, s.h, carried, s.h);
                }
                learn(steps * rows, d, inputs, previous, mine);
                std::memset(d_inputs, 0, static_cast<size_t>(steps) * rows * s.i * 4);
                add_product(steps * rows, s.i, 3 * s.h, {d, 4 * s.h, 1}, w_in, s.i, d_inputs, s.i);
                for (int step = 0; step < steps; step++)
                    scatter(s, d_inputs + step * rows * s.i, s.i, s.given, first, rows, at + step, d_x);
            }
            for (int row = 0; row < rows; row++)
                std::memcpy(d_before + (first + row) * s.hidden, carried + row * s.h, s.hidden * 4);
        }
    }

    // The inputs of a chunk, and the states before each of its steps.
    void recall(int64_t first, int rows, int64_t at, int steps, float* inputs, float* previous) const {
        for (int step = 0; step < steps; step++) {
            gather(s, x, s.given, first, rows, at + step, inputs + step * rows * s.i, s.i);
            float* to = previous + step * rows * s.h;
            if (at + step > 0) {
                gather(s, out, s.hidden, first, rows, at + step - 1, to, s.h);
            } else {
                for (int row = 0; row < rows; row++)
                    std::memcpy(to + row * s.h, before + (first + row) * s.hidden, s.hidden * 4);
            }
        }
    }

    void want(int64_t first, int rows, int64_t step, float* carried) const {
        for (int row = 0; row < rows; row++) {
            const float* from = wanted + s.cell(first + row, step) * s.hidden;
            float* to = carried + row * s.h;
            for (int64_t at = 0; at < s.hidden; at++) to[at] += from[at];
        }
    }

    void learn(int cells, const float* d, const float* inputs, const float* previous, Learned& mine) const {
        add_product(3 * s.h, s.i, cells, {d, 1, 4 * s.h}, inputs, s.i, mine.w_in, s.i);
        add_product(3 * s.h, s.h, cells, {d + s.h, 1, 4 * s.h}, previous, s.h, mine.w_hidden, s.h);
        for (int cell = 0; cell < cells; cell++)
            for (int at = 0; at < 4 * s.h; at += LANES)
                store(mine.bias + at, load(mine.bias + at) + load(d + cell * 4 * s.h + at));
    }
};

// Add padded gradients, gate by gate in an order, to those of the weights.
void unpack(const Sizes& s, const float* from, int f, int64_t features, const int (&order)[3], float* to) {
    for (int part = 0; part < 3; part++)
        for (int64_t unit = 0; unit < s.hidden; unit++)
            for (int64_t feature = 0; feature < features; feature++)
                to[(order[part] * s.hidden + unit) * features + feature] +=
                    from[(part * s.h + unit) * f + feature];
}

}  // namespace

extern "C" {

// The numbers of a step of a row that `gru_forward` keeps for `gru_backward`.
int64_t gru_kept(int64_t hidden) { return 4 * padded(static_cast<int>(hidden)); }

// sizes: batch, steps, bands, given, hidden. x (batch, steps, bands, given), before (batch * bands, hidden),
// weights as in torch; out (batch, steps, bands, hidden), kept as many numbers as `gru_kept` says per cell.
void gru_forward(const int64_t* sizes, const float* x, const float* before, const float* w_in,
                 const float* w_hidden, const float* b_in, const float* b_hidden, float* out, float* kept,
                 int64_t threads) {
    const Sizes s(sizes);
    const Forward work{s, x, before, packed(s, w_in, s.given, GATES, true),
                       packed(s, w_hidden, s.hidden, GATES, true), packed_bias(s, b_in),
                       packed_bias(s, b_hidden), out, kept};
    share_parts(s.blocks(), static_cast<int>(threads), work);
}

// From wanted, the gradient of out, those of all that was given; those of weights must be zero before.
void gru_backward(const int64_t* sizes, const float* x, const float* before, const float* w_in,
                  const float* w_hidden, const float* out, const float* kept, const float* wanted, float* d_x,
                  float* d_before, float* d_w_in, float* d_w_hidden, float* d_b_in, float* d_b_hidden,
                  int64_t threads) {
    const Sizes s(sizes);
    std::vector<Learned> learned;
    for (int64_t thread = 0; thread < threads; thread++) learned.emplace_back(s);
    const Backward work{s, x, before, out, kept, wanted, packed(s, w_in, s.given, NEW_FIRST, false),
                        packed(s, w_hidden, s.hidden, GATES, false), d_x, d_before, learned};
    share_parts(s.blocks(), static_cast<int>(threads), work);
    for (const Learned& one : learned) {
        unpack(s, one.w_in, s.i, s.given, NEW_FIRST, d_w_in);
        unpack(s, one.w_hidden, s.h, s.hidden, GATES, d_w_hidden);
        unpack(s, one.bias, 1, 1, NEW_FIRST, d_b_in);
        unpack(s, one.bias + s.h, 1, 1, GATES, d_b_hidden);
    }
}
}
