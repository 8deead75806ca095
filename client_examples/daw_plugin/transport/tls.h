// TLS over a socket, as a client that speaks HTTP/2. Used by one thread; nothing here blocks.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "transport/socket.h"

struct ssl_ctx_st;
struct ssl_st;

namespace deepmusic {

// What a person has to mend where no encrypted connection comes about.
enum class TlsFault {
  kNone,       // nothing, or nothing of TLS
  kUntrusted,  // nobody that is trusted vouches for the server under this name and now
  kPlainText,  // the server does not encrypt
};

class Tls {
 public:
  enum class State { kShakingHands, kOpen, kFailed };

  // host: what the server's certificate must be made out to, a name or an address.
  // root_certificates: path of a PEM file with those who are trusted to vouch for it; empty: the system's.
  Tls(Socket& socket, const std::string& host, const std::string& root_certificates);
  ~Tls();  // says goodbye, as far as that goes at once
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  State state() const { return state_; }
  TlsFault fault() const { return fault_; }
  const std::string& problem() const { return problem_; }
  // Whether what it does next waits for the socket to become writable.
  bool wants_to_write() const { return wants_to_write_; }

  // Goes on with the handshake, once the socket is open.
  void advance();

  // As those of the socket.
  long read(char* bytes, std::size_t size);
  long write(const char* bytes, std::size_t size);

 private:
  friend struct TlsBytes;

  void set_up(const std::string& root_certificates);
  long judge(int result);
  void fail(TlsFault fault, const std::string& problem);
  std::string why_untrusted() const;

  struct Freed {
    void operator()(ssl_ctx_st* context) const;
    void operator()(ssl_st* session) const;
  };

  Socket& socket_;
  const std::string host_;
  std::unique_ptr<ssl_ctx_st, Freed> context_;
  std::unique_ptr<ssl_st, Freed> session_;
  State state_ = State::kShakingHands;
  TlsFault fault_ = TlsFault::kNone;
  std::string problem_;
  bool wants_to_write_ = true;
  bool has_heard_ = false;
  bool is_answered_in_plain_text_ = false;
};

}  // namespace deepmusic
