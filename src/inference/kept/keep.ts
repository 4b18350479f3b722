/** Keeps what a session has prepared, for processes to come. It is not told when that fails: they prepare it for themselves. */
import { createHash } from 'node:crypto'
import type { DeviceBuffer } from '../../graph/storage.ts'
import type { FileTrace } from '../../io/file-trace.ts'
import type { Shape } from '../../common/shape.ts'
import { CpuBackend } from '../../runtime/cpu/backend.ts'
import { cpuBuffer, cpuMachine } from '../../runtime/cpu/machine.ts'
import { SharedBuffer } from '../../runtime/cpu/shared-memory.ts'
import { buffersOf, type Plan } from '../../schedule/plan.ts'
import { backendOf } from '../../tensor/device.ts'
import type { PreparedParts } from '../../tensor/prepared.ts'
import type { EngineOptions } from '../engine.ts'
import { keyOf, type Leaf, type Piece } from './kept-run.ts'
import type { KeptModel, KeptModels, Ports } from './store.ts'

export interface Keeper {
  /** Called once for each choice of shapes, when it has run. The memory of its parts must stay until `finished`. */
  keep(ports: Ports, shapes: readonly Shape[], parts: PreparedParts): void
  /** Ends when nothing is being kept. */
  finished(): Promise<void>
}

export function keeperOf(models: KeptModels, model: string, files: FileTrace, options: EngineOptions): Keeper {
  let place: Promise<KeptModel | null> | null = null
  // One after another: each finds the pieces of those before it.
  let last: Promise<void> = Promise.resolve()
  return {
    keep: (ports, shapes, parts) => {
      last = last.then(async () => {
        const kept = await (place ??= models.make(model, files, ports))
        if (kept) await keep(kept, shapes, parts, options)
      })
      last = last.catch(() => {})
    },
    finished: () => last,
  }
}

async function keep(model: KeptModel, shapes: readonly Shape[], parts: PreparedParts, options: EngineOptions) {
  const backend = backendOf('cpu')
  if (!(backend instanceof CpuBackend)) return
  const kernels = backend.stored(parts.kernels, options)
  // What cannot be found on disk is of no use to others.
  if (kernels.some((k) => k.identity.file === '')) return
  const known = model.knownPieces()
  const read = leavesOf(parts.plan)
  const pieces: Piece[] = []
  const files: string[] = []
  const fresh: Uint8Array[] = []
  const numbers = new Map<string, number>()
  let end = 0

  const fileNumber = (name: string): number => (files.includes(name) ? files.indexOf(name) : files.push(name) - 1)
  const name = `${process.pid}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}.weights`
  const pieceOf = (buffer: DeviceBuffer): number => {
    const memory = cpuBuffer(buffer)
    const bytes = memory instanceof SharedBuffer ? memory.inPlace() : memory.view
    const digest = createHash('sha256').update(bytes).digest('hex')
    // Predictors of other threads that come later find it here, and need no copy from the file.
    if (memory instanceof SharedBuffer) cpuMachine().shared.alias(memory, keyOf(digest))
    const place = numbers.get(digest)
    if (place !== undefined) return place
    const before = known.get(digest)
    const piece: Piece = before
      ? { ...before.piece, file: fileNumber(before.file) }
      : {
          digest,
          checksum: cpuMachine().native.checksum(memory.address, memory.bytes),
          bytes: memory.bytes,
          file: fileNumber(name),
          offset: end,
        }
    if (!before) {
      fresh.push(bytes)
      end += bytes.length
    }
    numbers.set(digest, pieces.length)
    return pieces.push(piece) - 1
  }
  const leaves: Leaf[] = []
  for (const [i, leaf] of parts.leaves.entries()) {
    if (!read.has(i)) leaves.push(null)
    else if ('input' in leaf) leaves.push({ input: leaf.input })
    else leaves.push({ piece: pieceOf(leaf.buffer) })
    // Hashing large weights takes a while; whoever serves is not to wait for all of it.
    if (i % 16 === 15) await new Promise(setImmediate)
  }
  if (fresh.length > 0 && !(await model.writePieces(name, fresh))) return
  const { plan, scalars, outputs } = parts
  await model.write(shapes, { plan, kernels, leaves, scalars, outputs, pieces, files })
}

/** Numbers of the leaves that launches of a plan name. */
function leavesOf(plan: Plan): Set<number> {
  return new Set(buffersOf(plan).flatMap((r) => (r.space === 'leaf' ? [r.slot] : [])))
}
