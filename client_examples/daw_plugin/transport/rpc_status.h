// How a call ended.
#pragma once

#include <string>
#include <string_view>

namespace deepmusic {

struct RpcStatus {
  // gRPC's codes that are told apart here.
  enum Code { kOk = 0, kCancelled = 1, kUnknown = 2, kInvalidArgument = 3, kResourceExhausted = 8, kInternal = 13, kUnavailable = 14 };

  int code = kUnknown;
  std::string message;  // for people
  std::string reason;   // of ErrorInfo, such as NO_CAPACITY; empty where the server sent none
  double retry_after_s = 0.0;

  // Whether the server has room later, and waiting is what helps.
  bool is_full() const { return reason == "NO_CAPACITY" || reason == "MODEL_LOADING"; }

  // Whether the request itself was refused: the same request will be, until something is changed.
  bool is_refusal() const;
};

// Number of the header grpc-status; what is no number is unknown.
int status_code(std::string_view text);

// Text of the header grpc-message, in which some bytes are written as %XX.
std::string percent_decoded(std::string_view text);

// Bytes of a header that ends with -bin; padding may be left out. What is no base64 ends it.
std::string base64_decoded(std::string_view text);

}  // namespace deepmusic
