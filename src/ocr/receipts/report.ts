/** The report of a fine-tuning run as one HTML file: pictures, texts, and curves, with nothing loaded from elsewhere. */
import type { Evaluation } from '../recognition/training.ts'

export interface ReportLine {
  /** JPEG or PNG bytes. */
  readonly image: Uint8Array
  readonly mime: 'image/jpeg' | 'image/png'
  readonly truth: string
  readonly before: string
  readonly after: string
  readonly confidence: number
}

export interface ReportData {
  readonly title: string
  /** Facts of the run, in order: steps, seconds, device, ... */
  readonly facts: readonly (readonly [name: string, value: string])[]
  readonly losses: readonly number[]
  /** Character error rate on held-out lines by step. */
  readonly errorRates: readonly { readonly step: number; readonly rate: number }[]
  readonly before: Evaluation
  readonly after: Evaluation
  readonly lines: readonly ReportLine[]
}

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escape = (text: string): string => text.replace(/[&<>"']/g, (c) => escapes[c]!)
const percent = (rate: number): string => `${(rate * 100).toFixed(2)} %`

/** A line chart as SVG; a running mean is drawn over noisy series. */
export function chart(
  title: string,
  points: readonly (readonly [x: number, y: number])[],
  unit = '',
  smooth = 1,
): string {
  const [width, height, left, bottom, top] = [560, 220, 52, 28, 14]
  if (points.length === 0) return ''
  const xs = points.map((p) => p[0])
  const ys = points.map((p) => p[1]).filter(Number.isFinite)
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)]
  const [y0, y1] = [Math.min(0, ...ys), Math.max(...ys, 1e-9)]
  const x = (v: number): number => left + ((v - x0) / Math.max(x1 - x0, 1e-9)) * (width - left - 12)
  const y = (v: number): number => height - bottom - ((v - y0) / Math.max(y1 - y0, 1e-9)) * (height - bottom - top)
  const path = (series: readonly (readonly [number, number])[]): string =>
    series.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(' ')
  const means = points.map(([a], i): [number, number] => {
    const part = points.slice(Math.max(0, i - smooth + 1), i + 1)
    return [a, part.reduce((s, p) => s + p[1], 0) / part.length]
  })
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((t) => {
    const v = y0 + t * (y1 - y0)
    const label = unit === '%' ? `${(v * 100).toFixed(0)} %` : v.toPrecision(3)
    return `<line x1="${left}" x2="${width - 12}" y1="${y(v).toFixed(1)}" y2="${y(v).toFixed(1)}" class="grid"/><text x="${left - 6}" y="${(y(v) + 4).toFixed(1)}" text-anchor="end">${label}</text>`
  })
  const raw = smooth > 1 ? `<polyline points="${path(points)}" class="raw"/>` : ''
  return `<figure><figcaption>${escape(title)}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img">${ticks.join('')}${raw}<polyline points="${path(means)}" class="curve"/><text x="${left}" y="${height - 8}">${x0}</text><text x="${width - 12}" y="${height - 8}" text-anchor="end">step ${x1}</text></svg></figure>`
}

/** Marks the characters of `read` that do not stand in `truth` at their place. */
function marked(read: string, truth: string): string {
  if (read === truth) return `<span class="right">${escape(read)}</span>`
  const wanted = [...truth]
  return [...read].map((c, i) => (wanted[i] === c ? escape(c) : `<b>${escape(c)}</b>`)).join('') || '<b>(nothing)</b>'
}

export function renderReport(data: ReportData): string {
  const { before, after } = data
  const rows = data.lines.map((l) => {
    const source = `data:${l.mime};base64,${Buffer.from(l.image).toString('base64')}`
    return `<tr><td><img src="${source}" alt="${escape(l.truth)}"></td><td><code>${escape(l.truth)}</code><code>${marked(l.after, l.truth)}</code><code class="old">${escape(l.before)}</code></td><td class="n">${(l.confidence * 100).toFixed(1)} %</td><td>${l.after === l.truth ? '✓' : '✗'}</td></tr>`
  })
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(data.title)}</title>
<style>
body{font:15px/1.5 system-ui,"Noto Sans CJK SC","PingFang SC","Microsoft YaHei",sans-serif;max-width:1180px;margin:2em auto;padding:0 1em;color:#1b2430;background:#fbfbf9}
h1{font-size:1.5em}.figures{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0;flex:1 1 30em;background:#fff;border:1px solid #e3e3dd;border-radius:8px;padding:.6em}figcaption{font-weight:600}
svg{width:100%;font-size:11px;fill:#667}.grid{stroke:#eee}.curve{fill:none;stroke:#b3261e;stroke-width:2}.raw{fill:none;stroke:#e9c4c0;stroke-width:1}
.big{display:flex;gap:1em;margin:1em 0}.big div{flex:1;background:#fff;border:1px solid #e3e3dd;border-radius:8px;padding:.8em 1em}.big strong{display:block;font-size:1.7em}
table{border-collapse:collapse;width:100%;background:#fff}td,th{border-bottom:1px solid #e8e8e2;padding:.35em .6em;text-align:left;vertical-align:middle}td img{height:40px;max-width:460px}code{display:block;font-size:14px;white-space:pre-wrap}code b{color:#b3261e}code .right{color:#1d6b34}code.old{color:#99a;font-size:12px}.n{text-align:right}
</style>
<h1>${escape(data.title)}</h1>
<p>All data is synthetic: lines drawn by this repository, read by a model trained by it. Fonts and layouts of the held-out lines were never used in training.</p>
<div class="big"><div>character error rate before<strong>${percent(before.characterErrorRate)}</strong></div><div>after fine-tuning<strong>${percent(after.characterErrorRate)}</strong></div><div>lines without a mistake<strong>${percent(before.lineAccuracy)} → ${percent(after.lineAccuracy)}</strong></div></div>
<div class="figures">${chart(
    'CTC loss',
    data.losses.map((l, i) => [i + 1, l] as const),
    '',
    10,
  )}${chart(
    'character error rate, held-out lines',
    data.errorRates.map((e) => [e.step, e.rate] as const),
    '%',
  )}</div>
<table><tr><th>fact</th><th>value</th></tr>${data.facts.map(([k, v]) => `<tr><td>${escape(k)}</td><td>${escape(v)}</td></tr>`).join('')}</table>
<h2>Lines</h2><p>Truth, what was read after fine-tuning, and (grey) before it.</p>
<table><tr><th>picture</th><th>text</th><th>confidence</th><th></th></tr>${rows.join('\n')}</table>
</html>
`
}
