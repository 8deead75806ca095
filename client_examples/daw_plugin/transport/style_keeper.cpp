#include "transport/style_keeper.h"

#include <algorithm>
#include <utility>

#include "transport/wire.h"

namespace deepmusic {
namespace {

constexpr char kExportStyle[] = "/deepmusic.v1.StyleService/ExportStyle";
constexpr char kImportStyle[] = "/deepmusic.v1.StyleService/ImportStyle";

}  // namespace

void StyleKeeper::configure(const Settings& settings) {
  const bool is_same = settings.server == settings_.server && settings.bundle == settings_.bundle &&
                       settings.bundle_digest == settings_.bundle_digest;
  for (std::size_t i = 0; i < kSlots; ++i) {
    const bool is_kept =
        is_same && settings.styles[i] == settings_.styles[i] && settings.vectors[i] == settings_.vectors[i];
    if (is_kept) continue;
    slots_[i].stage = settings.vectors[i].empty() ? Stage::kNothing : Stage::kWanted;
    slots_[i].played.clear();  // an answer that is still on its way is passed over
  }
  settings_ = settings;
  asked_names_.clear();
  board_.change([this, is_same](Snapshot& now) {
    if (!is_same) now.vectors.clear();
    for (auto style = now.vectors.begin(); style != now.vectors.end();) {
      const bool is_in_a_slot =
          std::find(settings_.styles.begin(), settings_.styles.end(), style->first) != settings_.styles.end();
      style = is_in_a_slot ? std::next(style) : now.vectors.erase(style);
    }
  });
}

bool StyleKeeper::is_ready() const {
  return std::none_of(slots_.begin(), slots_.end(), [](const Slot& slot) {
    return slot.stage == Stage::kWanted || slot.stage == Stage::kAsked;
  });
}

Settings StyleKeeper::played() const {
  Settings played = settings_;
  for (std::size_t i = 0; i < kSlots; ++i) {
    if (!slots_[i].played.empty()) played.styles[i] = slots_[i].played;
  }
  return played;
}

void StyleKeeper::advance(Connection& connection) {
  for (std::size_t i = 0; i < kSlots; ++i) put_back(connection, i);
  if (is_ready()) fetch(connection);
}

void StyleKeeper::put_back(Connection& connection, std::size_t index) {
  Slot& slot = slots_[index];
  if (slot.stage == Stage::kWanted && slot.call == nullptr) {
    slot.call = connection.open(kImportStyle);
    if (slot.call == nullptr) return;
    slot.call->send(wire::import_request(settings_.vectors[index], settings_.bundle));
    slot.call->half_close();
    slot.stage = Stage::kAsked;
  }
  if (slot.call == nullptr || !slot.call->is_over()) return;
  std::string message;
  wire::StyleListing style;
  const bool is_there = slot.call->status().code == RpcStatus::kOk && slot.call->receive(message) &&
                        wire::read_created_style(message, style);
  const std::string why = slot.call->status().message;
  connection.close(std::exchange(slot.call, nullptr));
  if (slot.stage != Stage::kAsked) return;  // of a style that has left the slot
  slot.stage = Stage::kDone;
  slot.is_refused = !is_there;
  slot.played = style.name;
  if (!is_there) board_.change([&why](Snapshot& now) { now.notice = why; });
}

void StyleKeeper::fetch(Connection& connection) {
  if (fetching_ == nullptr) fetch_next(connection);
  if (fetching_ == nullptr || !fetching_->is_over()) return;
  std::string message, vector;
  const bool is_fetched = fetching_->status().code == RpcStatus::kOk && fetching_->receive(message) &&
                          wire::read_exported_style(message, vector);
  connection.close(std::exchange(fetching_, nullptr));
  if (!is_fetched || asked_names_.count(fetched_name_) == 0) return;
  board_.change([this, &vector](Snapshot& now) { now.vectors[fetched_name_] = std::move(vector); });
}

void StyleKeeper::fetch_next(Connection& connection) {
  for (std::size_t i = 0; i < kSlots; ++i) {
    const std::string& name = settings_.styles[i];
    if (name.empty() || !settings_.vectors[i].empty() || asked_names_.count(name) != 0) continue;
    fetching_ = connection.open(kExportStyle);
    if (fetching_ == nullptr) return;
    fetching_->send(wire::export_request(name, settings_.bundle));
    fetching_->half_close();
    fetched_name_ = name;
    asked_names_.insert(name);
    return;
  }
}

void StyleKeeper::put_back_again() {
  for (Slot& slot : slots_) {
    if (slot.stage == Stage::kDone && slot.is_refused) slot.stage = Stage::kWanted;
  }
}

void StyleKeeper::fetch_again() {
  if (fetching_ == nullptr) asked_names_.clear();
}

void StyleKeeper::forget() {
  for (std::size_t i = 0; i < kSlots; ++i) {
    slots_[i] = {};
    if (!settings_.vectors[i].empty()) slots_[i].stage = Stage::kWanted;
  }
  fetching_ = nullptr;
  asked_names_.clear();
}

}  // namespace deepmusic
