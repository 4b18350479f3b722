/**
 * Index arithmetic of loop nests. A coordinate is an affine form over loop variables, with known integer coefficients while a kernel
 * is made; the coefficients become run-time arguments when it is printed. Views (permute, slice, flip, pad, window, reshape) are rewrites
 * of coordinates.
 */
import type { Shape } from '../common/shape.ts'

/** A loop of the nest, or a quotient or remainder of a form that no loop gives directly. Its value lies in [0, extent). */
export interface Variable {
  readonly key: string
  readonly extent: number
  /** For quotients: floor(of / divisor) mod extent (no mod where `whole`). */
  readonly quotient?: { readonly of: Affine; readonly divisor: number; readonly whole: boolean }
}

export class Affine {
  readonly constant: number
  /** Coefficients that are not zero, by variable. */
  readonly terms: ReadonlyMap<Variable, number>
  #key: string | null = null
  #loops: ReadonlySet<Variable> | null = null

  constructor(constant: number, terms: ReadonlyMap<Variable, number>) {
    this.constant = constant
    this.terms = terms
  }

  /** Equal for equal forms over the same variables in the same order. */
  get key(): string {
    if (this.#key === null) {
      let key = `${this.constant}`
      for (const [v, c] of this.terms) key += `,${c}*${v.key}`
      this.#key = key
    }
    return this.#key
  }

  /** Loops that the form depends on, through quotients too. */
  get loops(): ReadonlySet<Variable> {
    if (this.#loops === null) {
      const loops = new Set<Variable>()
      for (const v of this.terms.keys()) {
        if (v.quotient) for (const inner of v.quotient.of.loops) loops.add(inner)
        else loops.add(v)
      }
      this.#loops = loops
    }
    return this.#loops
  }
}

const noTerms: ReadonlyMap<Variable, number> = new Map()

export function affineConstant(value: number): Affine {
  return new Affine(value, noTerms)
}

export function affineVariable(v: Variable): Affine {
  return v.extent === 1 ? affineConstant(0) : new Affine(0, new Map([[v, 1]]))
}

export function affineAdd(a: Affine, b: Affine): Affine {
  if (b.terms.size === 0) return b.constant === 0 ? a : new Affine(a.constant + b.constant, a.terms)
  const terms = new Map(a.terms)
  for (const [v, c] of b.terms) {
    const sum = (terms.get(v) ?? 0) + c
    if (sum === 0) terms.delete(v)
    else terms.set(v, sum)
  }
  return new Affine(a.constant + b.constant, terms)
}

export function affineScale(a: Affine, factor: number): Affine {
  if (factor === 1) return a
  if (factor === 0) return affineConstant(0)
  const terms = new Map<Variable, number>()
  for (const [v, c] of a.terms) terms.set(v, c * factor)
  return new Affine(a.constant * factor, terms)
}

/** Least and greatest value over the extents of the variables. */
export function affineRange(a: Affine): [number, number] {
  let low = a.constant
  let high = a.constant
  for (const [v, c] of a.terms) {
    if (c > 0) high += c * (v.extent - 1)
    else low += c * (v.extent - 1)
  }
  return [low, high]
}

/** Sum of coordinate * stride. */
export function linearize(coordinates: readonly Affine[], strides: readonly number[]): Affine {
  let constant = 0
  const terms = new Map<Variable, number>()
  for (let i = 0; i < coordinates.length; i++) {
    const { constant: own, terms: from } = coordinates[i]!
    const stride = strides[i]!
    if (stride === 0) continue
    constant += own * stride
    for (const [v, c] of from) {
      const sum = (terms.get(v) ?? 0) + c * stride
      if (sum === 0) terms.delete(v)
      else terms.set(v, sum)
    }
  }
  return new Affine(constant, terms)
}

/** Asks for a loop to be split into an outer and an inner one of `inner` iterations, so that a reshape becomes affine. */
export class SplitRequest {
  readonly loop: Variable
  readonly inner: number
  constructor(loop: Variable, inner: number) {
    this.loop = loop
    this.inner = inner
  }
}

/**
 * Asks for an axis of the results to be computed in two boxes, apart at `at`: in each of them alone the coordinates are affine. The rows that
 * no window of a pool reaches are such a box.
 */
export class PartitionRequest {
  readonly axis: number
  readonly at: number
  constructor(axis: number, at: number) {
    this.axis = axis
    this.at = at
  }
}

/**
 * Coordinates in `shape` of the row-major offset `linear`. Throws SplitRequest where splitting a loop makes them affine; gives
 * quotients where nothing does.
 */
export function delinearize(linear: Affine, shape: Shape): Affine[] {
  const out = new Array<Affine>(shape.length)
  let rest = linear
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i]!
    if (size === 1) {
      out[i] = affineConstant(0)
      continue
    }
    if (i === 0 || shape.slice(0, i).every((d) => d === 1)) {
      out[i] = rest
      rest = affineConstant(0)
      continue
    }
    const [quotient, remainder] = divide(rest, size)
    out[i] = remainder
    rest = quotient
  }
  return out
}

/** Quotient and remainder of a non-negative form by `size`. */
function divide(a: Affine, size: number): [Affine, Affine] {
  const rows = new Map<Variable, number>()
  const rest = new Map<Variable, number>()
  for (const [v, c] of a.terms) {
    if (c % size === 0) rows.set(v, c / size)
    else rest.set(v, c)
  }
  const whole = Math.floor(a.constant / size)
  const quotient = new Affine(whole, rows)
  const remainder = new Affine(a.constant - whole * size, rest)
  const [low, high] = affineRange(remainder)
  if (low >= 0 && high < size) return [quotient, remainder]
  // A loop that runs over several rows can be split where the row length divides it.
  for (const [v, c] of remainder.terms) {
    if (c > 0 && !v.quotient && size % c === 0 && v.extent > size / c && v.extent % (size / c) === 0)
      throw new SplitRequest(v, size / c)
  }
  const [least, most] = affineRange(a)
  const count = Math.floor(most / size) + 1
  const { key } = a
  if (least < 0) throw new RangeError('quotient of a negative index')
  const q: Variable = { key: `(${key})/${size}`, extent: count, quotient: { of: a, divisor: size, whole: true } }
  const r: Variable = { key: `(${key})%${size}`, extent: size, quotient: { of: a, divisor: 1, whole: false } }
  return [affineVariable(q), affineVariable(r)]
}
