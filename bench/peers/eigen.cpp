// Eigen: dense fp32 products. The same options and rows as the programs beside it (measuring.py says which).
// c++ -O3 -march=native -fopenmp -DNDEBUG -I/usr/include/eigen3 eigen.cpp
#include <Eigen/Dense>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Prints a line; what is answered.
std::string say(const char* line) {
  std::puts(line);
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer;
}

}  // namespace

int main(int argc, char** argv) {
  std::string formats = "f32", rows_list = "1,2,4,8,32,128,512";
  int n = 4096, k = 4096, threads = 2;
  double seconds = 0.3;
  bool paced = false;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--paced") paced = true;  // the last one
    if (name == "--format") formats = value;
    if (name == "--rows") rows_list = value;
    if (name == "--n") n = std::stoi(value);
    if (name == "--k") k = std::stoi(value);
    if (name == "--threads") threads = std::stoi(value);
    if (name == "--seconds") seconds = std::stod(value);
  }
  std::string results;
  Eigen::setNbThreads(threads);
  const double weight_bytes = 4.0 * n * k;
  std::vector<Matrix> weights;
  std::istringstream list(rows_list);
  for (std::string item; formats.find("f32") != std::string::npos && std::getline(list, item, ',');) {
    if (weights.empty()) {
      const auto copies =
          std::max<std::size_t>(2, static_cast<std::size_t>(256e6 / weight_bytes) + 1);  // none stays in a cache
      weights.assign(copies, Matrix::Random(n, k));
    }
    const int rows = std::stoi(item);
    const Matrix x = Matrix::Random(rows, k);
    Matrix y(rows, n);
    y.noalias() = x * weights[0].transpose();
    char row[512];
    do {
      if (paced) say("ready");
      std::vector<double> times;
      const double begin = now();
      for (std::size_t turn = 1; times.size() < 3 || now() - begin < seconds; ++turn) {
        const double before = now();
        y.noalias() = x * weights[turn % weights.size()].transpose();
        times.push_back(now() - before);
      }
      std::sort(times.begin(), times.end());
      const auto quantile = [&](double share) {
        return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1) + 0.5)];
      };
      const double taken = quantile(0.5);
      std::snprintf(row, sizeof row,
                    "{\"peer\": \"Eigen\", \"format\": \"f32\", \"n\": %d, \"k\": %d, \"rows\": %d, \"threads\": %d, "
                    "\"weight_bytes\": %.0f, "
                    "\"time_us\": %g, \"time_us_quartiles\": [%g, %g], \"gb_per_s\": %g, \"gops\": %g}",
                    n, k, rows, threads, weight_bytes, taken * 1e6, quantile(0.25) * 1e6, quantile(0.75) * 1e6,
                    weight_bytes / taken * 1e-9, 2.0 * rows * n * k / taken * 1e-9);
    } while (paced && say(row) == "again");
    results += (results.empty() ? "" : ", ") + std::string(row);
  }
  std::printf("{\"peer\": \"Eigen\", \"version\": \"%d.%d.%d\", \"results\": [%s]}\n", EIGEN_WORLD_VERSION,
              EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION, results.c_str());
}
