/** Hostile input to `nn.functional`. */
import { nn } from '../../src/index.ts'
import { functionalCalls } from '../support/functional-calls.ts'
import { hostileSuite } from '../support/hostile.ts'
import type { Functions } from '../support/spoil.ts'

hostileSuite('nn.functional', nn.functional as unknown as Functions, functionalCalls, [])
