#include "transport/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace deepmusic {
namespace {

constexpr auto kNextAfter = std::chrono::milliseconds(250);  // as RFC 8305 has it: its "connection attempt delay"

}  // namespace

std::optional<Address> Address::parse(const std::string& text) {
  constexpr std::string_view kPlain = "http://", kEncrypted = "https://";
  const bool is_encrypted = text.compare(0, kEncrypted.size(), kEncrypted) == 0;
  const bool is_plain = text.compare(0, kPlain.size(), kPlain) == 0;
  const std::string place = text.substr(is_encrypted ? kEncrypted.size() : is_plain ? kPlain.size() : 0);
  const std::size_t colon = place.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == place.size()) return std::nullopt;
  std::string host = place.substr(0, colon), port = place.substr(colon + 1);
  if (port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos || std::stoi(port) > 65535) {
    return std::nullopt;
  }
  if (host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find_first_of(":/") != std::string::npos) {
    return std::nullopt;
  }
  if (host.empty()) return std::nullopt;
  return Address{host, port, is_encrypted};
}

Socket::Socket(const Address& address, TimePoint now) : lookup_(Lookup::begin(address.host, address.port)) { advance(now); }

Socket::~Socket() {
  for (const int descriptor : attempts_) close(descriptor);
  if (descriptor_ >= 0) close(descriptor_);
}

void Socket::advance(TimePoint now) {
  if (state_ != State::kConnecting || !lookup_->is_over()) return;
  attempts_.erase(std::remove_if(attempts_.begin(), attempts_.end(), [this](int one) { return is_settled(one); }),
                  attempts_.end());
  const auto& endpoints = lookup_->endpoints();
  while (state_ == State::kConnecting && n_tried_ < endpoints.size() &&
         (attempts_.empty() || now - tried_at_ > kNextAfter)) {
    tried_at_ = now;
    attempt(endpoints[n_tried_++]);
  }
  if (state_ == State::kOpen) {
    for (const int slower : attempts_) close(slower);
    attempts_.clear();
  } else if (attempts_.empty()) {
    fail(endpoints.empty() ? lookup_->problem() : problem_);
  }
}

void Socket::attempt(const Endpoint& endpoint) {
  const int descriptor = socket(endpoint.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    problem_ = std::strerror(errno);
    return;
  }
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.size) == 0) {
    descriptor_ = descriptor;
    state_ = State::kOpen;
  } else if (errno == EINPROGRESS) {
    attempts_.push_back(descriptor);
  } else {
    problem_ = std::strerror(errno);
    close(descriptor);
  }
}

// Whether an attempt has come to its end: with the connection, or with an error.
bool Socket::is_settled(int attempt) {
  pollfd ready{attempt, POLLOUT, 0};
  if (state_ == State::kOpen || poll(&ready, 1, 0) <= 0) return false;
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(attempt, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error == 0) {
    descriptor_ = attempt;
    state_ = State::kOpen;
  } else {
    problem_ = std::strerror(error);
    close(attempt);
  }
  return true;
}

long Socket::read(char* bytes, std::size_t size) {
  const ssize_t n = recv(descriptor_, bytes, size, 0);
  if (n > 0) return n;
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return 0;
  fail(n == 0 ? "the server closed the connection" : std::strerror(errno));
  return -1;
}

long Socket::write(const char* bytes, std::size_t size) {
  const ssize_t n = send(descriptor_, bytes, size, MSG_NOSIGNAL);
  if (n >= 0) return n;
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return 0;
  fail(std::strerror(errno));
  return -1;
}

void Socket::fail(const std::string& problem) {
  state_ = State::kFailed;
  problem_ = problem.empty() ? "cannot connect" : problem;
}

}  // namespace deepmusic
