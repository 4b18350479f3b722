/** Cases of the elementwise ops: all pairs of special values, and views of smaller ones. */
import { dtypes, isFloat, type DType, type HostArray } from '../../../src/common/dtype.ts'
import type { Shape } from '../../../src/common/shape.ts'
import * as g from '../../../src/graph/build.ts'
import type { Node } from '../../../src/graph/node.ts'
import { opInfo, type BinaryOp, type OpName, type UnaryOp } from '../../../src/graph/ops.ts'
import { opsOf, takes, type OpCase } from './case.ts'
import { readings, readingsFor } from './readings.ts'
import { hostOf, pairs, sampled, specials } from './values.ts'

const keepsZeroSigns = new Set<OpName>(['neg', 'abs', 'floor', 'ceil', 'trunc', 'round', 'sqrt', 'mul', 'div', 'atan2'])
const unaryInput = (op: OpName, dtype: DType, shape: Shape): HostArray =>
  sampled(dtype, shape, 11, opInfo(op).domain ?? [-100, 100])

export function unaryCases(): OpCase[] {
  return opsOf<UnaryOp>('unary').flatMap((op) =>
    takes(opInfo(op).takes).flatMap((dtype): OpCase[] => {
      const made = (name: string, input: HostArray, read = (x: Node): Node => x): OpCase => ({
        op,
        name: `${op} ${dtype} ${name}`,
        inputs: [input],
        zeros: keepsZeroSigns.has(op),
        build: ([x]) => g.unary(op, read(x!)),
      })
      const special = specials(dtype)
      return [made('of special values', hostOf(dtype, [special.length], special))].concat(
        readingsFor(dtype).map((r) => made(r.name, unaryInput(op, dtype, r.from), (x) => r.read(x))),
      )
    }),
  )
}

export function binaryCases(): OpCase[] {
  return opsOf<BinaryOp>('binary').flatMap((op) =>
    takes(opInfo(op).takes).flatMap((dtype): OpCase[] => {
      const made = (name: string, inputs: HostArray[], read = (x: Node): Node => x): OpCase => ({
        op,
        name: `${op} ${dtype} ${name}`,
        inputs,
        zeros: keepsZeroSigns.has(op),
        cancels: op === 'mod',
        build: ([a, b]) => g.binary(op, read(a!), read(b!)),
      })
      const [left, right] = pairs(specials(dtype), specials(dtype))
      const shape = [left.length]
      return [made('of special values', [hostOf(dtype, shape, left), hostOf(dtype, shape, right)])].concat(
        readingsFor(dtype).map((r) =>
          made(r.name, [sampled(dtype, r.from, 12, [1, 9]), sampled(dtype, r.from, 13, [1, 5])], (x) => r.read(x)),
        ),
      )
    }),
  )
}

export function whereCases(): OpCase[] {
  return dtypes.flatMap((dtype) =>
    [readings[4]!, ...readingsFor(dtype)].map((r): OpCase => ({
      op: 'where',
      name: `where ${dtype} ${r.name}`,
      inputs: [
        sampled('bool', r.from, 5, [0, 1]),
        hostOf(dtype, r.from, specials(dtype)),
        sampled(dtype, r.from, 6, [-9, 9]),
      ],
      zeros: true,
      build: ([c, a, b]) => g.where(r.read(c!), r.read(a!), r.read(b!)),
    })),
  )
}

export function castCases(): OpCase[] {
  return dtypes.flatMap((from) =>
    dtypes
      .filter((to) => to !== from)
      .map((to): OpCase => {
        const values = specials(from)
        return {
          op: 'cast',
          name: `cast ${from} to ${to}`,
          inputs: [hostOf(from, [values.length], values)],
          zeros: isFloat(to),
          build: ([x]) => g.cast(x!, to),
        }
      }),
  )
}
