/**
 * What executes programs, in C: the walk over a program's words, whose launches threads share (pool.c.ts). Two
 * sources are made of it, which put the base types of kernels and `typedef ... address;` before it: the runtime of the CPU backend (runtime.c.ts, addresses come from
 * JavaScript as float64) and compiled models (../ahead/api.c.ts, addresses are pointers).
 *
 * A program is an array of 64-bit words: [arena bytes, steps, then each step]. A step is a launch (0, launch words) or a loop
 * (1, count, launches, words of the body, threads, body). A loop whose `threads` is not 0 may run at the same time as the loop behind it, which
 * is better where there are at most that many threads to each loop. Launch words: [words, function, extent, grain, scratch bytes, arguments,
 * relocations, the arguments, the relocations]; a relocation is [argument, kind, slot, byte offset, step] and says what to write to
 * an argument before the launch. Slots are addresses of leaves and of outputs, and float64 scalars. Times are float64, too:
 * nanoseconds on a monotonic clock, start and end of each launch as it is executed.
 */
import { poolSource } from './pool.c.ts'

export const executorIncludes = String.raw`#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
`

export const executorSource = String.raw`
${poolSource}
/* -- Programs ---------------------------------------------------------------------------------------------------------------- */

enum { WORDS, FUNCTION, EXTENT, GRAIN, SCRATCH, ARGUMENTS, RELOCATIONS, LAUNCH_HEADER };
enum { LEAF, OUTPUT, ARENA, FLOAT, INTEGER };

/* What one run at a time works with. */
typedef struct { thread_pool *pool; region arena, scratch; int halted; } executor;

/* Numbers of one run; times are NULL where nobody asks for them. */
typedef struct { const address *leaves, *outputs; const double *scalars; double *times; } run_slots;

static void relocate(i64 *launch, const char *arena, const run_slots *slots, i64 iteration) {
  i64 *args = launch + LAUNCH_HEADER;
  const i64 *r = args + launch[ARGUMENTS];
  for (i64 i = 0; i < launch[RELOCATIONS]; i++, r += 5) {
    switch (r[1]) {
      case LEAF: args[r[0]] = (i64)slots->leaves[r[2]] + r[3] + r[4] * iteration; break;
      case OUTPUT: args[r[0]] = (i64)slots->outputs[r[2]] + r[3] + r[4] * iteration; break;
      case ARENA: args[r[0]] = (i64)(intptr_t)arena + r[3] + r[4] * iteration; break;
      case FLOAT: memcpy(&args[r[0]], &slots->scalars[r[2]], 8); break;
      case INTEGER: args[r[0]] = (i64)slots->scalars[r[2]]; break;
    }
  }
}

static void run_launch(executor *e, i64 *launch, run_slots *slots, i64 iteration, int *status) {
  relocate(launch, e->arena.memory, slots, iteration);
  if (slots->times) *slots->times++ = (double)now();
  parallel_for(e->pool, (kernel)(intptr_t)launch[FUNCTION], launch + LAUNCH_HEADER, launch[EXTENT], launch[GRAIN], launch[SCRATCH],
               &e->scratch, status);
  if (slots->times) *slots->times++ = (double)now();
}

enum { COUNT = 1, LAUNCHES, BODY, THREADS, LOOP_HEADER };

/* Where the times of what follows a loop begin. */
static double *times_behind(double *times, const i64 *loop) { return times ? times + 2 * loop[COUNT] * loop[LAUNCHES] : 0; }

/* Loops that run beside each other: each one as a whole on the thread that takes it. args: executor, first loop, slots. */
static void run_beside(const i64 *args, i64 begin, i64 end, char *scratch, int *status) {
  executor *e = (executor *)(intptr_t)args[0];
  i64 *loop = (i64 *)(intptr_t)args[1];
  run_slots slots = *(const run_slots *)(intptr_t)args[2];
  for (i64 i = 0; i < end; i++, loop += LOOP_HEADER + loop[BODY]) {
    double *next = times_behind(slots.times, loop);
    for (i64 iteration = 0; i >= begin && iteration < loop[COUNT]; iteration++) {
      if (__atomic_load_n(&e->halted, __ATOMIC_RELAXED) || __atomic_load_n(status, __ATOMIC_RELAXED)) return;
      i64 *launch = loop + LOOP_HEADER;
      for (i64 j = 0; j < loop[LAUNCHES]; j++, launch += launch[WORDS]) {
        relocate(launch, e->arena.memory, &slots, iteration);
        if (slots.times) *slots.times++ = (double)now();
        if (launch[EXTENT] > 0)
          ((kernel)(intptr_t)launch[FUNCTION])(launch + LAUNCH_HEADER, 0, launch[EXTENT], scratch, status);
        if (slots.times) *slots.times++ = (double)now();
      }
    }
    slots.times = next;
  }
}

/* Runs the loops that may run at the same time as this one, where they should, and returns how many they were, else 0. */
static i64 try_beside(executor *e, i64 *loop, run_slots *slots, int *status) {
  i64 loops = 1, scratch = 0, threads = loop[THREADS];
  if (threads == 0 || e->pool->active <= 1) return 0;
  for (i64 *l = loop;; l += LOOP_HEADER + l[BODY], loops++) {
    i64 *launch = l + LOOP_HEADER;
    for (i64 j = 0; j < l[LAUNCHES]; j++, launch += launch[WORDS])
      if (launch[SCRATCH] > scratch) scratch = launch[SCRATCH];
    if (l[THREADS] == 0) break;
  }
  if (e->pool->active > threads * loops) return 0;
  const i64 args[] = { (i64)(intptr_t)e, (i64)(intptr_t)loop, (i64)(intptr_t)slots };
  parallel_for(e->pool, run_beside, args, loops, 1, scratch, &e->scratch, status);
  for (i64 i = 0; i < loops; i++, loop += LOOP_HEADER + loop[BODY]) slots->times = times_behind(slots->times, loop);
  return loops;
}

/* A fault ends the run: what would be computed from it, and overwrite parameters, is left out. */
static int run_program(executor *e, i64 *code, run_slots *slots) {
  int status = 0;
  if (code[0] > 0 && !reserve(&e->arena, code[0])) return FAULT_OUT_OF_MEMORY;
  i64 *step = code + 2;
  for (i64 i = 0; i < code[1] && !status && !__atomic_load_n(&e->halted, __ATOMIC_RELAXED); i++) {
    if (step[0] == 0) {
      run_launch(e, step + 1, slots, 0, &status);
      step += 1 + step[1];
      continue;
    }
    const i64 beside = try_beside(e, step, slots, &status);
    for (i64 j = 1; j < beside; j++, i++) step += LOOP_HEADER + step[BODY];
    for (i64 iteration = 0; beside == 0 && iteration < step[COUNT] && !status; iteration++) {
      if (__atomic_load_n(&e->halted, __ATOMIC_RELAXED)) break;
      i64 *launch = step + LOOP_HEADER;
      for (i64 j = 0; j < step[LAUNCHES] && !status; j++, launch += launch[WORDS]) run_launch(e, launch, slots, iteration, &status);
    }
    step += LOOP_HEADER + step[BODY];
  }
  return status;
}
`
