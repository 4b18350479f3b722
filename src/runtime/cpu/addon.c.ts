/**
 * The native runtime as an addon of Node's, built without its headers: what only Node knows, or has to be told.
 *
 * Node runs a thread of JavaScript as an environment. What an environment holds of shared memory is let go when it ends, however that happens: Node
 * calls the hook that is set here, also where a worker is terminated and no JavaScript runs any more, and before the memory of that worker goes.
 * Runs that work on that memory are waited for. The executor tells an environment of the end of a run that it waits for, without another thread
 * between the two, which would have to be woken as well; and the collector is told what hangs on its objects.
 */
export const addonSource = String.raw`
/* -- Functions of Node-API, which are there where Node is ----------------------------------------------------------------------- */

static struct {
  int (*add_env_cleanup_hook)(void *env, void (*hook)(void *), void *argument);
  int (*create_function)(void *env, const char *name, size_t length, void *(*body)(void *, void *), void *data, void **result);
  int (*set_named_property)(void *env, void *object, const char *name, void *value);
  int (*get_cb_info)(void *env, void *info, size_t *count, void **arguments, void **receiver, void **data);
  int (*get_value_int64)(void *env, void *value, i64 *result);
  int (*create_double)(void *env, double value, void **result);
  int (*create_string_utf8)(void *env, const char *text, size_t length, void **result);
  int (*adjust_external_memory)(void *env, i64 change, i64 *now);
  int (*create_threadsafe_function)(void *env, void *function, void *resource, void *name, size_t most_queued, size_t threads, void *data,
                                    void *finalize, void *context, void *call, void **result);
  int (*call_threadsafe_function)(void *function, void *data, int mode);
  int (*ref_threadsafe_function)(void *env, void *function);
  int (*unref_threadsafe_function)(void *env, void *function);
} node;

static int find_node(void) {
  static const struct { void **at; const char *name; } functions[] = {
    { (void **)&node.add_env_cleanup_hook, "napi_add_env_cleanup_hook" },
    { (void **)&node.create_function, "napi_create_function" },
    { (void **)&node.set_named_property, "napi_set_named_property" },
    { (void **)&node.get_cb_info, "napi_get_cb_info" },
    { (void **)&node.get_value_int64, "napi_get_value_int64" },
    { (void **)&node.create_double, "napi_create_double" },
    { (void **)&node.create_string_utf8, "napi_create_string_utf8" },
    { (void **)&node.adjust_external_memory, "napi_adjust_external_memory" },
    { (void **)&node.create_threadsafe_function, "napi_create_threadsafe_function" },
    { (void **)&node.call_threadsafe_function, "napi_call_threadsafe_function" },
    { (void **)&node.ref_threadsafe_function, "napi_ref_threadsafe_function" },
    { (void **)&node.unref_threadsafe_function, "napi_unref_threadsafe_function" },
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *found = dlsym(RTLD_DEFAULT, functions[i].name);
    if (!found) return 0;
    __atomic_store_n(functions[i].at, found, __ATOMIC_RELAXED);
  }
  return 1;
}

/* The first argument of a function of JavaScript; NULL where there is none. */
static void *first_argument(void *env, void *info) {
  size_t count = 1;
  void *argument = 0;
  return !node.get_cb_info(env, info, &count, &argument, 0, 0) && count >= 1 ? argument : 0;
}

/* -- The end of runs ------------------------------------------------------------------------------------------------------------ */

/* A function of JavaScript that is called when a ticket has run; owner tells which thread it belongs to. */
typedef struct listener { struct listener *next; void *owner, *env, *function; i64 ticket; } listener;

static struct {
  listener *first;
  int waiting; /* how many of them wait for a ticket */
  pthread_mutex_t lock;
} listeners = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Calls those who wait for what has run. On any thread. */
static void tell_listeners(i64 finished) {
  if (__atomic_load_n(&listeners.waiting, __ATOMIC_SEQ_CST) == 0) return;
  pthread_mutex_lock(&listeners.lock);
  for (listener *l = listeners.first; l; l = l->next) {
    if (l->ticket == 0 || l->ticket > finished) continue;
    l->ticket = 0;
    __atomic_fetch_sub(&listeners.waiting, 1, __ATOMIC_SEQ_CST);
    node.call_threadsafe_function(l->function, 0, 0);
  }
  pthread_mutex_unlock(&listeners.lock);
}

/* Has the function called once, soon, when a ticket has run, and keeps the event loop alive until then; for ticket 0 there is nothing to wait for. */
void longzhou_listen(i64 handle, double ticket) {
  listener *l = (listener *)(intptr_t)handle;
  if (ticket > 0) node.ref_threadsafe_function(l->env, l->function);
  else node.unref_threadsafe_function(l->env, l->function);
  pthread_mutex_lock(&listeners.lock);
  __atomic_fetch_add(&listeners.waiting, (ticket > 0) - (l->ticket > 0), __ATOMIC_SEQ_CST);
  l->ticket = (i64)ticket;
  pthread_mutex_unlock(&listeners.lock);
  /* It may have run before the executor could see that somebody waits. */
  tell_listeners((i64)longzhou_finished());
}

/* listener(function): a function of JavaScript, which gives what longzhou_listen takes; 0 where there is no memory. */
static void *add_listener(void *env, void *info) {
  void *function = first_argument(env, info), *name, *handle = 0;
  listener *l = calloc(1, sizeof *l);
  if (l && !node.create_string_utf8(env, "longzhou", 8, &name)
      && !node.create_threadsafe_function(env, function, 0, name, 0, 1, 0, 0, 0, 0, &l->function)) {
    node.unref_threadsafe_function(env, l->function);
    l->owner = &self;
    l->env = env;
    pthread_mutex_lock(&listeners.lock);
    l->next = listeners.first;
    listeners.first = l;
    pthread_mutex_unlock(&listeners.lock);
  } else {
    free(l);
    l = 0;
  }
  node.create_double(env, (double)(intptr_t)l, &handle);
  return handle;
}

/* -- Environments ---------------------------------------------------------------------------------------------------------------- */

static void leave(void *argument) {
  holder *h = argument;
  longzhou_share_processor();
  pthread_mutex_lock(&listeners.lock);
  for (listener **at = &listeners.first, *l = *at; l; l = *at) {
    if (l->owner != &self) { at = &l->next; continue; }
    *at = l->next;
    if (l->ticket) __atomic_fetch_sub(&listeners.waiting, 1, __ATOMIC_SEQ_CST);
    free(l);
  }
  pthread_mutex_unlock(&listeners.lock);
  if (last_ticket > 0) longzhou_wait((double)last_ticket);
  pthread_mutex_lock(&registry.lock);
  for (i64 i = 0; i < h->count; i++) drop(h->entries[i]);
  pthread_mutex_unlock(&registry.lock);
  free(h->entries);
  free(h);
  self = 0;
}

/* weigh(bytes), a function of JavaScript: tells the collector how much more memory hangs on small objects, so that it looks for those that
   nobody has any more. The collector may run in it, so that it cannot be called on a stack of somebody else's, as the other functions are. */
static void *weigh(void *env, void *info) {
  void *argument = first_argument(env, info);
  i64 change = 0, now;
  if (argument && !node.get_value_int64(env, argument, &change)) node.adjust_external_memory(env, change, &now);
  return 0;
}

static void offer(void *env, void *exports, const char *name, void *(*body)(void *, void *)) {
  void *function;
  if (!node.create_function(env, name, strlen(name), body, 0, &function)) node.set_named_property(env, exports, name, function);
}

/* Node calls this for each environment, and again where one loads the library again. */
void *napi_register_module_v1(void *env, void *exports) {
  if (!find_node()) return exports;
  offer(env, exports, "weigh", weigh);
  if (!self && can_hold()) {
    pin();
    node.add_env_cleanup_hook(env, leave, self);
  }
  if (self) offer(env, exports, "listener", add_listener);
  return exports;
}
`
