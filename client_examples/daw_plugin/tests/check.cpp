#include "tests/check.h"

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace check {
namespace {

std::vector<std::pair<std::string, std::function<void()>>>& tests() {
  static std::vector<std::pair<std::string, std::function<void()>>> all;
  return all;
}

}  // namespace

Test::Test(const char* name, std::function<void()> body) { tests().emplace_back(name, std::move(body)); }

void fail(const char* file, int line, const std::string& what) {
  throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool within(double seconds, const std::function<bool()>& condition) {
  const double end = now_s() + seconds;
  while (!condition()) {
    if (now_s() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

void in_real_time(int n_attempts, const std::function<void()>& body) {
#ifdef CHECK_IS_SLOWED
  n_attempts = 1;
  constexpr bool counts = false;
#else
  constexpr bool counts = true;
#endif
  for (int attempt = 1; attempt <= n_attempts; ++attempt) {
    try {
      return body();
    } catch (const std::exception&) {
      if (attempt == n_attempts && counts) throw;
    }
  }
}

int run(const std::string& part) {
  int n_failed = 0, n_run = 0;
  for (const auto& [name, body] : tests()) {
    if (name.find(part) == std::string::npos) continue;
    ++n_run;
    const double began = now_s();
    std::string problem;
    try {
      body();
    } catch (const std::exception& error) {
      problem = error.what();
      ++n_failed;
    }
    std::printf("%s %s (%.2f s)%s%s\n", problem.empty() ? "ok    " : "FAILED", name.c_str(), now_s() - began,
                problem.empty() ? "" : "\n       ", problem.c_str());
    std::fflush(stdout);
  }
  std::printf("%d tests, %d failed\n", n_run, n_failed);
  return n_failed == 0 && n_run > 0 ? 0 : 1;
}

}  // namespace check
