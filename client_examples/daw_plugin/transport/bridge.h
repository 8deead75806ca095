// A plug-in's whole way to the server and back: what a plug-in's code calls.
//
//   Bridge bridge(parameter_names);
//   bridge.configure(settings);              // [message] server, bundle, styles
//   bridge.prepare(spec, values);            // [message] before the host plays
//   bridge.process(channels, n, values);     // [audio]
//   bridge.snapshot();                       // [message] for an editor
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transport/courier.h"
#include "transport/line.h"
#include "transport/player.h"

namespace deepmusic {

class Bridge {
 public:
  // parameter_names: numbers and switches of the registry, in the order of `Values::numbers`.
  explicit Bridge(std::vector<std::string> parameter_names);

  // [message] Where and with what to play; takes effect while it plays.
  void configure(const Settings& settings) { courier_.configure(settings); }

  // [message] Begins anew, with these values, at sample 0. Not while `process` runs.
  void prepare(const LineSpec& spec, const Values& values);

  // [message] Gives the server's slot back until the next `prepare`. Not while `process` runs.
  void rest();

  // [any] Begins anew with the next block.
  void reset() { player_.reset(); }

  // [any] Whether the host renders from the next block on.
  void set_offline(bool is_offline) { player_.set_offline(is_offline); }

  // [audio] How the next block stands to the last one; see `Player`.
  void jump() { player_.jump(); }
  void begin_anew() { player_.begin_anew(); }

  // [audio] Replaces a block, of the line's channels; see `Player::process`.
  void process(float* const* io, std::uint32_t n_samples, const Values& values) {
    player_.process(io, n_samples, values, n_parameters_);
  }

  // [message] Latency of the stream as far as it is known: to be reported with the cushion added.
  std::uint32_t latency_samples() const { return line_ == nullptr ? 0 : line_->latency_samples.load(); }

  // [message] How things stand.
  Snapshot snapshot() const { return courier_.snapshot(); }
  const Counters& counters() const { return counters_; }

  // [message] Asks the server for its styles and bundles; they come with a later snapshot.
  void browse() { courier_.browse(); }

  // [message] Has the server learn a style from interleaved samples.
  void learn(Recording recording) { courier_.learn(std::move(recording)); }

 private:
  std::size_t n_parameters_;
  Counters counters_;
  Courier courier_;
  Player player_;
  std::shared_ptr<Line> line_;
};

}  // namespace deepmusic
