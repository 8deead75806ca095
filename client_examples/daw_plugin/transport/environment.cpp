#include "transport/environment.h"

#include <algorithm>
#include <cstdlib>
#include <locale>
#include <sstream>

namespace deepmusic {
namespace {

constexpr char kBlanks[] = " \t\r\n";

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(kBlanks);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string get(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? "" : trimmed(text);
}

}  // namespace

Environment Environment::read() {
  Environment environment;
  Settings& settings = environment.settings;
  if (const auto server = get("DEEPMUSIC_SERVER"); !server.empty()) settings.server = server;
  settings.root_certificates = get("DEEPMUSIC_ROOT_CERTIFICATE");
  settings.bundle = get("DEEPMUSIC_BUNDLE");
  std::istringstream number(get("DEEPMUSIC_DEADLINE_MS"));
  number.imbue(std::locale::classic());  // a host may have set one with a decimal comma
  double deadline_ms;
  if (number >> deadline_ms) environment.deadline_ms = std::clamp(deadline_ms, kLeastDeadline_ms, kMostDeadline_ms);
  std::istringstream styles(get("DEEPMUSIC_STYLES"));
  std::string style;
  for (std::size_t slot = 0; slot < kSlots && std::getline(styles, style, ';'); ++slot) {
    settings.styles[slot] = trimmed(style);
  }
  return environment;
}

}  // namespace deepmusic
