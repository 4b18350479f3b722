/** A draft: the operators of a layer as one recording, with its concrete sizes, gave them. */
import type { DType } from '../../../../common/dtype.ts'
import type { Shape } from '../../../../common/shape.ts'
import type { Node } from '../../../../graph/node.ts'
import type { OperatorAttribute } from '../../../../tensor/tracer.ts'
import type { Operation } from '../program.ts'

export interface DraftValue {
  readonly dtype: DType
  readonly shape: Shape
}

export interface Draft {
  /** Names of the inputs, in order. */
  readonly inputs: readonly string[]
  /** Names of the values that are handed out, in order. */
  readonly outputs: readonly string[]
  readonly operations: readonly Operation[]
  /** Every value by name. */
  readonly values: ReadonlyMap<string, DraftValue>
  /** What the operations read besides inputs and each other. */
  readonly leaves: ReadonlyMap<string, Node>
}

type Operands = Readonly<Record<string, string | readonly string[] | null>>

/** Writes operations in order and names their results. */
export class DraftWriter {
  readonly operations: Operation[] = []
  readonly values = new Map<string, DraftValue>()
  readonly #counters = new Map<string, number>()
  /** Where the operations that come are from. */
  origin = ''

  /** A name that no value has. */
  fresh(type: string): string {
    const n = this.#counters.get(type) ?? 0
    this.#counters.set(type, n + 1)
    return `${type.replace(/_$/, '')}_${n}.tmp_0`
  }

  declare(name: string, value: DraftValue): string {
    this.values.set(name, { dtype: value.dtype, shape: value.shape })
    return name
  }

  /** An operator with one result, whose name is returned. */
  emit(
    type: string,
    inputs: Operands,
    attributes: Readonly<Record<string, OperatorAttribute>>,
    result: DraftValue,
    slot = 'out',
  ): string {
    const name = this.declare(this.fresh(type), result)
    this.operations.push({ type, inputs, outputs: { [slot]: name }, attributes, origin: this.origin })
    return name
  }
}
