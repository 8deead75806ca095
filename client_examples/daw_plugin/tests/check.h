// Tests with sentences for names; a check that fails says where and ends the program's run with a failure.
#pragma once

#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>

namespace check {

struct Test {
  Test(const char* name, std::function<void()> body);
};

[[noreturn]] void fail(const char* file, int line, const std::string& what);

// Polls until it is true, at most so long; whether it became true.
bool within(double seconds, const std::function<bool()>& condition);

double now_s();

// Runs the tests whose names contain that; the program's exit code.
int run(const std::string& part);

// What is about real time is judged by the best of a few runs, since the machine has other work. Under a sanitizer, which
// slows everything tenfold, it is run once and its checks do not count; what the sanitizer finds does.
void in_real_time(int n_attempts, const std::function<void()>& body);

}  // namespace check

#define CHECK_JOIN2(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN2(a, b)
#define TEST(name)                                                                              \
  static void CHECK_JOIN(test_, __LINE__)();                                                    \
  static const check::Test CHECK_JOIN(registered_, __LINE__)(name, CHECK_JOIN(test_, __LINE__)); \
  static void CHECK_JOIN(test_, __LINE__)()

#define CHECK(condition) \
  if (!(condition)) check::fail(__FILE__, __LINE__, #condition)

#define CHECK_LESS(a, b)                                                                       \
  do {                                                                                         \
    const auto left = (a);                                                                     \
    const auto right = (b);                                                                    \
    if (!(left < right)) {                                                                     \
      std::ostringstream text;                                                                 \
      text << #a " < " #b ": " << left << " and " << right;                                    \
      check::fail(__FILE__, __LINE__, text.str());                                             \
    }                                                                                          \
  } while (false)

#define CHECK_EQUAL(a, b)                                                                      \
  do {                                                                                         \
    const auto left = (a);                                                                     \
    const auto right = (b);                                                                    \
    if (!(left == right)) {                                                                    \
      std::ostringstream text;                                                                 \
      text << #a " == " #b ": " << left << " and " << right;                                   \
      check::fail(__FILE__, __LINE__, text.str());                                             \
    }                                                                                          \
  } while (false)
