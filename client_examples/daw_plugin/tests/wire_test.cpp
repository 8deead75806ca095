// The bytes of messages: whole ones are read, damaged ones are told.
#include "transport/wire.h"

#include <random>

#include "tests/check.h"
#include "transport/protobuf.h"
#include "transport/rpc_status.h"
#include "transport/socket.h"

using namespace deepmusic;
using protobuf::Reader;
using protobuf::Writer;

namespace {

std::string response() {
  Writer timing, block, all;
  timing.number(1, 120);
  timing.number(2, 3400);
  block.number(1, 7);
  block.number(2, 3584);
  block.text(3, std::string(64, '\x3f'));
  block.number(4, wire::kDry | wire::kLate);
  block.message(5, timing);
  all.message(2, block);
  return all.bytes;
}

}  // namespace

TEST("a block from the server is read whole") {
  wire::Response read;
  const std::string bytes = response();
  CHECK(wire::read_response(bytes, read));
  CHECK(read.kind == wire::Response::Kind::kAudio);
  CHECK_EQUAL(read.audio.sequence, 7u);
  CHECK_EQUAL(read.audio.first_sample, 3584u);
  CHECK_EQUAL(read.audio.pcm.size(), 64u);
  CHECK_EQUAL(read.audio.flags, 10u);
  CHECK_EQUAL(read.audio.queue_us, 120u);
  CHECK_EQUAL(read.audio.inference_us, 3400u);
}

TEST("fields that are not known are passed over") {
  Writer ready, all;
  ready.text(99, "of a later version");
  ready.number(5, 1855);
  ready.real(98, 1.5);
  all.message(1, ready);
  all.number(77, 1);
  wire::Response read;
  CHECK(wire::read_response(all.bytes, read));
  CHECK_EQUAL(read.ready.latency_samples, 1855u);
}

TEST("a message that ends early is told, wherever it is cut inside a field") {
  const std::string bytes = response();
  wire::Response read;
  for (std::size_t n = 1; n < bytes.size(); ++n) CHECK(!wire::read_response(bytes.substr(0, n), read));
}

TEST("two hundred thousand damaged messages harm nobody") {
  std::mt19937 generator(1);
  const std::string whole = response();
  for (int i = 0; i < 200000; ++i) {
    std::string bytes = whole.substr(0, generator() % (whole.size() + 1));
    for (unsigned n = generator() % 8; n > 0 && !bytes.empty(); --n) {
      bytes[generator() % bytes.size()] = static_cast<char>(generator());
    }
    wire::Response read;
    if (wire::read_response(bytes, read) && read.kind == wire::Response::Kind::kAudio) {
      CHECK(read.audio.pcm.empty() || (read.audio.pcm.data() >= bytes.data() &&
                                       read.audio.pcm.data() + read.audio.pcm.size() <= bytes.data() + bytes.size()));
    }
    std::vector<wire::StyleListing> styles;
    std::vector<wire::BundleListing> bundles;
    wire::ErrorDetails details;
    std::string vector;
    wire::read_exported_style(bytes, vector);
    CHECK(vector.size() <= bytes.size() && read.statistics.size() <= bytes.size());
    wire::read_styles(bytes, styles);
    wire::read_bundles(bytes, bundles);
    wire::read_error_details(bytes, details);
  }
}

TEST("a config says fast by an empty message and live by its deadline") {
  wire::StreamConfig config;
  config.styles = {{"brass", 1.0}};
  const auto pacing = [&config] {
    const std::string bytes = wire::config_request(config);
    Reader outer(bytes);
    CHECK(outer.next());
    CHECK_EQUAL(outer.field(), 1u);
    Reader inner(outer.text());
    std::pair<std::uint32_t, std::size_t> found{0, 0};
    while (inner.next()) {
      if (inner.field() == 8 || inner.field() == 9) found = {inner.field(), inner.text().size()};
    }
    return found;
  };
  CHECK(pacing() == std::make_pair(9u, std::size_t{0}));
  config.deadline_samples = 1024;
  CHECK(pacing() == std::make_pair(8u, std::size_t{3}));
}

TEST("a status tells no room from a refusal by its reason") {
  Writer info, any, delay, retry, second, status;
  info.text(1, "NO_CAPACITY");
  any.text(1, "type.googleapis.com/google.rpc.ErrorInfo");
  any.message(2, info);
  delay.number(1, 1);
  delay.number(2, 500000000);
  retry.message(1, delay);
  second.text(1, "type.googleapis.com/google.rpc.RetryInfo");
  second.message(2, retry);
  status.message(3, any);
  status.message(3, second);
  wire::ErrorDetails details;
  CHECK(wire::read_error_details(status.bytes, details));
  CHECK_EQUAL(details.reason, "NO_CAPACITY");
  CHECK_EQUAL(details.retry_after_s, 1.5);
  CHECK((RpcStatus{8, "", details.reason, 1.5}.is_full()));
  CHECK((RpcStatus{5, "", "STYLE_NOT_FOUND", 0.0}.is_refusal()));
}

TEST("headers are decoded, padded or not") {
  CHECK_EQUAL(percent_decoded("all 8%20sessions%25%zz%4"), "all 8 sessions%%zz%4");
  CHECK_EQUAL(base64_decoded("aGVsbG8="), "hello");
  CHECK_EQUAL(base64_decoded("aGVsbG8"), "hello");
  CHECK_EQUAL(base64_decoded("!"), "");
}

TEST("an address is a host and a port, and says whether it is encrypted") {
  CHECK_EQUAL(Address::parse("studio.local:50051")->host, "studio.local");
  CHECK_EQUAL(Address::parse("[::1]:1")->host, "::1");
  CHECK_EQUAL(Address::parse("https://studio.local:443")->host, "studio.local");
  CHECK_EQUAL(Address::parse("https://[::1]:1")->host, "::1");
  CHECK(Address::parse("https://studio.local:443")->is_encrypted);
  CHECK(!Address::parse("http://studio.local:443")->is_encrypted);
  CHECK(!Address::parse("studio.local:443")->is_encrypted);
  for (const char* wrong : {"", ":", "host", "host:", ":1", "::1:50051", "host:99999", "host:-1", "[]:1", "host:1x",
                            "https://", "https://host", "https://:1", "ftp://host:1", "https://host:1/path", "https:/host:1"}) {
    CHECK(!Address::parse(wrong));
  }
}
