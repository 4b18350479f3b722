/**
 * Which axes of any size of a program's inputs are one size, as the batch of ids and of their mask is: those that the program does not take different,
 * and takes alike. It is recorded, not run, at a few sizes. Sizes that broadcast where one of them is 1 count as one.
 */
import { allocateHost } from '../../../../common/dtype.ts'
import { LongzhouError } from '../../../../common/errors.ts'
import { numel, type Shape } from '../../../../common/shape.ts'
import { noGrad } from '../../../../tensor/autograd.ts'
import { fromHost } from '../../../../tensor/tensor.ts'
import { defaultSamples } from '../export/export.ts'
import type { OperatorProgram } from '../program.ts'
import { missingOperators, TranslatedLayer } from '../translated-layer.ts'
import { axisName } from './known.ts'

/** Inputs whose axes are compared: there is a recording for each subset. */
const MAX_COMPARED = 6

/** For each axis of any size of the inputs, by `axisName`: the name of its size. That is one that the model gives, else the first axis's that is as long. */
export function sizeNames(program: OperatorProgram): ReadonlyMap<string, string> {
  const equal = equalAxes(program)
  const axes = program.inputs.flatMap(({ name, shape, axisNames }) =>
    shape.flatMap((d, axis) => (d === -1 ? [{ own: axisName(name, axis), given: axisNames?.[axis] ?? null }] : [])),
  )
  const first = (own: string): string => equal.get(own) ?? own
  const given = new Map<string, string>()
  for (const axis of axes)
    if (axis.given !== null && !given.has(first(axis.own))) given.set(first(axis.own), axis.given)
  return new Map(axes.map(({ own }) => [own, given.get(first(own)) ?? first(own)]))
}

/** For each axis that is as long as one of an earlier input, by name: that one's name. */
function equalAxes(program: OperatorProgram): ReadonlyMap<string, string> {
  const { inputs } = program
  const equal = new Map<string, string>()
  const axes = Array.from({ length: Math.max(0, ...inputs.map((i) => i.shape.length)) }, (_, axis) => axis)
  const compared = axes.flatMap((axis) => {
    const open = inputs.flatMap((input, i) => (input.shape[axis] === -1 ? [i] : []))
    return open.length > 1 && open.length <= MAX_COMPARED ? [{ axis, open }] : []
  })
  if (compared.length === 0 || missingOperators(program).size > 0) return equal
  const layer = new TranslatedLayer(program)
  const [shapes, changedShapes] = defaultSamples(inputs) as [Shape[], Shape[]]
  for (const { axis, open } of compared) {
    /** Whether the program takes another size on the axis of these inputs. */
    const takes = (changed: readonly number[]): boolean =>
      isTaken(
        layer,
        program,
        shapes.map((shape, i) => (changed.includes(i) ? shape.with(axis, changedShapes[i]![axis]!) : shape)),
      )
    let bound = takes([]) && takes(open) ? open.filter((i) => !takes([i])) : []
    while (bound.length > 1) {
      const [first, ...rest] = bound as [number, ...number[]]
      const others = subsetsOf(rest).find((set) => takes([first, ...set])) ?? []
      for (const i of others) equal.set(axisName(inputs[i]!.name, axis), axisName(inputs[first]!.name, axis))
      bound = rest.filter((i) => !others.includes(i))
    }
  }
  return equal
}

/** All of them, the smallest first. */
function subsetsOf(all: readonly number[]): number[][] {
  const sets = Array.from({ length: 2 ** all.length }, (_, bits) => all.filter((_item, at) => (bits >> at) & 1))
  return sets.toSorted((a, b) => a.length - b.length)
}

function isTaken(layer: TranslatedLayer, { inputs }: OperatorProgram, shapes: readonly Shape[]): boolean {
  const zeros = inputs.map(({ dtype }, i) =>
    fromHost({ dtype, shape: shapes[i]!, data: allocateHost(dtype, numel(shapes[i]!)) }),
  )
  try {
    noGrad(() => layer(...zeros))
    return true
  } catch (error) {
    if (error instanceof LongzhouError) return false
    throw error
  }
}
