/**
 * The functions of a compiled model's header, in C. Behind the kernels, the executor (../cpu/executor.c.ts) and the tables that source.ts prints:
 * SHAPES, INPUTS, OUTPUTS, the sizes and the CRC-32 of the weights, `plans`, `kernels`, `input_infos`, `output_infos`, `metadata`.
 */
import type { errorCodes } from './header.ts'

/** What the tables are made of; stands before them. */
export function tableTypes(name: string): string {
  return `
/* Where a leaf or an output of a program is. */
enum { NONE, AT_INPUT, AT_OUTPUT, AT_RESIDENT, AT_TRANSIENT, AT_CONSTANT };
typedef struct { int kind; i64 at; } place;

/* Code that an executor walks once its functions are addresses; \`code\` names them by number. */
typedef struct {
  const i64 *code;
  i64 words;
  const place *leaves, *outputs;
  int leaf_count, output_count;
  const double *scalars;
} program;

/* A choice of shapes. */
typedef struct {
  program main, prologue;
  const ${name}_info *inputs, *outputs;
} plan;

typedef struct { const char *key, *text; } metadata_entry;
`
}

export function apiSource(name: string): string {
  const code = (key: keyof typeof errorCodes): string => `${name.toUpperCase()}_${key}`
  return String.raw`
/* -- Errors ------------------------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4)))
static int fail(${name}_error *error, int code, const char *format, ...) {
  if (!error) return code;
  error->code = code;
  va_list values;
  va_start(values, format);
  vsnprintf(error->text, sizeof error->text, format, values);
  va_end(values);
  return code;
}

static int succeed(${name}_error *error) {
  if (error) error->code = ${code('OK')}, error->text[0] = 0;
  return ${code('OK')};
}

static int no_memory(${name}_error *error, i64 bytes) {
  return fail(error, ${code('NO_MEMORY')}, "there is no memory for %lld bytes", bytes);
}

static int told(${name}_error *error, int status) {
  if (status == 0) return succeed(error);
  if (status == FAULT_OUT_OF_MEMORY) return fail(error, ${code('NO_MEMORY')}, "the intermediates of the model do not fit in memory");
  return fail(error, ${code('BAD_INDEX')}, "an index in the inputs lies outside the axis that it indexes; check token ids against the size of the vocabulary");
}

/* -- Models ------------------------------------------------------------------------------------------------------------------ */

/* What one run at a time needs; kept for later runs. */
typedef struct session {
  struct session *next;
  executor machine;
  i64 *codes[SHAPES];
  address leaves[MOST_LEAVES], outputs[MOST_OUTPUTS];
} session;

struct ${name} {
  thread_pool pool; /* first: it is aligned to 64 bytes */
  const char *resident;
  char *own_weights, *constants;
  pthread_mutex_t lock;
  pthread_cond_t idle;
  session *sessions; /* those that no run uses */
  int runs;          /* under way */
};

static char *aligned_memory(i64 bytes) { return aligned_alloc(64, (size_t)((bytes > 0 ? bytes : 1) + 63) / 64 * 64); }

/* Writes addresses of kernels where code names them by number. */
static void bind_launch(i64 *launch) { launch[FUNCTION] = (i64)(intptr_t)kernels[launch[FUNCTION]]; }

static void bind(i64 *code) {
  i64 *step = code + 2;
  for (i64 i = 0; i < code[1]; i++) {
    if (step[0] == 0) {
      bind_launch(step + 1);
      step += 1 + step[1];
      continue;
    }
    i64 *launch = step + LOOP_HEADER;
    for (i64 j = 0; j < step[LAUNCHES]; j++, launch += launch[WORDS]) bind_launch(launch);
    step += LOOP_HEADER + step[BODY];
  }
}

static session *new_session(thread_pool *pool) {
  i64 words = 0;
  for (int i = 0; i < SHAPES; i++) words += plans[i].main.words;
  session *s = calloc(1, sizeof(session) + (size_t)words * sizeof(i64));
  if (!s) return 0;
  s->machine.pool = pool;
  i64 *code = (i64 *)(s + 1);
  for (int i = 0; i < SHAPES; i++) {
    s->codes[i] = code;
    memcpy(code, plans[i].main.code, (size_t)plans[i].main.words * sizeof(i64));
    bind(code);
    code += plans[i].main.words;
  }
  return s;
}

static void free_session(session *s) {
  release(&s->machine.arena);
  release(&s->machine.scratch);
  free(s);
}

/* What the addresses of a program's leaves and outputs are made of. */
typedef struct {
  const char *resident, *transient;
  char *constants;
  const ${name}_source *inputs;
  const ${name}_target *outputs;
} places;

static void find_places(const place *from, int count, address *to, const places *p) {
  for (int i = 0; i < count; i++) {
    switch (from[i].kind) {
      case AT_INPUT: to[i] = (address)p->inputs[from[i].at].data; break;
      case AT_OUTPUT: to[i] = (address)p->outputs[from[i].at].data; break;
      case AT_RESIDENT: to[i] = (address)(p->resident + from[i].at); break;
      case AT_TRANSIENT: to[i] = (address)(p->transient + from[i].at); break;
      case AT_CONSTANT: to[i] = (address)(p->constants + from[i].at); break;
      default: to[i] = 0;
    }
  }
}

static int run_in(session *s, const program *p, i64 *code, const places *where) {
  find_places(p->leaves, p->leaf_count, s->leaves, where);
  find_places(p->outputs, p->output_count, s->outputs, where);
  run_slots slots = { s->leaves, s->outputs, p->scalars, 0 };
  return run_program(&s->machine, code, &slots);
}

/* -- Loading ----------------------------------------------------------------------------------------------------------------- */

/* Eight bytes at a time. */
static u32 crc32_of(u32 before, const char *bytes, i64 count) {
  u32 table[8][256];
  for (u32 n = 0; n < 256; n++) {
    u32 c = n;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[0][n] = c;
  }
  for (int t = 1; t < 8; t++) for (u32 n = 0; n < 256; n++) table[t][n] = table[0][table[t - 1][n] & 255] ^ (table[t - 1][n] >> 8);
  u32 c = ~before;
  for (; count >= 8; count -= 8, bytes += 8) {
    u32 low, high;
    memcpy(&low, bytes, 4);
    memcpy(&high, bytes + 4, 4);
    low ^= c;
    c = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24]
      ^ table[3][high & 255] ^ table[2][high >> 8 & 255] ^ table[1][high >> 16 & 255] ^ table[0][high >> 24];
  }
  for (; count > 0; count--, bytes++) c = table[0][(c ^ (unsigned char)*bytes) & 255] ^ (c >> 8);
  return ~c;
}

static int check_weights(const char *resident, const char *transient, ${name}_error *error) {
  u32 found = crc32_of(crc32_of(0, resident, RESIDENT_BYTES), transient, TRANSIENT_BYTES);
  if (found == WEIGHTS_CRC32) return ${code('OK')};
  return fail(error, ${code('BAD_WEIGHTS')}, "the weights are damaged or belong to another model: their CRC-32 is %08x, this library needs %08x", found, WEIGHTS_CRC32);
}

static int wrong_size(${name}_error *error, i64 bytes) {
  return fail(error, ${code('BAD_WEIGHTS')}, "the weights are truncated or belong to another model: they have %lld bytes, this library needs %lld",
              bytes, (i64)(RESIDENT_BYTES + TRANSIENT_BYTES));
}

static int processors(void) {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int)count : 1;
}

/* Computes the constants of all shapes. */
static int prepare(${name} *m, session *s, const char *transient) {
  const places where = { m->resident, transient, m->constants, 0, 0 };
  for (int i = 0; i < SHAPES; i++) {
    const program *p = &plans[i].prologue;
    if (p->words == 0) continue;
    i64 *code = malloc((size_t)p->words * sizeof(i64));
    if (!code) return FAULT_OUT_OF_MEMORY;
    memcpy(code, p->code, (size_t)p->words * sizeof(i64));
    bind(code);
    int status = run_in(s, p, code, &where);
    free(code);
    if (status) return status;
  }
  return 0;
}

/* Of weights that were checked. Takes over own_weights, also where it fails. */
static int make_model(const char *resident, const char *transient, char *own_weights, int threads, ${name} **model, ${name}_error *error) {
  ${name} *m = (${name} *)aligned_memory(sizeof(${name}));
  if (!m) {
    free(own_weights);
    return no_memory(error, sizeof(${name}));
  }
  memset(m, 0, sizeof *m);
  m->resident = resident;
  m->own_weights = own_weights;
  pthread_mutex_init(&m->lock, 0);
  pthread_cond_init(&m->idle, 0);
  pthread_mutex_init(&m->pool.lock, 0);
  pthread_cond_init(&m->pool.wake, 0);
  pthread_cond_init(&m->pool.ended, 0);
  if (threads <= 0) threads = processors();
  resize_pool(&m->pool, threads < MAX_THREADS ? threads : MAX_THREADS);
  m->constants = aligned_memory(CONSTANT_BYTES);
  m->sessions = new_session(&m->pool);
  int status = !m->constants || !m->sessions ? FAULT_OUT_OF_MEMORY : prepare(m, m->sessions, transient);
  if (status) {
    ${name}_free(m);
    return told(error, status);
  }
  *model = m;
  return succeed(error);
}

/* Reads exactly so many bytes. */
static int read_part(FILE *file, char *to, i64 bytes) { return fread(to, 1, (size_t)bytes, file) == (size_t)bytes; }

static __attribute__((noinline)) int load_file(const char *path, int threads, ${name} **model, ${name}_error *error) {
  FILE *file = fopen(path, "rb");
  struct stat info;
  if (!file || fstat(fileno(file), &info) || !S_ISREG(info.st_mode)) {
    int reason = errno;
    int is_open = file != 0;
    if (file) fclose(file);
    return fail(error, ${code('BAD_FILE')}, "'%.500s' cannot be read: %s", path, is_open ? "it is no file" : strerror(reason));
  }
  if (info.st_size != RESIDENT_BYTES + TRANSIENT_BYTES) {
    fclose(file);
    return wrong_size(error, info.st_size);
  }
  char *resident = aligned_memory(RESIDENT_BYTES), *transient = aligned_memory(TRANSIENT_BYTES);
  int code = ${code('OK')};
  if (!resident || !transient) code = no_memory(error, RESIDENT_BYTES + TRANSIENT_BYTES);
  else if (!read_part(file, resident, RESIDENT_BYTES) || !read_part(file, transient, TRANSIENT_BYTES))
    code = fail(error, ${code('BAD_FILE')}, "'%.500s' cannot be read to its end", path);
  else code = check_weights(resident, transient, error);
  fclose(file);
  if (code) free(resident);
  else code = make_model(resident, transient, resident, threads, model, error);
  free(transient);
  return code;
}

static __attribute__((noinline)) int use_memory(const char *weights, i64 bytes, int threads, ${name} **model, ${name}_error *error) {
  if ((uintptr_t)weights % 8) return fail(error, ${code('BAD_ARGUMENT')}, "the address of the weights must be a multiple of 8");
  if (bytes != RESIDENT_BYTES + TRANSIENT_BYTES) return wrong_size(error, bytes);
  int code = check_weights(weights, weights + RESIDENT_BYTES, error);
  return code ? code : make_model(weights, weights + RESIDENT_BYTES, 0, threads, model, error);
}

/* The name of an instruction set that the processor lacks, or NULL. Compiled without them, as is whoever calls it first. */
BASELINE static const char *missing_feature(void) {
#ifdef NEEDS_FEATURES
  __builtin_cpu_init();
#define NEEDS(feature) if (!__builtin_cpu_supports(feature)) return feature;
  NEEDS_FEATURES
#undef NEEDS
#endif
  return 0;
}

BASELINE static int check_load(int has_weights, ${name} **model, ${name}_error *error) {
  const char *feature = missing_feature();
  if (feature) return fail(error, ${code('BAD_PROCESSOR')}, "this library was compiled for " TARGET_NAME ", and this processor has no %s", feature);
  if (!model || !has_weights) return fail(error, ${code('BAD_ARGUMENT')}, "weights and model must not be NULL");
  *model = 0;
  return ${code('OK')};
}

BASELINE int ${name}_load(const char *path, int threads, ${name} **model, ${name}_error *error) {
  int code = check_load(path != 0, model, error);
  return code ? code : load_file(path, threads, model, error);
}

BASELINE int ${name}_load_memory(const void *weights, size_t bytes, int threads, ${name} **model, ${name}_error *error) {
  int code = check_load(weights != 0, model, error);
  return code ? code : use_memory(weights, (i64)bytes, threads, model, error);
}

void ${name}_free(${name} *model) {
  if (!model) return;
  pthread_mutex_lock(&model->lock);
  while (model->runs > 0) pthread_cond_wait(&model->idle, &model->lock);
  pthread_mutex_unlock(&model->lock);
  end_threads(&model->pool);
  while (model->sessions) {
    session *s = model->sessions;
    model->sessions = s->next;
    free_session(s);
  }
  pthread_cond_destroy(&model->pool.wake);
  pthread_mutex_destroy(&model->pool.lock);
  pthread_cond_destroy(&model->idle);
  pthread_mutex_destroy(&model->lock);
  free(model->constants);
  free(model->own_weights);
  free(model);
}

/* -- Running ----------------------------------------------------------------------------------------------------------------- */

static session *take_session(${name} *m) {
  pthread_mutex_lock(&m->lock);
  session *s = m->sessions;
  if (s) m->sessions = s->next;
  m->runs++;
  pthread_mutex_unlock(&m->lock);
  return s ? s : new_session(&m->pool);
}

static void give_back(${name} *m, session *s) {
  pthread_mutex_lock(&m->lock);
  if (s) s->next = m->sessions, m->sessions = s;
  if (--m->runs == 0) pthread_cond_broadcast(&m->idle);
  pthread_mutex_unlock(&m->lock);
}

static const int element_bytes[] = { ELEMENT_BYTES };

static int check_buffer(const char *kind, const ${name}_info *info, const void *data, size_t bytes, ${name}_error *error) {
  if (bytes != info->bytes)
    return fail(error, ${code('BAD_ARGUMENT')}, "%s '%.200s' has %zu bytes, this shape takes %zu", kind, info->name, bytes, info->bytes);
  if (!data && bytes > 0) return fail(error, ${code('BAD_ARGUMENT')}, "%s '%.200s' is NULL", kind, info->name);
  if ((uintptr_t)data % (uintptr_t)element_bytes[info->dtype])
    return fail(error, ${code('BAD_ARGUMENT')}, "the address of %s '%.200s' must be a multiple of %d", kind, info->name, element_bytes[info->dtype]);
  return ${code('OK')};
}

int ${name}_run(${name} *model, int shape, const ${name}_source *inputs, const ${name}_target *outputs, ${name}_error *error) {
  if (!model || !inputs || !outputs) return fail(error, ${code('BAD_ARGUMENT')}, "model, inputs and outputs must not be NULL");
  if (shape < 0 || shape >= SHAPES)
    return fail(error, ${code('UNKNOWN_SHAPE')}, "there is no shape %d; this model was compiled for %.800s", shape, KNOWN_SHAPES);
  const plan *p = &plans[shape];
  for (int i = 0; i < INPUTS; i++) {
    int code = check_buffer("input", &p->inputs[i], inputs[i].data, inputs[i].bytes, error);
    if (code) return code;
  }
  for (int i = 0; i < OUTPUTS; i++) {
    int code = check_buffer("output", &p->outputs[i], outputs[i].data, outputs[i].bytes, error);
    if (code) return code;
  }
  session *s = take_session(model);
  const places where = { model->resident, 0, model->constants, inputs, outputs };
  int status = s ? run_in(s, &p->main, s->codes[shape], &where) : FAULT_OUT_OF_MEMORY;
  give_back(model, s);
  return told(error, status);
}

/* -- What the model is ------------------------------------------------------------------------------------------------------- */

int ${name}_abi(void) { return ${name.toUpperCase()}_ABI; }
int ${name}_input_count(void) { return INPUTS; }
int ${name}_output_count(void) { return OUTPUTS; }
int ${name}_shape_count(void) { return SHAPES; }

const ${name}_info *${name}_input(int shape, int index) {
  return shape < 0 || shape >= SHAPES || index < 0 || index >= INPUTS ? 0 : &plans[shape].inputs[index];
}

const ${name}_info *${name}_output(int shape, int index) {
  return shape < 0 || shape >= SHAPES || index < 0 || index >= OUTPUTS ? 0 : &plans[shape].outputs[index];
}

int ${name}_find_shape(const int64_t *sizes, int count, ${name}_error *error) {
  for (int shape = 0; shape < SHAPES && sizes; shape++) {
    int at = 0, fits = 1;
    for (int i = 0; i < INPUTS && fits; i++) {
      const ${name}_info *info = &plans[shape].inputs[i];
      for (int axis = 0; axis < info->rank && fits; axis++, at++) fits = at < count && sizes[at] == info->shape[axis];
    }
    if (fits && at == count) {
      succeed(error);
      return shape;
    }
  }
  fail(error, ${code('UNKNOWN_SHAPE')}, "the model was not compiled for these sizes, but for %.900s", KNOWN_SHAPES);
  return -1;
}

const char *${name}_metadata(const char *key) {
  for (const metadata_entry *e = metadata; key && e->key; e++) if (strcmp(e->key, key) == 0) return e->text;
  return 0;
}
`
}
