/**
 * The native half of the CPU backend, compiled and cached like kernels: an in-order queue served by one executor thread, and loading of
 * compiled kernels. JavaScript talks to it by numbers only: addresses, tickets and counts, all below 2^53. Programs are walked by
 * executor.c.ts, which also says how they look. A timed run writes [its start, its end, then what the executor writes].
 */
import { baseTypes } from '../../render/c-helpers.ts'
import { executorIncludes, executorSource } from './executor.c.ts'

export const runtimeSource = String.raw`
${executorIncludes}
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

${baseTypes}
typedef double address;
${executorSource}
enum { QUEUE = 4096 };

static thread_pool pool = {
  .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .resume = PTHREAD_COND_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER };
static executor machine = { .pool = &pool };

/* -- The queue --------------------------------------------------------------------------------------------------------------- */

typedef struct {
  i64 *code; /* NULL: copy bytes from source to target, or where that is NULL as well, have an arena of so many */
  double *slots, *times;
  int leaves, outputs;
  int threads; /* that may work for it; 0: as many as longzhou_set_threads says */
  int flushes; /* whether it takes subnormal numbers for zero */
  i64 *taken;  /* what the last run of this code took, in nanoseconds */
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

/* Whether a ticket waits for its run. */
static int is_waiting(void) {
  return __atomic_load_n(&queue.submitted, __ATOMIC_SEQ_CST) > __atomic_load_n(&queue.finished, __ATOMIC_SEQ_CST);
}

/* Runs a program, on the executor's thread or in its place. */
static void run_entry(entry *e) {
  resize_pool(&pool, e->threads > 0 ? e->threads : __atomic_load_n(&queue.threads, __ATOMIC_RELAXED));
  __atomic_store_n(&pool.flushes, e->flushes, __ATOMIC_RELAXED);
  const double *outputs = e->slots + e->leaves;
  double *times = e->times;
  run_slots slots = { e->slots, outputs, outputs + e->outputs, times ? times + 2 : 0 };
  const i64 start = now();
  e->status = run_program(&machine, e->code, &slots);
  const i64 end = now();
  __atomic_store_n(e->taken, end - start, __ATOMIC_RELAXED);
  if (times) {
    times[0] = (double)start;
    times[1] = (double)end;
  }
}

/* An arena of at least so many bytes whose pages are there. Where there is no memory for it, the run that needs it says so. */
static void have_arena(i64 bytes) {
  char *memory = bytes > machine.arena.size ? reserve(&machine.arena, bytes) : 0;
  for (i64 i = 0; memory && i < bytes; i += SMALLEST_PAGE) *(volatile char *)(memory + i) = 0;
}

static void tell_listeners(i64 finished);

static void *serve(void *unused) {
  (void)unused;
  for (;;) {
    i64 since = 0;
    u32 count = 0;
    while (!is_waiting()) {
      if (spin(&since, &count, SPIN_NS)) continue;
      pthread_mutex_lock(&queue.lock);
      queue.executor_sleeps = 1;
      while (!is_waiting()) pthread_cond_wait(&queue.arrived, &queue.lock);
      queue.executor_sleeps = 0;
      pthread_mutex_unlock(&queue.lock);
    }
    const i64 ticket = __atomic_load_n(&queue.finished, __ATOMIC_SEQ_CST) + 1;
    entry *e = &queue.entries[ticket % QUEUE];
    if (e->code) {
      run_entry(e);
      free(e->slots);
    } else {
      if (e->target) memcpy(e->target, e->source, (size_t)e->bytes);
      else have_arena(e->bytes);
      e->status = 0;
    }
    __atomic_store_n(&queue.finished, ticket, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&queue.waiters, __ATOMIC_SEQ_CST) > 0) {
      pthread_mutex_lock(&queue.lock);
      pthread_cond_broadcast(&queue.completed);
      pthread_mutex_unlock(&queue.lock);
    }
    tell_listeners(ticket);
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
  __atomic_store_n(&pool.is_patient, 0, __ATOMIC_RELAXED);
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

/* Runs what is short in the thread that asks, which would only wait: handing it over, and being told of its end, may take longer than the run.
   Whether it did; not where others are before it. Who submits meanwhile waits at the lock. */
static int run_here(entry e) {
  pthread_mutex_lock(&queue.lock);
  const int is_free = queue.started && !is_waiting();
  if (is_free) {
    const i64 ticket = queue.submitted + 1;
    entry *place = &queue.entries[ticket % QUEUE];
    *place = e;
    run_entry(place);
    /* Whoever asks for short runs asks for the next one soon; waking a thread takes as long as a tenth of one. */
    __atomic_store_n(&pool.is_patient, 1, __ATOMIC_RELAXED);
    /* JavaScript's arithmetic knows subnormal numbers. */
    flush_subnormals(0);
    /* In this order: the executor must not take it for one that waits. */
    __atomic_store_n(&queue.finished, ticket, __ATOMIC_SEQ_CST);
    __atomic_store_n(&queue.submitted, ticket, __ATOMIC_SEQ_CST);
    last_ticket = ticket;
  }
  pthread_mutex_unlock(&queue.lock);
  return is_free;
}

static int thread_count(int threads) { return threads < MAX_THREADS ? threads : MAX_THREADS; }

/* Times: where they go, 0 where nobody asks for them. Threads: that may work for this run, 0 for as many as usual. Flushes: whether
   it takes subnormal numbers for zero. Taken: where the time of each run
   of this code is kept, in nanoseconds, 0 before the first. Most: of runs that took less, the thread that asks may run one itself; it has then run
   when this returns. */
double longzhou_submit(i64 code, i64 slots, int leaves, int outputs, int scalars, i64 times, int threads, int flushes, i64 taken, i64 most) {
  entry e = {
    .code = (i64 *)(intptr_t)code, .slots = (double *)(intptr_t)slots, .leaves = leaves, .outputs = outputs,
    .times = (double *)(intptr_t)times, .threads = thread_count(threads), .flushes = flushes, .taken = (i64 *)(intptr_t)taken };
  const i64 last = __atomic_load_n(e.taken, __ATOMIC_RELAXED);
  if (last > 0 && last < most && run_here(e)) return (double)last_ticket;
  int count = leaves + outputs + scalars;
  double *copy = malloc((size_t)(count > 0 ? count : 1) * sizeof(double));
  if (!copy) return -1;
  memcpy(copy, (const void *)(intptr_t)slots, (size_t)count * sizeof(double));
  e.slots = copy;
  double ticket = enqueue(e);
  if (ticket <= 0) free(copy);
  return ticket;
}

double longzhou_copy(i64 target, i64 source, i64 bytes) {
  return enqueue((entry){ .target = (char *)(intptr_t)target, .source = (const char *)(intptr_t)source, .bytes = bytes });
}

/* Has the executor get memory for the arena of runs to come, after those that were submitted before; the ticket, as for a run. */
double longzhou_have_arena(i64 bytes) { return enqueue((entry){ .bytes = bytes }); }

/* The last ticket that has run. */
double longzhou_finished(void) { return (double)__atomic_load_n(&queue.finished, __ATOMIC_ACQUIRE); }

/* The fault that a finished run met; to be asked before QUEUE / 2 more are submitted. */
int longzhou_status(double ticket) { return queue.entries[(i64)ticket % QUEUE].status; }

/* Waits until a ticket has run, and gives the last one that has. */
double longzhou_wait(double ticket) {
  i64 since = 0;
  u32 count = 0;
  while (__atomic_load_n(&queue.finished, __ATOMIC_ACQUIRE) < (i64)ticket) {
    if (spin(&since, &count, SPIN_NS)) continue;
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

double longzhou_arena_bytes(void) { return (double)__atomic_load_n(&machine.arena.size, __ATOMIC_RELAXED); }

/* Ends the current run after its launch and skips the others: memory that they name is about to go. */
void longzhou_halt(void) {
  __atomic_store_n(&machine.halted, 1, __ATOMIC_SEQ_CST);
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

/* Lets malloc keep what is freed for what comes next, up to 128 MB at its end. JavaScript's collector frees results many at a time; given back to
   the system each time, their pages would be asked for one by one again, which takes longer than many a kernel. What somebody has set stays. */
void longzhou_keep_freed_memory(void) {
#ifdef __GLIBC__
  if (getenv("MALLOC_TRIM_THRESHOLD_") || getenv("MALLOC_MMAP_THRESHOLD_") || getenv("GLIBC_TUNABLES")) return;
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 128 << 20);
#endif
}

i64 longzhou_load(const char *path) { return (i64)(intptr_t)dlopen(path, RTLD_NOW | RTLD_LOCAL); }

i64 longzhou_symbol(i64 library, const char *name) { return (i64)(intptr_t)dlsym((void *)(intptr_t)library, name); }

const char *longzhou_load_error(void) { return dlerror(); }
`
