/**
 * From recorded nodes to values in memory: capture -> schedule -> generate -> compile or fetch -> plan memory -> run. Every door
 * (`data`, `item`, `realize`, a step) comes through here.
 */
import { sizeOf } from '../common/dtype.ts'
import { DeviceError, StaleTensorError, TraceError } from '../common/errors.ts'
import { numel } from '../common/shape.ts'
import { detach } from '../graph/build.ts'
import { handedOn, type Node } from '../graph/node.ts'
import { Storage } from '../graph/storage.ts'
import type { Backend } from '../runtime/backend.ts'
import { capture, type Capture } from '../schedule/capture.ts'
import { backendOf, getDevice } from './device.ts'
import { laneOf } from './lane.ts'
import { savedForGradient } from './saved.ts'
import { clearRecording, keptNodes, pendingWrites, settleWrites } from './session.ts'
import { checkNotTracing } from './tracer.ts'

/** A value that was asked for while an input that it depends on had none yet. */
export class PlaceReadError extends TraceError {
  readonly places: readonly Storage[]

  constructor(places: readonly Storage[]) {
    super('a value was read that depends on an input of the recording')
    this.places = places
  }
}

/** The storage that holds a node's value, or null while it is only recorded. */
export function storageOf(node: Node): Storage | null {
  if (node.storage) return node.storage
  const value = handedOn(node)
  return value && storageOf(value)
}

/** Whether a leaf's memory can be read as it is: nothing ever overwrites it. */
function isStable(node: Node): boolean {
  return node.op === 'buffer' && node.attributes.version === 0 && node.attributes.storage.latest === 0
}

/** The one device of a program; with nothing in it, the current one. */
function deviceOf({ program, writes }: Captured): string {
  const names = devicesOf(program, writes)
  if (names.length > 1)
    throw new DeviceError(`tensors on ${names.join(' and ')} meet in one computation; move them with .to(device)`)
  return names[0] ?? getDevice()
}

function devicesOf(program: Capture, writes: readonly Storage[]): string[] {
  return [...new Set([...program.leaves, ...writes].map((s) => s.device))]
}

/** Records that a storage now holds a node's value; the node forgets its past where autograd does not want it. */
function settle(node: Node, storage: Storage): void {
  node.storage = storage
  // What saved a result for its gradient finds it in memory, too.
  const result = node.op === 'output' ? handedOn(node) : null
  if (result && result.op !== 'buffer' && !result.storage) settle(result, storage)
  if (!node.needsGrad || node.released) node.sources = []
}

/**
 * Submits one plan (one for each device) that computes `wanted`, what is not stale of `optional`, and all writes recorded so far; of what is
 * wanted before its gradient is recorded, what that gradient will need stays in memory. Returns at once where the backend runs on its own; the values are there when the device's lane is through. Throws StaleTensorError, DeviceError,
 * ShapeError before anything changes. `isAwaited`: the caller does nothing but wait for it.
 */
export function submit(wanted: readonly Node[], optional: readonly Node[] = [], isAwaited = false): void {
  checkNotTracing('a value is read, or a step taken,')
  const writes = pendingWrites()
  const isMissing = (n: Node): boolean => storageOf(n) === null && !isStable(n)
  const kept = writes.length > 0 ? [...keptNodes(), ...optional] : optional
  const missing = wanted.filter(isMissing)
  const captured = captureWith([...missing, ...savedForGradient(missing)], kept.filter(isMissing), writes)
  if (captured.roots.length === 0 && writes.length === 0) return
  const places = captured.program.leaves.filter((leaf) => leaf.isPlace)
  if (places.length > 0) throw new PlaceReadError(places)
  const plans = devicesOf(captured.program, writes).length > 1 ? splitByDevice(captured) : [captured]
  const devices = plans.map(deviceOf)
  plans.forEach((plan, i) => run(plan, devices[i]!, isAwaited))
  clearRecording(writes.length > 0)
}

/** Roots and writes, and the program that computes them. */
interface Captured {
  readonly roots: readonly Node[]
  readonly writes: readonly Storage[]
  readonly program: Capture
}

function run({ roots, writes, program }: Captured, device: string, isAwaited: boolean): void {
  const backend = backendOf(device)
  const storages = program.targets.map((o) => o.write ?? allocate(backend, device, o.node, program.size))
  const leaves = program.leaves.map((l) => l.buffer)
  const buffers = storages.map((s) => (s.readers > 0 ? backend.allocate(s.bytes, program.size) : s.buffer))
  const fresh = buffers.filter((b, i) => program.targets[i]!.write?.buffer !== b)
  laneOf(backend).run(program, leaves, buffers, fresh, isAwaited)
  storages.forEach((s, i) => (s.buffer = buffers[i]!))
  settleWrites(writes)
  roots.forEach((r, i) => settle(r, storages[i]!))
}

/** Recordings on several devices that have nothing to do with each other: a program for each. */
function splitByDevice({ roots, writes }: Captured): Captured[] {
  const groups = new Map<string, { roots: Node[]; writes: Storage[] }>()
  const groupOf = (program: Capture, own: readonly Storage[]): { roots: Node[]; writes: Storage[] } => {
    const key = deviceOf({ roots: [], writes: own, program })
    const group = groups.get(key) ?? { roots: [], writes: [] }
    groups.set(key, group)
    return group
  }
  for (const root of roots) groupOf(capture([root], []), []).roots.push(root)
  for (const write of writes) groupOf(capture([], [write]), [write]).writes.push(write)
  return [...groups.values()].map((g) => ({ roots: g.roots, writes: g.writes, program: capture(g.roots, g.writes) }))
}

/**
 * The program of what is wanted and what is kept. A kept tensor that comes too late, since an earlier plan overwrote what it needs, is left
 * out: whoever reads it gets the error, not the step of another model.
 */
function captureWith(wanted: readonly Node[], kept: readonly Node[], writes: readonly Storage[]): Captured {
  const all = [...new Set([...wanted, ...kept])]
  try {
    return { roots: all, writes, program: capture(all, writes) }
  } catch (error) {
    if (!(error instanceof StaleTensorError) || kept.length === 0) throw error
  }
  const roots = [...new Set([...wanted, ...kept.filter(isFresh)])]
  return { roots, writes, program: capture(roots, writes) }
}

/** Whether a node can still be computed. */
function isFresh(node: Node): boolean {
  try {
    capture([node], [])
    return true
  } catch (error) {
    if (error instanceof StaleTensorError) return false
    throw error
  }
}

function allocate(backend: Backend, device: string, node: Node, nodes: number): Storage {
  const size = numel(node.shape)
  return new Storage(device, node.dtype, size, backend.allocate(size * sizeOf(node.dtype), nodes))
}

/**
 * The node to compute for reading a node's value: memory that is overwritten from time to time is copied through a node of its own, so
 * that the leaf itself still names that memory in the next plan.
 */
export function readable(node: Node): Node {
  return node.op === 'buffer' && node.storage === null && !isStable(node) ? detach(node) : node
}

/** Bytes of a node's value as it is now, whatever is overwritten before they arrive: the caller's own copy. */
export async function readNode(node: Node): Promise<Uint8Array> {
  const storage = computed(node)
  storage.readers++
  try {
    return (await laneOf(backendOf(storage.device)).read(storage.buffer)).slice()
  } finally {
    storage.readers--
  }
}

/** As `readNode`, for devices that can block the JS thread. */
export function readNodeSync(node: Node): Uint8Array {
  const storage = computed(node)
  return laneOf(backendOf(storage.device)).readSync(storage.buffer).slice()
}

/** The storage of a node's value, which is submitted if it is only recorded. */
function computed(node: Node): Storage {
  const wanted = readable(node)
  submit([wanted], [], true)
  const storage = storageOf(wanted) ?? (wanted.op === 'buffer' ? wanted.attributes.storage : unreachable())
  if (storage.isPlace) throw new PlaceReadError([storage])
  return storage
}

function unreachable(): never {
  throw new DeviceError('a submitted value has no storage')
}
