// What the message thread orders of the network thread, and what it is told.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "transport/line.h"
#include "transport/wire.h"

namespace deepmusic {

// Where to play and with what.
struct Settings {
  std::string server = "127.0.0.1:50051";  // see `Address`
  std::string root_certificates;           // path of a PEM file, for https://; empty: the system's
  std::string bundle;         // empty: the server's default
  std::string bundle_digest;  // empty: any
  std::array<std::string, kSlots> styles;
  std::array<std::string, kSlots> vectors;  // of the styles, as ExportStyle gave them; empty: whatever the server has
  std::string statistics;      // of the content, as a frozen stream gave them; empty: none
  std::uint32_t n_opened = 0;  // counts up with each project that is opened: its statistics hold, whatever was there

  // The styles that weights name; empty slots are left out.
  std::vector<wire::StyleShare> mix(const std::array<float, kSlots>& weights) const {
    std::vector<wire::StyleShare> shares;
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      if (weights[slot] > 0.0f && !styles[slot].empty()) shares.push_back({styles[slot], weights[slot]});
    }
    return shares;
  }
};

// A recording to learn a style from.
struct Recording {
  std::string name;
  std::uint32_t sample_rate_hz = 48000;
  std::uint32_t n_channels = 2;
  std::vector<float> samples;  // interleaved
};

// How things stand, for people.
struct Snapshot {
  Link link = Link::kConnecting;
  std::string message;  // why it is not streaming; empty while all is well
  std::string notice;   // the last event of the stream
  std::string bundle, bundle_digest, provider, precision;
  std::vector<wire::StyleListing> styles;
  std::vector<wire::BundleListing> bundles;
  std::map<std::string, std::string> vectors;  // as the server has them, of the styles in the slots, by name
  std::string statistics;  // that are held while the line is frozen
  std::uint32_t n_browsed = 0;  // counts up with each list that came
  std::string learned;          // what became of the last recording to learn; empty while it is learned
  std::string learned_style;    // its name on the server; empty where nothing was learned
  bool is_learning = false;
};

// A snapshot that the network thread changes and the message thread reads. The audio thread knows nothing of it.
class Board {
 public:
  Snapshot snapshot() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return snapshot_;
  }
  template <typename Change>
  void change(const Change& change) {
    const std::lock_guard<std::mutex> lock(mutex_);
    change(snapshot_);
  }

 private:
  mutable std::mutex mutex_;
  Snapshot snapshot_;
};

}  // namespace deepmusic
