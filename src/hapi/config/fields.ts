/** The kinds of settings that configuration files share. */
import { z } from 'zod'
import { expecting } from './check.ts'

/** A whole number from `least`. */
export function count(least = 1) {
  const error = expecting(`a whole number from ${least}`)
  return z.int({ error }).min(least, { error })
}

/** A number above 0. */
export function positive() {
  const error = expecting('a number above 0')
  return z.number({ error }).positive({ error })
}

/** A number from 0. */
export function nonNegative() {
  const error = expecting('a number from 0')
  return z.number({ error }).nonnegative({ error })
}

/** A number from 0 and below 1. */
export function fraction() {
  const error = expecting('a number from 0 and below 1')
  return z.number({ error }).min(0, { error }).lt(1, { error })
}

/** A file or folder; relative ones are relative to the working directory. */
export function path() {
  const error = expecting('the path of a file or folder')
  return z.string({ error }).min(1, { error })
}
