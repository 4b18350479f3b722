/** What stands beside the C of a compiled model: a Makefile, and a program that runs it. */
import type { AheadModel } from './model.ts'
import { crossCompilers } from './target.ts'

/** `flags`: of the code. */
export function makefileSource(
  { name, target }: Pick<AheadModel, 'name' | 'target'>,
  flags: readonly string[],
): string {
  const cc =
    target.name === 'native'
      ? 'cc'
      : `$(if $(filter ${target.architecture === 'arm64' ? 'aarch64 arm64' : 'x86_64'},$(shell uname -m)),cc,${crossCompilers[target.architecture][0]})`
  return `# Builds the library and the example for ${target.name}; \`make CC=...\` takes another compiler.
ifeq ($(origin CC),default)
CC := ${cc}
endif
CFLAGS ?= -Wall -Wextra
CODE = -std=c11 ${flags.join(' ')}

all: lib${name}.so example

lib${name}.so: ${name}.c ${name}.h
	$(CC) $(CFLAGS) $(CODE) -fPIC -fvisibility=hidden -shared -o $@ ${name}.c $(LDFLAGS) -pthread -lm

# The model may be part of a program as well.
example: example.c ${name}.c ${name}.h
	$(CC) $(CFLAGS) $(CODE) -o $@ example.c ${name}.c $(LDFLAGS) -pthread -lm

clean:
	rm -f lib${name}.so example

.PHONY: all clean
`
}

/** A program that runs the model on files of raw elements. */
export function exampleSource(name: string): string {
  return String.raw`/* Runs the model on files of raw elements:

     example WEIGHTS THREADS SHAPE [INPUT... OUTPUT...]

   THREADS 0: one for each processor. SHAPE is the number of a shape. One INPUT file for each input and one OUTPUT file for each output, or
   none at all: then the inputs are zeros. Prints what the model takes and gives, and how long it took. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "${name}.h"

static double milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static void print(const char *kind, const ${name}_info *info) {
  printf("%s %s: dtype %d [", kind, info->name, info->dtype);
  for (int i = 0; i < info->rank; i++) printf(i ? ", %lld" : "%lld", (long long)info->shape[i]);
  printf("], %zu bytes\n", info->bytes);
}

/* Reads or writes a whole file: exactly so many bytes. */
static int transfer(const char *path, int writes, void *data, size_t bytes) {
  FILE *file = fopen(path, writes ? "wb" : "rb");
  if (!file) return 0;
  size_t count = writes ? fwrite(data, 1, bytes, file) : fread(data, 1, bytes, file);
  int is_whole = writes || fgetc(file) == EOF;
  return (fclose(file) == 0) & is_whole & (count == bytes);
}

int main(int argc, char **argv) {
  const int inputs = ${name}_input_count(), outputs = ${name}_output_count();
  if (argc != 4 && argc != 4 + inputs + outputs) {
    fprintf(stderr, "usage: %s WEIGHTS THREADS SHAPE [INPUT... OUTPUT...], with %d inputs and %d outputs\n", argv[0], inputs, outputs);
    return 2;
  }
  const int shape = atoi(argv[3]);
  ${name}_error error;
  ${name} *model;
  double start = milliseconds();
  if (${name}_load(argv[1], atoi(argv[2]), &model, &error)) {
    fprintf(stderr, "%s\n", error.text);
    return 1;
  }
  const double load_ms = milliseconds() - start;

  int code = 0;
  ${name}_source *sources = calloc((size_t)inputs + 1, sizeof *sources);
  ${name}_target *targets = calloc((size_t)outputs + 1, sizeof *targets);
  for (int i = 0; i < inputs + outputs && !code; i++) {
    const ${name}_info *info = i < inputs ? ${name}_input(shape, i) : ${name}_output(shape, i - inputs);
    if (!info) break; /* the run says why */
    print(i < inputs ? "input" : "output", info);
    void *data = calloc(1, info->bytes + 1);
    if (i < inputs) sources[i].data = data, sources[i].bytes = info->bytes;
    else targets[i - inputs].data = data, targets[i - inputs].bytes = info->bytes;
    if (!data || (i < inputs && argc > 4 && !transfer(argv[4 + i], 0, data, info->bytes))) {
      fprintf(stderr, "'%s' does not hold the %zu bytes of this input\n", argc > 4 ? argv[4 + i] : "", info->bytes);
      code = 1;
    }
  }

  double run_ms[2] = {0, 0};
  for (int run = 0; run < 2 && !code; run++) {
    start = milliseconds();
    code = ${name}_run(model, shape, sources, targets, &error);
    run_ms[run] = milliseconds() - start;
    if (code) fprintf(stderr, "%s\n", error.text);
  }
  if (!code) printf("loaded in %.1f ms, first run %.1f ms, second run %.1f ms\n", load_ms, run_ms[0], run_ms[1]);
  for (int i = 0; i < outputs && !code && argc > 4; i++) {
    if (transfer(argv[4 + inputs + i], 1, targets[i].data, targets[i].bytes)) continue;
    fprintf(stderr, "'%s' cannot be written\n", argv[4 + inputs + i]);
    code = 1;
  }
  for (int i = 0; i < inputs; i++) free((void *)sources[i].data);
  for (int i = 0; i < outputs; i++) free(targets[i].data);
  free(sources);
  free(targets);
  ${name}_free(model);
  return code ? 1 : 0;
}
`
}
