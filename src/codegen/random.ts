/**
 * Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) in the kernel IR: element i of a draw is word
 * i mod 4 of the block at counter offset + i / 4. Straight-line 32-bit arithmetic, so that it runs in lanes.
 */
import type { DType } from '../common/dtype.ts'
import * as ir from './builder.ts'
import type { Expr } from './kernel.ts'

const M0 = 0xd2511f53 | 0
const M1 = 0xcd9e8d57 | 0
const SIGN = -(2 ** 31)
const W0 = 0x9e3779b9 | 0
const W1 = 0xbb67ae85 | 0

const low = (x: Expr): Expr => ir.convert(x, 'i32')
const high = (x: Expr): Expr => ir.convert(ir.ushr(x, 32), 'i32')

/** The four words of block `block` (an index) of the stream; float32 in [0, 1), or the bits as int32. */
export function emitWords(scope: ir.Scope, key: Expr, offset: Expr, block: Expr, dtype: DType): Expr[] {
  // The 64-bit sum in halves: lanes have 32 bits. No draw has 2^34 elements.
  const first = scope.let('first', low(offset))
  let c0 = scope.let('c', ir.add(first, ir.convert(block, 'i32')))
  const carry = ir.lt(ir.xor(c0, SIGN), ir.xor(first, SIGN))
  let c1 = scope.let('c', ir.add(high(offset), ir.convert(carry, 'i32')))
  let c2: Expr = ir.i32(0)
  let c3: Expr = ir.i32(0)
  let k0 = scope.let('k', low(key))
  let k1 = scope.let('k', high(key))
  for (let round = 0; round < 10; round++) {
    const n0 = scope.let('c', ir.xor(ir.xor(ir.mulhi(c2, ir.i32(M1)), c1), k0))
    const n1 = scope.let('c', ir.mul(c2, M1))
    const n2 = scope.let('c', ir.xor(ir.xor(ir.mulhi(c0, ir.i32(M0)), c3), k1))
    const n3 = scope.let('c', ir.mul(c0, M0))
    c0 = n0
    c1 = n1
    c2 = n2
    c3 = n3
    k0 = ir.add(k0, W0)
    k1 = ir.add(k1, W1)
  }
  return [c0, c1, c2, c3].map((bits) => (dtype === 'int32' ? bits : uniformOf(bits)))
}

const uniformOf = (bits: Expr): Expr => ir.mul(ir.convert(ir.ushr(bits, 8), 'f32'), 2 ** -24)

/** Element `at` (an index) of the stream: where neighbours are not wanted together, at the price of a whole block. */
export function emitRandom(scope: ir.Scope, key: Expr, offset: Expr, at: Expr, dtype: DType): Expr {
  const [w0, w1, w2, w3] = emitWords(scope, key, offset, ir.shr(at, 2), 'int32') as [Expr, Expr, Expr, Expr]
  const word = scope.let('word', ir.and(ir.convert(at, 'i32'), 3))
  const bits = ir.select(ir.lt(word, 2), ir.select(ir.eq(word, 0), w0, w1), ir.select(ir.eq(word, 2), w2, w3))
  return dtype === 'int32' ? bits : uniformOf(bits)
}
