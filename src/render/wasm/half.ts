/**
 * float16 and bfloat16 as arithmetic on bits, in kernel IR, for one lane or many: what a device without such types does at loads and
 * stores. Rounds to the nearest, ties to even; keeps NaN, infinities and subnormals.
 */
import { add, and, bitcast, constant, ge, gt, lt, mul, or, select, shl, sub, ushr } from '../../codegen/builder.ts'
import type { Expr } from '../../codegen/kernel.ts'

const f32Infinity = 0x7f800000

/** f32 from the 16 bits of a bfloat16 in an i32. */
export function fromBfloat16(bits: Expr): Expr {
  return bitcast(shl(bits, 16), 'f32')
}

/** The 16 bits of the nearest bfloat16; higher bits are 0. */
export function toBfloat16(value: Expr): Expr {
  const bits = bitcast(value, 'i32')
  const high = ushr(bits, 16)
  const rounded = ushr(add(bits, add(and(high, 1), 0x7fff)), 16)
  // A NaN must not round to infinity: it is cut, with the quiet bit set.
  return select(gt(and(bits, 0x7fffffff), f32Infinity), or(high, 0x40), rounded)
}

/**
 * f32 from the 16 bits of a float16 in an i32. Moved to the place of the f32 fields, the number is too small by 2^112, subnormals
 * included; infinities and NaN then lack exponent bits.
 */
export function fromFloat16(bits: Expr): Expr {
  const magnitude = and(bits, 0x7fff)
  const scaled = bitcast(mul(bitcast(shl(magnitude, 13), 'f32'), 2 ** 112), 'i32')
  const special = select(ge(magnitude, 0x7c00), or(scaled, f32Infinity), scaled)
  return bitcast(or(special, shl(and(bits, 0x8000), 16)), 'f32')
}

/** The 16 bits of the nearest float16; higher bits are 0. */
export function toFloat16(value: Expr): Expr {
  const bits = bitcast(value, 'i32')
  const magnitude = and(bits, 0x7fffffff)
  const sign = and(ushr(bits, 16), 0x8000)
  const normal = ushr(add(magnitude, add(and(ushr(magnitude, 13), 1), 0xfff - 0x38000000)), 13)
  // Adding 0.5 puts the unit of a subnormal half, 2^-24, at the last bit of an f32, which rounds it.
  const shifted = bitcast(add(bitcast(magnitude, 'f32'), constant(0.5, 'f32', value.type.lanes)), 'i32')
  const finite = select(lt(magnitude, 0x38800000), sub(shifted, 0x3f000000), normal)
  const special = select(gt(magnitude, f32Infinity), constant(0x7e00, 'i32', value.type.lanes), 0x7c00)
  return or(sign, select(ge(magnitude, 0x477ff000), special, finite))
}
