/** The most resident memory that this process has had. */
import { readFileSync } from 'node:fs'

/**
 * MiB. Of this program alone: what the system counts for the process (getrusage) begins, on Linux, with the peak of the process that started it.
 */
export function peakMemory(read: () => string = () => readFileSync('/proc/self/status', 'utf8')): number {
  return (peakOf(read) ?? process.resourceUsage().maxRSS) / 1024
}

/** KiB, where the system tells. */
function peakOf(read: () => string): number | undefined {
  try {
    const found = /^VmHWM:\s*(\d+) kB$/m.exec(read())
    return found ? Number(found[1]) : undefined
  } catch {
    return undefined
  }
}
