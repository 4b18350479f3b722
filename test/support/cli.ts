/** What commands print that run in the process of the tests. */
import { afterEach, beforeEach, vi } from 'vitest'

/** What commands have printed in this test. */
export interface Printed {
  stdout: string
  stderr: string
}

/** Called at the top of a file of tests: catches what each test prints, from nothing on. */
export function catchOutput(): Printed {
  const printed: Printed = { stdout: '', stderr: '' }
  beforeEach(() => {
    printed.stdout = printed.stderr = ''
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => Boolean((printed.stdout += String(text))))
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => Boolean((printed.stderr += String(text))))
  })
  afterEach(() => vi.restoreAllMocks())
  return printed
}
