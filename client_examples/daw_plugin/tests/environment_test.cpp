// What a new plug-in takes from the environment of its host.
#include "transport/environment.h"

#include <cstdlib>

#include "tests/check.h"

namespace {

using deepmusic::Environment;

constexpr const char* kNames[] = {"DEEPMUSIC_SERVER", "DEEPMUSIC_ROOT_CERTIFICATE", "DEEPMUSIC_BUNDLE", "DEEPMUSIC_STYLES",
                                  "DEEPMUSIC_DEADLINE_MS"};

void forget() {
  for (const char* const name : kNames) unsetenv(name);
}

double deadline_ms(const char* text) {
  forget();
  setenv("DEEPMUSIC_DEADLINE_MS", text, 1);
  return Environment::read().deadline_ms;
}

}  // namespace

TEST("with nothing said it plays on this machine, without a style") {
  forget();
  const auto environment = Environment::read();
  CHECK_EQUAL(environment.settings.server, "127.0.0.1:50051");
  CHECK_EQUAL(environment.settings.bundle, "");
  CHECK_EQUAL(environment.settings.styles[0], "");
  CHECK_EQUAL(environment.deadline_ms, 21.4);
}

TEST("what is said is taken, without the blanks around it") {
  forget();
  setenv("DEEPMUSIC_SERVER", " https://studio:1 ", 1);
  setenv("DEEPMUSIC_ROOT_CERTIFICATE", "/a b.pem", 1);
  setenv("DEEPMUSIC_BUNDLE", "live\n", 1);
  setenv("DEEPMUSIC_STYLES", " a cello;;voice ", 1);
  const auto settings = Environment::read().settings;
  CHECK_EQUAL(settings.server, "https://studio:1");
  CHECK_EQUAL(settings.root_certificates, "/a b.pem");
  CHECK_EQUAL(settings.bundle, "live");
  CHECK_EQUAL(settings.styles[0], "a cello");
  CHECK_EQUAL(settings.styles[1], "");
  CHECK_EQUAL(settings.styles[2], "voice");
  CHECK_EQUAL(settings.styles[3], "");
}

TEST("of nine styles eight are taken") {
  forget();
  setenv("DEEPMUSIC_STYLES", "1;2;3;4;5;6;7;8;9", 1);
  CHECK_EQUAL(Environment::read().settings.styles[7], "8");
}

TEST("a deadline is held within its bounds, and what is no number is none") {
  CHECK_EQUAL(deadline_ms("40.5"), 40.5);
  CHECK_EQUAL(deadline_ms("0"), 1.0);
  CHECK_EQUAL(deadline_ms("9000"), 500.0);
  CHECK_EQUAL(deadline_ms("soon"), 21.4);
}
