/** Shapes of a model's inputs as the command line has them: `x=1x3x640x640`, several inputs behind commas, ranges of sizes. */
import type { Shape } from '../common/shape.ts'
import { describePort, fitsPort } from '../inference/index.ts'
import type { ValueInfo } from '../io/formats/program/program.ts'
import { UsageError } from './errors.ts'

/** Shapes that one argument may stand for: each is planned. */
const MOST = 256

const SIZE = /^(\d+)(?:\.\.(\d+)(?::(\d+))?)?$/

/**
 * The choices of shapes that an argument stands for, in ascending order of its ranges. A size is a number, or a range `1..8`, or with a step `320..640:32`;
 * ranges that are written alike are one size (a batch of several inputs). Of a model with one input `NAME=` may be left out. Throws UsageError.
 */
export function shapeChoices(
  text: string,
  inputs: readonly ValueInfo[],
  command: string,
): readonly Readonly<Record<string, Shape>>[] {
  const shapes = text.split(',').map((part): [name: string, sizes: string[]] => {
    const at = part.lastIndexOf('=')
    const name = at > 0 ? part.slice(0, at) : inputs.length === 1 ? inputs[0]!.name : ''
    const sizes = part.slice(at + 1).split('x')
    if (name === '' || !sizes.every((s) => SIZE.test(s))) {
      const form = inputs.map((i) => `${i.name}=${i.shape.map((d) => (d < 0 ? 'N' : d)).join('x')}`).join(',')
      throw new UsageError(
        `${command}: --shape '${text}' must look like ${form}, with numbers for N, or ranges (1..8, 320..640:32)`,
      )
    }
    return [name, sizes]
  })
  const ranges = [...new Set(shapes.flatMap(([, sizes]) => sizes))].map(
    (s) => [s, numbersOf(s, text, command)] as const,
  )
  const count = ranges.reduce((product, [, numbers]) => product * numbers.length, 1)
  if (count > MOST)
    throw new UsageError(
      `${command}: --shape '${text}' stands for ${count} shapes, at most ${MOST} are made; use larger steps`,
    )
  return Array.from({ length: count }, (_, k) => {
    let rest = k
    const chosen = new Map<string, number>()
    // The last range changes first.
    for (const [size, numbers] of [...ranges].reverse()) {
      chosen.set(size, numbers[rest % numbers.length]!)
      rest = Math.floor(rest / numbers.length)
    }
    return Object.fromEntries(shapes.map(([name, sizes]) => [name, sizes.map((s) => chosen.get(s)!)]))
  })
}

/** A choice of shapes in the order of the inputs, which it must name and fit. Throws UsageError. */
export function shapesInOrder(
  choice: Readonly<Record<string, Shape>>,
  inputs: readonly ValueInfo[],
  command: string,
): Shape[] {
  const takes = `the model takes ${inputs.map(describePort).join(', ')}`
  for (const name of Object.keys(choice))
    if (!inputs.some((i) => i.name === name)) throw new UsageError(`${command}: there is no input '${name}'; ${takes}`)
  return inputs.map((input) => {
    const shape = choice[input.name]
    if (!shape) throw new UsageError(`${command}: --shape says nothing of input '${input.name}'; ${takes}`)
    if (!fitsPort(input, shape)) throw new UsageError(`${command}: [${shape.join(', ')}] does not fit; ${takes}`)
    return shape
  })
}

function numbersOf(size: string, text: string, command: string): number[] {
  const [, first, last = first, step = '1'] = SIZE.exec(size)!
  const [from, to, by] = [Number(first), Number(last), Number(step)]
  const count = Math.floor((to - from) / by) + 1
  if (!(by >= 1 && count >= 1)) throw new UsageError(`${command}: --shape '${text}': the range ${size} is empty`)
  if (count > MOST)
    throw new UsageError(
      `${command}: --shape '${text}': the range ${size} has ${count} sizes, at most ${MOST} are made`,
    )
  return Array.from({ length: count }, (_, i) => from + i * by)
}
