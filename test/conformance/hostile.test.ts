/** Hostile input to the functions of tensors. */
import * as lz from '../../src/index.ts'
import { calls } from '../support/calls.ts'
import { hostileSuite } from '../support/hostile.ts'
import type { Functions } from '../support/spoil.ts'

/** Not functions of tensors, or functions with a suite of their own. */
const apart: readonly string[] = [
  [
    'devices',
    'getDevice',
    'setDevice',
    'setNumThreads',
    'registerDevice',
    'isCompiledWithCuda',
    'realize',
    'synchronize',
  ],
  ['getDefaultDtype', 'setDefaultDtype', 'isDType'],
  // The generator, and autograd over whatever was recorded.
  ['defaultGenerator', 'getRngState', 'setRngState', 'seed'],
  ['backward', 'grad', 'noGrad', 'enableGrad', 'isGradEnabled', 'recompute', 'recomputeSequential'],
  // Files and models.
  ['load', 'save', 'flops', 'summary'],
].flat()

hostileSuite('functions of tensors', lz as unknown as Functions, calls, apart)
