import { expect, test } from 'vitest'
import { CompileError, FormatError, ProofError, ShapeError, StorageError, UnsupportedError } from '../common/errors.ts'
import { describeFailure, exitCodeOf, UsageError } from './errors.ts'

test('an error of this package is one line and a hint, without a stack', () => {
  expect(describeFailure(new CompileError('the C compiler failed'), {})).toBe(
    'longzhou: the C compiler failed\n  hint: longzhou doctor shows the compiler and its last messages',
  )
  expect(describeFailure(new ShapeError('[2] and [3] do not fit'), {})).toBe('longzhou: [2] and [3] do not fit')
})

test('a hint fits what happened', () => {
  const told = (error: Error): string => describeFailure(error, {})
  expect(told(new FormatError('truncated'))).toMatch(/hint: nothing was overwritten; check that the file is whole/)
  expect(told(new UnsupportedError('Scan: loops are not there'))).toMatch(/hint: docs\/models\.md says what is read/)
  expect(told(new ProofError('output 0 differs by 1'))).toMatch(
    /hint: what stood there before is untouched; report the operator/,
  )
  // What the system refused says itself what to do.
  expect(told(new StorageError('there is no such file; check the path'))).not.toContain('hint')
})

test('any other error shows its stack under LONGZHOU_DEBUG only', () => {
  const error = new TypeError('x is not a function')
  expect(describeFailure(error, {})).toBe(
    'longzhou: unexpected TypeError: x is not a function\n  hint: LONGZHOU_DEBUG=1 shows where it happened',
  )
  expect(describeFailure(error, { LONGZHOU_DEBUG: '0' })).toMatch(/hint/)
  expect(describeFailure(error, { LONGZHOU_DEBUG: '1' })).toContain('errors.test.ts')
  expect(describeFailure('a string', {})).toContain('unexpected a string')
})

test('exit codes', () => {
  expect(exitCodeOf(new UsageError('no'))).toBe(2)
  expect(exitCodeOf(new ShapeError('no'))).toBe(1)
  expect(exitCodeOf(undefined)).toBe(1)
})
