import { expect, test } from 'vitest'
import { summarize, type TestReport } from './ci-summary.ts'

const file = (name: string, statuses: Record<string, string>, message = ''): TestReport['testResults'][number] => ({
  name: `/repo/${name}`,
  status: 'passed',
  message,
  assertionResults: Object.entries(statuses).map(([fullName, status]) => ({ fullName, status })),
})
const summary = (files: TestReport['testResults'], allowed = {}, steps: string[] = []) =>
  summarize({ testResults: files }, allowed, steps, '/repo')

test('counts what passed and failed, and names what failed', () => {
  expect(summary([file('src/a.test.ts', { 'adds two': 'passed', 'adds three': 'failed' })])).toEqual({
    passed: 1,
    failed: 1,
    lines: ['FAILED src/a.test.ts > adds three'],
  })
})

test('says what a failure said first', () => {
  const failed = {
    fullName: 'fits',
    status: 'failed',
    failureMessages: ['AssertionError: 9 MB: expected 1.2 to be less than 1.05\n    at x'],
  }
  expect(
    summary([
      { name: '/repo/a.test.ts', status: 'failed', assertionResults: [failed, { fullName: 'runs', status: 'passed' }] },
    ]),
  ).toMatchObject({
    lines: ['FAILED a.test.ts > fits: AssertionError: 9 MB: expected 1.2 to be less than 1.05'],
  })
})

test('a skip counts as failed unless a reason is given', () => {
  const files = [file('test/gpu.test.ts', { 'gpu adds': 'skipped', works: 'passed', 'gpu later': 'todo' })]
  expect(summary(files)).toMatchObject({ passed: 1, failed: 2 })
  expect(summary(files, { 'test/gpu.test.ts > gpu*': 'no GPU on CI' })).toEqual({
    passed: 1,
    failed: 0,
    lines: ['skipped test/gpu.test.ts > gpu adds: no GPU on CI', 'skipped test/gpu.test.ts > gpu later: no GPU on CI'],
  })
  expect(summary(files, { 'test/gpu.test.ts > gpu': 'not the whole name' })).toMatchObject({ failed: 2 })
})

test('a file that does not load, a failed step and a run without tests are failures', () => {
  expect(summary([file('a.test.ts', {}, 'SyntaxError: x\nat y'), file('b.test.ts', { b: 'passed' })])).toMatchObject({
    passed: 1,
    failed: 1,
    lines: ['FAILED a.test.ts: no test ran: SyntaxError: x'],
  })
  expect(summary([file('b.test.ts', { b: 'passed' })], {}, ['npm start'])).toMatchObject({ passed: 1, failed: 1 })
  expect(summary([file('b.test.ts', { b: 'passed' })], {}, ['npm test'])).toMatchObject({ failed: 1 })
  expect(summary([file('b.test.ts', { a: 'failed', b: 'passed' })], {}, ['npm test'])).toMatchObject({ failed: 1 })
  expect(summarize(undefined, {}, [], '/repo')).toMatchObject({ passed: 0, failed: 1 })
})
