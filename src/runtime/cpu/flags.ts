/** How generated C is compiled. */
import { vectorBytes } from '../cpu-features.ts'
import { defaultCompiler, type Compiler } from '../compiler.ts'

/**
 * No -ffast-math: NaN and infinity mean what they mean. Contraction to fused multiply-adds is allowed, errno and floating-point traps
 * are not looked at, and integers wrap around.
 */
export function kernelFlags(compiler: Compiler = defaultCompiler()): string[] {
  return [
    '-O2',
    ...compiler.nativeFlags,
    // Where kernels use whole registers of AVX-512, compilers must not cut them in halves on their way through memory.
    ...(vectorBytes(compiler.features) === 64 ? ['-mprefer-vector-width=512'] : []),
    '-fno-math-errno',
    '-fno-trapping-math',
    '-ffp-contract=fast',
    '-fopenmp-simd',
    '-fwrapv',
    '-fno-strict-aliasing',
    '-fno-semantic-interposition',
    '-w',
    '-lm',
  ]
}
