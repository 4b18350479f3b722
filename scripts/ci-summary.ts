/**
 * The last lines of a CI run: what failed, and `N passed, N failed` alone on the last one. Reads what vitest's JSON reporter wrote.
 * A skipped test counts as failed unless .ci/allowed-skips.json gives a reason: on CI everything that tests need is there.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The part of vitest's report that counts. */
export interface TestReport {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message?: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages?: readonly string[]
    }[]
  }[]
}

/** Reason by `path/to/file.test.ts > full name of the test`; a `*` at the end of a key stands for any rest. */
export type AllowedSkips = Readonly<Record<string, string>>

export interface Summary {
  readonly passed: number
  readonly failed: number
  /** One line for each failure and each allowed skip. */
  readonly lines: readonly string[]
}

/** The name by which .ci/run calls the step that writes the report. */
const TEST_STEP = 'npm test'

/** Counts tests, files that did not load, skips without a reason, and steps of the run that failed. */
export function summarize(
  report: TestReport | undefined,
  allowedSkips: AllowedSkips,
  failedSteps: readonly string[],
  root: string,
): Summary {
  let passed = 0
  const failures: string[] = []
  const notes: string[] = []
  for (const file of report?.testResults ?? []) {
    const path = relative(root, file.name)
    if (file.assertionResults.length === 0) {
      failures.push(`FAILED ${path}: no test ran${firstLine(file.message)}`)
    }
    for (const { fullName, status, failureMessages } of file.assertionResults) {
      const test = `${path} > ${fullName}`
      const reason = status === 'passed' || status === 'failed' ? undefined : reasonFor(test, allowedSkips)
      if (status === 'passed') passed++
      else if (status === 'failed') failures.push(`FAILED ${test}${firstLine(failureMessages?.[0])}`)
      else if (reason === undefined) failures.push(`SKIPPED ${test}: counts as failed on CI`)
      else notes.push(`skipped ${test}: ${reason}`)
    }
  }
  if (passed === 0) failures.push('FAILED no test passed')
  // The step that ran the tests fails with them; alone it tells of an error outside any test.
  const steps = failures.length > 0 ? failedSteps.filter((step) => step !== TEST_STEP) : failedSteps
  for (const step of steps) failures.push(`FAILED step: ${step}`)
  return { passed, failed: failures.length, lines: [...notes, ...failures] }
}

/** What a failure says first, after a colon: the run may not be seen again. */
function firstLine(message: string | undefined): string {
  return message ? `: ${message.split('\n')[0]!.slice(0, 300)}` : ''
}

function reasonFor(test: string, allowedSkips: AllowedSkips): string | undefined {
  const matches = (key: string): boolean => (key.endsWith('*') ? test.startsWith(key.slice(0, -1)) : test === key)
  return Object.entries(allowedSkips).find(([key]) => matches(key))?.[1]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..')
  const [resultsPath = '', ...failedSteps] = process.argv.slice(2)
  const report = existsSync(resultsPath) ? (JSON.parse(readFileSync(resultsPath, 'utf8')) as TestReport) : undefined
  const allowedSkips = JSON.parse(readFileSync(join(root, '.ci/allowed-skips.json'), 'utf8')) as AllowedSkips
  const { passed, failed, lines } = summarize(report, allowedSkips, failedSteps, root)
  for (const line of lines) console.log(line)
  console.log(`${passed} passed, ${failed} failed`)
  if (failed > 0) process.exitCode = 1
}
