/**
 * Where `jit.toStatic` listens while it records a function: what the function draws, overwrites, and which tensors it holds. One tracer
 * at a time; without one, each of these costs a null check.
 */
import { TraceError } from '../common/errors.ts'
import type { Node } from '../graph/node.ts'
import type { NodeHolder } from './session.ts'

export interface Tracer {
  /** Nodes that every run makes anew: random draws. `make` makes as many. */
  fresh(nodes: readonly Node[], make: () => readonly Node[]): void
  /** A tensor's node is looked at. */
  read(tensor: NodeHolder, node: Node): void
  /** An in-place write, instead of which the tracer takes note. */
  assign(tensor: NodeHolder, value: Node): void
  /** A layer is being called. */
  enter(layer: object): void
}

let tracer: Tracer | null = null

/** The tracer that listens now, or null. */
export function currentTracer(): Tracer | null {
  return tracer
}

/** Runs `body` with a tracer that listens, or with none, also when it throws. */
export function withTracer<T>(next: Tracer | null, body: () => T): T {
  const before = tracer
  tracer = next
  try {
    return body()
  } finally {
    tracer = before
  }
}

/** Makes nodes of a run, and tells the tracer to have them made anew with every replay. */
export function madeAnew<T extends readonly Node[]>(make: () => T): T {
  const nodes = make()
  tracer?.fresh(nodes, make)
  return nodes
}

/** Throws TraceError where a value is asked for while a function is only being recorded. */
export function checkNotTracing(what: string): void {
  if (tracer)
    throw new TraceError(
      `${what} while jit.toStatic records this function: there are no values yet. Mark the layer or function that needs them with jit.notToStatic`,
    )
}
