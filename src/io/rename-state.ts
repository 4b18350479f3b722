/** States of optimizers go by the unique names of parameters (`linear_0.w_0`), which depend on what else a program has built before. */
import type { Tensor } from '../tensor/tensor.ts'

/**
 * The state of an optimizer with parameters under the names that they have now. `before`: the unique name of each structured name where the
 * state was saved, as a table or as tensors that carry the names (what `load('x.pdparams')` gives); `now`: `model.stateDict()`.
 * @example
 * const weights = await load('x.pdparams')
 * optimizer.setStateDict(renameOptimizerState(await load('x.pdopt'), weights, model.stateDict()))
 */
export function renameOptimizerState<T>(
  state: T,
  before: Readonly<Record<string, string | Tensor>>,
  now: Readonly<Record<string, Tensor>>,
): T {
  if (typeof state !== 'object' || state === null) return state
  const known = new Map<string, string>()
  for (const [path, saved] of Object.entries(before)) {
    const own = now[path]
    if (own) known.set(typeof saved === 'string' ? saved : saved.name, own.name)
  }
  const rename = (key: string): string => {
    // Keys are `<parameter>_<accumulator>_0`: the longest name that begins the key is the parameter.
    for (let end = key.length; end > 0; end = key.lastIndexOf('_', end - 1)) {
      const name = known.get(key.slice(0, end))
      if (name !== undefined) return name + key.slice(end)
    }
    return key
  }
  const renameKeys = (entries: object): object =>
    Object.fromEntries(
      Object.entries(entries).map(([key, value]) => [
        rename(key),
        key === 'master_weights' ? renameKeys(value as object) : value,
      ]),
    )
  return renameKeys(state) as T
}
