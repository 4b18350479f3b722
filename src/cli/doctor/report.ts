/** The doctor's findings and how they are shown: a line for each, with one fix under each that needs it. */
import { type Colors, displayWidth, padDisplay } from '../ui.ts'

/** `warning`: it works, but slower or not everywhere. `problem`: something that users need does not work. */
export type Status = 'ok' | 'warning' | 'problem'

export interface Finding {
  /** Key for programs, such as `compiler`. */
  readonly name: string
  readonly title: string
  readonly status: Status
  /** The finding in one line. */
  readonly summary: string
  /** More lines for people. */
  readonly notes?: readonly string[]
  /** What to do about it; present wherever the status is not `ok`. */
  readonly fix?: string
  /** Facts for programs. */
  readonly details: Readonly<Record<string, unknown>>
}

export interface Report {
  readonly version: string
  /** No problem was found (there may be warnings). */
  readonly ok: boolean
  readonly seconds: number
  readonly findings: readonly Finding[]
}

/** The report for people. */
export function formatReport(report: Report, colors: Colors): string {
  const mark = { ok: colors.green('✓'), warning: colors.yellow('!'), problem: colors.red('✗') }
  const width = Math.max(...report.findings.map((finding) => displayWidth(finding.title)))
  const indent = ' '.repeat(width + 4)
  const lines = report.findings.flatMap((finding) => [
    `${mark[finding.status]} ${padDisplay(finding.title, width)}  ${finding.summary}`,
    ...(finding.notes ?? []).map((note) => indent + colors.dim(note)),
    ...(finding.fix === undefined ? [] : [`${indent}${colors.bold('fix:')} ${finding.fix}`]),
  ])
  const count = (status: Status) => report.findings.filter((finding) => finding.status === status).length
  const plural = (n: number, word: string) => `${n} ${word}${n === 1 ? '' : 's'}`
  const verdict = `${plural(count('problem'), 'problem')}, ${plural(count('warning'), 'warning')}`
  return [`Longzhou ${report.version}`, '', ...lines, '', verdict, ''].join('\n')
}
