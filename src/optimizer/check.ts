/** Checks of what users set. */
import { ArgumentError } from '../common/errors.ts'

/** Throws ArgumentError unless 0 <= value < 1. */
export function checkUnit(value: number, name: string): number {
  if (value >= 0 && value < 1) return value
  throw new ArgumentError(`${name} must lie in [0, 1), got ${value}`)
}

/** Throws ArgumentError unless value >= 0. */
export function checkNotNegative(value: number, name: string): number {
  if (value >= 0) return value
  throw new ArgumentError(`${name} must not be negative, got ${value}`)
}
