/**
 * Memory that all threads of a process share, part of the native runtime: weights as they are in files, found by what they hold, and what is
 * computed from them, found by a key. It is written before others can find it and never after; it is freed when the last of those who hold
 * it lets go, or when the thread of JavaScript that holds it ends (addon.c.ts).
 */
export const sharedMemorySource = String.raw`
/* -- Memory that threads share ------------------------------------------------------------------------------------------------- */

enum { SHARED_HEADER = 64, SHARED_BUCKETS = 4096 };

/* In front of the memory itself, which follows at the next boundary of 64 bytes. */
typedef struct shared {
  struct shared *next;
  u64 hash;
  char *key; /* NULL: found by contents */
  i64 bytes;
  double serial; /* never used again in this process */
  int references, listed;
  struct alias *alias; /* a second key; NULL: none */
} shared;

typedef struct alias { struct alias *next; u64 hash; char *key; shared *of; } alias;

_Static_assert(sizeof(shared) <= SHARED_HEADER, "the header of shared memory is too large");

static struct {
  shared *buckets[SHARED_BUCKETS];
  alias *aliases[SHARED_BUCKETS];
  double serials, count, bytes;
  pthread_mutex_t lock;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* What one environment holds: one entry a reference. */
typedef struct { shared **entries; i64 count, capacity; } holder;
static _Thread_local holder *self;

static char *memory_of(shared *s) { return (char *)s + SHARED_HEADER; }
static shared *shared_at(i64 address) { return (shared *)(intptr_t)(address - SHARED_HEADER); }
static i64 address_of(shared *s) { return s ? (i64)(intptr_t)memory_of(s) : 0; }

/* Contents are hashed from their beginning, in parts of whole blocks of 32 bytes but for the last. */
typedef struct { u64 lanes[4]; i64 count; } hash_state;

static const u64 HASH_ODD = 0x9e3779b97f4a7c15u;

static hash_state hash_begin(void) { return (hash_state){ { 1, 2, 3, 4 }, 0 }; }

static void hash_part(hash_state *state, const char *bytes, i64 count) {
  u64 last[4] = { 0 };
  for (i64 i = 0; i < count; i += 32) {
    const i64 left = count - i;
    u64 words[4];
    if (left >= 32) memcpy(words, bytes + i, 32);
    else {
      memcpy(last, bytes + i, (size_t)left);
      memcpy(words, last, 32);
    }
    for (int k = 0; k < 4; k++) {
      state->lanes[k] = (state->lanes[k] ^ words[k]) * HASH_ODD;
      state->lanes[k] ^= state->lanes[k] >> 29;
    }
  }
  state->count += count;
}

static u64 hash_end(const hash_state *state) {
  u64 hash = (u64)state->count * HASH_ODD;
  for (int k = 0; k < 4; k++) hash = (hash ^ state->lanes[k]) * HASH_ODD, hash ^= hash >> 32;
  return hash;
}

/* Equal contents have equal hashes; others are told apart by comparing them. */
static u64 hash_contents(const char *bytes, i64 count) {
  hash_state state = hash_begin();
  hash_part(&state, bytes, count);
  return hash_end(&state);
}

/* As many bits as a float64 holds: tells damage, not malice. */
static double checksum_of(u64 hash) { return (double)(hash >> 11); }

double longzhou_checksum(i64 address, i64 bytes) { return checksum_of(hash_contents((const char *)(intptr_t)address, bytes)); }

/* Reads a part of a file into memory; the checksum of what was read, -1 where it cannot be read whole. */
double longzhou_read_file(const char *path, double offset, i64 target, i64 bytes) {
  enum { PART = 1 << 18 };
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  hash_state state = hash_begin();
  char *to = (char *)(intptr_t)target;
  i64 done = 0;
  while (done < bytes) {
    /* Whole parts, so that each is hashed while it lies in a cache. */
    const i64 part = bytes - done < PART ? bytes - done : PART;
    i64 had = 0;
    while (had < part) {
      ssize_t got = pread(file, to + done + had, (size_t)(part - had), (off_t)offset + done + had);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      had += got;
    }
    if (had < part) break;
    hash_part(&state, to + done, part);
    done += part;
  }
  close(file);
  return done < bytes ? -1 : checksum_of(hash_end(&state));
}

static u64 hash_key(const char *key, i64 bytes) { return hash_contents(key, (i64)strlen(key)) + (u64)bytes; }

/* With the lock. */
static shared *lookup(u64 hash, i64 bytes, const char *key) {
  for (shared *s = registry.buckets[hash % SHARED_BUCKETS]; s; s = s->next) {
    if (s->hash == hash && s->bytes == bytes && (key ? s->key && !strcmp(s->key, key) : !s->key)) return s;
  }
  for (alias *a = key ? registry.aliases[hash % SHARED_BUCKETS] : 0; a; a = a->next) {
    if (a->hash == hash && a->of->bytes == bytes && !strcmp(a->key, key)) return a->of;
  }
  return 0;
}

/* The bytes that are mapped for so much memory; 0: it is too small for pages of its own. A last page of which little would be used stays small ones. */
static i64 mapped_bytes(i64 bytes) {
  if (bytes < LARGE_PAGE) return 0;
  const i64 large = whole_pages(bytes, LARGE_PAGE);
  return large - bytes <= bytes / 6 ? large : whole_pages(bytes, SMALL_PAGE);
}

/* Weights are read from one end to the other, for which large pages are best; an allocator would hand out some that were small before. */
static shared *allocate_pages(i64 bytes) {
  const i64 size = mapped_bytes(bytes);
  return size > 0 ? (shared *)map_pages(size) : aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
}

static void free_pages(shared *s) {
  const i64 size = mapped_bytes(SHARED_HEADER + s->bytes);
  if (size > 0) munmap(s, (size_t)size);
  else free(s);
}

/* With the lock. */
static void drop(shared *s) {
  if (--s->references > 0) return;
  if (s->listed) {
    shared **at = &registry.buckets[s->hash % SHARED_BUCKETS];
    while (*at != s) at = &(*at)->next;
    *at = s->next;
  }
  if (s->alias) {
    alias **at = &registry.aliases[s->alias->hash % SHARED_BUCKETS];
    while (*at != s->alias) at = &(*at)->next;
    *at = s->alias->next;
    free(s->alias->key);
    free(s->alias);
  }
  registry.count--;
  registry.bytes -= (double)s->bytes;
  free(s->key);
  free_pages(s);
}

/* Whether this environment could take note of one more reference that it holds. */
static int can_hold(void) {
  if (!self) self = calloc(1, sizeof *self);
  if (!self) return 0;
  if (self->count < self->capacity) return 1;
  i64 capacity = self->capacity ? 2 * self->capacity : 64;
  shared **entries = realloc(self->entries, (size_t)capacity * sizeof *entries);
  if (!entries) return 0;
  self->entries = entries;
  self->capacity = capacity;
  return 1;
}

/* With the lock, after can_hold. */
static shared *hold(shared *s) {
  s->references++;
  self->entries[self->count++] = s;
  return s;
}

static shared *take(u64 hash, i64 bytes, const char *key) {
  if (!can_hold()) return 0;
  pthread_mutex_lock(&registry.lock);
  shared *s = lookup(hash, bytes, key);
  if (s) hold(s);
  pthread_mutex_unlock(&registry.lock);
  return s;
}

static shared *allocate_shared(i64 bytes) {
  if (!can_hold()) return 0;
  shared *s = allocate_pages(SHARED_HEADER + bytes);
  if (!s) return 0;
  memset(s, 0, SHARED_HEADER);
  s->bytes = bytes;
  pthread_mutex_lock(&registry.lock);
  s->serial = ++registry.serials;
  registry.count++;
  registry.bytes += (double)bytes;
  hold(s);
  pthread_mutex_unlock(&registry.lock);
  return s;
}

/* With the lock: lists what nobody could find until now. */
static void list(shared *s, u64 hash, char *key) {
  s->hash = hash;
  s->key = key;
  s->listed = 1;
  s->next = registry.buckets[hash % SHARED_BUCKETS];
  registry.buckets[hash % SHARED_BUCKETS] = s;
}

void longzhou_shared_release(i64 address) {
  shared *s = shared_at(address);
  for (i64 i = self ? self->count - 1 : -1; i >= 0; i--) {
    if (self->entries[i] != s) continue;
    self->entries[i] = self->entries[--self->count];
    pthread_mutex_lock(&registry.lock);
    drop(s);
    pthread_mutex_unlock(&registry.lock);
    return;
  }
}

/* Memory that holds the same as this: what is there already, or a copy. 0 where there is no memory left. */
i64 longzhou_shared_copy(i64 source, i64 bytes) {
  const char *from = (const char *)(intptr_t)source;
  const u64 hash = hash_contents(from, bytes);
  shared *known = take(hash, bytes, 0);
  if (known && !memcmp(memory_of(known), from, (size_t)bytes)) return address_of(known);
  if (known) longzhou_shared_release(address_of(known));
  shared *own = allocate_shared(bytes);
  if (!own) return 0;
  memcpy(memory_of(own), from, (size_t)bytes);
  /* Another thread may have brought the same meanwhile. */
  int twice = 0;
  if (!can_hold()) return address_of(own);
  pthread_mutex_lock(&registry.lock);
  known = lookup(hash, bytes, 0);
  twice = known && !memcmp(memory_of(known), from, (size_t)bytes);
  if (twice) hold(known);
  else list(own, hash, 0);
  pthread_mutex_unlock(&registry.lock);
  if (!twice) return address_of(own);
  longzhou_shared_release(address_of(own));
  return address_of(known);
}

/* What was published under a key; 0 where nothing was. */
i64 longzhou_shared_find(const char *key, i64 bytes) { return address_of(take(hash_key(key, bytes), bytes, key)); }

/* As the next, with anything in it. */
i64 longzhou_shared_reserve(i64 bytes) { return address_of(allocate_shared(bytes)); }

/* Memory of zeros that nobody else finds before it is published. 0 where there is no memory left. */
i64 longzhou_shared_allocate(i64 bytes) {
  shared *s = allocate_shared(bytes);
  if (s) memset(memory_of(s), 0, (size_t)bytes);
  return address_of(s);
}

/* Lets others find memory, which nobody writes any more. Where somebody was faster with the same key, his is what counts and this is let go. */
i64 longzhou_shared_publish(i64 address, const char *key) {
  shared *own = shared_at(address), *known = 0;
  const u64 hash = hash_key(key, own->bytes);
  char *copy = strdup(key);
  if (!copy || !can_hold()) {
    free(copy);
    return address;
  }
  pthread_mutex_lock(&registry.lock);
  known = lookup(hash, own->bytes, key);
  if (known) hold(known);
  else list(own, hash, copy);
  pthread_mutex_unlock(&registry.lock);
  if (!known) return address;
  free(copy);
  longzhou_shared_release(address);
  return address_of(known);
}

/* Lets others find memory that is listed under one more key. What has two keys, or a key that something else has, stays as it is. */
void longzhou_shared_alias(i64 address, const char *key) {
  shared *own = shared_at(address);
  alias *a = malloc(sizeof *a);
  char *copy = strdup(key);
  pthread_mutex_lock(&registry.lock);
  const u64 hash = hash_key(key, own->bytes);
  int fits = a && copy && own->listed && !own->alias && !lookup(hash, own->bytes, key);
  if (fits) {
    alias **first = &registry.aliases[hash % SHARED_BUCKETS];
    *a = (alias){ *first, hash, copy, own };
    own->alias = *first = a;
  }
  pthread_mutex_unlock(&registry.lock);
  if (fits) return;
  free(a);
  free(copy);
}

/* A number that no other shared memory of the process has or had. */
double longzhou_shared_serial(i64 address) { return shared_at(address)->serial; }

static double registered(const double *value) {
  pthread_mutex_lock(&registry.lock);
  double now = *value;
  pthread_mutex_unlock(&registry.lock);
  return now;
}

double longzhou_shared_count(void) { return registered(&registry.count); }
double longzhou_shared_bytes(void) { return registered(&registry.bytes); }
`
