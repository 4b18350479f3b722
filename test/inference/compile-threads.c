/* Four threads run one handle of a compiled model at once; each result must be that of a run alone. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "reader.h"

static reader *model;
static void *input, *wanted;
static size_t input_bytes, output_bytes;
static int wrong;

static void *run_often(void *unused) {
  (void)unused;
  void *output = calloc(1, output_bytes);
  const reader_source source = {input, input_bytes};
  const reader_target target = {output, output_bytes};
  for (int i = 0; i < 20; i++) {
    memset(output, 0, output_bytes);
    if (reader_run(model, 0, &source, &target, NULL) || memcmp(output, wanted, output_bytes)) __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
  }
  free(output);
  return NULL;
}

int main(int argc, char **argv) {
  reader_error error;
  if (argc != 2 || reader_load(argv[1], 3, &model, &error)) return 2;
  input_bytes = reader_input(0, 0)->bytes;
  output_bytes = reader_output(0, 0)->bytes;
  input = calloc(1, input_bytes);
  wanted = calloc(1, output_bytes);
  for (size_t i = 0; i < input_bytes / sizeof(float); i++) ((float *)input)[i] = (float)(i % 17) / 17;
  const reader_source source = {input, input_bytes};
  const reader_target target = {wanted, output_bytes};
  if (reader_run(model, 0, &source, &target, &error)) return 3;
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, run_often, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  reader_free(model);
  free(input);
  free(wanted);
  printf("%d wrong\n", wrong);
  return wrong != 0;
}
