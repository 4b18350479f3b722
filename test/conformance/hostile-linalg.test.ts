/** Hostile input to `linalg`. */
import * as lz from '../../src/index.ts'
import { hostileSuite } from '../support/hostile.ts'
import { linalgCalls } from '../support/linalg-calls.ts'
import type { Functions } from '../support/spoil.ts'

const functions = lz.linalg as unknown as Functions
const top = lz as unknown as Functions
/** The same functions at the top level have their calls there. */
const shared = Object.keys(functions).filter((name) => functions[name] === top[name])

hostileSuite('linalg', functions, linalgCalls, shared)
