/**
 * The roofline as an SVG image: arithmetic intensity and speed on logarithmic axes, the roof of one core and of all, the kernels of the
 * training steps (larger the more time they take) and the cases of the sweep.
 */
import type { Speeds } from '../../../runtime/roofline.ts'
import type { Results } from './results.ts'

const [WIDTH, HEIGHT] = [900, 560]
const PLOT = { left: 70, right: 20, top: 60, bottom: 60 }
const COLOURS = ['#d1495b', '#00798c', '#edae49', '#66558f']
const SWEEP_COLOUR = '#8d99ae'

interface Point {
  /** Operations a byte, and GFLOP/s. */
  readonly x: number
  readonly y: number
  readonly radius: number
  readonly colour: string
  readonly label: string
}

function pointsOf(results: Results): Point[] {
  const sweep = results.sweep.map((s): Point => {
    const label = `${s.case}: ${s.gflops.toFixed(1)} GFLOP/s`
    return { x: s.intensity ?? 0, y: s.gflops, radius: 2.5, colour: SWEEP_COLOUR, label }
  })
  const kernels = results.kernels.flatMap((k, i) =>
    k.kernels.map((row): Point => {
      const label = `${k.workload}, ${row.title} ${row.shapes}: ${row.gflops.toFixed(1)} GFLOP/s, ${row.ms.toFixed(2)} ms`
      const radius = 3 + 14 * Math.sqrt(row.ms / k.step_ms)
      return { x: row.intensity, y: row.gflops, radius, colour: COLOURS[i % COLOURS.length]!, label }
    }),
  )
  // What does no arithmetic has no place on a logarithmic axis.
  return [...sweep, ...kernels].filter((p) => p.x > 0 && p.y > 0)
}

/** An axis from one power of ten to another. */
function logAxis(values: readonly number[], from: number, to: number): { at: (v: number) => number; ticks: number[] } {
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))
  const at = (v: number): number => from + ((Math.log10(v) - low) / (high - low)) * (to - from)
  return { at, ticks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)) }
}

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
const n = (value: number): string => String(Number(value.toFixed(1)))

/** The plot; null where there is no roofline or nothing to compare with it. */
export function plotRoofline(results: Results): string | null {
  const { roofline } = results
  const points = pointsOf(results)
  if (!roofline || points.length === 0) return null
  const roofs = roofline.speeds.map(roofLine)
  const x = logAxis([...points.map((p) => p.x), ...roofs.map((r) => r.ridge)], PLOT.left, WIDTH - PLOT.right)
  const y = logAxis([...points.map((p) => p.y), ...roofs.map((r) => r.gflops)], HEIGHT - PLOT.bottom, PLOT.top)
  const parts = [
    ...x.ticks.map((t) => line(x.at(t), PLOT.top, x.at(t), HEIGHT - PLOT.bottom, '#e5e5e5')),
    ...y.ticks.map((t) => line(PLOT.left, y.at(t), WIDTH - PLOT.right, y.at(t), '#e5e5e5')),
    ...x.ticks.map((t) => label(x.at(t), HEIGHT - PLOT.bottom + 18, String(t), 'middle')),
    ...y.ticks.map((t) => label(PLOT.left - 8, y.at(t) + 4, String(t), 'end')),
    label((PLOT.left + WIDTH - PLOT.right) / 2, HEIGHT - 14, 'operations a byte', 'middle'),
    label(PLOT.left, PLOT.top - 10, 'GFLOP/s', 'middle'),
    ...roofs.flatMap(({ name, gflops, gbs, ridge }) => {
      // The slope leaves the plot where it meets its lower or its left edge.
      const start = Math.max(x.ticks[0]!, y.ticks[0]! / gbs)
      const corner = [x.at(ridge), y.at(gflops)] as const
      return [
        line(x.at(start), y.at(start * gbs), ...corner, '#333', 1.5),
        line(...corner, WIDTH - PLOT.right, corner[1], '#333', 1.5),
        label(WIDTH - PLOT.right - 4, corner[1] - 6, `${name}: ${n(gflops)} GFLOP/s, ${n(gbs)} GB/s`, 'end'),
      ]
    }),
    ...points.map(
      (p) =>
        `<circle cx="${n(x.at(p.x))}" cy="${n(y.at(p.y))}" r="${n(p.radius)}" fill="${p.colour}" fill-opacity="0.55" stroke="${p.colour}"><title>${escape(p.label)}</title></circle>`,
    ),
    ...legend(results),
  ]
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12">`
  return `${head}\n<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>\n${parts.join('\n')}\n</svg>\n`
}

interface RoofLine {
  readonly name: string
  readonly gflops: number
  readonly gbs: number
  /** Operations a byte from which arithmetic is the limit. */
  readonly ridge: number
}

function roofLine({ threads, gflops, memory }: Speeds): RoofLine {
  const peak = Math.max(...Object.values(gflops))
  return {
    name: threads === 1 ? 'one core' : `${threads} cores`,
    gflops: peak,
    gbs: memory.triad,
    ridge: peak / memory.triad,
  }
}

function legend(results: Results): string[] {
  const entries = results.kernels.map((k, i) => [k.workload, COLOURS[i % COLOURS.length]!] as const)
  if (results.sweep.length > 0) entries.push(['products and convolutions', SWEEP_COLOUR])
  return entries.flatMap(([name, colour], i) => {
    const at = PLOT.left + i * 165
    return [`<circle cx="${at + 60}" cy="24" r="5" fill="${colour}"/>`, label(at + 70, 28, name, 'start')]
  })
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string, width = 1): string {
  return `<line x1="${n(x1)}" y1="${n(y1)}" x2="${n(x2)}" y2="${n(y2)}" stroke="${colour}" stroke-width="${width}"/>`
}

function label(x: number, y: number, text: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${n(x)}" y="${n(y)}" text-anchor="${anchor}" fill="#333">${escape(text)}</text>`
}
