/** How constructors of layers read their arguments. */
import { ArgumentError } from '../../common/errors.ts'
import type { Spatial } from '../functional/geometry.ts'
import type { ParamAttrLike } from '../parameter.ts'

/** What the constructors of layers with weight and bias share. */
export interface WeightOptions {
  readonly weightAttr?: ParamAttrLike
  /** `false`: no bias. */
  readonly biasAttr?: ParamAttrLike | false
}

/** Throws ArgumentError unless a size is a positive integer. */
export function checkSizes(layer: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isInteger(size) || size < 1)
      throw new ArgumentError(`${layer}: ${name} must be a positive integer, got ${size}`)
  }
}

/** Options among which the kernel size stands. */
export type WithKernel<O> = O & { readonly kernelSize: Spatial }

/** Reads `(kernelSize, options)` or `({ kernelSize, ...options })`. */
export function kernelAndOptions<O extends object>(
  layer: string,
  first: Spatial | WithKernel<O>,
  rest: O | undefined,
): { kernelSize: Spatial; options: O } {
  if (typeof first === 'number' || Array.isArray(first))
    return { kernelSize: first as Spatial, options: rest ?? ({} as O) }
  const options = first as WithKernel<O>
  if (options?.kernelSize === undefined)
    throw new ArgumentError(`${layer}: kernelSize is missing; give it alone, or as { kernelSize: 3 }`)
  return { kernelSize: options.kernelSize, options }
}
