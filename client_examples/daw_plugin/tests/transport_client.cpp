// The exchange by the plug-in's own transport: HTTP/2 by nghttp2, messages by hand.
#include <poll.h>

#include <algorithm>

#include "tests/exchange.h"
#include "transport/connection.h"
#include "transport/wire.h"

using namespace deepmusic;

namespace {

constexpr int kUnavailable = 14;
constexpr auto kPatience = std::chrono::seconds(60);
constexpr auto kLongestSleep = std::chrono::milliseconds(100);

void sleep(const Connection& connection, Clock::duration most) {
  pollfd descriptor{connection.descriptor(), POLLIN, 0};
  if (connection.wants_to_write()) descriptor.events |= POLLOUT;
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(std::clamp<Clock::duration>(most, {}, kLongestSleep));
  const timespec limit{0, static_cast<long>(ns.count())};
  ppoll(&descriptor, 1, &limit, nullptr);
}

std::string config(const exchange::Task& task) {
  wire::StreamConfig config;
  config.styles = {{task.style, 1.0}};
  config.sample_rate_hz = exchange::kRate_hz;
  config.n_channels = exchange::kChannels;
  config.nominal_block_samples = task.block_samples;
  config.settings = {{"strength", 0.75}, {"mix", 1.0}};
  if (task.is_live) config.deadline_samples = exchange::kDeadlineSamples;
  return wire::config_request(config);
}

}  // namespace

int main(int argc, char** argv) {
  const exchange::Task task(argc, argv);
  exchange::Record record(task);
  const auto address = Address::parse(task.server);
  if (!address) return 2;
  Connection connection(*address, task.root_certificate);
  Call* call = nullptr;
  const auto say = [&](const std::string& message) {
    record.sent(message);
    call->send(message);
  };
  std::uint64_t n_sent = 0, n_came = 0, credit_samples = 0;
  bool is_ready = false, is_finished = false;
  Clock::time_point began{};
  const auto patience_ends = Clock::now() + kPatience;

  while (call == nullptr || !call->is_over()) {
    auto now = Clock::now();
    connection.advance(now);
    if (connection.state() == Connection::State::kLost || now > patience_ends) {
      return record.close(task, kUnavailable, connection.problem());
    }
    if (call == nullptr && connection.state() == Connection::State::kOpen) {
      call = connection.open("/deepmusic.v1.TransferService/StreamTransfer");
      say(config(task));
    }
    std::string message;
    wire::Response response;
    while (call != nullptr && call->receive(message)) {
      record.received(message);
      if (!wire::read_response(message, response)) return record.close(task, 13, "a message cannot be read");
      if (response.kind == wire::Response::Kind::kReady) {
        is_ready = true;
        credit_samples = response.ready.credit_samples;
        began = Clock::now();
      } else if (response.kind == wire::Response::Kind::kAudio && !(response.audio.flags & wire::kTail)) {
        record.came(response.audio.sequence);
        ++n_came;
      }
    }
    now = Clock::now();
    Clock::duration pause = kLongestSleep;
    while (is_ready && n_sent < task.n_blocks()) {
      if (task.is_live) {
        pause = began + task.due(n_sent) - now;
        if (pause > Clock::duration{}) break;
      } else if ((n_sent - n_came + 1) * task.block_samples > credit_samples) {
        break;
      }
      if (n_sent == task.control_block()) {
        say(wire::number_request("mix", exchange::kMix, n_sent * task.block_samples, exchange::kRampSamples));
      }
      record.sending(n_sent);
      say(wire::audio_request(n_sent, n_sent * task.block_samples, task.pcm(n_sent)));
      ++n_sent;
    }
    if (is_ready && n_sent == task.n_blocks() && !is_finished) {
      say(wire::finish_request());
      call->half_close();
      is_finished = true;
    }
    connection.advance(now);
    if (call == nullptr || !call->is_over()) sleep(connection, is_finished ? kLongestSleep : pause);
  }
  std::string message;
  while (call->receive(message)) record.received(message);
  return record.close(task, call->status().code, call->status().message);
}
