import { expect, test } from 'vitest'
import { peakMemory } from './peak-memory.ts'

test('the peak is read from what the system tells of this program, else counted for the process', () => {
  expect(peakMemory(() => 'VmPeak:\t  900 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n')).toBe(2)
  const counted = process.resourceUsage().maxRSS / 1024
  for (const read of [
    () => 'Name:\tnode\n',
    () => {
      throw new Error('ENOENT')
    },
  ])
    expect(peakMemory(read)).toBeGreaterThanOrEqual(counted)
  expect(peakMemory()).toBeGreaterThan(10)
})
