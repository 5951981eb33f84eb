// An example of a program that the oracle can ask: points of the ball and their distances.
//
//   g++ -std=c++17 -O2 -o distance distance.cpp
//   python -m hier_ref.oracle check ./distance --adapter files
//
// It answers with the stages z, l, d_zz, d_zl and d_ll. That is no loss, so the verdict on a right
// one is "inconclusive" (exit 5), with every stage that it gives within budget.
#include <algorithm>
#include <cmath>
#include <iostream>

#include "hier_case.hpp"

// Clip each row of u (N, D) to the radius, then map it into the ball: tanh(√c|v|)/(√c|v|) v.
template <class T>
hier::Array<T> to_ball(const hier::Array<T>& u, T c, T radius) {
  hier::Array<T> z(u.shape);
  for (std::size_t i = 0; i < u.shape[0]; ++i) {
    T sum = 0;
    for (std::size_t k = 0; k < u.shape[1]; ++k) sum += u(i, k) * u(i, k);
    const T norm = std::sqrt(sum), clipped = std::min(norm, radius);
    const T zeta = std::sqrt(c) * clipped;
    const T factor = norm > 0 ? std::tanh(zeta) / (std::sqrt(c) * norm) : T(1);
    for (std::size_t k = 0; k < u.shape[1]; ++k) z(i, k) = factor * u(i, k);
  }
  return z;
}

// d = (2/√c) arsinh(√(c q)/√(a b)) of all rows of x (M, D) and y (N, D): (M, N).
template <class T>
hier::Array<T> pairwise_distance(const hier::Array<T>& x, const hier::Array<T>& y, T c) {
  auto gap = [c](const hier::Array<T>& p, std::size_t i) {
    T sum = 0;
    for (std::size_t k = 0; k < p.shape[1]; ++k) sum += p(i, k) * p(i, k);
    return 1 - c * sum;
  };
  hier::Array<T> d({x.shape[0], y.shape[0]});
  for (std::size_t i = 0; i < x.shape[0]; ++i)
    for (std::size_t j = 0; j < y.shape[0]; ++j) {
      T q = 0;
      for (std::size_t k = 0; k < x.shape[1]; ++k) q += (x(i, k) - y(j, k)) * (x(i, k) - y(j, k));
      d(i, j) = 2 / std::sqrt(c) * std::asinh(std::sqrt(c * q / (gap(x, i) * gap(y, j))));
    }
  return d;
}

template <class T>
void answer(const std::string& question, const std::string& results) {
  const hier::Case about = hier::read_case(question);
  const T c = T(about.c), radius = T(about.clip_radius);
  const auto z = to_ball(hier::read_npy<T>(question + "/x.npy"), c, radius);
  const auto l = to_ball(hier::read_npy<T>(question + "/proxies.npy"), c, radius);
  hier::write_npy(results + "/z.npy", z);
  hier::write_npy(results + "/l.npy", l);
  hier::write_npy(results + "/d_zz.npy", pairwise_distance(z, z, c));
  hier::write_npy(results + "/d_zl.npy", pairwise_distance(z, l, c));
  hier::write_npy(results + "/d_ll.npy", pairwise_distance(l, l, c));
}

int main(int count, char** words) {
  if (count != 3) {
    std::cerr << "usage: distance CASE_FOLDER RESULT_FOLDER\n";
    return 64;
  }
  try {
    const bool single = hier::npy_dtype(std::string(words[1]) + "/x.npy") == "<f4";
    single ? answer<float>(words[1], words[2]) : answer<double>(words[1], words[2]);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
