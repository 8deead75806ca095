// Counts what an audio callback must not do.
#pragma once

#include <cstdint>

namespace guard {

// While one lives, its thread's calls of malloc, free, locks, waits and writes are counted.
class Watch {
 public:
  Watch();
  ~Watch();
};

std::uint64_t n_offences();
const char* last_offence();

}  // namespace guard
