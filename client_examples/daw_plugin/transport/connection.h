// HTTP/2 to one server, and gRPC calls on it. Used by one thread; nothing here blocks.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "transport/rpc_status.h"
#include "transport/socket.h"
#include "transport/tls.h"

struct nghttp2_session;

namespace deepmusic {

using Clock = std::chrono::steady_clock;

// One call: messages out, messages in, then a status. Its connection owns it.
class Call {
 public:
  // Queues a message; it goes out as far as the server's window lets it.
  void send(std::string_view message);
  // No more messages will be sent.
  void half_close();

  // The next message that has come; false where there is none.
  bool receive(std::string& message);

  // Bytes that wait for the server's window.
  std::size_t n_unsent_bytes() const { return n_unsent_bytes_; }
  bool is_over() const { return is_over_; }
  const RpcStatus& status() const { return status_; }

 private:
  friend class Connection;
  friend struct Http2Callbacks;

  void fail(const std::string& problem);

  nghttp2_session* session_ = nullptr;
  std::int32_t id_ = -1;
  std::deque<std::string> out_;
  std::size_t out_offset_ = 0;
  std::size_t n_unsent_bytes_ = 0;
  bool is_half_closed_ = false;
  std::string in_;
  std::size_t in_offset_ = 0;
  bool is_over_ = false;
  bool is_forgotten_ = false;  // closed by its owner, while nghttp2 still refers to it
  bool has_grpc_status_ = false;
  int http_status_ = 0;
  RpcStatus status_;
};

class Connection {
 public:
  enum class State { kConnecting, kOpen, kLost };

  // root_certificates: for an encrypted address; see `Tls`.
  Connection(const Address& address, const std::string& root_certificates);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  State state() const { return state_; }
  const std::string& problem() const { return problem_; }
  // What a person has to mend before there can be a connection.
  TlsFault fault() const { return tls_ == nullptr ? TlsFault::kNone : tls_->fault(); }
  // Whether the server has ever spoken HTTP/2 here.
  bool has_answered() const { return has_answered_; }
  // Whether the server takes no new calls here (GOAWAY); those that run go on.
  bool is_leaving() const { return is_leaving_; }

  int descriptor() const { return socket_.descriptor(); }
  // Whether it waits for the descriptor to become writable.
  bool wants_to_write() const;

  // Reads and writes what can be, pings a server that is silent, and gives one up that stays so.
  void advance(Clock::time_point now);

  // Begins a call; valid until `close`. Null where none can begin.
  Call* open(const std::string& path);
  // Forgets a call; one that is not over is cancelled.
  void close(Call* call);

 private:
  friend struct Http2Callbacks;

  void lose(const std::string& problem);
  void connect(Clock::time_point now);
  long receive(char* bytes, std::size_t size);
  long send(const char* bytes, std::size_t size);
  std::string why_ended() const;
  void read();
  void write();
  void watch(Clock::time_point now);

  Socket socket_;
  std::unique_ptr<Tls> tls_;  // null: plain text
  std::string authority_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, std::unique_ptr<Call>> calls_;
  std::string unsent_;
  std::size_t unsent_offset_ = 0;
  State state_ = State::kConnecting;
  bool is_leaving_ = false;
  std::string problem_;
  Clock::time_point began_, last_heard_, last_ping_;
  bool has_heard_ = false;  // since the last look
  bool has_answered_ = false;
};

}  // namespace deepmusic
