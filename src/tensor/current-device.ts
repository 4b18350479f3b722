/** Which device is the current one, by name; what devices there are is told by device.ts. */
import { readEnvironment } from '../common/env.ts'

let current: string | null = null
let preferred = 'cpu'

/** The current device's name, as `paddle.get_device`. */
export function getDevice(): string {
  current ??= readEnvironment().device ?? preferred
  return current
}

export function makeCurrent(name: string): void {
  current = name
}

/** What programs get that choose none. */
export function makePreferred(name: string): void {
  preferred = name
}
