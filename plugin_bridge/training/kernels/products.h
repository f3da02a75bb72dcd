// Products of small matrices that stay in a processor's caches, and what goes with them.
//
// Features are padded to whole vectors; what is padded is zero and stays zero.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
typedef float Vector __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t Integers __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

inline int padded(int features) { return (features + LANES - 1) / LANES * LANES; }

inline Vector load(const float* at) { return *reinterpret_cast<const Vector*>(at); }
inline void store(float* at, Vector value) { *reinterpret_cast<Vector*>(at) = value; }

// Memory of whole cache lines, all zero.
class Numbers {
  public:
    explicit Numbers(size_t count)
        : data_(static_cast<float*>(::operator new(count * 4, std::align_val_t(64)))) {
        std::memset(data_, 0, count * 4);
    }
    Numbers(Numbers&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
    Numbers(const Numbers&) = delete;
    ~Numbers() { ::operator delete(data_, std::align_val_t(64)); }
    operator float*() { return data_; }
    operator const float*() const { return data_; }

  private:
    float* data_;
};

// e to the power of x to float precision (Cody and Waite's reduction, Cephes' polynomial).
inline Vector exponential(Vector x) {
    const Vector zero = {};
    x = x > zero + 88.0f ? zero + 88.0f : x;
    x = x < zero - 87.0f ? zero - 87.0f : x;
    const Vector shifted = x * 1.44269504f + 12582912.0f;  // rounds, and leaves the integer in the low bits
    const Vector whole = shifted - 12582912.0f;
    x = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    Vector sum = x * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * x + 8.3334519073e-3f;
    sum = sum * x + 4.1665795894e-2f;
    sum = sum * x + 1.6666665459e-1f;
    sum = sum * x + 5.0000001201e-1f;
    sum = sum * x * x + x + 1.0f;
    const Integers bits = reinterpret_cast<const Integers&>(sum);
    const Integers power = reinterpret_cast<const Integers&>(shifted) << 23;
    const Integers made = bits + power;
    return reinterpret_cast<const Vector&>(made);
}

inline Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential(-x)); }
inline Vector tangent(Vector x) { return 1.0f - 2.0f / (1.0f + exponential(x + x)); }

// A matrix whose element (row, column) is at[row * down + column * across].
struct Left {
    const float* at;
    int64_t down, across;
};

template <int M, int N>
void tile(int inner, Left a, const float* b, int64_t b_down, float* c, int64_t c_down) {
    Vector sums[M][N];
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) sums[i][j] = load(c + i * c_down + j * LANES);
    for (int k = 0; k < inner; k++) {
        Vector row[N];
        for (int j = 0; j < N; j++) row[j] = load(b + k * b_down + j * LANES);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < N; j++) sums[i][j] += a.at[i * a.down + k * a.across] * row[j];
    }
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) store(c + i * c_down + j * LANES, sums[i][j]);
}

// Rows of a tile whose sums, of so many vectors in a row, fill the registers.
constexpr int tall(int wide) { return LANES == 16 ? (wide == 4 ? 6 : wide == 3 ? 8 : 12) : (wide == 2 ? 6 : 8); }

template <int N>
void column(int rows, int inner, Left a, const float* b, int64_t b_down, float* c, int64_t c_down) {
    int at = 0;
    const auto rest = [&] { return Left{a.at + at * a.down, a.down, a.across}; };
    for (; at + tall(N) <= rows; at += tall(N)) tile<tall(N), N>(inner, rest(), b, b_down, c + at * c_down, c_down);
    for (; at + 4 <= rows; at += 4) tile<4, N>(inner, rest(), b, b_down, c + at * c_down, c_down);
    for (; at < rows; at++) tile<1, N>(inner, rest(), b, b_down, c + at * c_down, c_down);
}

// c += a b, with whole vectors in the rows of b and c.
inline void add_product(int rows, int columns, int inner, Left a, const float* b, int64_t b_down, float* c,
                        int64_t c_down) {
    constexpr int wide = LANES == 16 ? 4 : 2;
    int at = 0;
    for (; at + wide * LANES <= columns; at += wide * LANES)
        column<wide>(rows, inner, a, b + at, b_down, c + at, c_down);
    const int left = (columns - at) / LANES;
    if (left == 3) column<3>(rows, inner, a, b + at, b_down, c + at, c_down);
    if (left == 2) column<2>(rows, inner, a, b + at, b_down, c + at, c_down);
    if (left == 1) column<1>(rows, inner, a, b + at, b_down, c + at, c_down);
}

// Call work(thread, first, last) on every thread for its share of the parts.
template <typename Work>
void share_parts(int64_t parts, int threads, const Work& work) {
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; thread++)
        try {
            others.emplace_back(
                [&, thread] { work(thread, parts * thread / threads, parts * (thread + 1) / threads); });
        } catch (const std::system_error&) {  // no more threads are to be had: their shares are ours
            work(thread, parts * thread / threads, parts * (thread + 1) / threads);
        }
    work(0, 0, parts / threads);
    for (auto& other : others) other.join();
}

}  // namespace
