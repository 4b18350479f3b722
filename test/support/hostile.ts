/**
 * The suite of hostile input, for a table of functions: every one of them is called with its arguments spoiled, one after the other. What comes
 * out is a right answer (the devices agree with the oracle, and with each other about what is refused) or a typed error that says so.
 */
import { describe, expect, it } from 'vitest'
import { judged } from './backends.ts'
import type { Call } from './calls.ts'
import { disagreements, rawErrors, spoil, type Functions } from './spoil.ts'

/** Tests of the table in so many parts: a part holds about a thousand calls. */
const parts = 6

const text = (lines: readonly string[]): string => lines.slice(0, 60).join('\n')

/** `apart`: names that the table leaves out, since they are no functions of tensors. */
export function hostileSuite(
  title: string,
  functions: Functions,
  calls: readonly Call[],
  apart: readonly string[],
): void {
  const groups = Array.from({ length: parts }, (_, k) => [k, calls.filter((_, i) => i % parts === k)] as const)

  describe(`hostile arguments of ${title}`, () => {
    it('the table of calls names every public function', () => {
      const named = new Set([...calls.map(([name]) => name), ...apart])
      const missing = Object.keys(functions).filter((name) => {
        const f: unknown = functions[name]
        return typeof f === 'function' && !/^class\b/.test(Function.prototype.toString.call(f)) && !named.has(name)
      })

      expect(missing).toEqual([])
    })

    it.each(groups)('give an answer or a typed error (%i)', async (_, group) => {
      const spoiled = group.flatMap((call) => spoil(functions, call))

      expect(text(await rawErrors(spoiled))).toBe('')
    })

    it.each(groups)('give the same answer on wasm (%i)', async (_, group) => {
      const wrong: string[] = []
      for (const call of group) wrong.push(...(await disagreements(spoil(functions, call), 'wasm')))

      expect(text(wrong)).toBe('')
    })

    it.each(judged)('valid ones give an answer, the same on %s', async (device) => {
      const valid = calls.map((call) => spoil(functions, call)[0]!)

      expect(text(await disagreements(valid, device))).toBe('')
    })
  })
}
