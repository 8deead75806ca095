#include "transport/wire.h"

#include "transport/protobuf.h"

namespace deepmusic::wire {
namespace {

using protobuf::Reader;
using protobuf::Writer;

constexpr std::uint32_t kF32le = 1;

Writer mix(const std::vector<StyleShare>& styles) {
  Writer all;
  for (const StyleShare& share : styles) {
    Writer one;
    one.text(1, share.name);
    one.real(2, share.weight);
    all.message(1, one);
  }
  return all;
}

Writer audio_format(std::uint32_t sample_rate_hz, std::uint32_t n_channels) {
  Writer format;
  format.number(1, sample_rate_hz);
  format.number(2, n_channels);
  format.number(3, kF32le);
  return format;
}

std::string request(std::uint32_t member, const Writer& message) {
  Writer all;
  all.message(member, message);
  return std::move(all.bytes);
}

bool read_ready(std::string_view bytes, Ready& ready) {
  Reader reader(bytes);
  while (reader.next()) {
    switch (reader.field()) {
      case 3: ready.bundle = reader.string(); break;
      case 4: ready.bundle_digest = reader.string(); break;
      case 5: ready.latency_samples = reader.number32(); break;
      case 6: ready.step_samples = reader.number32(); break;
      case 7: ready.max_block_samples = reader.number32(); break;
      case 8: ready.credit_samples = reader.number32(); break;
      case 9: ready.idle_limit_s = reader.real(); break;
      case 11: ready.provider = reader.string(); break;
      case 12: ready.precision = reader.string(); break;
      default: break;
    }
  }
  return reader.is_ok();
}

bool read_block(std::string_view bytes, StyledBlock& block) {
  Reader reader(bytes);
  bool is_ok = true;
  while (reader.next()) {
    switch (reader.field()) {
      case 1: block.sequence = reader.number(); break;
      case 2: block.first_sample = reader.number(); break;
      case 3: block.pcm = reader.text(); break;
      case 4: block.flags = reader.number32(); break;
      case 5: {
        Reader timing(reader.text());
        while (timing.next()) {
          if (timing.field() == 1) block.queue_us = timing.number32();
          if (timing.field() == 2) block.inference_us = timing.number32();
        }
        is_ok = is_ok && timing.is_ok();
        break;
      }
      default: break;
    }
  }
  return is_ok && reader.is_ok();
}

bool read_event(std::string_view bytes, Event& event) {
  Reader reader(bytes);
  while (reader.next()) {
    if (reader.field() == 1) event.kind = reader.number32();
    if (reader.field() == 2) event.message = reader.string();
  }
  return reader.is_ok();
}

bool read_style(std::string_view bytes, StyleListing& style) {
  Reader reader(bytes);
  while (reader.next()) {
    if (reader.field() == 1) style.name = reader.string();
    if (reader.field() == 4) style.is_temporary = reader.number() != 0;
  }
  return reader.is_ok();
}

bool read_bundle(std::string_view bytes, BundleListing& bundle) {
  Reader reader(bytes);
  while (reader.next()) {
    switch (reader.field()) {
      case 1: bundle.name = reader.string(); break;
      case 3: bundle.digest = reader.string(); break;
      case 7: bundle.problem = reader.string(); break;
      case 9: bundle.is_default = reader.number() != 0; break;
      default: break;
    }
  }
  return reader.is_ok();
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

bool read_detail(std::string_view bytes, ErrorDetails& details) {
  Reader any(bytes);
  std::string_view type, value;
  while (any.next()) {
    if (any.field() == 1) type = any.text();
    if (any.field() == 2) value = any.text();
  }
  Reader inner(value);
  if (ends_with(type, "google.rpc.ErrorInfo")) {
    while (inner.next()) {
      if (inner.field() == 1) details.reason = inner.string();
    }
  } else if (ends_with(type, "google.rpc.RetryInfo")) {
    while (inner.next()) {
      if (inner.field() != 1) continue;
      Reader delay(inner.text());
      double seconds = 0.0;
      while (delay.next()) {
        if (delay.field() == 1) seconds += static_cast<double>(static_cast<std::int64_t>(delay.number()));
        if (delay.field() == 2) seconds += 1e-9 * static_cast<double>(static_cast<std::int32_t>(delay.number()));
      }
      details.retry_after_s = seconds;
    }
  }
  return any.is_ok() && inner.is_ok();
}

}  // namespace

std::string config_request(const StreamConfig& config) {
  Writer message;
  message.text_unless_empty(1, config.session_id);
  message.text_unless_empty(2, config.bundle);
  message.text_unless_empty(3, config.bundle_digest);
  message.message(4, mix(config.styles));
  message.message(5, audio_format(config.sample_rate_hz, config.n_channels));
  message.number_unless_zero(6, config.nominal_block_samples);
  for (const Setting& setting : config.settings) {
    Writer value;
    value.text(1, setting.name);
    value.real(2, setting.value);
    message.message(7, value);
  }
  Writer pacing;
  if (config.deadline_samples) {
    pacing.number_unless_zero(1, *config.deadline_samples);
    message.message(8, pacing);
  } else {
    message.message(9, pacing);
  }
  message.text_unless_empty(11, config.statistics);
  return request(1, message);
}

std::string audio_request(std::uint64_t sequence, std::uint64_t first_sample, std::string_view pcm) {
  Writer block;
  block.bytes.reserve(pcm.size() + 64);
  block.number_unless_zero(1, sequence);
  block.number_unless_zero(2, first_sample);
  block.text(3, pcm);
  return request(2, block);
}

std::string number_request(std::string_view parameter, double value, std::optional<std::uint64_t> at_sample,
                           std::optional<std::uint32_t> ramp_samples) {
  Writer inner, change;
  inner.text(1, parameter);
  inner.real(2, value);
  change.message(1, inner);
  if (at_sample) change.number(2, *at_sample);
  if (ramp_samples) change.number(3, *ramp_samples);
  return request(3, change);
}

std::string styles_request(const std::vector<StyleShare>& styles, std::optional<std::uint64_t> at_sample) {
  Writer inner, change;
  inner.text(1, "style_weights");
  inner.message(5, mix(styles));
  change.message(1, inner);
  if (at_sample) change.number(2, *at_sample);
  return request(3, change);
}

std::string finish_request() { return request(5, Writer{}); }

std::string keep_alive_request() { return request(6, Writer{}); }

std::string style_header(std::string_view name, std::uint32_t sample_rate_hz, std::uint32_t n_channels,
                         std::string_view bundle) {
  Writer header;
  header.text_unless_empty(1, name);
  header.message(2, audio_format(sample_rate_hz, n_channels));
  header.text_unless_empty(3, bundle);
  return request(1, header);
}

std::string style_pcm(std::string_view pcm) {
  Writer part;
  part.text(2, pcm);
  return std::move(part.bytes);
}

std::string export_request(std::string_view name, std::string_view bundle) {
  Writer all;
  all.text(1, name);
  all.text_unless_empty(2, bundle);
  return std::move(all.bytes);
}

std::string import_request(std::string_view vector, std::string_view bundle) {
  Writer all;
  all.text(1, vector);
  all.text_unless_empty(2, bundle);
  return std::move(all.bytes);
}

bool read_response(std::string_view bytes, Response& response) {
  response = {};
  Reader reader(bytes);
  bool is_ok = true;
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        response.kind = Response::Kind::kReady;
        is_ok = is_ok && read_ready(reader.text(), response.ready);
        break;
      case 2:
        response.kind = Response::Kind::kAudio;
        is_ok = is_ok && read_block(reader.text(), response.audio);
        break;
      case 3:
        response.kind = Response::Kind::kEvent;
        is_ok = is_ok && read_event(reader.text(), response.event);
        break;
      case 4: response.kind = Response::Kind::kSummary; break;
      case 5:
        response.kind = Response::Kind::kStatistics;
        response.statistics = reader.string();
        break;
      default: break;
    }
  }
  return is_ok && reader.is_ok();
}

bool read_styles(std::string_view bytes, std::vector<StyleListing>& styles) {
  Reader reader(bytes);
  while (reader.next()) {
    if (reader.field() != 1) continue;
    if (!read_style(reader.text(), styles.emplace_back())) return false;
  }
  return reader.is_ok();
}

bool read_bundles(std::string_view bytes, std::vector<BundleListing>& bundles) {
  Reader reader(bytes);
  while (reader.next()) {
    if (reader.field() != 1) continue;
    if (!read_bundle(reader.text(), bundles.emplace_back())) return false;
  }
  return reader.is_ok();
}

bool read_created_style(std::string_view bytes, StyleListing& style) {
  Reader reader(bytes);
  while (reader.next()) {
    if (reader.field() == 1 && !read_style(reader.text(), style)) return false;
  }
  return reader.is_ok();
}

bool read_exported_style(std::string_view bytes, std::string& vector) {
  Reader reader(bytes);
  while (reader.next()) {
    if (reader.field() == 1) vector = reader.string();
  }
  return reader.is_ok() && !vector.empty();
}

bool read_error_details(std::string_view bytes, ErrorDetails& details) {
  Reader reader(bytes);
  while (reader.next()) {
    if (reader.field() == 3 && !read_detail(reader.text(), details)) return false;
  }
  return reader.is_ok();
}

}  // namespace deepmusic::wire
