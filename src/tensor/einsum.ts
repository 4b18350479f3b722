/**
 * Einstein summation, as paddle.einsum. Each operand is first reduced to distinct letters (diagonals taken, letters that occur nowhere
 * else summed); then operands are contracted two by two, the pair with the smallest result first.
 */
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { formatShape, numel } from '../common/shape.ts'
import { binary, cast as castNode, contract, iota, permute, reduce, reshape, where } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { underPolicy } from './autocast.ts'
import { checkTensor, constantLike, promoteTypes } from './promotion.ts'
import { Tensor } from './tensor.ts'
import { asOperator } from './tracer.ts'

/** A node whose axes are named by distinct letters. */
interface Term {
  readonly node: Node
  readonly letters: readonly string[]
}

interface Equation {
  readonly inputs: string[][]
  readonly output: string[]
}

/** Letters of an operand; the ellipsis becomes names counted from its right end, so that they broadcast. */
function lettersOf(text: string, rank: number, equation: string): string[] {
  const parts = text.split('...')
  const named = parts.join('')
  if (parts.length > 2 || !/^[A-Za-z]*$/.test(named))
    throw new ArgumentError(`einsum: '${text}' in '${equation}' must be letters with at most one ellipsis`)
  const hidden = rank - named.length
  if (parts.length === 1 ? hidden !== 0 : hidden < 0)
    throw new ShapeError(`einsum: '${text}' in '${equation}' names ${named.length} axes, the operand has ${rank}`)
  if (parts.length === 1) return [...text]
  const dots = Array.from({ length: hidden }, (_, i) => `.${hidden - i}`)
  return [...parts[0]!, ...dots, ...parts[1]!]
}

function parse(equation: string, ranks: readonly number[]): Equation {
  const [left, right, ...more] = equation.replace(/\s/g, '').split('->')
  const texts = left!.split(',')
  if (more.length > 0 || texts.length !== ranks.length)
    throw new ArgumentError(`einsum: '${equation}' has ${texts.length} operands, ${ranks.length} were given`)
  const inputs = texts.map((t, i) => lettersOf(t, ranks[i]!, equation))
  const widest = Math.max(0, ...inputs.flat().map((l) => (l.startsWith('.') ? Number(l.slice(1)) : 0)))
  const ellipsis = Array.from({ length: widest }, (_, i) => `.${widest - i}`)
  if (right === undefined) {
    // Implicit output: the ellipsis, then the letters that occur once, in alphabetical order.
    const all = inputs.flat().filter((l) => !l.startsWith('.'))
    const once = [...new Set(all)].filter((l) => all.indexOf(l) === all.lastIndexOf(l)).sort()
    return { inputs, output: [...ellipsis, ...once] }
  }
  const parts = right.split('...')
  const output = parts.length === 1 ? [...right] : [...parts[0]!, ...ellipsis, ...parts[1]!]
  const known = new Set(inputs.flat())
  if (parts.length > 2 || new Set(output).size !== output.length || output.some((l) => !known.has(l)))
    throw new ArgumentError(`einsum: the output of '${equation}' must name letters of the operands, each once`)
  return { inputs, output }
}

/** The diagonal where a letter is repeated. */
function withoutRepeats(node: Node, letters: readonly string[], equation: string): Term {
  const at = letters.findIndex((l, i) => letters.indexOf(l) < i)
  if (at < 0) return { node, letters }
  const first = letters.indexOf(letters[at]!)
  const size = node.shape[first]!
  if (size !== node.shape[at])
    throw new ShapeError(
      `einsum: '${letters[at]}' in '${equation}' names axes of ${size} and ${node.shape[at]} elements`,
    )
  const on = binary('eq', iota(node.shape, first, 'int32'), iota(node.shape, at, 'int32'))
  const diagonal = reduce('reduceSum', where(on, node, constantLike(node, 0)), [at])
  return withoutRepeats(
    diagonal,
    letters.filter((_, i) => i !== at),
    equation,
  )
}

/** Letters that nobody else wants are summed away. */
function sumOut(term: Term, wanted: ReadonlySet<string>): Term {
  const axes = term.letters.flatMap((l, i) => (wanted.has(l) ? [] : [i]))
  if (axes.length === 0) return term
  return { node: reduce('reduceSum', term.node, axes), letters: term.letters.filter((l) => wanted.has(l)) }
}

/** Axes of size 1 that broadcast against a longer axis of the same letter are dropped. */
function dropBroadcast(term: Term, sizes: ReadonlyMap<string, number>): Term {
  const keep = term.letters.flatMap((l, i) => (term.node.shape[i] === 1 && sizes.get(l) !== 1 ? [] : [i]))
  if (keep.length === term.letters.length) return term
  return {
    node: reshape(
      term.node,
      keep.map((i) => term.node.shape[i]!),
    ),
    letters: keep.map((i) => term.letters[i]!),
  }
}

function multiplied(a: Term, b: Term, wanted: ReadonlySet<string>, sizes: ReadonlyMap<string, number>): Term {
  const letters = [...new Set([...a.letters, ...b.letters])]
  const number = new Map(letters.map((l, i) => [l, i]))
  const out = letters.filter((l) => wanted.has(l))
  const shape = out.map((l) => sizes.get(l)!)
  const name = (ls: readonly string[]): number[] => ls.map((l) => number.get(l)!)
  const node = contract(a.node, b.node, { lhs: name(a.letters), rhs: name(b.letters), out: name(out) }, shape)
  return { node, letters: out }
}

/**
 * Sums of products over named axes, `paddle.einsum`: `'ij,jk->ik'`, `'...ij->...ji'`, `'ii->i'`. Without `->` the letters that occur once
 * form the result, in alphabetical order. Throws ShapeError where one letter names axes of different sizes.
 * @example einsum('bhqd,bhkd->bhqk', q, k)
 */
export function einsum(equation: string, ...operands: readonly (Tensor | readonly Tensor[])[]): Tensor {
  const tensors = operands.flat() as Tensor[]
  tensors.forEach((t) => checkTensor(t, 'einsum'))
  if (tensors.length === 0) throw new ArgumentError('einsum: needs at least one operand')
  const given = underPolicy(
    'einsum',
    tensors.map((t) => t.node),
  )
  const dtype = given.reduce((d, n) => promoteTypes(d, n.dtype, 'einsum'), given[0]!.dtype)
  const { inputs, output } = parse(
    equation,
    given.map((n) => n.shape.length),
  )
  const sizes = new Map<string, number>()
  given.forEach((n, i) =>
    inputs[i]!.forEach((l, axis) => {
      const size = n.shape[axis]!
      const known = sizes.get(l) ?? 1
      if (known !== 1 && size !== 1 && known !== size)
        throw new ShapeError(
          `einsum: '${l.startsWith('.') ? '...' : l}' in '${equation}' is ${known} in one operand and ${size} in ${formatShape(n.shape)}`,
        )
      if (known === 1) sizes.set(l, size)
    }),
  )
  let terms = given.map((n, i) => dropBroadcast(withoutRepeats(castNode(n, dtype), inputs[i]!, equation), sizes))
  const wantedBeside = (...own: Term[]): Set<string> =>
    new Set([...output, ...terms.filter((t) => !own.includes(t)).flatMap((t) => t.letters)])
  terms = terms.map((t) => sumOut(t, wantedBeside(t)))
  while (terms.length > 1) {
    const [a, b] = cheapestPair(terms, wantedBeside, sizes)
    const product = multiplied(a, b, wantedBeside(a, b), sizes)
    terms = [...terms.filter((t) => t !== a && t !== b), product]
  }
  const { node, letters } = sumOut(terms[0]!, new Set(output))
  const out = permute(
    node,
    output.map((l) => letters.indexOf(l)),
  )
  return asOperator('einsum', new Tensor(out), () => ({ inputs: { x: tensors }, attributes: { equation } }))
}

/** The two terms whose product has the fewest elements; for few operands all pairs are tried. */
function cheapestPair(
  terms: readonly Term[],
  wantedBeside: (...own: Term[]) => Set<string>,
  sizes: ReadonlyMap<string, number>,
): [Term, Term] {
  let best: [Term, Term] = [terms[0]!, terms[1]!]
  let least = Infinity
  for (let i = 0; terms.length > 2 && i < terms.length; i++) {
    for (let j = i + 1; j < terms.length; j++) {
      const [a, b] = [terms[i]!, terms[j]!]
      const wanted = wantedBeside(a, b)
      const letters = new Set([...a.letters, ...b.letters].filter((l) => wanted.has(l)))
      const elements = numel([...letters].map((l) => sizes.get(l)!))
      if (elements < least) [best, least] = [[a, b], elements]
    }
  }
  return best
}
