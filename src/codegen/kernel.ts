/**
 * The kernel IR: loop nests over typed scalar and vector expressions, between the graph and the dialects. Templates and
 * heuristics write it, dialects (render/) print it. It presumes neither C nor a shared address space: buffers are parameters,
 * indices count elements, and sizes, strides and scalars arrive as arguments, so that the text of a kernel is the key of its
 * structure.
 */
import type { DType } from '../common/dtype.ts'

/**
 * Types in registers. `index` is the device's natural integer for addresses (64 bits in C, 32 in WebAssembly); a `mask` is the result of
 * a comparison. Memory is typed by DType: bool, uint8 and int8 load as i32, float16 and bfloat16 as f32.
 */
export type ScalarType = 'index' | 'i32' | 'i64' | 'f32' | 'f64' | 'mask'

/** One lane, or a vector of lanes of 32-bit elements (f32, i32 or mask). */
export interface Type {
  readonly scalar: ScalarType
  readonly lanes: number
}

export type Parameter =
  /** Memory in elements of a dtype. Buffers of one kernel overlap only where an `update` says so. */
  | { readonly kind: 'buffer'; readonly dtype: DType; readonly access: 'read' | 'write' | 'update' }
  /** A size, a stride or an offset. */
  | { readonly kind: 'index' }
  /** A number of the program or of the run. */
  | { readonly kind: 'scalar'; readonly type: 'i32' | 'i64' | 'f32' | 'f64' }
  /** Private memory of one thread, 64-byte aligned; its size is given at the launch. */
  | { readonly kind: 'scratch'; readonly dtype: 'float32' | 'float64' | 'int32' | 'int64' }

/**
 * `round` is to the nearest, halves to the even one. `rounded` is the float as its type holds it: dialects that join a product and the sum that it goes into do not
 * do so there.
 */
export type UnaryIr = 'neg' | 'abs' | 'floor' | 'ceil' | 'round' | 'trunc' | 'sqrt' | 'not' | 'rounded'
/** `div` and `rem` of integers truncate, and give 0 where i32 or i64 are divided by 0 (an index never is); `shr` keeps the sign, `ushr` does not; `mulhi` is the high word of the unsigned product of i32. */
export type BinaryIr =
  'add' | 'sub' | 'mul' | 'div' | 'rem' | 'min' | 'max' | 'and' | 'or' | 'xor' | 'shl' | 'shr' | 'ushr' | 'mulhi'
export type CompareIr = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge'
/** Functions that dialects take from their host (libm, Math), one scalar at a time. */
export type CallIr =
  | 'exp'
  | 'expm1'
  | 'log'
  | 'log1p'
  | 'sin'
  | 'cos'
  | 'tan'
  | 'asin'
  | 'acos'
  | 'atan'
  | 'sinh'
  | 'cosh'
  | 'tanh'
  | 'asinh'
  | 'acosh'
  | 'atanh'
  | 'erf'
  | 'pow'
  | 'atan2'
  | 'fmod'

export type Expr = { readonly type: Type } & (
  | { readonly kind: 'const'; readonly value: number | bigint }
  /** An index or scalar parameter. */
  | { readonly kind: 'parameter'; readonly index: number }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'unary'; readonly op: UnaryIr; readonly x: Expr }
  /** `min` and `max` of floats give the second operand where either is NaN (one instruction on every device). */
  | { readonly kind: 'binary'; readonly op: BinaryIr; readonly a: Expr; readonly b: Expr }
  | { readonly kind: 'compare'; readonly op: CompareIr; readonly a: Expr; readonly b: Expr }
  /** Either side may be evaluated whatever the condition: loads must be in bounds on both. */
  | { readonly kind: 'select'; readonly condition: Expr; readonly a: Expr; readonly b: Expr }
  /** a * b + c, in one rounding where the device can. */
  | { readonly kind: 'fma'; readonly a: Expr; readonly b: Expr; readonly c: Expr }
  /** Conversion of values; float to integer truncates. A mask converts to 0 or 1. */
  | { readonly kind: 'convert'; readonly x: Expr }
  /** The same bits as another type of the same width (f32 and i32, f64 and i64). */
  | { readonly kind: 'bitcast'; readonly x: Expr }
  /** Element `index` of a buffer or scratch parameter, or `lanes` elements from there. */
  | { readonly kind: 'load'; readonly buffer: number; readonly at: Expr }
  | { readonly kind: 'splat'; readonly x: Expr }
  /** Elements of a 16-bit buffer two by two, as i32 with the first one in the low half: `at` and the one behind it, and so on by lane. */
  | { readonly kind: 'pairs'; readonly buffer: number; readonly at: Expr }
  /**
   * c + the products of the halves of a and b, which are pairs of bfloat16, in float32. Only where capabilities have `pairs`: products and
   * sums below the smallest normal number may count as zero, and how often the two products are rounded is the device's.
   */
  | { readonly kind: 'dot'; readonly a: Expr; readonly b: Expr; readonly c: Expr }
  /** Lanes at, at + stride, ... */
  | { readonly kind: 'gather'; readonly buffer: number; readonly at: Expr; readonly stride: Expr }
  /**
   * Lanes of a and b by turns, within every four or over all: of a0 .. a3 and b0 .. b3 the low half gives a0 b0 a1 b1 and the high one
   * a2 b2 a3 b3; in runs of two, a0 a1 b0 b1 and a2 a3 b2 b3. Runs of four go over all.
   */
  | {
      readonly kind: 'zip'
      readonly a: Expr
      readonly b: Expr
      readonly run: 1 | 2 | 4
      readonly span: 'four' | 'all'
      readonly half: 'low' | 'high'
    }
  /** base, base + 1, ... as i32 lanes. */
  | { readonly kind: 'ramp'; readonly base: Expr }
  | { readonly kind: 'reduceLanes'; readonly op: ReduceIr; readonly x: Expr }
  | { readonly kind: 'call'; readonly fn: CallIr; readonly args: readonly Expr[] }
)

export type ReduceIr = 'add' | 'mul' | 'max' | 'min'

/**
 * - `sequential`: as written.
 * - `parallel`: outermost only; the runtime hands out ranges of its iterations to threads.
 * - `vector`: iterations are independent but for `accumulate`; the dialect may use lanes.
 */
export type LoopKind = 'sequential' | 'parallel' | 'vector'

export type Stmt =
  | { readonly kind: 'let'; readonly name: string; readonly value: Expr }
  | { readonly kind: 'declare'; readonly name: string; readonly value: Expr }
  /** Assigns a declared variable. */
  | { readonly kind: 'assign'; readonly name: string; readonly value: Expr }
  /** name = name op value; the order of a vector loop's contributions is the dialect's. `max` and `min` keep a NaN. */
  | { readonly kind: 'accumulate'; readonly name: string; readonly op: ReduceIr; readonly value: Expr }
  /** Lanes go to at, at + 1, ..., or, with a `stride`, to at, at + stride, ... */
  | { readonly kind: 'store'; readonly buffer: number; readonly at: Expr; readonly value: Expr; readonly stride?: Expr }
  | {
      readonly kind: 'for'
      readonly loop: LoopKind
      readonly name: string
      readonly from: Expr
      readonly to: Expr
      readonly step: number
      /** Copies of the body that a dialect should lay out in a row; sequential loops only. A hint. */
      readonly unroll?: number
      readonly body: readonly Stmt[]
    }
  | { readonly kind: 'if'; readonly condition: Expr; readonly then: readonly Stmt[]; readonly else: readonly Stmt[] }
  /**
   * Sums of products of bfloat16 in float32, for 32 rows and 32 columns, `steps` times 32 products deep; only where capabilities have
   * `tiles`. `target` from `at`: 32 x 32 sums, row by row, added to what is there if `accumulate`. Operands are pairs in words of 32 bits,
   * from `aAt` of `a` as [step][row][16 pairs] and from `bAt` of `b` as [step][16 pairs][column]. Rounding as for `dot`.
   *
   * With several `parts`, elements are sums of so many bfloat16, as [step][part][row][16 pairs] and [step][part][16 pairs][column]. Of three, the largest six
   * of the nine products are summed, which is as exact as float32; of two, the largest three of the four. Sums that are not numbers are computed again
   * from whole elements.
   *
   * With a `window` columns lie in planes of words instead, in which steps read at offsets of their own.
   */
  | {
      readonly kind: 'tiles'
      readonly parts: FactorParts
      readonly target: number
      readonly at: Expr
      readonly a: number
      readonly aAt: Expr
      readonly b: number
      readonly bAt: Expr
      readonly steps: Expr
      readonly accumulate: Expr
      readonly window: TileWindow | null
      readonly stream: TileStream | null
    }
  /** Hints that memory will be needed; dialects may drop it. */
  | { readonly kind: 'prefetch'; readonly buffer: number; readonly at: Expr }
  /** Reports a fault to the caller of the plan (1: index out of range) and goes on. */
  | { readonly kind: 'fail'; readonly code: number }
  /** Explains a block to who reads the generated text. */
  | { readonly kind: 'comment'; readonly text: string }

/**
 * The memory of the operand of `tiles` that was packed before, and streams through. Behind each product of two tiles (four a step and pair of parts) one or two lines of
 * 64 bytes is asked for, from `ahead` on, line by line: all at once would wait for one another. The place may lie outside of memory.
 */
export interface TileStream {
  readonly buffer: number
  readonly ahead: Expr
  /**
   * With three parts: `when` that holds, the words of this operand, which has no window, are made while tiles multiply those of the step before, from float32
   * at `at`, as [step][first or second element of pairs][place of the word in its step].
   */
  readonly split: { readonly operand: 'a' | 'b'; readonly at: Expr; readonly when: Expr } | null
}

/** Parts of a factor in bfloat16: itself, 16 bits of a float32's significand, or all of it. */
export type FactorParts = 1 | 2 | 3

/** Pairs of parts that a step multiplies: those whose product is not left out. */
export const pairsOfParts = (parts: FactorParts): number => (parts * (parts + 1)) / 2

/** Lines that are asked for behind a product of two tiles, by parts. Two parts multiply as many bytes as three in half the time; of one part what comes is near more often. */
export const LINES_ASKED = { 1: 1, 2: 2, 3: 1 } as const

/**
 * Columns of `tiles` that are read where windows of a convolution lie: words of one pair and part are a plane. Of step s, column 0 of pair p and part q is
 * the word `bAt + (s / taps) * block + table[s % taps] + q * part + p * pair`, all in words, taps at least 1.
 */
export interface TileWindow {
  /** Offsets of taps: 32-bit integers, or their bits in floats. */
  readonly table: number
  readonly tableAt: Expr
  readonly taps: Expr
  readonly block: Expr
  readonly part: Expr
  readonly pair: Expr
}

/**
 * A kernel. `body` may start with `let` statements over parameters, then holds exactly one `parallel` loop whose bounds
 * (0 and the extent given at the launch) the runtime replaces by the range of a thread; its step is 1. At most one parameter is scratch.
 */
export interface Kernel {
  /** What it computes, for people: `matmul+bias+relu`. Not part of its key. */
  readonly title: string
  readonly parameters: readonly Parameter[]
  readonly body: readonly Stmt[]
}

/** What is left to know of a kernel that was compiled before: by whom it is called, and how. */
export interface CompiledKernel {
  readonly title: string
  readonly parameters: readonly Parameter[]
  /** Its structural key (see structure.ts). */
  readonly structure: string
}
