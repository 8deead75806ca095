#include "transport/rpc_status.h"

#include <charconv>
#include <cstdint>
#include <system_error>

namespace deepmusic {
namespace {

int hexadecimal(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

int sextet(char digit) {
  if (digit >= 'A' && digit <= 'Z') return digit - 'A';
  if (digit >= 'a' && digit <= 'z') return digit - 'a' + 26;
  if (digit >= '0' && digit <= '9') return digit - '0' + 52;
  if (digit == '+' || digit == '-') return 62;
  if (digit == '/' || digit == '_') return 63;
  return -1;
}

}  // namespace

bool RpcStatus::is_refusal() const {
  switch (code) {
    case kInvalidArgument:
    case 5:   // NOT_FOUND
    case 7:   // PERMISSION_DENIED
    case 9:   // FAILED_PRECONDITION
    case 12:  // UNIMPLEMENTED
    case 16:  // UNAUTHENTICATED
      return true;
    default:
      return false;
  }
}

int status_code(std::string_view text) {
  const char* const end = text.data() + text.size();
  unsigned code = RpcStatus::kUnknown;
  const auto read = std::from_chars(text.data(), end, code);
  return read.ec == std::errc() && read.ptr == end ? static_cast<int>(code) : RpcStatus::kUnknown;
}

std::string percent_decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hexadecimal(text[i + 1]), low = hexadecimal(text[i + 2]);
      if (high >= 0 && low >= 0) {
        plain.push_back(static_cast<char>(high * 16 + low));
        i += 2;
        continue;
      }
    }
    plain.push_back(text[i]);
  }
  return plain;
}

std::string base64_decoded(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int n_bits = 0;
  for (const char digit : text) {
    const int value = sextet(digit);
    if (value < 0) break;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    n_bits += 6;
    if (n_bits >= 8) {
      n_bits -= 8;
      bytes.push_back(static_cast<char>(bits >> n_bits & 0xff));
    }
  }
  return bytes;
}

}  // namespace deepmusic
