// Attention of few places to each other, many times over: every step and head is a small problem that stays in
// the first cache. Weights are computed again for the gradients, which costs less than to keep them.

#include <cmath>
#include <limits>

#include "products.h"

namespace {

// Asked are (problems, places, 3, heads, features): queries, keys and values side by side.
struct Sizes {
    int64_t problems, places, heads, features;
    int p, f;  // places and features, padded
    float scale;

    explicit Sizes(const int64_t* four)
        : problems(four[0]), places(four[1]), heads(four[2]), features(four[3]),
          p(padded(static_cast<int>(places))), f(padded(static_cast<int>(features))),
          scale(1 / std::sqrt(static_cast<float>(features))) {}
    int64_t width() const { return heads * features; }
    int n() const { return static_cast<int>(places); }
    int m() const { return static_cast<int>(features); }
};

// A head of one problem to padded rows, times a factor, and back.
void gather(const Sizes& s, const float* from, int64_t from_down, float factor, float* to) {
    for (int place = 0; place < s.n(); place++)
        for (int at = 0; at < s.m(); at++) to[place * s.f + at] = factor * from[place * from_down + at];
}

void scatter(const Sizes& s, const float* from, float factor, float* to, int64_t to_down) {
    for (int place = 0; place < s.n(); place++)
        for (int at = 0; at < s.m(); at++) to[place * to_down + at] = factor * from[place * s.f + at];
}

// (places, f) to (f, p).
void transpose(const Sizes& s, const float* from, float* to) {
    for (int at = 0; at < s.m(); at++)
        for (int place = 0; place < s.n(); place++) to[at * s.p + place] = from[place * s.f + at];
}

float sum_of(float one, float other) { return one + other; }
float most_of(float one, float other) { return one > other ? one : other; }

// All numbers of a vector in one, halves on halves, so that no long chain of sums must be waited for.
template <float (*Join)(float, float)>
float joined(Vector value) {
    float all[LANES];
    std::memcpy(all, &value, sizeof all);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++) all[lane] = Join(all[lane], all[lane + half]);
    return all[0];
}

// What a head works with; rows are padded with zeros, which only the weights' own padding would change.
struct Desk {
    Numbers query, key, value, turned, weights;
    explicit Desk(const Sizes& s)
        : query(s.places * s.f), key(s.places * s.f), value(s.places * s.f), turned(s.f * s.p),
          weights(s.places * s.p) {}

    // Weights of all places for each: each row a softmax.
    void attend(const Sizes& s, const float* asked) {
        const int64_t down = 3 * s.width();
        gather(s, asked, down, s.scale, query);
        gather(s, asked + s.width(), down, 1, key);
        gather(s, asked + 2 * s.width(), down, 1, value);
        transpose(s, key, turned);
        std::memset(weights, 0, s.places * s.p * 4);
        add_product(s.n(), s.p, s.m(), {query, s.f, 1}, turned, s.p, weights, s.p);
        for (int place = 0; place < s.n(); place++) soften(s, weights + place * s.p);
    }

    static void soften(const Sizes& s, float* row) {
        const int last = s.p - LANES;
        Integers lanes;
        for (int lane = 0; lane < LANES; lane++) lanes[lane] = last + lane;
        const Integers real = lanes < static_cast<int32_t>(s.places);
        const Vector none = Vector{} - std::numeric_limits<float>::max();
        Vector most = real ? load(row + last) : none, sum = {};
        for (int at = 0; at < last; at += LANES) most = load(row + at) > most ? load(row + at) : most;
        const float top = joined<most_of>(most);
        for (int at = 0; at < s.p; at += LANES) {
            Vector made = exponential(load(row + at) - top);
            if (at == last) made = real ? made : Vector{};
            store(row + at, made), sum += made;
        }
        const float share = 1 / joined<sum_of>(sum);
        for (int at = 0; at < s.p; at += LANES) store(row + at, load(row + at) * share);
    }
};

struct Forward {
    const Sizes s;
    const float* asked;
    float* out;

    void operator()(int, int64_t begin, int64_t end) const {
        Desk desk(s);
        Numbers made(s.places * s.f);
        for (int64_t problem = begin; problem < end; problem++)
            for (int64_t head = 0; head < s.heads; head++) {
                desk.attend(s, asked + problem * s.places * 3 * s.width() + head * s.features);
                std::memset(made, 0, s.places * s.f * 4);
                add_product(s.n(), s.f, s.n(), {desk.weights, s.p, 1}, desk.value, s.f, made, s.f);
                scatter(s, made, 1, out + problem * s.places * s.width() + head * s.features, s.width());
            }
    }
};

struct Backward {
    const Sizes s;
    const float *asked, *wanted;
    float* d_asked;

    void operator()(int, int64_t begin, int64_t end) const {
        Desk desk(s);
        Numbers want(s.places * s.f), d_weights(s.places * s.p), made(s.places * s.f);
        const int64_t down = 3 * s.width();
        for (int64_t problem = begin; problem < end; problem++)
            for (int64_t head = 0; head < s.heads; head++) {
                const int64_t at = problem * s.places * down + head * s.features;
                desk.attend(s, asked + at);
                gather(s, wanted + problem * s.places * s.width() + head * s.features, s.width(), 1, want);
                give({desk.weights, 1, s.p}, want, made, 1, d_asked + at + 2 * s.width());
                transpose(s, desk.value, desk.turned);
                std::memset(d_weights, 0, s.places * s.p * 4);
                add_product(s.n(), s.p, s.m(), {want, s.f, 1}, desk.turned, s.p, d_weights, s.p);
                for (int place = 0; place < s.n(); place++)
                    harden(desk.weights + place * s.p, d_weights + place * s.p);
                give({d_weights, s.p, 1}, desk.key, made, s.scale, d_asked + at);
                give({d_weights, 1, s.p}, desk.query, made, 1, d_asked + at + s.width());
            }
    }

    // A product of a matrix of all places with features, to where it belongs.
    void give(Left left, const float* features, float* made, float factor, float* to) const {
        std::memset(made, 0, s.places * s.f * 4);
        add_product(s.n(), s.f, s.n(), left, features, s.f, made, s.f);
        scatter(s, made, factor, to, 3 * s.width());
    }

    // From gradients of a row's weights those of what they are the softmax of.
    void harden(const float* weights, float* d) const {
        Vector sum = {};
        for (int at = 0; at < s.p; at += LANES) sum += load(weights + at) * load(d + at);
        const float mean = joined<sum_of>(sum);
        for (int at = 0; at < s.p; at += LANES) store(d + at, load(weights + at) * (load(d + at) - mean));
    }
};

}  // namespace

extern "C" {

// sizes: problems, places, heads, features. asked (problems, places, 3, heads, features), out (problems, places,
// heads, features).
void attention_forward(const int64_t* sizes, const float* asked, float* out, int64_t threads) {
    const Sizes s(sizes);
    share_parts(s.problems, static_cast<int>(threads), Forward{s, asked, out});
}

// From wanted, the gradient of out, that of asked.
void attention_backward(const int64_t* sizes, const float* asked, const float* wanted, float* d_asked,
                        int64_t threads) {
    const Sizes s(sizes);
    share_parts(s.problems, static_cast<int>(threads), Backward{s, asked, wanted, d_asked});
}
}
