/**
 * A processor for a thread that plans. V8 compiles what is hot in up to four threads of its own, and collects in them; while a process is young,
 * planning makes so much of it hot that the JS thread would wait for a processor half of the time where there are two. They finish as well on others.
 */
export const undisturbedSource = String.raw`
/* -- Threads kept off a processor for a while ----------------------------------------------------------------------------------- */

#ifdef __linux__
#include <dirent.h>

/* Threads that were there when this was loaded: the engine's are, those of the pool and workers that start children, who inherit much, are not. */
static struct {
  struct { pid_t number; cpu_set_t before, since; int is_off; } threads[64];
  int count, is_held, cpu;
  pthread_t holder;
  pthread_mutex_t lock;
} engine = { .lock = PTHREAD_MUTEX_INITIALIZER };

__attribute__((constructor)) static void find_engine(void) {
  const int most = (int)(sizeof engine.threads / sizeof *engine.threads);
  DIR *threads = opendir("/proc/self/task");
  if (!threads) return;
  for (struct dirent *e; engine.count < most && (e = readdir(threads));) {
    const pid_t number = (pid_t)atoi(e->d_name);
    if (number > 0) engine.threads[engine.count++].number = number;
  }
  closedir(threads);
}

/* The processors of a thread, if it is one of this process still: numbers of threads that ended go to others. */
static int allowed(pid_t number, cpu_set_t *set) {
  return syscall(SYS_tgkill, getpid(), number, 0) == 0 && sched_getaffinity(number, sizeof *set, set) == 0;
}

static int holds_processor(void) {
  return __atomic_load_n(&engine.is_held, __ATOMIC_ACQUIRE) && pthread_equal(engine.holder, pthread_self());
}

/* Gives threads back what longzhou_keep_processor took from them, where nobody has changed it since. */
void longzhou_share_processor(void) {
  if (!holds_processor()) return;
  for (int i = 0; i < engine.count; i++) {
    const pid_t number = engine.threads[i].number;
    cpu_set_t set;
    if (!engine.threads[i].is_off || !allowed(number, &set) || !CPU_EQUAL(&set, &engine.threads[i].since)) continue;
    sched_setaffinity(number, sizeof set, &engine.threads[i].before);
  }
  __atomic_store_n(&engine.is_held, 0, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&engine.lock);
}

/* Has the engine's threads leave the processor of this one until longzhou_share_processor. Nothing where another thread has had them do so. */
void longzhou_keep_processor(void) {
  const int cpu = sched_getcpu();
  const pid_t own = (pid_t)syscall(SYS_gettid);
  if (holds_processor()) {
    if (engine.cpu == cpu) return;
    longzhou_share_processor();
  }
  if (cpu < 0 || cpu >= CPU_SETSIZE || pthread_mutex_trylock(&engine.lock)) return;
  engine.cpu = cpu;
  engine.holder = pthread_self();
  __atomic_store_n(&engine.is_held, 1, __ATOMIC_RELEASE);
  for (int i = 0; i < engine.count; i++) {
    const pid_t number = engine.threads[i].number;
    cpu_set_t set;
    engine.threads[i].is_off = 0;
    if (number == own || !allowed(number, &set) || !CPU_ISSET(cpu, &set) || CPU_COUNT(&set) < 2) continue;
    engine.threads[i].before = set;
    CPU_CLR(cpu, &set);
    engine.threads[i].since = set;
    engine.threads[i].is_off = sched_setaffinity(number, sizeof set, &set) == 0;
  }
}
#else
void longzhou_keep_processor(void) {}
void longzhou_share_processor(void) {}
#endif
`
