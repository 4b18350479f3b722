/**
 * The recording: what was recorded and not yet submitted. Writes wait here in order; outputs of outermost layers, losses and metric
 * inputs are kept as roots of the next plan, so that reading them after a step gives the value from before it.
 */
import { numel } from '../common/shape.ts'
import { recordingMark, topologicalOrder, type Node } from '../graph/node.ts'
import type { Storage } from '../graph/storage.ts'
import { currentTracer } from './tracer.ts'

/** Something with a current node: a Tensor. */
export interface NodeHolder {
  readonly node: Node
}

/** Storages with pending values. An array: sets that lose entries all the time leave chains of tables behind, which only thorough collections free. */
let writes: Storage[] = []
let kept: WeakRef<NodeHolder>[] = []
let lastFlush = 0

/** Recordings longer than this are submitted without being asked for: the tensors made among the last `watchedNodes`. */
const maxRecordedNodes = 20_000
const watchedNodes = 4096
/** 1 GiB of float32: what has more is computed when it is read, never before. */
const maxFlushedElements = 2 ** 28
let watched: Node[] = []

export function recordWrite(storage: Storage, value: Node): void {
  if (storage.pending.push(value) === 1) writes.push(storage)
}

/** Makes a tensor a root of the next plan that overwrites anything. */
export function keepForNextWrite(tensor: NodeHolder): void {
  if (currentTracer()) return
  kept.push(new WeakRef(tensor))
  if (kept.length > 4096) kept = kept.filter((r) => r.deref() !== undefined)
}

let keepsOutputs = true
let outputsAsked = false

/** Keeps what a layer returned to the program. */
export function keepOutput(tensor: NodeHolder): void {
  outputsAsked = true
  if (keepsOutputs) keepForNextWrite(tensor)
}

/** Runs `body`, in which no output of a layer is kept; says whether there was one to keep. */
export function withoutKeptOutputs<T>(body: () => T): { readonly result: T; readonly asked: boolean } {
  const before = [keepsOutputs, outputsAsked] as const
  keepsOutputs = outputsAsked = false
  try {
    return { result: body(), asked: outputsAsked }
  } finally {
    ;[keepsOutputs, outputsAsked] = [before[0], before[1] || outputsAsked]
  }
}

/** Takes back the last recorded write of a storage, as if it had not been recorded. */
export function withdrawWrite(storage: Storage): void {
  storage.pending.pop()
  if (storage.pending.length === 0) writes = writes.filter((w) => w !== storage)
}

/** Something that holds a gradient: a variable. */
export interface GradientHolder {
  readonly grad: NodeHolder | null
}

let gradientHolders: WeakRef<GradientHolder>[] = []

/** Called when a variable gets a gradient where it had none. */
export function recordGradient(holder: GradientHolder): void {
  gradientHolders.push(new WeakRef(holder))
  if (gradientHolders.length > 4096) gradientHolders = gradientHolders.filter((r) => r.deref()?.grad)
}

/**
 * Keeps the gradients of all variables but `own` for the write that comes: of two optimizers that share a loss, the second one still
 * finds its gradients after the first one's step.
 */
export function keepOtherGradients(own: ReadonlySet<GradientHolder>): void {
  const others = new Set<GradientHolder>()
  for (const r of gradientHolders) {
    const holder = r.deref()
    if (holder?.grad && !own.has(holder)) others.add(holder)
  }
  for (const holder of others) keepForNextWrite(holder.grad!)
  gradientHolders = [...others].map((holder) => new WeakRef(holder))
}

export function pendingWrites(): Storage[] {
  return [...writes]
}

/** Nodes of the kept tensors that are still alive and unrealised. */
export function keptNodes(): Node[] {
  return kept.flatMap((r) => {
    const node = r.deref()?.node
    return node && node.storage === null && node.op !== 'buffer' ? [node] : []
  })
}

/** Called with writes that have been submitted: the storages hold their latest versions from now on. */
export function settleWrites(storages: readonly Storage[]): void {
  for (const storage of storages) {
    storage.version = storage.latest
    // Emptied, not replaced: a discarded array that has grown old would keep the step's graph alive until a major collection. One by one, since V8
    // sets lengths in its runtime, which takes longer than the few that there are.
    while (storage.pending.length > 0) storage.pending.pop()
  }
  writes = writes.filter((w) => w.pending.length > 0)
}

/** Called once everything has been submitted; with writes among it, what was kept for them has been computed. */
export function clearRecording(withWrites: boolean): void {
  if (withWrites) kept.length = 0
  lastFlush = recordingMark()
  watched = []
}

let isAside = false

/**
 * Runs `body`, which records what plans of its own will submit, over inputs that have no values yet: nothing of it is submitted because the
 * recording has grown long, or kept for the next write, and it does not make the recording around it longer.
 */
export function recordAside<T>(body: () => T): T {
  const before = [isAside, recordingMark()] as const
  isAside = true
  try {
    return withoutKeptOutputs(body).result
  } finally {
    isAside = before[0]
    lastFlush = Math.min(recordingMark(), lastFlush + recordingMark() - before[1])
  }
}

/** Number of nodes recorded since the last submission; nothing is submitted from the middle of a trace. */
export function recordedNodes(): number {
  return currentTracer() ? 0 : recordingMark() - lastFlush
}

/**
 * Called with the node of each new tensor. Where the recording has grown too long, gives what to submit: of the tensors made of late those
 * that no other one is computed from, so that every chain that goes on is cut.
 */
export function noteTensor(node: Node): readonly Node[] {
  if (isAside) return []
  const length = recordedNodes()
  if (length <= maxRecordedNodes - watchedNodes) return []
  watched.push(node)
  if (length <= maxRecordedNodes) return []
  const ends = endsOf(watched)
  watched = []
  lastFlush = recordingMark() - (maxRecordedNodes - watchedNodes)
  return ends
}

/**
 * Nodes that can be computed (the body of a loop cannot, outside it) and that none of the others needs. What goes through a giant is left
 * alone: nobody has asked for it yet, and it may be there for its shape only.
 */
function endsOf(nodes: readonly Node[]): Node[] {
  const used = new Set<Node>()
  const excluded = new Set<Node>()
  for (const n of topologicalOrder(nodes)) {
    if (n.op === 'param' || numel(n.shape) > maxFlushedElements || n.sources.some((s) => excluded.has(s)))
      excluded.add(n)
    for (const s of n.sources) used.add(s)
  }
  return nodes.filter((n) => n.storage === null && n.op !== 'buffer' && !used.has(n) && !excluded.has(n))
}
