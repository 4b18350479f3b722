/**
 * Graphs of programs that were submitted are garbage. V8 collects it when its young generation is full, which is in the middle of a recording, or
 * of a plan, whose thousands of nodes are alive then and are moved: 5 to 8 ms. Here it is asked to sooner, behind the submission, when the device
 * computes, the caller waits, and next to nothing is alive.
 */
import { collectYoung } from '../young-collection.ts'

/** Recorded nodes between collections: about 3 MB of the 16 that V8 gives to young objects. */
const MOST_NODES = 2048
/** Planning a node makes as much garbage as recording so many. */
const PLANNED = 3

let nodesSince = 0
let isDue = false

/** Notes a recorded program that was submitted; `isPlanned`: a plan was made for it. */
export function noteSubmitted(nodes: number, isPlanned: boolean): void {
  nodesSince += isPlanned ? (1 + PLANNED) * nodes : nodes
  if (nodesSince < MOST_NODES || isDue) return
  isDue = true
  setImmediate(() => {
    isDue = false
    nodesSince = 0
    collectYoung()
  })
}
