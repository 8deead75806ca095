// The messages of protos/deepmusic/v1 that a plug-in speaks, as bytes. Written by hand: a plug-in that registers protobuf
// descriptors brings down a host that loads it twice (VST3 and LV2), and a full library is what every host would load.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deepmusic::wire {

struct StyleShare {
  std::string name;
  double weight = 1.0;
};

struct Setting {
  std::string name;
  double value = 0.0;
};

struct StreamConfig {
  std::string session_id;
  std::string bundle;         // empty: the server's default
  std::string bundle_digest;  // empty: any
  std::vector<StyleShare> styles;
  std::uint32_t sample_rate_hz = 0;
  std::uint32_t n_channels = 0;
  std::uint32_t nominal_block_samples = 0;
  std::vector<Setting> settings;
  std::optional<std::uint32_t> deadline_samples;  // none: pacing fast
  std::string statistics;  // as a server gave them; empty: none
};

// What a server sends on a stream, one of these.
struct Ready {
  std::string bundle;
  std::string bundle_digest;
  std::string provider;
  std::string precision;
  std::uint32_t latency_samples = 0;
  std::uint32_t step_samples = 0;
  std::uint32_t max_block_samples = 0;
  std::uint32_t credit_samples = 0;
  double idle_limit_s = 0.0;
};

struct StyledBlock {
  std::uint64_t sequence = 0;
  std::uint64_t first_sample = 0;
  std::string_view pcm;  // into the message
  std::uint32_t flags = 0;
  std::uint32_t queue_us = 0;
  std::uint32_t inference_us = 0;
};

enum BlockFlag : std::uint32_t { kConcealed = 1, kDry = 2, kDiscontinuity = 4, kLate = 8, kFailed = 16, kTail = 64 };

struct Event {
  std::uint32_t kind = 0;
  std::string message;
};

enum EventKind : std::uint32_t { kStyleRefused = 7, kGoingAway = 18 };

struct Response {
  enum class Kind { kUnknown, kReady, kAudio, kEvent, kStatistics, kSummary } kind = Kind::kUnknown;
  Ready ready;
  StyledBlock audio;
  Event event;
  std::string statistics;  // kept as they are
};

struct StyleListing {
  std::string name;
  bool is_temporary = false;
};

struct BundleListing {
  std::string name;
  std::string digest;
  std::string problem;
  bool is_default = false;
};

// Requests of StreamTransfer.
std::string config_request(const StreamConfig& config);
std::string audio_request(std::uint64_t sequence, std::uint64_t first_sample, std::string_view pcm);
std::string number_request(std::string_view parameter, double value, std::optional<std::uint64_t> at_sample,
                           std::optional<std::uint32_t> ramp_samples);
std::string styles_request(const std::vector<StyleShare>& styles, std::optional<std::uint64_t> at_sample);
std::string finish_request();
std::string keep_alive_request();

// Parts of CreateStyle: a header, then samples.
std::string style_header(std::string_view name, std::uint32_t sample_rate_hz, std::uint32_t n_channels,
                         std::string_view bundle);
std::string style_pcm(std::string_view pcm);

// Styles' vectors: what a server gives is kept as it is, and given back as it was.
std::string export_request(std::string_view name, std::string_view bundle);
std::string import_request(std::string_view vector, std::string_view bundle);

// Each returns false where the bytes are no such message. What is unknown in them is passed over.
bool read_response(std::string_view bytes, Response& response);
bool read_styles(std::string_view bytes, std::vector<StyleListing>& styles);
bool read_bundles(std::string_view bytes, std::vector<BundleListing>& bundles);
bool read_created_style(std::string_view bytes, StyleListing& style);  // and one that was put back
bool read_exported_style(std::string_view bytes, std::string& vector);

// google.rpc.Status with its ErrorInfo and RetryInfo.
struct ErrorDetails {
  std::string reason;
  double retry_after_s = 0.0;
};
bool read_error_details(std::string_view bytes, ErrorDetails& details);

}  // namespace deepmusic::wire
