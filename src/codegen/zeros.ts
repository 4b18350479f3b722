/** Zeros in a box of a result (see boxes.ts): one kernel for each dtype, whatever the box. */
import { sizeOf, type DType } from '../common/dtype.ts'
import { numel, type Shape } from '../common/shape.ts'
import * as ir from './builder.ts'
import { constantOf } from './elementwise.ts'
import type { Kernel } from './kernel.ts'
import type { NestKernel } from './nest.ts'
import type { NestArgument } from './nest-parameters.ts'

/** Loops of the kernel. */
const LOOPS = 3
/** Elements worth handing to another thread. */
const GRAIN = 16384

const kernels = new Map<DType, Kernel>()

/** Parameters: the result, extents of the two inner loops, strides of the two outer ones; elements of the last one are neighbours. */
export function zerosKernel(dtype: DType): Kernel {
  let kernel = kernels.get(dtype)
  if (!kernel) kernels.set(dtype, (kernel = build(dtype)))
  return kernel
}

function build(dtype: DType): Kernel {
  const k = new ir.KernelBuilder('zeros')
  const out = k.buffer(dtype, 'write')
  const [rows, length, outerStride, rowStride] = [k.index(), k.index(), k.index(), k.index()] as const
  k.parallel('p', (p) => {
    const outer = ir.mul(ir.div(p, rows), outerStride)
    const at = k.let('at', ir.add(outer, ir.mul(ir.rem(p, rows), rowStride)))
    k.vector('k', ir.index(0), length, (i) => k.store(out, ir.add(at, i), constantOf(0, dtype)))
  })
  return k.build()
}

interface Loop {
  readonly extent: number
  readonly stride: number
}

/** The kernel with its arguments for a box in memory with these strides; null where the box has more loops. */
export function zeros(dtype: DType, shape: Shape, strides: readonly number[]): NestKernel | null {
  const loops: Loop[] = []
  shape.forEach((extent, i) => {
    const stride = strides[i]!
    const outer = loops.at(-1)
    if (extent === 1) return
    if (outer?.stride === extent * stride) loops[loops.length - 1] = { extent: outer.extent * extent, stride }
    else loops.push({ extent, stride })
  })
  if (loops.at(-1)?.stride !== 1) loops.push({ extent: 1, stride: 1 })
  while (loops.length < LOOPS) loops.unshift({ extent: 1, stride: 0 })
  if (loops.length > LOOPS) return null
  const [outer, row, inner] = loops as [Loop, Loop, Loop]
  const sizes = [row.extent, inner.extent, outer.stride, row.stride]
  return {
    kernel: zerosKernel(dtype),
    arguments: [{ kind: 'sink', index: 0 }, ...sizes.map((value): NestArgument => ({ kind: 'index', value }))],
    extent: outer.extent * row.extent,
    grain: Math.max(1, Math.floor(GRAIN / inner.extent)),
    scratchBytes: 0,
    flops: 0,
    bytes: numel(shape) * sizeOf(dtype),
    domain: '',
    shifted: new Set(),
  }
}
