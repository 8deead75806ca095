// Audio by its position: what two threads see of a stream's samples.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace deepmusic {

// A ring in which the sample of position p lies at p modulo the capacity. One thread writes a position, another may read
// it; which positions are there is told apart from the ring, by an index that the writer publishes after it has written.
//
// The samples are relaxed atomics: on every machine of interest a plain load or store. A reader that has been lapped
// reads wrong samples, which its caller finds out by the index; it never reads torn ones.
class PositionRing {
 public:
  // capacity: a power of two.
  PositionRing(std::uint32_t n_channels, std::uint32_t capacity)
      : capacity_(capacity),
        n_channels_(n_channels),
        samples_(new std::atomic<float>[static_cast<std::size_t>(n_channels) * capacity]()) {}

  std::uint32_t capacity() const { return capacity_; }
  std::uint32_t n_channels() const { return n_channels_; }

  void put(std::uint32_t channel, std::uint64_t position, float sample) {
    cell(channel, position).store(sample, std::memory_order_relaxed);
  }

  float get(std::uint32_t channel, std::uint64_t position) const {
    return cell(channel, position).load(std::memory_order_relaxed);
  }

 private:
  std::atomic<float>& cell(std::uint32_t channel, std::uint64_t position) const {
    return samples_[static_cast<std::size_t>(channel) * capacity_ + (position & (capacity_ - 1))];
  }

  std::uint32_t capacity_;
  std::uint32_t n_channels_;
  std::unique_ptr<std::atomic<float>[]> samples_;
};

}  // namespace deepmusic
