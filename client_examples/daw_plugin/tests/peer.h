// The other end of a connection, frame by frame and byte by byte, on the test's own thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "transport/connection.h"

namespace peer {

enum Type : std::uint8_t {
  kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7, kWindowUpdate = 8, kContinuation = 9
};
enum Flag : std::uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8 };

struct Frame {
  std::uint8_t type, flags;
  std::int32_t stream;
  std::string payload;
};

using Fields = std::vector<std::pair<std::string, std::string>>;

std::string number(std::uint32_t value);  // four bytes
std::string frame(std::uint8_t type, std::uint8_t flags, std::int32_t stream, const std::string& payload = "");
std::string fields(const Fields& all);    // as HPACK writes them, without a table
std::string headers(std::int32_t stream, const Fields& all, bool is_last = false);
std::string message(const std::string& bytes);  // as gRPC frames it
std::string setting(std::uint16_t name, std::uint32_t value);

// What a server says to a call that goes well.
const Fields kOk = {{":status", "200"}, {"content-type", "application/grpc"}};
const Fields kDone = {{"grpc-status", "0"}};

// A connection, and who it is connected to.
class Pair {
 public:
  Pair();  // connected, with the server's settings said
  ~Pair();
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  deepmusic::Connection& client() { return *client_; }
  // Says this to the client, so many bytes at a time; the client reads each part before the next one comes.
  void say(const std::string& bytes, std::size_t part = ~std::size_t{0});
  // Lets the client go on, and takes what it says.
  void advance();
  void hang_up();

  // All that the client has said, without its preface.
  std::vector<Frame> heard() const;
  // Bytes of data that it has said on a stream.
  std::string data(std::int32_t stream) const;

 private:
  int descriptor_ = -1;
  std::string heard_;
  std::unique_ptr<deepmusic::Connection> client_;
};

}  // namespace peer
