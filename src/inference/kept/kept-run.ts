/** A model at given shapes of its inputs, as it lies in the cache: the plan, and where what it reads comes from. */
import { dtypes, sizeOf, type DType } from '../../common/dtype.ts'
import { numel, type Shape } from '../../common/shape.ts'
import { readPlan, writePlan, type StoredKernel } from '../../runtime/cpu/plan-file.ts'
import type { Plan } from '../../schedule/plan.ts'
import type { PortInfo } from '../engine.ts'
import { integer, list, oneOf, record, text } from '../../runtime/cpu/sealed.ts'

/** Weights, or what is computed from them: bytes that never change, in a file of the model's directory. */
export interface Piece {
  /** SHA-256 of the bytes. */
  readonly digest: string
  /** As `NativeRuntime.checksum` gives it. */
  readonly checksum: number
  readonly bytes: number
  /** Number of the file, and where the bytes begin in it. */
  readonly file: number
  readonly offset: number
}

/** What the bytes of a piece are found by in memory that threads share. */
export const keyOf = (digest: string): string => `kept ${digest}`

/** What a leaf of the plan is: an input or a piece by number, or null where no launch reads it. */
export type Leaf = { readonly input: number } | { readonly piece: number } | null

export interface KeptRun {
  readonly plan: Plan
  readonly kernels: readonly StoredKernel[]
  readonly leaves: readonly Leaf[]
  readonly scalars: readonly number[]
  readonly outputs: readonly { readonly dtype: DType; readonly shape: Shape }[]
  readonly pieces: readonly Piece[]
  /** Names of the files of pieces. */
  readonly files: readonly string[]
}

/** A piece as `encodeRun` writes it. Throws FormatError. */
export function decodePiece(value: unknown): Piece {
  const [digest, checksum, bytes, file, offset] = list(value)
  return {
    digest: text(digest),
    checksum: integer(checksum),
    bytes: integer(bytes),
    file: integer(file),
    offset: integer(offset),
  }
}

const fileName = /^[\w.-]+\.weights$/

/** As JSON. */
export function encodeRun({ plan, kernels, leaves, scalars, outputs, pieces, files }: KeptRun): unknown {
  return {
    plan: writePlan({ plan, kernels, constants: [], prologue: [] }),
    leaves,
    // JSON has no NaN and no infinities.
    scalars: Buffer.from(Float64Array.from(scalars).buffer).toString('base64'),
    outputs,
    pieces: pieces.map((p) => [p.digest, p.checksum, p.bytes, p.file, p.offset]),
    files,
  }
}

/** Throws FormatError for what is no run of a model with these inputs at these shapes; null where the plan does not hold against its memory. */
export function decodeRun(value: unknown, inputs: readonly PortInfo[], shapes: readonly Shape[]): KeptRun | null {
  const given = record(value)
  const files = list(given['files']).map(text)
  if (!files.every((name) => fileName.test(name))) return null
  const pieces = list(given['pieces']).map(decodePiece)
  const leaves = list(given['leaves']).map((value): Leaf => {
    if (value === null) return null
    const { input, piece } = record(value)
    return input === undefined ? { piece: integer(piece) } : { input: integer(input) }
  })
  const outputs = list(given['outputs']).map((value) => {
    const { dtype, shape } = record(value)
    return { dtype: oneOf(dtypes, dtype), shape: list(shape).map((d) => integer(d)) }
  })
  const words = Buffer.from(text(given['scalars']), 'base64')
  const scalars = Array.from({ length: words.length >> 3 }, (_, i) => words.readDoubleLE(8 * i))
  const known = (leaf: Leaf): boolean =>
    leaf === null || ('input' in leaf ? leaf.input < inputs.length : leaf.piece < pieces.length)
  if (!leaves.every(known) || !pieces.every((p) => p.file < files.length)) return null
  const bytesOf = (leaf: Leaf): number => {
    if (leaf === null) return 0
    return 'input' in leaf ? numel(shapes[leaf.input]!) * sizeOf(inputs[leaf.input]!.dtype) : pieces[leaf.piece]!.bytes
  }
  const made = readPlan(text(given['plan']), {
    leaves: leaves.map(bytesOf),
    outputs: outputs.map(({ dtype, shape }) => numel(shape) * sizeOf(dtype)),
    scalars: scalars.length,
  })
  return made && { plan: made.plan, kernels: made.kernels, leaves, scalars, outputs, pieces, files }
}
