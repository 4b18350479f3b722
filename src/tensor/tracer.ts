/**
 * Where `jit.toStatic` listens while it records a function: what the function draws, overwrites, and which tensors it holds. One tracer
 * at a time; without one, each of these costs a null check.
 */
import { TraceError } from '../common/errors.ts'
import type { Node } from '../graph/node.ts'
import type { NodeHolder } from './session.ts'

/** A function of the public API, as the operator of Paddle's vocabulary that it is: see `io/formats/program`. */
export interface OperatorNote {
  /** Operands by slot. */
  readonly inputs: Readonly<Record<string, NodeHolder | readonly NodeHolder[] | null | undefined>>
  readonly attributes?: Readonly<Record<string, OperatorAttribute>>
  /** Where it stands inside of the layer that runs, for messages. */
  readonly place?: string
}
export type OperatorAttribute =
  boolean | number | bigint | string | readonly boolean[] | readonly (number | bigint)[] | readonly string[]

export interface Tracer {
  /** Nodes that every run makes anew: random draws. `make` makes as many. */
  fresh(nodes: readonly Node[], make: () => readonly Node[]): void
  /** A tensor's node is looked at. */
  read(tensor: NodeHolder, node: Node): void
  /** An in-place write, instead of which the tracer takes note. */
  assign(tensor: NodeHolder, value: Node): void
  /** A layer is being called. */
  enter(layer: object): void
  /** What was just recorded is one operator. Exports ask for this; others leave it out. */
  operator?(
    type: string,
    outputs: Readonly<Record<string, NodeHolder | readonly NodeHolder[]>>,
    note: OperatorNote,
  ): void
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

/**
 * Says that `out` is an operator of its operands, so that an export can write the operator instead of what it is composed of. The innermost
 * function that says so about a result is overruled by those around it.
 */
export function asOperator<T extends NodeHolder>(type: string, out: T, note: () => OperatorNote): T {
  if (tracer?.operator) tracer.operator(type, { out }, note())
  return out
}

/** As `asOperator`, for operators with several results, by slot. */
export function noteOperator(
  type: string,
  outputs: () => Readonly<Record<string, NodeHolder | readonly NodeHolder[]>>,
  note: () => OperatorNote,
): void {
  if (tracer?.operator) tracer.operator(type, outputs(), note())
}

/** Whether somebody wants to know of operators. */
export function notesOperators(): boolean {
  return tracer?.operator !== undefined
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
