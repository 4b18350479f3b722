/**
 * Writes docs/api-map.md: every public name of PaddlePaddle (paddle-names.json, listed by paddle-names.py) with its name in Longzhou, which
 * is looked up in what src/index.ts exports. A test compares the file with what this gives, so that it cannot go stale.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { format, resolveConfig } from 'prettier'
import * as longzhou from '../../src/index.ts'
import { absentAreas, absentNames, absentPatterns, otherNames, otherWords } from './api-names.ts'

const target = fileURLToPath(new URL('../../docs/api-map.md', import.meta.url))

interface PaddleNames {
  readonly version: string
  readonly areas: Readonly<Record<string, readonly string[]>>
}

type Container = Readonly<Record<string, unknown>>

const paddle = JSON.parse(readFileSync(new URL('paddle-names.json', import.meta.url), 'utf8')) as PaddleNames

/** Objects whose members stand for those of a class; fields count as well as methods. */
function samples(): Readonly<Record<string, object>> {
  const layer = new longzhou.nn.Linear(1, 1)
  return {
    'paddle.Tensor': longzhou.zeros([1]),
    'paddle.Model': new longzhou.Model(layer),
    'paddle.nn.Layer': layer,
    'paddle.amp.GradScaler': new longzhou.amp.GradScaler(),
    'paddle.optimizer.Optimizer': new longzhou.optimizer.SGD({ parameters: layer.parameters() }),
    'paddle.optimizer.lr.LRScheduler': new longzhou.optimizer.lr.NoamDecay({ dModel: 1, warmupSteps: 1 }),
  }
}

/** What stands at a dotted path, undefined where nothing does. */
function at(root: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, part) => (value as Container | undefined)?.[part], root)
}

/** snake_case in camelCase; classes, leading and trailing underscores stay as they are. */
export function camelCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])_([a-z0-9])/gi, (_, letter: string) => letter.toUpperCase())
}

export interface Mapping {
  /** Paddle's name, with its area. */
  readonly name: string
  /** What to write in Longzhou; null where it is missing. */
  readonly ours: string | null
  /** Why it is missing. */
  readonly why?: string
}

function mapName(area: string, name: string, members: Readonly<Record<string, object>>): Mapping {
  const full = `${area}.${name}`
  const words = otherWords[full]
  if (words !== undefined) return { name: full, ours: words }
  const renamed = otherNames[full]
  if (renamed !== undefined) return { name: full, ours: `\`${renamed}\`` }
  const ours = camelCase(name)
  const sample = members[area]
  if (sample) {
    if (ours in sample) return { name: full, ours: `\`${area.split('.').at(-1)}.${ours}\`` }
  } else {
    const path = [...area.split('.').slice(1), ours].join('.')
    if (at(longzhou, path) !== undefined) return { name: full, ours: `\`${path}\`` }
    // Variants that replace the value are methods here.
    if (name.endsWith('_') && ours in members['paddle.Tensor']!) return { name: full, ours: `\`Tensor.${ours}\`` }
  }
  const why = absentNames[full] ?? absentPatterns.find(({ pattern }) => pattern.test(full))?.why
  return { name: full, ours: null, why: why ?? 'not there yet' }
}

/** Throws where a table says what is not so: a target that is not exported, or a name that Paddle does not have or that is there after all. */
function checkTables(maps: readonly Mapping[], members: Readonly<Record<string, object>>): void {
  const wrong: string[] = []
  for (const [name, path] of Object.entries(otherNames)) {
    const [head, ...rest] = path.split('.')
    const sample = Object.entries(members).find(([area]) => area.split('.').at(-1) === head)?.[1]
    const found = at(longzhou, path) !== undefined || (sample !== undefined && rest.join('.') in sample)
    if (!found) wrong.push(`${name} -> ${path}, which is not exported`)
  }
  const listed = new Map(maps.map((m) => [m.name, m]))
  for (const name of Object.keys({ ...otherNames, ...otherWords, ...absentNames }))
    if (!listed.has(name)) wrong.push(`${name}, which PaddlePaddle ${paddle.version} does not list`)
  for (const name of Object.keys(absentNames)) if (listed.get(name)?.ours) wrong.push(`${name}, which is there`)
  if (wrong.length > 0) throw new Error(`scripts/docs/api-names.ts names\n${wrong.join('\n')}`)
}

/** Every name of the areas that Longzhou has, by area. */
export function apiMap(): ReadonlyMap<string, readonly Mapping[]> {
  const members = samples()
  const areas = Object.entries(paddle.areas).filter(([area]) => !(area in absentAreas))
  const maps = new Map(areas.map(([area, names]) => [area, names.map((name) => mapName(area, name, members))]))
  checkTables([...maps.values()].flat(), members)
  return maps
}

const isThere = (m: Mapping): boolean => m.ours !== null

/** A row of a Markdown table. */
const row = (...cells: readonly (string | number)[]): string =>
  `| ${cells.map((c) => String(c).replaceAll('|', '\\|')).join(' | ')} |`

function table(head: readonly string[], rows: readonly string[]): string {
  return [row(...head), row(...head.map(() => '---')), ...rows].join('\n')
}

function section(area: string, maps: readonly Mapping[]): string {
  const there = maps.filter(isThere)
  const missing = maps.filter((m) => !isThere(m))
  const rows = [
    ...missing.map((m) => row(`\`${m.name}\``, `**missing**: ${m.why}`)),
    ...there.map((m) => row(`\`${m.name}\``, m.ours!)),
  ]
  return `## ${area}\n\n${there.length} of ${maps.length} names.\n\n${table(['PaddlePaddle', 'Longzhou'], rows)}\n`
}

function markdown(): string {
  const maps = apiMap()
  const all = [...maps.values()].flat()
  const counts = [...maps].map(([area, list]) => {
    const there = list.filter(isThere).length
    return row(`[${area}](#${area.toLowerCase().replaceAll('.', '')})`, list.length, there, list.length - there)
  })
  const absent = Object.entries(absentAreas).map(([area, why]) => row(`\`${area}\``, paddle.areas[area]!.length, why))
  return `# From PaddlePaddle to Longzhou

Every public name of PaddlePaddle ${paddle.version} (\`__all__\` of its modules, the public members of its central classes) and what it is called in
Longzhou. Written by \`npm run docs\` from what \`src/index.ts\` exports; a test keeps it true. What is missing stands first in each table.

Functions and methods are Paddle's names in camelCase, classes keep Paddle's spelling. Arguments that Python passes by name are the fields of a last
argument \`options\`, in camelCase. What has to wait for numbers returns a promise: \`await x.item()\`, \`await nonzero(x)\`. Where values differ on
purpose is said in [deviations.md](deviations.md).

${table(['area', 'names', 'there', 'missing'], [...counts, row('**all of these**', all.length, all.filter(isThere).length, all.filter((m) => !isThere(m)).length)])}

Areas of which nothing is there yet:

${table(['area', 'names', 'why'], absent)}

${[...maps].map(([area, list]) => section(area, list)).join('\n')}`
}

/** The text of docs/api-map.md. */
export async function apiMapText(): Promise<string> {
  return format(markdown(), { ...(await resolveConfig(target)), filepath: target })
}
