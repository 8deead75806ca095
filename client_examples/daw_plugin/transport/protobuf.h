// Protobuf's encoding: fields to bytes and back.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace deepmusic::protobuf {

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

class Writer {
 public:
  std::string bytes;

  void number(std::uint32_t field, std::uint64_t value) {
    tag(field, kVarint);
    varint(value);
  }
  void number_unless_zero(std::uint32_t field, std::uint64_t value) {
    if (value != 0) number(field, value);
  }
  void real(std::uint32_t field, double value) {
    tag(field, kFixed64);
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(bits >> shift & 0xff));
  }
  void text(std::uint32_t field, std::string_view value) {
    tag(field, kLength);
    varint(value.size());
    bytes.append(value);
  }
  void text_unless_empty(std::uint32_t field, std::string_view value) {
    if (!value.empty()) text(field, value);
  }
  void message(std::uint32_t field, const Writer& inner) { text(field, inner.bytes); }

 private:
  void tag(std::uint32_t field, WireType type) { varint(field << 3 | type); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>((value & 0x7f) | 0x80));
    bytes.push_back(static_cast<char>(value));
  }
};

// One field after another; a message that ends early or has a wrong shape is not ok.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool next() {
    if (!is_ok_ || at_ == end_) return false;
    const std::uint64_t tag = varint();
    field_ = static_cast<std::uint32_t>(tag >> 3);
    number_ = 0;
    text_ = {};
    if (tag >> 3 == 0 || tag >> 32 != 0) is_ok_ = false;
    switch (tag & 7) {
      case kVarint: number_ = varint(); break;
      case kFixed64: number_ = fixed(8); break;
      case kFixed32: number_ = fixed(4); break;
      case kLength: {
        const std::uint64_t size = varint();
        if (!is_ok_ || size > static_cast<std::uint64_t>(end_ - at_)) return is_ok_ = false;
        text_ = {at_, static_cast<std::size_t>(size)};
        at_ += size;
        break;
      }
      default: is_ok_ = false;
    }
    return is_ok_;
  }

  bool is_ok() const { return is_ok_; }
  std::uint32_t field() const { return field_; }
  std::uint64_t number() const { return number_; }
  std::uint32_t number32() const { return static_cast<std::uint32_t>(number_); }
  std::string_view text() const { return text_; }
  std::string string() const { return std::string(text_); }
  double real() const {
    double value;
    std::memcpy(&value, &number_, sizeof value);
    return value;
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at_ == end_) break;
      const auto byte = static_cast<std::uint8_t>(*at_++);
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    is_ok_ = false;
    return 0;
  }
  std::uint64_t fixed(int size) {
    if (end_ - at_ < size) {
      is_ok_ = false;
      return 0;
    }
    std::uint64_t value = 0;
    for (int i = 0; i < size; ++i) value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(*at_++)) << (8 * i);
    return value;
  }

  const char* at_;
  const char* end_;
  bool is_ok_ = true;
  std::uint32_t field_ = 0;
  std::uint64_t number_ = 0;
  std::string_view text_;
};

}  // namespace deepmusic::protobuf
