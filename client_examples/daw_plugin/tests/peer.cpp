#include "tests/peer.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "tests/check.h"
#include "tests/fake_server.h"

namespace peer {
namespace {

constexpr std::size_t kPrefaceBytes = 24, kHeaderBytes = 9;

std::string length_of(const std::string& text) {  // HPACK's integer of 7 bits
  std::string bytes;
  std::size_t size = text.size();
  if (size < 127) return std::string(1, static_cast<char>(size));
  bytes.push_back(127);
  for (size -= 127; size >= 128; size >>= 7) bytes.push_back(static_cast<char>((size & 127) | 128));
  bytes.push_back(static_cast<char>(size));
  return bytes;
}

std::uint32_t number_at(const std::string& bytes, std::size_t at, int size) {
  std::uint32_t value = 0;
  for (int i = 0; i < size; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes[at + static_cast<std::size_t>(i)]);
  return value;
}

}  // namespace

std::string number(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift & 255));
  return bytes;
}

std::string frame(std::uint8_t type, std::uint8_t flags, std::int32_t stream, const std::string& payload) {
  std::string bytes = number(static_cast<std::uint32_t>(payload.size())).substr(1);
  bytes.push_back(static_cast<char>(type));
  bytes.push_back(static_cast<char>(flags));
  return bytes + number(static_cast<std::uint32_t>(stream)) + payload;
}

std::string fields(const Fields& all) {
  std::string bytes;
  for (const auto& [name, value] : all) bytes += '\0' + length_of(name) + name + length_of(value) + value;
  return bytes;
}

std::string headers(std::int32_t stream, const Fields& all, bool is_last) {
  return frame(kHeaders, static_cast<std::uint8_t>(kEndHeaders | (is_last ? kEndStream : 0)), stream, fields(all));
}

std::string message(const std::string& bytes) {
  return '\0' + number(static_cast<std::uint32_t>(bytes.size())) + bytes;
}

std::string setting(std::uint16_t name, std::uint32_t value) {
  return frame(kSettings, 0, 0, number(name).substr(2) + number(value));
}

Pair::Pair() {
  int port = 0;
  const int listener = fake::listen_on_loopback(port);
  client_ = std::make_unique<deepmusic::Connection>(deepmusic::Address{"127.0.0.1", std::to_string(port), false}, "");
  descriptor_ = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  close(listener);
  const int on = 1;
  setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  say(frame(kSettings, 0, 0));
  CHECK(check::within(2.0, [this] { return advance(), client().state() == deepmusic::Connection::State::kOpen; }));
}

Pair::~Pair() { hang_up(); }

void Pair::hang_up() {
  if (descriptor_ >= 0) close(descriptor_);
  descriptor_ = -1;
}

void Pair::say(const std::string& bytes, std::size_t part) {
  for (std::size_t at = 0; at < bytes.size(); at += part) {
    const std::string now = bytes.substr(at, std::min(part, bytes.size() - at));
    for (std::size_t said = 0; said < now.size();) {
      const ssize_t n = send(descriptor_, now.data() + said, now.size() - said, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) said += static_cast<std::size_t>(n);
      if (client().state() == deepmusic::Connection::State::kLost) return;
      advance();
    }
    // Loopback is not instant: what is acknowledged has arrived, and is read by the next advance.
    CHECK(check::within(5.0, [this] {
      const int on = 1;
      int n_underway = 0;
      setsockopt(client().descriptor(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
      advance();
      const bool is_lost = client().state() == deepmusic::Connection::State::kLost;
      return is_lost || ioctl(descriptor_, SIOCOUTQ, &n_underway) != 0 || n_underway == 0;
    }));
  }
  advance();
}

void Pair::advance() {
  client().advance(deepmusic::Clock::now());
  char bytes[65536];
  while (descriptor_ >= 0) {
    const ssize_t n = recv(descriptor_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n <= 0) break;
    heard_.append(bytes, static_cast<std::size_t>(n));
  }
}

std::vector<Frame> Pair::heard() const {
  std::vector<Frame> frames;
  for (std::size_t at = kPrefaceBytes; at + kHeaderBytes <= heard_.size();) {
    const std::size_t size = number_at(heard_, at, 3);
    if (at + kHeaderBytes + size > heard_.size()) break;
    frames.push_back({static_cast<std::uint8_t>(heard_[at + 3]), static_cast<std::uint8_t>(heard_[at + 4]),
                      static_cast<std::int32_t>(number_at(heard_, at + 5, 4)),
                      heard_.substr(at + kHeaderBytes, size)});
    at += kHeaderBytes + size;
  }
  return frames;
}

std::string Pair::data(std::int32_t stream) const {
  std::string all;
  for (const Frame& one : heard()) {
    if (one.type == kData && one.stream == stream) all += one.payload;
  }
  return all;
}

}  // namespace peer
