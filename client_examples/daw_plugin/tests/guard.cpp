#include "tests/guard.h"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/types.h>
#include <time.h>

#include <atomic>
#include <cstddef>

namespace {

thread_local bool is_watched = false;
std::atomic<std::uint64_t> count{0};
std::atomic<const char*> last{""};

void note(const char* what) {
  if (!is_watched) return;
  count.fetch_add(1);
  last.store(what);
}

template <typename Function>
Function original(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

namespace guard {

Watch::Watch() { is_watched = true; }
Watch::~Watch() { is_watched = false; }
std::uint64_t n_offences() { return count.load(); }
const char* last_offence() { return last.load(); }

}  // namespace guard

extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t size) {
  note("malloc");
  return __libc_malloc(size);
}
void* calloc(std::size_t n, std::size_t size) {
  note("calloc");
  return __libc_calloc(n, size);
}
void* realloc(void* memory, std::size_t size) {
  note("realloc");
  return __libc_realloc(memory, size);
}
void free(void* memory) {
  if (memory != nullptr) note("free");
  __libc_free(memory);
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static const auto call = original<int (*)(pthread_mutex_t*)>("pthread_mutex_lock");
  note("pthread_mutex_lock");
  return call(mutex);
}
int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  static const auto call = original<int (*)(pthread_cond_t*, pthread_mutex_t*)>("pthread_cond_wait");
  note("pthread_cond_wait");
  return call(condition, mutex);
}
int sem_wait(sem_t* semaphore) {
  static const auto call = original<int (*)(sem_t*)>("sem_wait");
  note("sem_wait");
  return call(semaphore);
}
int nanosleep(const timespec* wanted, timespec* left) {
  static const auto call = original<int (*)(const timespec*, timespec*)>("nanosleep");
  note("nanosleep");
  return call(wanted, left);
}
int clock_nanosleep(clockid_t clock, int flags, const timespec* wanted, timespec* left) {
  static const auto call =
      original<int (*)(clockid_t, int, const timespec*, timespec*)>("clock_nanosleep");
  note("clock_nanosleep");
  return call(clock, flags, wanted, left);
}
ssize_t write(int descriptor, const void* bytes, std::size_t size) {
  static const auto call = original<ssize_t (*)(int, const void*, std::size_t)>("write");
  note("write");
  return call(descriptor, bytes, size);
}
int poll(pollfd* descriptors, nfds_t n, int timeout) {
  static const auto call = original<int (*)(pollfd*, nfds_t, int)>("poll");
  note("poll");
  return call(descriptors, n, timeout);
}

}  // extern "C"
