#include "transport/stream.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

namespace deepmusic {
namespace {

constexpr char kTransfer[] = "/deepmusic.v1.TransferService/StreamTransfer";

constexpr std::uint32_t kMostSamplesOfABlock = 4096;
constexpr std::size_t kMostUnsentBytes = 256 * 1024;  // what waits beyond it waits in the ring, where it can be skipped
constexpr double kCreditInUse = 0.9;    // the server's clock is another one; it refills at 1.05
constexpr double kRefill = 1.02;
constexpr double kSilenceKept_s = 1.0;  // silence that is still sent: rests must not make the model forget
constexpr double kKeepAlive_s = 10.0;
constexpr double kKeepAlivesALimit = 3.0;  // where the server's limit for a stream that says nothing is a short one

}  // namespace

Stream::Stream(Connection& connection, Line& line, Turned& turned, std::string& statistics,
               const std::vector<std::string>& parameter_names, Board& board, Counters& counters)
    : connection_(connection),
      line_(line),
      turned_(turned),
      statistics_(statistics),
      parameter_names_(parameter_names),
      board_(board),
      counters_(counters) {}

Stream::~Stream() { connection_.close(call_); }

bool Stream::open(const Settings& settings, Clock::time_point now) {
  const std::uint32_t epoch = line_.epoch.load(std::memory_order_acquire);
  is_offline_ = line_.is_offline.load(std::memory_order_relaxed);
  turned_.is_first_of_epoch = (epoch != turned_.epoch || turned_.is_first_of_epoch) && has_whole_epoch();
  turned_.epoch = epoch;
  // A first stream has its epoch's controls at their samples; a later one begins with what was turned before it.
  const std::uint64_t before =
      turned_.is_first_of_epoch ? line_.epoch_base.load(std::memory_order_acquire) : ~static_cast<std::uint64_t>(0);
  Control control;
  while (line_.controls.peek() != nullptr && line_.controls.peek()->at <= before) {
    line_.controls.pop(control);
    apply(control);
  }

  wire::StreamConfig config;
  config.bundle = settings.bundle;
  config.bundle_digest = settings.bundle_digest;
  config.styles = settings.mix(turned_.values.weights);
  if (config.styles.empty()) return false;
  config.sample_rate_hz = line_.spec.sample_rate_hz;
  config.n_channels = line_.spec.n_channels;
  config.nominal_block_samples = line_.spec.chunk_samples;
  for (std::size_t i = 0; i < parameter_names_.size(); ++i) {
    config.settings.push_back({parameter_names_[i], turned_.values.numbers[i]});
  }
  if (!is_offline_) config.deadline_samples = line_.spec.deadline_samples;
  if (is_frozen()) config.statistics = statistics_;
  brought_statistics_ = !config.statistics.empty();
  call_ = connection_.open(kTransfer);
  if (call_ == nullptr) return false;
  call_->send(wire::config_request(config));
  said_at_ = now;
  return true;
}

bool Stream::advance(const Settings& settings, Clock::time_point now) {
  const bool has_begun = read(now);
  if (is_streaming_ && !is_over()) write(settings, now);
  return has_begun;
}

void Stream::change_styles(const Settings& settings) {
  const auto styles = settings.mix(turned_.values.weights);
  if (!styles.empty()) call_->send(wire::styles_request(styles, std::nullopt));
}

bool Stream::read(Clock::time_point now) {
  bool has_begun = false;
  std::string message;
  wire::Response response;
  while (call_->receive(message)) {
    if (!wire::read_response(message, response)) continue;
    switch (response.kind) {
      case wire::Response::Kind::kReady:
        begin(response.ready, now);
        has_begun = true;
        break;
      case wire::Response::Kind::kAudio: take(response.audio); break;
      case wire::Response::Kind::kEvent:
        board_.change([&response](Snapshot& board) { board.notice = response.event.message; });
        break;
      case wire::Response::Kind::kStatistics:
        if (is_frozen()) hold(std::move(response.statistics));
        break;
      default: break;
    }
  }
  return has_begun;
}

void Stream::begin(const wire::Ready& ready, Clock::time_point now) {
  latency_samples_ = ready.latency_samples;
  most_block_samples_ = ready.max_block_samples;
  credit_samples_ = ready.credit_samples;
  line_.latency_samples.store(ready.latency_samples, std::memory_order_release);
  // A stream that begins with its epoch has everything; a later one begins now, and its first sound is that of later.
  const bool has_all = turned_.is_first_of_epoch && has_whole_epoch();
  turned_.is_first_of_epoch = false;
  base_ = next_ = sound_end_ = (has_all ? line_.epoch_base : line_.written).load(std::memory_order_acquire);
  credit_ = kCreditInUse * credit_samples_;
  credit_at_ = now;
  const bool has_limit = ready.idle_limit_s > 0.0;
  keep_alive_s_ = has_limit ? std::min(kKeepAlive_s, ready.idle_limit_s / kKeepAlivesALimit) : kKeepAlive_s;
  is_streaming_ = true;
  line_.wet_from.store(has_all ? base_ : base_ + latency_samples_, std::memory_order_release);
  line_.wet_end.store(base_, std::memory_order_release);
  counters_.streams.fetch_add(1, std::memory_order_relaxed);
  board_.change([&ready](Snapshot& board) {
    board.bundle = ready.bundle;
    board.bundle_digest = ready.bundle_digest;
    board.provider = ready.provider;
    board.precision = ready.precision;
    board.notice.clear();
  });
}

// Whether what came in since the epoch began is so little that it can all be sent.
bool Stream::has_whole_epoch() const {
  const std::uint64_t written = line_.written.load(std::memory_order_acquire);
  const std::uint64_t start = line_.epoch_base.load(std::memory_order_acquire);
  return written - start <= (is_offline_ ? line_.input.capacity() / 4 : line_.spec.sample_rate_hz / 4);
}

void Stream::take(const wire::StyledBlock& block) {
  const std::uint32_t n_channels = line_.spec.n_channels;
  const std::size_t frame = n_channels * sizeof(float);
  if (!is_streaming_ || (block.flags & wire::kTail) || block.pcm.size() % frame != 0) return;
  const std::uint64_t n_samples = block.pcm.size() / frame;
  while (!segments_.empty() && segments_.front().first < block.first_sample) {  // answers that the server dropped
    if (segments_.front().kind == Segment::Kind::kSent) n_unanswered_ -= segments_.front().n_samples;
    segments_.pop_front();
    line_.wet_from.store(base_ + block.first_sample, std::memory_order_release);
    line_.wet_end.store(base_ + block.first_sample, std::memory_order_release);
  }
  if (segments_.empty() || segments_.front().first != block.first_sample ||
      segments_.front().n_samples != n_samples) {
    return;  // an answer to nothing that was sent
  }
  const char* at = block.pcm.data();
  bool is_sound = true;
  for (std::uint64_t i = 0; i < n_samples; ++i) {
    for (std::uint32_t channel = 0; channel < n_channels; ++channel, at += sizeof(float)) {
      float sample;
      std::memcpy(&sample, at, sizeof sample);
      is_sound = is_sound && std::isfinite(sample);
      line_.wet.put(channel, base_ + block.first_sample + i, sample);
    }
  }
  n_unanswered_ -= n_samples;
  segments_.pop_front();
  if (!is_sound) line_.wet_from.store(base_ + block.first_sample + n_samples, std::memory_order_release);
  line_.wet_end.store(base_ + block.first_sample + n_samples, std::memory_order_release);
  settle();
  const bool is_late = !is_sound || (block.flags & (wire::kLate | wire::kFailed)) != 0;
  if (is_late) counters_.late_blocks.fetch_add(1, std::memory_order_relaxed);
  counters_.queue_us.store(block.queue_us, std::memory_order_relaxed);
  counters_.inference_us.store(block.inference_us, std::memory_order_relaxed);
}

// Answers for what was never sent, once everything before it is answered: silence for silence.
void Stream::settle() {
  while (!segments_.empty() && segments_.front().kind != Segment::Kind::kSent) {
    const Segment segment = segments_.front();
    segments_.pop_front();
    if (segment.kind == Segment::Kind::kSilent) {
      for (std::uint32_t channel = 0; channel < line_.spec.n_channels; ++channel) {
        for (std::uint64_t i = 0; i < segment.n_samples; ++i) line_.wet.put(channel, base_ + segment.first + i, 0.0f);
      }
    }
    line_.wet_end.store(base_ + segment.first + segment.n_samples, std::memory_order_release);
  }
}

void Stream::write(const Settings& settings, Clock::time_point now) {
  const std::uint64_t written = line_.written.load(std::memory_order_acquire);
  if (is_stale()) return;  // looked at after `written`: see Line
  if (!is_offline_) keep_up(written, now);
  write_controls(settings);
  while (written - next_ >= line_.spec.chunk_samples && write_audio(written, now)) {
  }
  if (std::chrono::duration<double>(now - said_at_).count() > keep_alive_s_) {
    call_->send(wire::keep_alive_request());
    said_at_ = now;
  }
}

void Stream::keep_up(std::uint64_t written, Clock::time_point now) {
  const LineSpec& spec = line_.spec;
  const double elapsed_s = std::chrono::duration<double>(now - credit_at_).count();
  credit_ = std::min(credit_ + kRefill * elapsed_s * spec.sample_rate_hz, kCreditInUse * credit_samples_);
  credit_at_ = now;
  // What waits longer than this would come back too late. With the credit used up, the lag would stay for ever.
  const bool is_spent = credit_ < spec.chunk_samples;
  const std::uint32_t most = is_spent ? 2 * spec.chunk_samples : std::max(spec.cushion_samples, spec.sample_rate_hz / 4);
  if (written - next_ > spec.max_block_samples + most) jump(written);
}

void Stream::write_controls(const Settings& settings) {
  Control control;
  while (line_.controls.pop(control)) {
    apply(control);
    const std::optional<std::uint64_t> at =
        control.at >= base_ ? std::optional<std::uint64_t>(control.at - base_) : std::nullopt;
    if (control.index != Control::kWeights) {
      call_->send(wire::number_request(parameter_names_[control.index], control.number, at, control.ramp_samples));
    } else if (const auto styles = settings.mix(turned_.values.weights); !styles.empty()) {
      call_->send(wire::styles_request(styles, at));
    }
  }
}

// Sends or skips what is next, whole chunks of it; false where nothing more may go out now.
bool Stream::write_audio(std::uint64_t written, Clock::time_point now) {
  const std::uint32_t chunk = line_.spec.chunk_samples;
  if (written - next_ > line_.input.capacity() / 2) {  // only where the host is not held back, and far too fast
    jump(written);
    return false;
  }
  // The end of what sounds is heard a latency later.
  const std::uint64_t kept = static_cast<std::uint64_t>(kSilenceKept_s * line_.spec.sample_rate_hz) + latency_samples_;
  const std::uint32_t most = std::max(chunk, std::min(kMostSamplesOfABlock, most_block_samples_) / chunk * chunk);
  std::uint32_t n_samples = 0;
  while (n_samples + chunk <= most && written - next_ - n_samples >= chunk) {
    const std::uint64_t first = next_ + n_samples;
    if (is_silent(first) && first >= sound_end_ + kept) break;
    n_samples += chunk;
  }
  if (n_samples == 0) {
    segments_.push_back({Segment::Kind::kSilent, next_ - base_, chunk});
    next_ += chunk;
    counters_.skipped_samples.fetch_add(chunk, std::memory_order_relaxed);
    settle();
    return true;
  }
  const bool has_room = n_unanswered_ == 0 || n_unanswered_ + n_samples <= credit_samples_;
  if (!has_room || call_->n_unsent_bytes() > kMostUnsentBytes || (!is_offline_ && credit_ < n_samples)) return false;
  send(n_samples, now);
  return true;
}

void Stream::send(std::uint32_t n_samples, Clock::time_point now) {
  const std::uint32_t n_channels = line_.spec.n_channels;
  pcm_.resize(static_cast<std::size_t>(n_samples) * n_channels * sizeof(float));
  char* at = pcm_.data();
  for (std::uint32_t i = 0; i < n_samples; ++i) {
    for (std::uint32_t channel = 0; channel < n_channels; ++channel, at += sizeof(float)) {
      const float sample = line_.input.get(channel, next_ + i);
      std::memcpy(at, &sample, sizeof sample);
    }
  }
  call_->send(wire::audio_request(sequence_++, next_ - base_, pcm_));
  said_at_ = now;
  segments_.push_back({Segment::Kind::kSent, next_ - base_, n_samples});
  next_ += n_samples;
  n_unanswered_ += n_samples;
  credit_ -= n_samples;
}

// Gives up what could not be sent in time: the server goes on behind it, and what it says is wet again a latency later.
void Stream::jump(std::uint64_t written) {
  const std::uint64_t to = base_ + (written - base_) / line_.spec.chunk_samples * line_.spec.chunk_samples;
  const std::uint64_t n_samples = to - next_;
  if (!segments_.empty() && segments_.back().kind == Segment::Kind::kLost) {
    segments_.back().n_samples += n_samples;
  } else {
    segments_.push_back({Segment::Kind::kLost, next_ - base_, n_samples});
  }
  next_ = to;
  counters_.lost_samples.fetch_add(n_samples, std::memory_order_relaxed);
  line_.wet_from.store(next_ + latency_samples_, std::memory_order_release);
  settle();
}

bool Stream::is_silent(std::uint64_t first) {
  for (std::uint32_t i = line_.spec.chunk_samples; i-- > 0;) {
    for (std::uint32_t channel = 0; channel < line_.spec.n_channels; ++channel) {
      if (line_.input.get(channel, first + i) == 0.0f) continue;
      sound_end_ = std::max(sound_end_, first + i + 1);
      return false;
    }
  }
  return true;
}

void Stream::apply(const Control& control) {
  if (control.index == Control::kWeights) {
    turned_.values.weights = control.weights;
  } else {
    turned_.values.numbers[control.index] = control.number;
    if (is_freeze(control.index) && !is_frozen()) hold({});
  }
}

bool Stream::is_frozen() const {
  for (std::size_t i = 0; i < parameter_names_.size(); ++i) {
    if (is_freeze(i)) return turned_.values.numbers[i] >= 0.5f;
  }
  return false;
}

void Stream::hold(std::string statistics) {
  statistics_ = std::move(statistics);
  board_.change([this](Snapshot& board) { board.statistics = statistics_; });
}

}  // namespace deepmusic
