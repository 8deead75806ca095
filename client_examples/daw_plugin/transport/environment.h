// What a new plug-in takes from the environment of its host.
#pragma once

#include "transport/board.h"

namespace deepmusic {

constexpr double kDeadline_ms = 21.4, kLeastDeadline_ms = 1.0, kMostDeadline_ms = 500.0;

struct Environment {
  Settings settings;
  double deadline_ms = kDeadline_ms;  // what the server may take for a step

  // DEEPMUSIC_SERVER, DEEPMUSIC_ROOT_CERTIFICATE, DEEPMUSIC_BUNDLE, DEEPMUSIC_STYLES ("a;b;c") and DEEPMUSIC_DEADLINE_MS,
  // where given. [message]
  static Environment read();
};

}  // namespace deepmusic
