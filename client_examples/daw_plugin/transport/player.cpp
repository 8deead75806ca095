#include "transport/player.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

namespace deepmusic {
namespace {

constexpr std::uint32_t kPieceSamples = 8192;  // a longer block is played in pieces, so that the rings hold it
constexpr double kQuarterTurn = 1.57079632679489661923;

using std::chrono::seconds;
constexpr auto kPause = std::chrono::microseconds(100);
constexpr auto kConnectWait = seconds(2);
constexpr auto kRoomWait = seconds(60);
constexpr auto kStandstillWait = seconds(10);

// A change of style runs for 50 ms in the server: a morph that moves with every block is sent that often.
std::uint32_t between_weights(std::uint32_t sample_rate_hz) { return sample_rate_hz / 16; }

}  // namespace

void Player::prepare(std::shared_ptr<Line> line) {
  line_ = std::move(line);
  const std::uint32_t n = line_->spec.fade_samples;
  fade_.resize(n + 1);
  for (std::uint32_t i = 0; i <= n; ++i) {
    fade_[i] = static_cast<float>(std::sin(kQuarterTurn * static_cast<double>(i) / static_cast<double>(n)));
  }
  // Cuts that are less than two fades apart are one.
  cuts_.assign(line_->input.capacity() / (2 * n) + 2, {});
  first_cut_ = n_cuts_ = 0;
  has_jumped_ = begins_anew_ = rings_out_ = false;
  silent_to_ = 0;
  is_reset_asked_.store(false, std::memory_order_relaxed);
  is_offline_.store(line_->spec.is_offline, std::memory_order_relaxed);
  sent_ = line_->first_values;
  weights_due_ = 0;
  base_ = 0;
  level_ = 0;
  has_given_up_ = has_waited_for_room_ = false;
}

void Player::process(float* const* io, std::uint32_t n_samples, const Values& values, std::size_t n_parameters) {
  if (line_ == nullptr || n_samples == 0) return;
  Line& line = *line_;
  const bool is_offline = is_offline_.load(std::memory_order_relaxed);
  const bool is_other_pacing = is_offline != line.is_offline.load(std::memory_order_relaxed);
  const std::uint64_t now = line.written.load(std::memory_order_relaxed);
  if (is_reset_asked_.exchange(false, std::memory_order_acq_rel) || is_other_pacing) {
    if (now != base_ || is_other_pacing) {
      line.is_offline.store(is_offline, std::memory_order_relaxed);
      begin_epoch(now);
      rings_out_ = false;
      silent_to_ = now;
      level_ = 0;
      n_cuts_ = 0;
    }
  } else if ((has_jumped_ || begins_anew_) && now != base_) {
    cut(now);
  }
  has_jumped_ = begins_anew_ = false;
  turn(values, n_parameters, n_samples);
  for (std::uint32_t offset = 0; offset < n_samples; offset += kPieceSamples) {
    const std::uint32_t n = std::min(kPieceSamples, n_samples - offset);
    take(io, offset, n);
    const std::uint64_t end = line.written.load(std::memory_order_relaxed);
    const std::uint64_t reach = line.spec.cushion_samples - line.spec.fade_samples;
    if (is_offline && end > base_ + reach) wait(end - reach);
    play(io, offset, n);
  }
}

void Player::begin_epoch(std::uint64_t now) {
  Line& line = *line_;
  has_given_up_ = has_waited_for_room_ = false;
  base_ = now;
  line.epoch_base.store(now, std::memory_order_relaxed);
  line.epoch.fetch_add(1, std::memory_order_release);
}

void Player::cut(std::uint64_t now) {
  Line& line = *line_;
  const std::uint64_t apart = 2ull * line.spec.fade_samples;
  if (has_jumped_) counters_.jumps.fetch_add(1, std::memory_order_relaxed);
  const bool rises = has_jumped_ && !is_silent_before(now);  // after silence a beginning is no click
  if (!rises && !begins_anew_) return;
  if (begins_anew_) {
    ringing_.end = line.wet_end.load(std::memory_order_acquire);
    ringing_.from = std::max(line.wet_from.load(std::memory_order_acquire), base_);
    if (rings_out_) ringing_.from = std::max(ringing_.from, base_ + line.latency_samples.load(std::memory_order_relaxed));
    begin_epoch(now);
    rings_out_ = true;
  }
  Cut* const last = n_cuts_ == 0 ? nullptr : &cuts_[(first_cut_ + n_cuts_ - 1) % cuts_.size()];
  if (last != nullptr && now < last->last + apart) {
    last->last = now;
    last->rises = rises;
  } else if (n_cuts_ < cuts_.size()) {
    cuts_[(first_cut_ + n_cuts_++) % cuts_.size()] = {now, now, rises};
  }
}

bool Player::is_silent_before(std::uint64_t now) const {
  const Line& line = *line_;
  for (std::uint64_t at = now - std::min<std::uint64_t>(now, line.spec.fade_samples); at < now; ++at) {
    for (std::uint32_t channel = 0; channel < line.spec.n_channels; ++channel) {
      if (line.input.get(channel, at) != 0.0f) return false;
    }
  }
  return true;
}

// Gain of the input of a position around the cuts. Positions come in order: what lies behind is forgotten.
float Player::level_at_cut(std::uint64_t heard) {
  const std::uint32_t fade = line_->spec.fade_samples;
  while (n_cuts_ != 0 && heard >= cuts_[first_cut_].last + fade) {
    first_cut_ = (first_cut_ + 1) % cuts_.size();
    --n_cuts_;
  }
  if (n_cuts_ == 0) return 1.0f;
  const Cut& cut = cuts_[first_cut_];
  if (heard < cut.first) return fade_[std::min<std::uint64_t>(cut.first - heard, fade)];
  if (heard < cut.last) return 0.0f;
  return cut.rises ? fade_[heard - cut.last] : 1.0f;
}

// One value a block of each parameter, as the host gives them: a ramp over the block, at its first sample.
void Player::turn(const Values& values, std::size_t n_parameters, std::uint32_t n_samples) {
  Line& line = *line_;
  const std::uint64_t now = line.written.load(std::memory_order_relaxed);
  Control control;
  control.at = now;
  control.ramp_samples = n_samples;
  for (std::size_t i = 0; i < n_parameters; ++i) {
    if (values.numbers[i] == sent_.numbers[i]) continue;
    control.index = static_cast<std::uint32_t>(i);
    control.number = values.numbers[i];
    if (line.controls.push(control)) sent_.numbers[i] = values.numbers[i];
  }
  if (values.weights != sent_.weights && now >= weights_due_) {
    control.index = Control::kWeights;
    control.weights = values.weights;
    if (line.controls.push(control)) {
      sent_.weights = values.weights;
      weights_due_ = now + between_weights(line.spec.sample_rate_hz);
    }
  }
}

void Player::take(float* const* io, std::uint32_t offset, std::uint32_t n_samples) {
  Line& line = *line_;
  const std::uint64_t first = line.written.load(std::memory_order_relaxed);
  for (std::uint32_t channel = 0; channel < line.spec.n_channels; ++channel) {
    for (std::uint32_t i = 0; i < n_samples; ++i) line.input.put(channel, first + i, io[channel][offset + i]);
  }
  line.written.store(first + n_samples, std::memory_order_release);
}

// Until wet sound is there up to a position of this epoch; not where the server is known to be away, nor twice in vain.
void Player::wait(std::uint64_t until) {
  Line& line = *line_;
  std::uint64_t reached = 0;
  Link seen = Link::kUnset;
  auto since = std::chrono::steady_clock::now();
  while (true) {
    const Link link = line.link.load(std::memory_order_acquire);
    const std::uint64_t end = line.wet_end.load(std::memory_order_acquire);
    if (end >= until || line.wet_from.load(std::memory_order_acquire) >= until) break;
    if (is_hopeless(link)) break;
    if (link == Link::kStreaming && seen != link) has_given_up_ = false;
    if (has_given_up_ || (link == Link::kFull && has_waited_for_room_)) break;
    const auto now = std::chrono::steady_clock::now();
    if (end != reached || link != seen) {
      since = now;
      reached = end;
      seen = link;
    }
    const std::chrono::seconds limit = link == Link::kFull         ? kRoomWait
                                       : link == Link::kConnecting ? kConnectWait
                                                                   : kStandstillWait;
    if (now - since > limit) {
      (link == Link::kFull ? has_waited_for_room_ : has_given_up_) = true;
      counters_.failed_waits.fetch_add(1, std::memory_order_relaxed);
      break;
    }
    line.is_waiting.store(true, std::memory_order_relaxed);
    std::this_thread::sleep_for(kPause);
  }
  line.is_waiting.store(false, std::memory_order_relaxed);
}

void Player::play(float* const* io, std::uint32_t offset, std::uint32_t n_samples) {
  Line& line = *line_;
  const std::uint32_t fade = line.spec.fade_samples, cushion = line.spec.cushion_samples;
  const std::uint64_t delay = static_cast<std::uint64_t>(line.latency_samples.load(std::memory_order_relaxed)) + cushion;
  const std::uint64_t first = line.written.load(std::memory_order_relaxed) - n_samples;
  // A server may name a latency that the line was not made for: then the input of so long ago is gone.
  const bool is_kept = delay + n_samples <= line.input.capacity();
  const std::uint64_t end = line.wet_end.load(std::memory_order_acquire);
  std::uint64_t from = std::max(line.wet_from.load(std::memory_order_acquire), base_);
  // Where what came before is heard to its end, a stream's first sound is heard from there on and not its latency.
  const std::uint64_t begin = rings_out_ ? base_ + delay : 0;
  if (rings_out_) from = std::max(from, begin - cushion);
  const std::uint32_t n_channels = line.spec.n_channels;
  std::uint64_t n_wet = 0, n_dry_outs = 0;

  for (std::uint32_t i = 0; i < n_samples; ++i) {
    const std::uint64_t now = first + i;
    // Positions before the last reset, and before the line, are silence.
    const bool has_dry = is_kept && now >= silent_to_ + delay;
    const bool is_before = now < begin;
    const std::uint64_t wet_from = is_before ? ringing_.from : from, wet_end = is_before ? ringing_.end : end;
    const bool has_wet = now >= wet_from + cushion && now < wet_end + cushion;
    const std::uint64_t wet_at = now - cushion;
    // Wet sound fades out over the last of it, so that running out is no click: `level` never exceeds what is left.
    const std::uint32_t goal = has_wet ? static_cast<std::uint32_t>(std::min<std::uint64_t>(fade, wet_end - wet_at)) : 0;
    if (rings_out_ && now == begin) {
      level_ = goal;  // nothing sounds at this moment
    } else if (level_ < goal) {
      ++level_;
    } else if (level_ > goal) {
      if (level_ == fade && !is_before) ++n_dry_outs;
      --level_;
    }
    if (level_ == fade) {
      ++n_wet;
      for (std::uint32_t channel = 0; channel < n_channels; ++channel) {
        io[channel][offset + i] = line.wet.get(channel, wet_at);
      }
    } else {
      const float wet_gain = fade_[level_], dry_gain = fade_[fade - level_];
      for (std::uint32_t channel = 0; channel < n_channels; ++channel) {
        const float dry = has_dry ? line.input.get(channel, now - delay) : 0.0f;
        io[channel][offset + i] = level_ == 0 ? dry : wet_gain * line.wet.get(channel, wet_at) + dry_gain * dry;
      }
    }
    if (n_cuts_ != 0 && now >= delay) {
      const float gain = level_at_cut(now - delay);
      for (std::uint32_t channel = 0; channel < n_channels; ++channel) io[channel][offset + i] *= gain;
    }
  }
  counters_.played_samples.fetch_add(n_samples, std::memory_order_relaxed);
  counters_.wet_samples.fetch_add(n_wet, std::memory_order_relaxed);
  if (n_dry_outs != 0) counters_.dry_outs.fetch_add(n_dry_outs, std::memory_order_relaxed);
  counters_.slack_samples.store(static_cast<std::int64_t>(end + cushion) - static_cast<std::int64_t>(first + n_samples),
                                std::memory_order_relaxed);
}

}  // namespace deepmusic
