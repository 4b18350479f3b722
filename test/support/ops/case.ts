/**
 * The op table as test cases: every op with every dtype it takes, over special values, odd sizes and views. A case is a graph over
 * host arrays; many cases are realised as one plan, so that a compiler runs seldom.
 */
import { dtypes, isFloat, isInteger, type DType, type HostArray } from '../../../src/common/dtype.ts'
import type { Node } from '../../../src/graph/node.ts'
import { opInfo, opTable, type DTypeClass, type OpGroup, type OpName } from '../../../src/graph/ops.ts'

export interface OpCase {
  readonly op: OpName
  readonly name: string
  readonly inputs: readonly HostArray[]
  /** The sign of a zero counts. */
  readonly zeros?: boolean
  /** Differences are judged by the size of the terms, not of the result: it may cancel. */
  readonly cancels?: boolean
  build(inputs: readonly Node[]): Node
}

export const takes = (c: DTypeClass): DType[] =>
  dtypes.filter(
    (d) =>
      c === 'any' ||
      (c === 'float' && isFloat(d)) ||
      (c === 'number' && d !== 'bool') ||
      (c === 'integer' && isInteger(d)) ||
      (c === 'logical' && !isFloat(d)),
  )

export const opsOf = <K extends OpName = OpName>(group: OpGroup): K[] =>
  (Object.keys(opTable) as OpName[]).filter((op) => opInfo(op).group === group) as K[]
