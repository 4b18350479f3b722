/**
 * The native half of the CPU backend, compiled and cached like kernels: an in-order queue served by one executor thread, a pool of
 * threads for parallel loops, the arena, and loading of compiled kernels. JavaScript talks to it by numbers only: addresses, tickets
 * and counts, all below 2^53.
 *
 * A program is an array of 64-bit words: [arena bytes, steps, then each step]. A step is a launch (0, launch words) or a loop
 * (1, count, launches, words of the body, body). Launch words: [words, function, extent, grain, scratch bytes, arguments,
 * relocations, the arguments, the relocations]; a relocation is [argument, kind, slot, byte offset, step] and says what to write to
 * an argument before the launch. Slots are float64: addresses of leaves, addresses of outputs, then scalars. Times are float64, too:
 * nanoseconds on the clock of longzhou_now, [start of the run, its end, then start and end of each launch as it is executed].
 */
export const runtimeSource = String.raw`
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef int64_t i64;
typedef uint64_t u64;
typedef uint32_t u32;
typedef void (*kernel)(const i64 *args, i64 begin, i64 end, char *scratch, int *status);

enum { MAX_THREADS = 1024, QUEUE = 4096, CHUNKS_PER_THREAD = 4, SPIN_NS = 50000 };
enum { FAULT_OUT_OF_MEMORY = -1 };

/* -- Small parts ------------------------------------------------------------------------------------------------------------- */

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static i64 now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (i64)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Spins for SPIN_NS, after which it returns 0: time to sleep. What is waited for may need this very core, so that it is offered
   now and then. */
static int spin(i64 *since, u32 *count) {
  relax();
  if ((++*count & 63) != 0) return 1;
  i64 t = now();
  if (*since == 0) *since = t;
  if (t - *since >= SPIN_NS) return 0;
  sched_yield();
  return 1;
}

typedef struct { char *memory; i64 size; } region;

/* Memory of at least this size at a 64-byte boundary; what was in it is lost when it grows. NULL where there is none left. */
static char *reserve(region *r, i64 bytes) {
  if (bytes <= r->size) return r->memory;
  const i64 page = 1 << 21;
  i64 size = (bytes + page - 1) / page * page;
  if (r->memory) munmap(r->memory, (size_t)r->size);
  r->memory = 0;
  r->size = 0;
  void *memory = mmap(0, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
#ifdef MADV_HUGEPAGE
  madvise(memory, (size_t)size, MADV_HUGEPAGE);
#endif
  r->memory = memory;
  r->size = size;
  return memory;
}

static int start_thread(pthread_t *thread, void *(*body)(void *), void *argument) {
  sigset_t all, old;
  sigfillset(&all);
  /* Signals are Node's business: its threads take them. */
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int error = pthread_create(thread, 0, body, argument);
  pthread_sigmask(SIG_SETMASK, &old, 0);
  return error;
}

/* -- The pool: one parallel loop at a time ----------------------------------------------------------------------------------- */

static struct {
  /* What threads share of a launch; valid while its generation is open. */
  kernel fn;
  const i64 *args;
  i64 extent, chunk, chunks, scratch;
  int *status;
  /* Generation in the upper half, the next chunk in the lower one. */
  _Alignas(64) u64 next;
  _Alignas(64) i64 done;
  _Alignas(64) int sleepers;
  int stop;
  int threads; /* with the executor, which works too */
  int active; /* of these, those that work for the current run; the others rest */
  int numbered; /* threads that have taken a number */
  pthread_mutex_t lock;
  pthread_cond_t wake, resume;
  pthread_t workers[MAX_THREADS];
} pool = { .threads = 1, .active = 1, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .resume = PTHREAD_COND_INITIALIZER };

static const u64 CLOSED = 0xffffffffu;

static void report(int *status, int code) { __atomic_store_n(status, code, __ATOMIC_RELAXED); }

static void run_range(kernel fn, const i64 *args, i64 begin, i64 end, i64 scratch, region *own, int *status) {
  char *memory = scratch ? reserve(own, scratch) : 0;
  if (scratch && !memory) report(status, FAULT_OUT_OF_MEMORY);
  else fn(args, begin, end, memory, status);
}

/* Takes chunks of a generation until none is left. The fields are read before the chunk is taken: taking it succeeds only where
   the generation is still open, so that what was read belongs to it. */
static void take_chunks(u32 generation, region *own) {
  for (;;) {
    u64 next = __atomic_load_n(&pool.next, __ATOMIC_ACQUIRE);
    i64 index = (u32)next;
    if ((u32)(next >> 32) != generation || (next & CLOSED) == CLOSED) return;
    kernel fn = __atomic_load_n(&pool.fn, __ATOMIC_RELAXED);
    const i64 *args = __atomic_load_n(&pool.args, __ATOMIC_RELAXED);
    i64 extent = __atomic_load_n(&pool.extent, __ATOMIC_RELAXED);
    i64 chunk = __atomic_load_n(&pool.chunk, __ATOMIC_RELAXED);
    i64 chunks = __atomic_load_n(&pool.chunks, __ATOMIC_RELAXED);
    i64 scratch = __atomic_load_n(&pool.scratch, __ATOMIC_RELAXED);
    int *status = __atomic_load_n(&pool.status, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (index >= chunks) return;
    if (!__atomic_compare_exchange_n(&pool.next, &next, next + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
    i64 begin = index * chunk, end = begin + chunk < extent ? begin + chunk : extent;
    run_range(fn, args, begin, end, scratch, own, status);
    __atomic_fetch_add(&pool.done, 1, __ATOMIC_RELEASE);
  }
}

static u32 generation_now(void) { return (u32)(__atomic_load_n(&pool.next, __ATOMIC_SEQ_CST) >> 32); }

static int stopped(void) { return __atomic_load_n(&pool.stop, __ATOMIC_RELAXED); }

/* Whether the thread of this number is one too many for the current run. */
static int rests(int number) { return number >= __atomic_load_n(&pool.active, __ATOMIC_RELAXED); }

static void *work(void *argument) {
  u32 seen = (u32)(uintptr_t)argument;
  const int number = __atomic_add_fetch(&pool.numbered, 1, __ATOMIC_RELAXED);
  region own = { 0, 0 };
  for (;;) {
    if (rests(number)) {
      pthread_mutex_lock(&pool.lock);
      while (rests(number) && !stopped()) pthread_cond_wait(&pool.resume, &pool.lock);
      pthread_mutex_unlock(&pool.lock);
    }
    i64 since = 0;
    u32 count = 0;
    while (generation_now() == seen && !stopped()) {
      if (spin(&since, &count)) continue;
      pthread_mutex_lock(&pool.lock);
      __atomic_fetch_add(&pool.sleepers, 1, __ATOMIC_SEQ_CST);
      while (generation_now() == seen && !stopped()) pthread_cond_wait(&pool.wake, &pool.lock);
      __atomic_fetch_sub(&pool.sleepers, 1, __ATOMIC_SEQ_CST);
      pthread_mutex_unlock(&pool.lock);
    }
    if (stopped()) break;
    seen = generation_now();
    if (!rests(number)) take_chunks(seen, &own);
  }
  if (own.memory) munmap(own.memory, (size_t)own.size);
  return 0;
}

static void wake_workers(void) {
  if (__atomic_load_n(&pool.sleepers, __ATOMIC_SEQ_CST) == 0) return;
  pthread_mutex_lock(&pool.lock);
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.lock);
}

static void set_active(int threads) {
  if (threads == pool.active) return;
  pthread_mutex_lock(&pool.lock);
  __atomic_store_n(&pool.active, threads, __ATOMIC_RELAXED);
  pthread_cond_broadcast(&pool.resume);
  pthread_mutex_unlock(&pool.lock);
}

/* So many threads work from now on, the executor among them. Runs may differ in this, so that those which are too many rest: ending and
   starting threads would cost more than a small run. */
static void resize_pool(int threads) {
  if (threads > pool.threads) {
    __atomic_store_n(&pool.stop, 1, __ATOMIC_SEQ_CST);
    set_active(threads);
    wake_workers();
    for (int i = 0; i < pool.threads - 1; i++) pthread_join(pool.workers[i], 0);
    __atomic_store_n(&pool.stop, 0, __ATOMIC_SEQ_CST);
    pool.threads = 1;
    pool.numbered = 0;
    void *seen = (void *)(uintptr_t)generation_now();
    while (pool.threads < threads && !start_thread(&pool.workers[pool.threads - 1], work, seen)) pool.threads++;
  }
  set_active(threads < pool.threads ? threads : pool.threads);
}

static void parallel_for(kernel fn, const i64 *args, i64 extent, i64 grain, i64 scratch, region *own, int *status) {
  if (extent <= 0) return;
  if (pool.active == 1 || extent <= grain) {
    run_range(fn, args, 0, extent, scratch, own, status);
    return;
  }
  i64 share = extent / ((i64)pool.active * CHUNKS_PER_THREAD);
  i64 chunk = share <= grain ? grain : (share + grain - 1) / grain * grain;
  u32 generation = generation_now() + 2;
  __atomic_store_n(&pool.next, (u64)(generation - 1) << 32 | CLOSED, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  __atomic_store_n(&pool.fn, fn, __ATOMIC_RELAXED);
  __atomic_store_n(&pool.args, args, __ATOMIC_RELAXED);
  __atomic_store_n(&pool.extent, extent, __ATOMIC_RELAXED);
  __atomic_store_n(&pool.chunk, chunk, __ATOMIC_RELAXED);
  i64 chunks = (extent + chunk - 1) / chunk;
  __atomic_store_n(&pool.chunks, chunks, __ATOMIC_RELAXED);
  __atomic_store_n(&pool.scratch, scratch, __ATOMIC_RELAXED);
  __atomic_store_n(&pool.status, status, __ATOMIC_RELAXED);
  __atomic_store_n(&pool.done, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&pool.next, (u64)generation << 32, __ATOMIC_SEQ_CST);
  wake_workers();
  take_chunks(generation, own);
  i64 since = 0;
  u32 count = 0;
  while (__atomic_load_n(&pool.done, __ATOMIC_ACQUIRE) != chunks) {
    if (!spin(&since, &count)) sched_yield();
  }
}

/* -- Programs ---------------------------------------------------------------------------------------------------------------- */

static region arena;
static region executor_scratch;
static int halted;

enum { WORDS, FUNCTION, EXTENT, GRAIN, SCRATCH, ARGUMENTS, RELOCATIONS, LAUNCH_HEADER };
enum { LEAF, OUTPUT, ARENA, FLOAT, INTEGER };

/* Numbers of one run; times are NULL where nobody asks for them. */
typedef struct { const double *leaves, *outputs, *scalars; double *times; } run_slots;

static void relocate(i64 *launch, const run_slots *slots, i64 iteration) {
  i64 *args = launch + LAUNCH_HEADER;
  const i64 *r = args + launch[ARGUMENTS];
  for (i64 i = 0; i < launch[RELOCATIONS]; i++, r += 5) {
    switch (r[1]) {
      case LEAF: args[r[0]] = (i64)slots->leaves[r[2]] + r[3] + r[4] * iteration; break;
      case OUTPUT: args[r[0]] = (i64)slots->outputs[r[2]] + r[3] + r[4] * iteration; break;
      case ARENA: args[r[0]] = (i64)(intptr_t)arena.memory + r[3] + r[4] * iteration; break;
      case FLOAT: memcpy(&args[r[0]], &slots->scalars[r[2]], 8); break;
      case INTEGER: args[r[0]] = (i64)slots->scalars[r[2]]; break;
    }
  }
}

static void run_launch(i64 *launch, run_slots *slots, i64 iteration, int *status) {
  relocate(launch, slots, iteration);
  if (slots->times) *slots->times++ = (double)now();
  parallel_for((kernel)(intptr_t)launch[FUNCTION], launch + LAUNCH_HEADER, launch[EXTENT], launch[GRAIN], launch[SCRATCH],
               &executor_scratch, status);
  if (slots->times) *slots->times++ = (double)now();
}

/* A fault ends the run: what would be computed from it, and overwrite parameters, is left out. */
static int run_program(i64 *code, run_slots *slots) {
  int status = 0;
  if (code[0] > 0 && !reserve(&arena, code[0])) return FAULT_OUT_OF_MEMORY;
  i64 *step = code + 2;
  for (i64 i = 0; i < code[1] && !status && !__atomic_load_n(&halted, __ATOMIC_RELAXED); i++) {
    if (step[0] == 0) {
      run_launch(step + 1, slots, 0, &status);
      step += 1 + step[1];
      continue;
    }
    for (i64 iteration = 0; iteration < step[1] && !status; iteration++) {
      if (__atomic_load_n(&halted, __ATOMIC_RELAXED)) break;
      i64 *launch = step + 4;
      for (i64 j = 0; j < step[2] && !status; j++, launch += launch[WORDS]) run_launch(launch, slots, iteration, &status);
    }
    step += 4 + step[3];
  }
  return status;
}

/* -- The queue --------------------------------------------------------------------------------------------------------------- */

typedef struct {
  i64 *code; /* NULL: copy bytes from source to target */
  double *slots, *times;
  int leaves, outputs;
  int threads; /* that may work for it; 0: as many as longzhou_set_threads says */
  char *target;
  const char *source;
  i64 bytes;
  int status;
} entry;

static struct {
  entry entries[QUEUE]; /* of ticket t at t % QUEUE; its status stays until the place is taken again */
  i64 submitted, finished;
  int executor_sleeps, waiters, threads;
  int started;
  pthread_mutex_t lock;
  pthread_cond_t arrived, completed;
} queue = { .threads = 1, .lock = PTHREAD_MUTEX_INITIALIZER, .arrived = PTHREAD_COND_INITIALIZER, .completed = PTHREAD_COND_INITIALIZER };

static void *serve(void *unused) {
  (void)unused;
  for (i64 ticket = 1;; ticket++) {
    i64 since = 0;
    u32 count = 0;
    while (__atomic_load_n(&queue.submitted, __ATOMIC_SEQ_CST) < ticket) {
      if (spin(&since, &count)) continue;
      pthread_mutex_lock(&queue.lock);
      queue.executor_sleeps = 1;
      while (__atomic_load_n(&queue.submitted, __ATOMIC_SEQ_CST) < ticket) pthread_cond_wait(&queue.arrived, &queue.lock);
      queue.executor_sleeps = 0;
      pthread_mutex_unlock(&queue.lock);
    }
    entry *e = &queue.entries[ticket % QUEUE];
    if (e->code) {
      resize_pool(e->threads > 0 ? e->threads : __atomic_load_n(&queue.threads, __ATOMIC_RELAXED));
      const double *outputs = e->slots + e->leaves;
      double *times = e->times;
      run_slots slots = { e->slots, outputs, outputs + e->outputs, times ? times + 2 : 0 };
      if (times) times[0] = (double)now();
      e->status = run_program(e->code, &slots);
      if (times) times[1] = (double)now();
      free(e->slots);
    } else {
      memcpy(e->target, e->source, (size_t)e->bytes);
      e->status = 0;
    }
    __atomic_store_n(&queue.finished, ticket, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&queue.waiters, __ATOMIC_SEQ_CST) > 0) {
      pthread_mutex_lock(&queue.lock);
      pthread_cond_broadcast(&queue.completed);
      pthread_mutex_unlock(&queue.lock);
    }
  }
  return 0;
}

/* Keeps this library in memory when its loader closes it as the process ends: threads may still spin in it. */
static void pin(void) {
#ifdef RTLD_NODELETE
  Dl_info self;
  if (dladdr((void *)start_thread, &self)) dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
#endif
}

/* The last ticket of the calling thread. */
static _Thread_local i64 last_ticket;

/* The ticket; 0 where the queue is full, -1 where memory or threads are. */
static double enqueue(entry e) {
  double ticket = 0;
  pthread_mutex_lock(&queue.lock);
  if (!queue.started) {
    pthread_t executor;
    pin();
    if (start_thread(&executor, serve, 0)) {
      pthread_mutex_unlock(&queue.lock);
      return -1;
    }
    pthread_detach(executor);
    queue.started = 1;
  }
  if (queue.submitted - __atomic_load_n(&queue.finished, __ATOMIC_ACQUIRE) < QUEUE / 2) {
    i64 next = queue.submitted + 1;
    queue.entries[next % QUEUE] = e;
    __atomic_store_n(&queue.submitted, next, __ATOMIC_SEQ_CST);
    if (queue.executor_sleeps) pthread_cond_signal(&queue.arrived);
    last_ticket = next;
    ticket = (double)next;
  }
  pthread_mutex_unlock(&queue.lock);
  return ticket;
}

static int thread_count(int threads) { return threads < MAX_THREADS ? threads : MAX_THREADS; }

/* Times: where they go, 0 where nobody asks for them. Threads: that may work for this run, 0 for as many as usual. */
double longzhou_submit(i64 code, i64 slots, int leaves, int outputs, int scalars, i64 times, int threads) {
  int count = leaves + outputs + scalars;
  double *copy = malloc((size_t)(count > 0 ? count : 1) * sizeof(double));
  if (!copy) return -1;
  memcpy(copy, (const void *)(intptr_t)slots, (size_t)count * sizeof(double));
  double ticket = enqueue((entry){
    .code = (i64 *)(intptr_t)code, .slots = copy, .leaves = leaves, .outputs = outputs, .times = (double *)(intptr_t)times,
    .threads = thread_count(threads) });
  if (ticket <= 0) free(copy);
  return ticket;
}

double longzhou_copy(i64 target, i64 source, i64 bytes) {
  return enqueue((entry){ .target = (char *)(intptr_t)target, .source = (const char *)(intptr_t)source, .bytes = bytes });
}

/* The last ticket that has run. */
double longzhou_finished(void) { return (double)__atomic_load_n(&queue.finished, __ATOMIC_ACQUIRE); }

/* The fault that a finished run met; to be asked before QUEUE / 2 more are submitted. */
int longzhou_status(double ticket) { return queue.entries[(i64)ticket % QUEUE].status; }

/* Waits until a ticket has run, and gives the last one that has. */
double longzhou_wait(double ticket) {
  i64 since = 0;
  u32 count = 0;
  while (__atomic_load_n(&queue.finished, __ATOMIC_ACQUIRE) < (i64)ticket) {
    if (spin(&since, &count)) continue;
    pthread_mutex_lock(&queue.lock);
    __atomic_fetch_add(&queue.waiters, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&queue.finished, __ATOMIC_SEQ_CST) < (i64)ticket) pthread_cond_wait(&queue.completed, &queue.lock);
    __atomic_fetch_sub(&queue.waiters, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&queue.lock);
  }
  return longzhou_finished();
}

/* -- The rest ---------------------------------------------------------------------------------------------------------------- */

/* Takes effect at the next run. */
void longzhou_set_threads(int threads) {
  __atomic_store_n(&queue.threads, threads < 1 ? 1 : thread_count(threads), __ATOMIC_RELAXED);
}

/* The clock of all times, in nanoseconds. */
double longzhou_now(void) { return (double)now(); }

double longzhou_arena_bytes(void) { return (double)__atomic_load_n(&arena.size, __ATOMIC_RELAXED); }

/* Ends the current run after its launch and skips the others: memory that they name is about to go. */
void longzhou_halt(void) {
  __atomic_store_n(&halted, 1, __ATOMIC_SEQ_CST);
  longzhou_wait((double)__atomic_load_n(&queue.submitted, __ATOMIC_SEQ_CST));
}

/* Asks the system for the state of AMX's tiles, which is large, so that Linux gives it to processes that ask only: whether all threads of
   this process may use them. */
int longzhou_allow_tiles(void) {
#if defined(__linux__) && defined(__x86_64__)
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return 0;
#endif
}

i64 longzhou_load(const char *path) { return (i64)(intptr_t)dlopen(path, RTLD_NOW | RTLD_LOCAL); }

i64 longzhou_symbol(i64 library, const char *name) { return (i64)(intptr_t)dlsym((void *)(intptr_t)library, name); }

const char *longzhou_load_error(void) { return dlerror(); }
`
