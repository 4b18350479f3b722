/** The initialisers that a program sets for all its layers at once (`paddle.nn.initializer.set_global_initializer`). */
import type { Initializer } from './initializer.ts'

export interface GlobalInitializers {
  readonly weight: Initializer | undefined
  readonly bias: Initializer | undefined
}

let current: GlobalInitializers = { weight: undefined, bias: undefined }

/**
 * Sets the initialisers of weights and biases of every layer built from now on. They replace the layers' own defaults, but
 * not an initialiser given to the layer itself. Without arguments (or with `undefined`) the layers' defaults come back.
 */
export function setGlobalInitializer(weight?: Initializer, bias?: Initializer): void {
  current = { weight, bias }
}

/** What `setGlobalInitializer` set last; layers ask when they make a parameter that names no initialiser. */
export function getGlobalInitializer(): GlobalInitializers {
  return current
}
