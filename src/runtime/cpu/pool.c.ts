/**
 * Threads that share the iterations of one launch at a time, and memory that grows, in C: the lower half of the executor (executor.c.ts).
 */
export const poolSource = String.raw`
typedef void (*kernel)(const i64 *args, i64 begin, i64 end, char *scratch, int *status);

enum { MAX_THREADS = 1024, CHUNKS_PER_THREAD = 4, SPIN_NS = 50000, LONG_SPIN_NS = 250000 };
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

/* Spins for so many nanoseconds, after which it returns 0: time to sleep. It does not yield the core meanwhile: since Linux 6.12 who yields forgoes the rest of
   its slice, and where many times were yielded to nobody, the next thread that comes has the core for milliseconds. */
static int spin(i64 *since, u32 *count, i64 most) {
  relax();
  if ((++*count & 63) != 0) return 1;
  i64 t = now();
  if (*since == 0) *since = t;
  return t - *since < most;
}

enum { LARGE_PAGE = 1 << 21, SMALL_PAGE = 1 << 16, SMALLEST_PAGE = 1 << 12 };

static i64 whole_pages(i64 bytes, i64 page) { return (bytes + page - 1) / page * page; }

/* So many bytes of new memory, which munmap gives back; NULL where there is none left. Large pages spare look-ups of addresses, and are memory in
   use from their first byte on: memory begins at the boundary of one, and whole ones are such, if it holds any. */
static char *map_pages(i64 size) {
  const i64 more = size < LARGE_PAGE ? 0 : LARGE_PAGE;
  char *memory = mmap(0, (size_t)(size + more), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
  if (more == 0) return memory;
  const i64 before = (LARGE_PAGE - (i64)((uintptr_t)memory % LARGE_PAGE)) % LARGE_PAGE;
  if (before > 0) munmap(memory, (size_t)before);
  munmap(memory + before + size, (size_t)(LARGE_PAGE - before));
#ifdef MADV_HUGEPAGE
  madvise(memory + before, (size_t)(size / LARGE_PAGE * LARGE_PAGE), MADV_HUGEPAGE);
#endif
  return memory + before;
}

typedef struct { char *memory; i64 size; } region;

static void release(region *r) {
  if (r->memory) munmap(r->memory, (size_t)r->size);
  r->memory = 0;
  r->size = 0;
}

/* Memory of at least this size at a 64-byte boundary; what was in it is lost when it grows. NULL where there is none left. */
static char *reserve(region *r, i64 bytes) {
  if (bytes <= r->size) return r->memory;
  /* Small regions do without large pages. */
  const i64 size = whole_pages(bytes, bytes > LARGE_PAGE / 2 ? LARGE_PAGE : SMALL_PAGE);
  release(r);
  r->memory = map_pages(size);
  r->size = r->memory ? size : 0;
  return r->memory;
}

static int start_thread(pthread_t *thread, void *(*body)(void *), void *argument) {
  sigset_t all, old;
  sigfillset(&all);
  /* Signals are the business of the program around this: its own threads take them. */
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int error = pthread_create(thread, 0, body, argument);
#ifdef SCHED_BATCH
  /* Woken, they take a core that is idle, not the one of the thread that woke it, which still has a little to do. */
  struct sched_param parameters = { 0 };
  if (!error) pthread_setschedparam(*thread, SCHED_BATCH, &parameters);
#endif
  pthread_sigmask(SIG_SETMASK, &old, 0);
  return error;
}

/* -- The pool: one parallel loop at a time ----------------------------------------------------------------------------------- */

/* Chunks of a launch that one thread takes first: the generation in the upper half, the next chunk in the lower one. In a line of its own, which
   nobody else touches as long as all have chunks of their own. */
typedef struct { _Alignas(64) u64 next; } pool_part;

typedef struct {
  /* What threads share of a launch; valid while its generation is open. One line. */
  _Alignas(64) kernel fn;
  const i64 *args;
  i64 extent, chunk, chunks, scratch;
  int parts;
  int *status;
  /* Chunks are parted among the threads that work, the same part for each in every launch of as many, so that what it has worked on lies in its
     own caches; a thread that is through takes from the others'. */
  pool_part part[MAX_THREADS];
  _Alignas(64) i64 done;
  /* Rarely written, in a line that all of them read. */
  _Alignas(64) int sleepers;
  int stop, caller_sleeps;
  int threads; /* with the one that asks, which works too; 0 and 1: there are no others */
  int flushes; /* whether the current run takes subnormal numbers for zero */
  int active;  /* of these, those that work for the current run; the others rest */
  int numbered; /* threads that have taken a number */
  int is_patient; /* whether those without work spin for LONG_SPIN_NS: where a thread asks again and again, and no other has its core meanwhile */
  /* Written for each launch by the thread that asks. */
  _Alignas(64) int busy; /* whether a loop is under way */
  u32 generation;        /* of the last launch */
  int away;              /* threads that have been kept off the processor of the thread that asked, which is cpu */
  int cpu;
  pthread_mutex_t lock;
  pthread_cond_t wake, resume, ended;
  pthread_t workers[MAX_THREADS];
} thread_pool;

static const u64 CLOSED = 0xffffffffu;

static void report(int *status, int code) { __atomic_store_n(status, code, __ATOMIC_RELAXED); }

/* Whether this thread takes numbers below the smallest normal one (1.2e-38 in float32) for zero: arithmetic on them takes a hundred times as long. */
static inline void flush_subnormals(int on) {
#if defined(__SSE__)
  const u32 bits = 0x8040, before = __builtin_ia32_stmxcsr(), after = on ? before | bits : before & ~bits;
  if (before != after) __builtin_ia32_ldmxcsr(after);
#elif defined(__aarch64__)
  u64 before;
  __asm__ volatile("mrs %0, fpcr" : "=r"(before));
  const u64 bit = (u64)1 << 24, after = on ? before | bit : before & ~bit;
  if (before != after) __asm__ volatile("msr fpcr, %0" : : "r"(after));
#else
  (void)on;
#endif
}

static void run_range(kernel fn, const i64 *args, i64 begin, i64 end, i64 scratch, region *own, int flushes, int *status) {
  flush_subnormals(flushes);
  char *memory = scratch ? reserve(own, scratch) : 0;
  if (scratch && !memory) report(status, FAULT_OUT_OF_MEMORY);
  else fn(args, begin, end, memory, status);
}

static i64 first_chunk(i64 chunks, i64 part, i64 parts) { return chunks * part / parts; }

/* Takes chunks of one part until none is left. The fields are read before the chunk is taken: taking it succeeds only where the generation is
   still open, so that what was read belongs to it. */
static void take_part(thread_pool *pool, u32 generation, int part, region *own) {
  i64 taken = 0, chunks = 0;
  for (;;) {
    u64 next = __atomic_load_n(&pool->part[part].next, __ATOMIC_ACQUIRE);
    i64 index = (u32)next;
    if ((u32)(next >> 32) != generation || (next & CLOSED) == CLOSED) break;
    kernel fn = __atomic_load_n(&pool->fn, __ATOMIC_RELAXED);
    const i64 *args = __atomic_load_n(&pool->args, __ATOMIC_RELAXED);
    i64 extent = __atomic_load_n(&pool->extent, __ATOMIC_RELAXED);
    i64 chunk = __atomic_load_n(&pool->chunk, __ATOMIC_RELAXED);
    i64 all = __atomic_load_n(&pool->chunks, __ATOMIC_RELAXED);
    i64 scratch = __atomic_load_n(&pool->scratch, __ATOMIC_RELAXED);
    int parts = __atomic_load_n(&pool->parts, __ATOMIC_RELAXED);
    int *status = __atomic_load_n(&pool->status, __ATOMIC_RELAXED);
    int flushes = __atomic_load_n(&pool->flushes, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (index >= first_chunk(all, part + 1, parts)) break;
    if (!__atomic_compare_exchange_n(&pool->part[part].next, &next, next + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
    chunks = all;
    taken++;
    i64 begin = index * chunk, end = begin + chunk < extent ? begin + chunk : extent;
    run_range(fn, args, begin, end, scratch, own, flushes, status);
  }
  /* Until what was taken is added the launch is under way, and its number of chunks what it was. */
  if (taken == 0 || __atomic_add_fetch(&pool->done, taken, __ATOMIC_SEQ_CST) != chunks) return;
  if (!__atomic_load_n(&pool->caller_sleeps, __ATOMIC_SEQ_CST)) return;
  pthread_mutex_lock(&pool->lock);
  pthread_cond_signal(&pool->ended);
  pthread_mutex_unlock(&pool->lock);
}

/* Its own part first. */
static void take_chunks(thread_pool *pool, u32 generation, int number, region *own) {
  const int parts = __atomic_load_n(&pool->parts, __ATOMIC_RELAXED);
  for (int i = number; i < parts; i++) take_part(pool, generation, i, own);
  for (int i = 0; i < number && i < parts; i++) take_part(pool, generation, i, own);
}

/* The generation of a part that is open, else that of the launch that the thread has seen last. */
static u32 generation_of(thread_pool *pool, int part, u32 seen) {
  const u64 next = __atomic_load_n(&pool->part[part].next, __ATOMIC_SEQ_CST);
  return (next & CLOSED) == CLOSED ? seen : (u32)(next >> 32);
}

static int stopped(thread_pool *pool) { return __atomic_load_n(&pool->stop, __ATOMIC_RELAXED); }

/* Whether the thread of this number is one too many for the current run. */
static int rests(thread_pool *pool, int number) { return number >= __atomic_load_n(&pool->active, __ATOMIC_RELAXED); }

/* Whether the thread of this number has nothing to do but to wait for the next launch. */
static int is_idle(thread_pool *pool, int number, u32 seen) {
  return generation_of(pool, number, seen) == seen && !rests(pool, number) && !stopped(pool);
}

static void *work(void *argument) {
  thread_pool *pool = argument;
  u32 seen = __atomic_load_n(&pool->generation, __ATOMIC_RELAXED);
  const int number = __atomic_add_fetch(&pool->numbered, 1, __ATOMIC_RELAXED);
  region own = { 0, 0 };
  for (;;) {
    if (rests(pool, number)) {
      pthread_mutex_lock(&pool->lock);
      while (rests(pool, number) && !stopped(pool)) pthread_cond_wait(&pool->resume, &pool->lock);
      pthread_mutex_unlock(&pool->lock);
    }
    i64 since = 0;
    u32 count = 0;
    /* Each looks at its own part, which is opened when there is a launch. */
    while (is_idle(pool, number, seen)) {
      if (spin(&since, &count, __atomic_load_n(&pool->is_patient, __ATOMIC_RELAXED) ? LONG_SPIN_NS : SPIN_NS)) continue;
      pthread_mutex_lock(&pool->lock);
      __atomic_fetch_add(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
      while (is_idle(pool, number, seen)) pthread_cond_wait(&pool->wake, &pool->lock);
      __atomic_fetch_sub(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
      pthread_mutex_unlock(&pool->lock);
    }
    if (stopped(pool)) break;
    seen = generation_of(pool, number, seen);
    if (!rests(pool, number)) take_chunks(pool, seen, number, &own);
  }
  release(&own);
  return 0;
}

/* Where the thread that asks has a processor, the others keep off it: woken, or found spinning, by a thread that had its last rest where they are, they
   would wait there until it rests again, though other processors are idle. Of those Linux knows that they are only where it runs by itself: halted
   processors of a virtual machine look taken to it (vcpu_is_preempted), so that it leaves threads where they were for milliseconds. */
static void keep_away(thread_pool *pool) {
#ifdef __linux__
  const int cpu = sched_getcpu(), threads = pool->active - 1;
  if (cpu < 0 || (cpu == pool->cpu && threads <= pool->away)) return;
  cpu_set_t set;
  /* As many as this thread may use, which somebody outside may have changed. */
  if (sched_getaffinity(0, sizeof set, &set) || CPU_COUNT(&set) < 2 || cpu >= CPU_SETSIZE) return;
  CPU_CLR(cpu, &set);
  for (int i = cpu == pool->cpu ? pool->away : 0; i < threads; i++) pthread_setaffinity_np(pool->workers[i], sizeof set, &set);
  pool->cpu = cpu;
  pool->away = threads;
#else
  (void)pool;
#endif
}

static void wake_workers(thread_pool *pool) {
  if (__atomic_load_n(&pool->sleepers, __ATOMIC_SEQ_CST) == 0) return;
  pthread_mutex_lock(&pool->lock);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
}

static void set_active(thread_pool *pool, int threads) {
  if (threads == pool->active) return;
  pthread_mutex_lock(&pool->lock);
  __atomic_store_n(&pool->active, threads, __ATOMIC_RELAXED);
  pthread_cond_broadcast(&pool->resume);
  pthread_mutex_unlock(&pool->lock);
}

/* Not while a loop is under way. */
static void end_threads(thread_pool *pool) {
  __atomic_store_n(&pool->stop, 1, __ATOMIC_SEQ_CST);
  set_active(pool, MAX_THREADS);
  wake_workers(pool);
  for (int i = 0; i < pool->threads - 1; i++) pthread_join(pool->workers[i], 0);
  __atomic_store_n(&pool->stop, 0, __ATOMIC_SEQ_CST);
  pool->threads = 1;
  pool->numbered = pool->away = 0;
}

static void close_parts(thread_pool *pool, int threads) {
  for (int i = 0; i < threads; i++) __atomic_store_n(&pool->part[i].next, (u64)pool->generation << 32 | CLOSED, __ATOMIC_RELAXED);
}

/* So many threads work from now on, the one that asks among them, or as many as the system gives. Runs may differ in this, so that those which
   are too many rest: ending and starting threads would cost more than a small run. Not while a loop is under way. */
static void resize_pool(thread_pool *pool, int threads) {
  if (threads > pool->threads) {
    end_threads(pool);
    set_active(pool, threads);
    close_parts(pool, threads);
    while (pool->threads < threads && !start_thread(&pool->workers[pool->threads - 1], work, pool)) pool->threads++;
  }
  set_active(pool, threads < pool->threads ? threads : pool->threads);
}

/* Who comes while another loop is under way works alone: results do not depend on who works. */
static void parallel_for(thread_pool *pool, kernel fn, const i64 *args, i64 extent, i64 grain, i64 scratch, region *own, int *status) {
  if (extent <= 0) return;
  if (pool->active <= 1 || extent <= grain || __atomic_exchange_n(&pool->busy, 1, __ATOMIC_ACQUIRE)) {
    run_range(fn, args, 0, extent, scratch, own, pool->flushes, status);
    return;
  }
  keep_away(pool);
  i64 share = extent / ((i64)pool->active * CHUNKS_PER_THREAD);
  i64 chunk = share <= grain ? grain : (share + grain - 1) / grain * grain;
  const int parts = pool->active;
  /* Also of threads that rest now: they may still look at a part that they had. */
  close_parts(pool, pool->threads);
  const u32 generation = pool->generation + 1;
  __atomic_store_n(&pool->generation, generation, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  __atomic_store_n(&pool->fn, fn, __ATOMIC_RELAXED);
  __atomic_store_n(&pool->args, args, __ATOMIC_RELAXED);
  __atomic_store_n(&pool->extent, extent, __ATOMIC_RELAXED);
  __atomic_store_n(&pool->chunk, chunk, __ATOMIC_RELAXED);
  i64 chunks = (extent + chunk - 1) / chunk;
  __atomic_store_n(&pool->chunks, chunks, __ATOMIC_RELAXED);
  __atomic_store_n(&pool->scratch, scratch, __ATOMIC_RELAXED);
  __atomic_store_n(&pool->parts, parts, __ATOMIC_RELAXED);
  __atomic_store_n(&pool->status, status, __ATOMIC_RELAXED);
  __atomic_store_n(&pool->done, 0, __ATOMIC_RELAXED);
  for (int i = parts - 1; i >= 0; i--)
    __atomic_store_n(&pool->part[i].next, (u64)generation << 32 | (u64)first_chunk(chunks, i, parts), __ATOMIC_SEQ_CST);
  wake_workers(pool);
  take_chunks(pool, generation, 0, own);
  i64 since = 0;
  u32 count = 0;
  while (__atomic_load_n(&pool->done, __ATOMIC_ACQUIRE) != chunks) {
    if (spin(&since, &count, SPIN_NS)) continue;
    /* Who has the last chunks may wait for this very core. */
    pthread_mutex_lock(&pool->lock);
    __atomic_store_n(&pool->caller_sleeps, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&pool->done, __ATOMIC_SEQ_CST) != chunks) pthread_cond_wait(&pool->ended, &pool->lock);
    __atomic_store_n(&pool->caller_sleeps, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&pool->lock);
  }
  __atomic_store_n(&pool->busy, 0, __ATOMIC_RELEASE);
}
`
