#include "transport/inquiries.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "transport/wire.h"

namespace deepmusic {
namespace {

constexpr char kListStyles[] = "/deepmusic.v1.StyleService/ListStyles";
constexpr char kListBundles[] = "/deepmusic.v1.ModelService/ListBundles";
constexpr char kCreateStyle[] = "/deepmusic.v1.StyleService/CreateStyle";

constexpr std::size_t kPartSamples = 16384;  // of one channel, in one part of an upload
constexpr std::size_t kMostUnsentBytes = 256 * 1024;

}  // namespace

void Inquiries::learn(Recording recording) {
  recording_ = std::move(recording);
  n_uploaded_ = 0;
  board_.change([](Snapshot& now) {
    now.is_learning = true;
    now.learned.clear();
    now.learned_style.clear();
  });
}

bool Inquiries::is_wanted() const {
  return is_browse_asked_.load() || recording_ || styles_ != nullptr || bundles_ != nullptr || learning_ != nullptr;
}

void Inquiries::advance(Connection& connection, const std::string& bundle) {
  if (styles_ == nullptr && bundles_ == nullptr && is_browse_asked_.exchange(false)) ask(connection);
  read(connection);
  upload(connection, bundle);
}

void Inquiries::ask(Connection& connection) {
  styles_ = connection.open(kListStyles);
  bundles_ = connection.open(kListBundles);
  for (Call* const call : {styles_, bundles_}) {
    if (call == nullptr) continue;
    call->send("");  // both requests have no fields
    call->half_close();
  }
}

void Inquiries::read(Connection& connection) {
  std::string message;
  if (styles_ != nullptr && styles_->is_over()) {
    std::vector<wire::StyleListing> styles;
    if (styles_->receive(message) && wire::read_styles(message, styles)) {
      board_.change([&styles](Snapshot& now) {
        now.styles = std::move(styles);
        ++now.n_browsed;
      });
    }
    connection.close(std::exchange(styles_, nullptr));
  }
  if (bundles_ != nullptr && bundles_->is_over()) {
    std::vector<wire::BundleListing> bundles;
    if (bundles_->receive(message) && wire::read_bundles(message, bundles)) {
      board_.change([&bundles](Snapshot& now) {
        now.bundles = std::move(bundles);
        ++now.n_browsed;
      });
    }
    connection.close(std::exchange(bundles_, nullptr));
  }
}

void Inquiries::upload(Connection& connection, const std::string& bundle) {
  if (recording_ && learning_ == nullptr) {
    learning_ = connection.open(kCreateStyle);
    if (learning_ == nullptr) return;
    learning_->send(wire::style_header(recording_->name, recording_->sample_rate_hz, recording_->n_channels, bundle));
  }
  if (learning_ == nullptr) return;
  while (recording_ && learning_->n_unsent_bytes() < kMostUnsentBytes && !learning_->is_over()) {
    const std::size_t n_left = recording_->samples.size() - n_uploaded_;
    if (n_left == 0) {
      learning_->half_close();
      recording_.reset();
      break;
    }
    const std::size_t n = std::min(n_left, kPartSamples * recording_->n_channels);
    const auto* const first = reinterpret_cast<const char*>(recording_->samples.data() + n_uploaded_);
    learning_->send(wire::style_pcm({first, n * sizeof(float)}));
    n_uploaded_ += n;
  }
  if (!learning_->is_over()) return;
  std::string message;
  wire::StyleListing style;
  const bool is_learned = learning_->status().code == RpcStatus::kOk && learning_->receive(message) &&
                          wire::read_created_style(message, style);
  const std::string outcome = is_learned ? "learned " + style.name : learning_->status().message;
  connection.close(std::exchange(learning_, nullptr));
  recording_.reset();
  board_.change([&outcome, &style](Snapshot& now) {
    now.is_learning = false;
    now.learned = outcome;
    now.learned_style = style.name;
  });
  browse();
}

void Inquiries::forget(const std::string& why) {
  if (learning_ != nullptr) {
    recording_.reset();
    board_.change([&why](Snapshot& now) {
      now.is_learning = false;
      now.learned = why;
    });
  }
  styles_ = bundles_ = learning_ = nullptr;
}

}  // namespace deepmusic
