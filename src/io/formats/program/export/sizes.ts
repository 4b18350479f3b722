/**
 * Drafts of one layer at several sizes, made one program that holds for all sizes. Attributes that are the same in each draft are constants. The
 * others depend on a dynamic axis: they become `-1` or `0` where the operator knows these, else a value computed from the shape of a tensor
 * whose axis had that size in every draft.
 */
import { TraceError } from '../../../../common/errors.ts'
import { formatShape } from '../../../../common/shape.ts'
import { operatorOf } from '../operators/table.ts'
import { slotNames, type AttributeValue, type Operation, type ValueInfo } from '../program.ts'
import type { Draft } from './draft.ts'

export interface Unified {
  readonly operations: readonly Operation[]
  /** Every value, with -1 for axes that differ among the drafts. */
  readonly values: ReadonlyMap<string, ValueInfo>
}

/** Throws TraceError where the drafts differ in more than sizes, or in a size that nothing tells. */
export function unified(drafts: readonly Draft[]): Unified {
  return new Unifier(drafts).run()
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a, bigText) === JSON.stringify(b, bigText)
const bigText = (_: string, v: unknown): unknown => (typeof v === 'bigint' ? `${v}n` : v)

class Unifier {
  readonly #drafts: readonly Draft[]
  readonly #values = new Map<string, ValueInfo>()
  readonly #operations: Operation[] = []
  /** Names of sizes that are computed already, by tensor and axis and what is done to them. */
  readonly #sizes = new Map<string, string>()
  #counter = 0

  constructor(drafts: readonly Draft[]) {
    this.#drafts = drafts
  }

  run(): Unified {
    const [first, ...others] = this.#drafts as [Draft, ...Draft[]]
    for (const other of others) checkAlike(first, other)
    for (const [name, { dtype, shape }] of first.values) {
      const shapes = this.#shapesOf(name)
      this.#values.set(name, { name, dtype, shape: shape.map((d, i) => (shapes.every((s) => s[i] === d) ? d : -1)) })
    }
    first.operations.forEach((operation, i) => this.#add(operation, i))
    return { operations: this.#operations, values: this.#values }
  }

  #shapesOf(name: string): (readonly number[])[] {
    return this.#drafts.map((d) => d.values.get(name)!.shape)
  }

  #add(operation: Operation, i: number): void {
    const inputs: Record<string, string | readonly string[] | null> = { ...operation.inputs }
    const attributes: Record<string, AttributeValue> = {}
    for (const name of Object.keys(operation.attributes)) {
      const given = this.#drafts.map((d) => d.operations[i]!.attributes[name]!)
      if (given.every((v) => isSame(v, given[0]))) {
        attributes[name] = given[0]!
        continue
      }
      const known = operation.type === 'reshape' && name === 'shape' ? this.#reshaped(operation, given) : null
      if (known) attributes[name] = known
      else inputs[name] = this.#computed(operation, name, given)
    }
    this.#operations.push({ ...operation, inputs, attributes })
  }

  /** A shape of numbers, 0 (as the input's axis of that number) and at most one -1 (what is left); null where that does not do. */
  #reshaped(operation: Operation, given: readonly AttributeValue[]): number[] | null {
    const targets = given as readonly (readonly number[])[]
    const inputs = this.#shapesOf(slotNames(operation.inputs['x'])[0]!)
    const shape = targets[0]!.map((d, axis) => {
      if (targets.every((t) => t[axis] === d)) return d
      return targets.every((t, k) => t[axis] === inputs[k]![axis]) ? 0 : -1
    })
    return shape.filter((d) => d === -1).length <= 1 ? shape : null
  }

  /** Values for an attribute that differs among the drafts. */
  #computed(operation: Operation, name: string, given: readonly AttributeValue[]): string | string[] {
    const { type, origin } = operation
    const spec = operatorOf(type).attributes[name]
    const where = `operator '${type}'${origin ? ` in ${origin}` : ''}`
    if (!spec?.variable)
      throw new TraceError(
        `export: attribute '${name}' of ${where} depends on a dynamic axis (it is ${given.map(String).join(', then ')}); fix that axis in the InputSpec`,
      )
    if (!Array.isArray(given[0])) return this.#sized(operation, name, given.map(Number), where)
    const lists = given as readonly (readonly number[])[]
    return lists[0]!.map((_, i) =>
      this.#sized(
        operation,
        name,
        lists.map((l) => l[i]!),
        where,
      ),
    )
  }

  /** The name of a number [1] that takes these values in the drafts. */
  #sized(operation: Operation, attribute: string, values: readonly number[], where: string): string {
    const [v] = values as [number]
    if (values.every((x) => x === v)) return this.#constant(v)
    const candidates = [...Object.values(operation.inputs).flatMap((s) => slotNames(s)), ...this.#drafts[0]!.inputs]
    for (const relation of relations) {
      for (const name of new Set(candidates)) {
        const shapes = this.#shapesOf(name)
        for (let axis = 0; axis < shapes[0]!.length; axis++) {
          const found = relation(
            values,
            shapes.map((s) => s[axis]!),
          )
          if (found) return this.#sizeOf(name, axis, found)
        }
      }
    }
    throw new TraceError(
      `export: attribute '${attribute}' of ${where} is ${values.join(', then ')} for inputs ${this.#drafts
        .map((d) => d.inputs.map((n) => formatShape(d.values.get(n)!.shape)).join(' '))
        .join(', then ')}: no axis of a tensor at hand tells it; fix an axis in the InputSpec`,
    )
  }

  #constant(value: number): string {
    return this.#once(`constant ${value}`, () => this.#emit('full', {}, { shape: [1], value, dtype: 'int64' }, [1]))
  }

  #sizeOf(name: string, axis: number, { factor, offset }: Relation): string {
    const shape = this.#once(`shape ${name}`, () =>
      this.#emit('shape64', { input: name }, {}, [this.#values.get(name)!.shape.length]),
    )
    const size = this.#once(`size ${name} ${axis}`, () =>
      this.#emit(
        'slice',
        { input: shape },
        { axes: [0], starts: [axis], ends: [axis + 1], infer_flags: [1], decrease_axis: [] },
        [1],
      ),
    )
    if (factor === 1 && offset === 0) return size
    return this.#once(`size ${name} ${axis} * ${factor} + ${offset}`, () =>
      this.#emit('scale', { x: size }, { scale: factor, bias: offset, bias_after_scale: true }, [1]),
    )
  }

  #once(key: string, make: () => string): string {
    let name = this.#sizes.get(key)
    if (name === undefined) this.#sizes.set(key, (name = make()))
    return name
  }

  #emit(
    type: string,
    inputs: Operation['inputs'],
    attributes: Operation['attributes'],
    shape: readonly number[],
  ): string {
    const name = `size_${this.#counter++}.tmp_0`
    this.#values.set(name, { name, dtype: 'int64', shape })
    this.#operations.push({ type, inputs, outputs: { out: name }, attributes })
    return name
  }
}

interface Relation {
  readonly factor: number
  readonly offset: number
}

/** How numbers may follow from sizes: the same, moved by a constant, a whole multiple. */
const relations: readonly ((values: readonly number[], sizes: readonly number[]) => Relation | null)[] = [
  (values, sizes) => (values.every((v, i) => v === sizes[i]) ? { factor: 1, offset: 0 } : null),
  (values, sizes) => {
    const offset = values[0]! - sizes[0]!
    return values.every((v, i) => v === sizes[i]! + offset) ? { factor: 1, offset } : null
  },
  (values, sizes) => {
    const factor = values[0]! / sizes[0]!
    return Number.isInteger(factor) && values.every((v, i) => v === sizes[i]! * factor) ? { factor, offset: 0 } : null
  },
]

function checkAlike(a: Draft, b: Draft): void {
  const fail = (what: string): never => {
    throw new TraceError(
      `export: the layer computes differently for different sizes (${what}); fix the dynamic axes in the InputSpec`,
    )
  }
  const count = Math.max(a.operations.length, b.operations.length)
  for (let i = 0; i < count; i++) {
    const [x, y] = [a.operations[i], b.operations[i]]
    const at = x?.origin ? ` in ${x.origin}` : ''
    if (!x || !y || x.type !== y.type)
      fail(`operation ${i}${at} is ${x?.type ?? 'missing'} here and ${y?.type ?? 'missing'} there`)
    else if (!isSame(x.inputs, y.inputs) || !isSame(x.outputs, y.outputs))
      fail(`operation ${i}, ${x.type}${at}, has other operands`)
  }
  if (!isSame(a.outputs, b.outputs)) fail('other values are returned')
}
