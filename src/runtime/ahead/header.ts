/** The C header of a compiled model. */
import { dtypes } from '../../common/dtype.ts'
import type { AheadModel } from './model.ts'

/** Version of what the library and its users agree on: the functions of the header, and the manifest. */
export const abiVersion = 1

/** Numbers of dtypes in C. */
export const dtypeNumbers = new Map(dtypes.map((dtype, i) => [dtype, i]))

/** Codes that functions return, by their names in C. */
export const errorCodes = {
  OK: 0,
  /** A null pointer, a wrong number of bytes, a misaligned address. */
  BAD_ARGUMENT: 1,
  /** No plan for these shapes. */
  UNKNOWN_SHAPE: 2,
  /** Weights that are truncated, damaged, or those of another model. */
  BAD_WEIGHTS: 3,
  /** A file that cannot be read. */
  BAD_FILE: 4,
  NO_MEMORY: 5,
  /** An index in the inputs lies outside what it indexes. */
  BAD_INDEX: 6,
  /** The processor lacks instructions that the library was compiled for. */
  BAD_PROCESSOR: 7,
} as const

export function headerSource({ name, target }: Pick<AheadModel, 'name' | 'target'>): string {
  const upper = name.toUpperCase()
  const enumeration = (prefix: string, names: readonly string[]): string =>
    names.map((n, i) => `  ${upper}_${prefix}${n.toUpperCase()} = ${i}`).join(',\n')
  return `/* A model compiled by Longzhou for ${target.name}. Functions are safe to call from several threads unless they say otherwise. */
#ifndef ${upper}_H
#define ${upper}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ${upper}_API __attribute__((visibility("default")))
#else
#define ${upper}_API
#endif

#define ${upper}_ABI ${abiVersion}

/* A model that was loaded. */
typedef struct ${name} ${name};

/* What functions return. */
enum {
${enumeration('', Object.keys(errorCodes))}
};

/* float16 and bfloat16 are their bits; bool is a byte of 0 or 1. */
enum {
${enumeration('', dtypes)}
};

/* Filled in by functions that fail: the code that they return, and what went wrong. Where NULL is given nothing is told. */
typedef struct { int code; char text[1024]; } ${name}_error;

/* An input or output: its name, dtype, sizes, and the bytes that all of its elements take. */
typedef struct {
  const char *name;
  int dtype, rank;
  const int64_t *shape;
  size_t bytes;
} ${name}_info;

/* Elements of an input in row-major order, at an address that the size of an element divides. */
typedef struct { const void *data; size_t bytes; } ${name}_source;
/* Where an output goes. It may not overlap inputs or other outputs. */
typedef struct { void *data; size_t bytes; } ${name}_target;

/* ${upper}_ABI of the library. */
${upper}_API int ${name}_abi(void);
${upper}_API int ${name}_input_count(void);
${upper}_API int ${name}_output_count(void);
/* The model was compiled for this many choices of shapes, numbered from 0. */
${upper}_API int ${name}_shape_count(void);
/* NULL where there is no such shape, input or output. */
${upper}_API const ${name}_info *${name}_input(int shape, int index);
${upper}_API const ${name}_info *${name}_output(int shape, int index);
/* The number of the shape whose inputs have these sizes, those of one input after those of another; -1 where the model was not compiled
   for them, and the text tells for which it was. */
${upper}_API int ${name}_find_shape(const int64_t *sizes, int count, ${name}_error *error);
/* What travels with the model (dictionary, labels, pre- and post-processing) by its key; NULL where it is not there. */
${upper}_API const char *${name}_metadata(const char *key);

/* Loads the weights and computes what depends on them alone. \`threads\` is how many threads a run may use, with the one that calls; 0: one
   for each processor. On success *model is to be given to ${name}_free. */
${upper}_API int ${name}_load(const char *path, int threads, ${name} **model, ${name}_error *error);
/* The same for weights in memory, at an address that 8 divides; they must stay there, unchanged, until the model is freed. */
${upper}_API int ${name}_load_memory(const void *weights, size_t bytes, int threads, ${name} **model, ${name}_error *error);
/* Runs the model. \`inputs\` and \`outputs\` are as many as the counts say, and hold as many bytes as the infos of this shape say. May be called
   from several threads at once: each run has memory of its own, which is kept for later runs. Nothing else is allocated. */
${upper}_API int ${name}_run(${name} *model, int shape, const ${name}_source *inputs, const ${name}_target *outputs, ${name}_error *error);
/* Waits for runs that are under way, then frees everything. NULL is allowed. No run may begin after it was called. */
${upper}_API void ${name}_free(${name} *model);

#ifdef __cplusplus
}
#endif

#endif
`
}
