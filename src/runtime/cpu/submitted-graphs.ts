/**
 * Graphs of programs that were submitted are garbage. V8 collects it when its young generation is full, which is in the middle of a recording, or
 * of a plan, whose thousands of nodes are alive then and are moved: 5 to 8 ms. Here it is asked to sooner, behind the submission, when the device
 * computes, the caller waits, and next to nothing is alive.
 */
import { allocatedBytes, collectBuffers, FEW_NODES } from './memory.ts'

/** Recorded nodes between collections: about 3 MB of the 16 that V8 gives to young objects. */
const MOST_NODES = 2048
/** Planning a node makes as much garbage as recording so many. */
const PLANNED = 3

/**
 * Bytes of results, from before the program that was submitted, that are worth a collection. V8 comes by itself after 32 MB, in the middle of an
 * allocation, and the next result is made before the memory of the last ones is back. A collection takes 0.1 to 0.2 ms: as long as a program with small
 * results, but little beside one with large ones, which would write to memory that no cache holds.
 */
const MOST_BYTES = 24 << 20
const MOST_BESIDE_LARGE = 8 << 20
/** Bytes of a program's results from which on they are large. */
const LARGE_BYTES = 8 << 20

let nodesSince = 0
/** What had been allocated when the last program was submitted. */
let submittedBytes = 0
let isDue = false

/** Notes a recorded program that was submitted; `isPlanned`: a plan was made for it. */
export function noteSubmitted(nodes: number, isPlanned: boolean): void {
  nodesSince += isPlanned ? (1 + PLANNED) * nodes : nodes
  const { all, collected } = allocatedBytes()
  const own = all - submittedBytes
  const hasBytes = all - own - collected >= (own >= LARGE_BYTES ? MOST_BESIDE_LARGE : MOST_BYTES)
  submittedBytes = all
  if (hasBytes && nodes <= FEW_NODES && !isPlanned) collect(own)
  else if ((hasBytes || nodesSince >= MOST_NODES) && !isDue) {
    isDue = true
    setImmediate(() => collect(own))
  }
}

function collect(own: number): void {
  isDue = false
  nodesSince = 0
  collectBuffers(own)
}
