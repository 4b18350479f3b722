/**
 * autoCast: a scope in which ops take their operands in low precision, in float32, or in the widest of their dtypes, by Paddle's lists
 * (paddle.amp.auto_cast). It works on every device. Paddle switches itself off on CPUs; here products of bfloat16 use the
 * processor's instructions where it has them, and low precision is storage elsewhere, so that a program behaves alike everywhere.
 */
import { ArgumentError } from '../common/errors.ts'
import { cast } from '../graph/build.ts'
import type { Node } from '../graph/node.ts'
import { setOperandPolicy, type OperandPolicy } from '../tensor/autocast.ts'
import { blackList, paddleName, whiteList, type AmpDtype, type AmpLevel } from './lists.ts'

export interface AutoCastOptions {
  /** Default true; false switches an outer scope off. */
  readonly enable?: boolean
  /** More ops for low precision, by Paddle's names or by the names of functions here. */
  readonly customWhiteList?: Iterable<string>
  /** More ops for float32; they win over the built-in white list. */
  readonly customBlackList?: Iterable<string>
  /** O1 (default): low precision where it is safe. O2: everywhere but in the black list; see `decorate`. O0: off. */
  readonly level?: AmpLevel
  /** Default `'float16'`. */
  readonly dtype?: AmpDtype
  /** At O2: ops in neither list take the widest dtype of their operands; false makes them low. Default true. */
  readonly usePromote?: boolean
}

/** What the scope that is open now does; null outside, and where it is switched off. */
export interface AutoCastState {
  readonly level: 'O1' | 'O2'
  readonly dtype: AmpDtype
}

let state: AutoCastState | null = null

/** The scope that is open now, or null. */
export function autoCastState(): AutoCastState | null {
  return state
}

/** Operands that take part: float64 is what the user asked for, and integers are not numbers to round. */
const adaptable = (n: Node): boolean => n.dtype === 'float32' || n.dtype === 'float16' || n.dtype === 'bfloat16'

/** Policies by their settings: equal scopes share one, by which frozen functions (jit.toStatic) tell scopes apart. */
const policies = new Map<string, OperandPolicy>()

function policyOf(options: AutoCastOptions, level: 'O1' | 'O2', low: AmpDtype): OperandPolicy {
  const lists = [options.customWhiteList ?? [], options.customBlackList ?? []].map((list) => [...list].toSorted())
  const key = JSON.stringify([level, low, options.usePromote ?? true, ...lists])
  let policy = policies.get(key)
  if (!policy) policies.set(key, (policy = makePolicy(options, level, low)))
  return policy
}

function makePolicy(options: AutoCastOptions, level: 'O1' | 'O2', low: AmpDtype): OperandPolicy {
  const custom = (list: Iterable<string> = []): string[] => [...list].map(paddleName)
  const customWhite = custom(options.customWhiteList)
  const customBlack = custom(options.customBlackList)
  const both = customWhite.filter((op) => customBlack.includes(op))
  if (both.length > 0)
    throw new ArgumentError(`autoCast: ${both.join(', ')} stand in customWhiteList and in customBlackList`)
  const white = new Set([...whiteList(), ...customWhite].filter((op) => !customBlack.includes(op)))
  const black = new Set([...blackList(level), ...customBlack].filter((op) => !customWhite.includes(op)))
  const promotes = level === 'O1' || (options.usePromote ?? true)
  const named = new Set([...customWhite, ...customBlack])
  // The products of a recurrence, `rnn.matmul`, go by `rnn` where the lists of the scope name it, else by `matmul`.
  const nameOf = (op: string): string => {
    const [outer, inner] = op.split('.') as [string, string?]
    return paddleName(inner === undefined || named.has(paddleName(outer)) ? outer : inner)
  }
  return (op, operands) => {
    const name = nameOf(op)
    const wide = black.has(name) || (promotes && !white.has(name) && operands.some((n) => n.dtype === 'float32'))
    const dtype = wide ? 'float32' : low
    return operands.map((n) => (adaptable(n) ? cast(n, dtype) : n))
  }
}

/**
 * Runs `body` in mixed precision and returns what it returns. The scope covers what is recorded while `body` runs, so `body` must not be
 * asynchronous: await outside. Call `backward()` outside too, as with Paddle; gradients come in the dtype of each value.
 * @example const loss = amp.autoCast(() => criterion(model(x), label))
 * @example const loss = amp.autoCast({ dtype: 'bfloat16', level: 'O2' }, () => criterion(model(x), label))
 */
export function autoCast<T>(body: () => T): T
export function autoCast<T>(options: AutoCastOptions, body: () => T): T
export function autoCast<T>(first: AutoCastOptions | (() => T), second?: () => T): T {
  const options = typeof first === 'function' ? {} : first
  const body = typeof first === 'function' ? first : second
  if (typeof body !== 'function') throw new ArgumentError('autoCast: give a function to run, autoCast(() => model(x))')
  const { enable = true, level = 'O1', dtype = 'float16' } = options
  if (level !== 'O0' && level !== 'O1' && level !== 'O2')
    throw new ArgumentError(`autoCast: level must be 'O0', 'O1' or 'O2', got '${String(level)}'`)
  if (dtype !== 'float16' && dtype !== 'bfloat16')
    throw new ArgumentError(`autoCast: dtype must be 'float16' or 'bfloat16', got '${String(dtype)}'`)
  const next = enable && level !== 'O0' ? { level, dtype } : null
  const policyBefore = setOperandPolicy(next && policyOf(options, next.level, dtype))
  const stateBefore = state
  state = next
  try {
    const result = body()
    if (result instanceof Promise)
      throw new ArgumentError(
        'autoCast: the function is asynchronous, and the scope ends at its first await; record inside, await outside',
      )
    return result
  } finally {
    setOperandPolicy(policyBefore)
    state = stateBefore
  }
}
