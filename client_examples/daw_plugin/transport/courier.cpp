#include "transport/courier.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

namespace deepmusic {
namespace {

constexpr double kAwayPause_s = 0.25;
constexpr double kAgainPause_s = 0.02;
constexpr double kRefusedPause_s = 2.0;
constexpr double kLongestFullPause_s = 5.0;
constexpr auto kReleaseAfter = std::chrono::seconds(2);
constexpr auto kQuickFailure = std::chrono::milliseconds(200);

// Between looks at the rings. The audio thread wakes nobody: that would be a system call.
constexpr int kLivePause_us = 1000;
constexpr int kOfflinePause_us = 100;
constexpr int kIdlePause_us = 10000;
constexpr auto kIdleAfter = std::chrono::milliseconds(250);

Link link_for(TlsFault fault) {
  switch (fault) {
    case TlsFault::kUntrusted: return Link::kUntrusted;
    case TlsFault::kPlainText: return Link::kPlainText;
    case TlsFault::kNone: break;
  }
  return Link::kAway;
}

Clock::duration in_seconds(double s) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
}

}  // namespace

Courier::Courier(std::vector<std::string> parameter_names, Counters& counters)
    : parameter_names_(std::move(parameter_names)), counters_(counters) {
  wake_descriptor_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  thread_ = std::thread([this] { run(); });
}

Courier::~Courier() {
  is_stopping_.store(true);
  wake();
  thread_.join();
  close(wake_descriptor_);
}

void Courier::configure(const Settings& settings) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ordered_settings_ = settings;
  }
  has_orders_.store(true);
  wake();
}

void Courier::carry(std::shared_ptr<Line> line) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ordered_line_ = std::move(line);
  }
  has_orders_.store(true);
  wake();
}

void Courier::browse() {
  inquiries_.browse();
  wake();
}

void Courier::learn(Recording recording) {
  board_.change([](Snapshot& board) {
    board.is_learning = true;
    board.learned.clear();
    board.learned_style.clear();
  });
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ordered_recording_ = std::move(recording);
  }
  has_recording_.store(true);
  wake();
}

void Courier::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto n = write(wake_descriptor_, &one, sizeof one);
}

void Courier::run() {
  while (!is_stopping_.load()) {
    take_orders();
    take_recording();
    const auto now = Clock::now();
    look_at_host(now);
    advance(now);
    sleep(pause_us(now));
  }
  stream_.reset();
  connection_.reset();
}

void Courier::take_orders() {
  if (!has_orders_.exchange(false)) return;
  Settings settings;
  std::shared_ptr<Line> line;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    settings = ordered_settings_;
    line = ordered_line_;
  }
  const bool is_elsewhere =
      settings.server != settings_.server || settings.root_certificates != settings_.root_certificates;
  const bool is_another_bundle =
      settings.bundle != settings_.bundle || settings.bundle_digest != settings_.bundle_digest;
  const bool are_other_styles = settings.styles != settings_.styles || settings.vectors != settings_.vectors;
  const bool is_opened = settings.n_opened != settings_.n_opened;
  if (is_opened || is_elsewhere || is_another_bundle) know(is_opened ? settings.statistics : "");
  settings_ = settings;
  keeper_.configure(settings_);
  if (is_elsewhere) {
    lose_connection("the server was changed");
    was_slow_to_fail_ = was_turned_away_ = false;
  }
  const bool is_streaming = stream_ != nullptr && stream_->is_streaming();
  if (line != line_) {
    take_line(std::move(line));
  } else if (is_elsewhere || is_another_bundle || is_opened || (are_other_styles && !is_streaming)) {
    stream_.reset();
    retry_at_ = {};
  } else if (are_other_styles) {
    are_styles_due_ = true;
  }
}

void Courier::take_recording() {
  if (inquiries_.has_recording() || !has_recording_.exchange(false)) return;
  std::optional<Recording> recording;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    recording.swap(ordered_recording_);
  }
  if (recording) inquiries_.learn(std::move(*recording));
}

void Courier::take_line(std::shared_ptr<Line> line) {
  stream_.reset();
  line_ = std::move(line);
  turned_ = {};
  is_released_ = false;
  seen_written_ = 0;
  moved_at_ = Clock::now();
  retry_at_ = {};
  if (line_ == nullptr) return;
  turned_.values = line_->first_values;
  // A host that waits for each of its plug-ins would wait for a server that answers nobody, over and over.
  if (was_slow_to_fail_) set_link(Link::kAway, "");
}

// A render that is over does not say so: one that stands still gives its slot back, for others to finish.
void Courier::look_at_host(Clock::time_point now) {
  if (line_ == nullptr) return;
  const std::uint64_t written = line_->written.load(std::memory_order_acquire);
  if (written != seen_written_ || line_->is_waiting.load(std::memory_order_relaxed)) {
    seen_written_ = written;
    moved_at_ = now;
    is_released_ = false;
  } else if (stream_ != nullptr && stream_->is_offline() && now - moved_at_ > kReleaseAfter) {
    stream_.reset();
    is_released_ = true;
    set_link(Link::kConnecting, "");
  }
}

void Courier::advance(Clock::time_point now) {
  const bool wants_stream = line_ != nullptr && !is_released_;
  if (connection_ == nullptr) {
    if ((wants_stream || inquiries_.is_wanted()) && now >= retry_at_) connect(now);
    return;
  }
  connection_->advance(now);
  if (connection_->state() == Connection::State::kOpen) {
    inquiries_.advance(*connection_, settings_.bundle);
    keeper_.advance(*connection_);
    look_at_styles();
    if (stream_ != nullptr) {
      look_at_stream(now);
    } else if (wants_stream && line_->is_begun() && now >= retry_at_ && keeper_.is_ready()) {
      open(now);
    }
  }
  if (connection_ == nullptr) return;
  if (connection_->state() == Connection::State::kLost) {
    const bool was_streaming = stream_ != nullptr && stream_->is_streaming();
    was_slow_to_fail_ = now - connect_began_ > kQuickFailure && !connection_->has_answered();
    // A connection from before that has gone, or that the server was leaving, tells nothing of the server: another is made.
    const bool is_turned_away = connection_->has_answered() && !was_streaming && !was_turned_away_;
    was_turned_away_ = is_turned_away;
    const std::string why = settings_.server + ": " + connection_->problem();
    const Link link = is_turned_away ? Link::kConnecting : link_for(connection_->fault());
    lose_connection(why);
    const double pause_s = is_turned_away ? kAgainPause_s : link == Link::kAway ? kAwayPause_s : kRefusedPause_s;
    stop_for(link, why, pause_s, now);
  } else if (connection_->is_leaving() && stream_ == nullptr && !inquiries_.is_learning()) {
    leave(now);
  } else {
    connection_->advance(now);
  }
}

// A stream that plays goes on with its styles until the new ones are there.
void Courier::look_at_styles() {
  if (!keeper_.is_ready()) return;
  if (are_styles_due_ && stream_ != nullptr && stream_->is_streaming()) {
    played_ = keeper_.played();
    stream_->change_styles(played_);
  }
  are_styles_due_ = false;
}

void Courier::connect(Clock::time_point now) {
  const auto address = Address::parse(settings_.server);
  if (!address) {
    stop_for(Link::kRefused, "expected HOST:PORT or https://HOST:PORT for the server, got " + settings_.server, kRefusedPause_s, now);
    return;
  }
  connect_began_ = now;
  connection_ = std::make_unique<Connection>(*address, settings_.root_certificates);
}

void Courier::open(Clock::time_point now) {
  played_ = keeper_.played();
  stream_ = std::make_unique<Stream>(*connection_, *line_, turned_, statistics_, parameter_names_, board_, counters_);
  if (stream_->open(played_, now)) {
    if (line_->link.load(std::memory_order_relaxed) == Link::kConnecting) set_link(Link::kOpening, "");
    return;
  }
  stream_.reset();
  if (settings_.mix(turned_.values.weights).empty()) {
    stop_for(Link::kUnset, "no style is chosen", kRefusedPause_s, now);
  }
}

void Courier::look_at_stream(Clock::time_point now) {
  if (stream_->advance(played_, now)) {
    was_turned_away_ = false;
    keeper_.fetch_again();
    set_link(Link::kStreaming, "");
  }
  if (stream_->is_over()) {
    end_of_call(now);
  } else if (stream_->is_streaming() && stream_->is_stale()) {
    stream_.reset();
    set_link(Link::kConnecting, "");
    if (keeper_.is_ready()) open(now);
  }
}

void Courier::end_of_call(Clock::time_point now) {
  const RpcStatus status = stream_->status();
  const bool is_turned_away = !stream_->is_streaming() && connection_->is_leaving();
  const bool are_statistics_refused = stream_->brought_statistics() && status.code == RpcStatus::kInvalidArgument;
  stream_.reset();
  keeper_.put_back_again();
  if (are_statistics_refused) {  // another bundle's, or damaged: it is tried without them
    know("");
    board_.change([&status](Snapshot& board) { board.notice = status.message; });
    retry_at_ = {};
  } else if (is_turned_away) {
    retry_at_ = {};
    leave(now);
  } else if (status.is_full()) {
    counters_.refusals.fetch_add(1, std::memory_order_relaxed);
    const double pause_s = std::min(std::max(kAwayPause_s, status.retry_after_s), kLongestFullPause_s);
    stop_for(Link::kFull, status.message, pause_s, now);
  } else if (status.is_refusal()) {
    counters_.refusals.fetch_add(1, std::memory_order_relaxed);
    stop_for(Link::kRefused, status.message, kRefusedPause_s, now);
  } else {
    stop_for(Link::kAway, status.message, kAwayPause_s, now);
  }
}

void Courier::know(const std::string& statistics) {
  statistics_ = statistics;
  board_.change([&statistics](Snapshot& board) { board.statistics = statistics; });
}

void Courier::lose_connection(const std::string& why) {
  stream_.reset();
  inquiries_.forget(why);
  keeper_.forget();
  connection_.reset();
}

// The server takes no calls on this connection any more. Another one is made: at once, and after a pause from the second
// one on, since what is in front of a server may say so for as long as it takes to mend it.
void Courier::leave(Clock::time_point now) {
  lose_connection("the server stops");
  if (was_turned_away_) stop_for(Link::kAway, settings_.server + ": the server stops", kAwayPause_s, now);
  was_turned_away_ = true;
}

void Courier::stop_for(Link link, const std::string& why, double pause_s, Clock::time_point now) {
  retry_at_ = now + in_seconds(pause_s);
  set_link(link, why);
}

void Courier::set_link(Link link, const std::string& message) {
  if (line_ != nullptr) line_->link.store(link, std::memory_order_release);
  board_.change([link, &message](Snapshot& board) {
    board.link = link;
    board.message = message;
  });
}

int Courier::pause_us(Clock::time_point now) const {
  if (line_ == nullptr) return kIdlePause_us;
  if (now - moved_at_ > kIdleAfter && !line_->is_waiting.load(std::memory_order_relaxed)) return kIdlePause_us;
  return line_->is_offline.load(std::memory_order_relaxed) ? kOfflinePause_us : kLivePause_us;
}

void Courier::sleep(int microseconds) const {
  pollfd descriptors[2] = {{wake_descriptor_, POLLIN, 0}, {-1, POLLIN, 0}};
  if (connection_ != nullptr) {
    descriptors[1].fd = connection_->descriptor();
    if (connection_->wants_to_write()) descriptors[1].events |= POLLOUT;
  }
  const timespec limit{0, microseconds * 1000L};
  if (ppoll(descriptors, 2, &limit, nullptr) > 0 && (descriptors[0].revents & POLLIN) != 0) {
    std::uint64_t count;
    [[maybe_unused]] const auto n = read(wake_descriptor_, &count, sizeof count);
  }
}

}  // namespace deepmusic
