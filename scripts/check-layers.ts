/**
 * Checks the architecture: files of src/ import only from folders above their own (scripts/layers.ts), no files import each other
 * in a circle, nothing starts a shell, and what ships imports no development dependency. Run by `npm run layers`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LAYER_ROWS, layerRow, mayImport } from './layers.ts'
import { readSource, type SourceFacts } from './source-imports.ts'
import { cyclesOf } from './strong-components.ts'

/** Text of each file by its path from the repository's root, with forward slashes. */
export type SourceTree = Readonly<Record<string, string>>

export interface PackageManifest {
  readonly name?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

const BUILTINS = new Set(builtinModules)
const isTest = (path: string): boolean => /\.(?:test|bench)\.ts$/.test(path)

/** Every violation as one line, `file:line: what is wrong; what to do`, in the order of the paths. */
export function checkLayers(tree: SourceTree, manifest: PackageManifest): string[] {
  const problems: string[] = []
  const loads = new Map<string, string[]>()
  for (const path of Object.keys(tree).toSorted()) {
    const facts = readSource(path, tree[path] ?? '')
    for (const use of facts.shellUses) {
      problems.push(`${path}:${use.line}: ${use.what} starts a shell; use execFile or spawn with a list of arguments`)
    }
    loads.set(path, loadedFiles(path, facts, tree))
    if (!path.startsWith('src/')) continue
    for (const { specifier, line } of facts.imports) {
      const problem = specifier.startsWith('.')
        ? fileProblem(path, posix.join(posix.dirname(path), specifier))
        : packageProblem(path, specifier, manifest)
      if (problem !== undefined) problems.push(`${path}:${line}: ${problem}`)
    }
  }
  for (const cycle of cyclesOf(loads)) {
    problems.push(
      `${cycle[0]}: files import each other in a circle: ${[...cycle, cycle[0]].join(' -> ')}; move what they share to a file of its own, or use \`import type\``,
    )
  }
  return problems
}

function loadedFiles(path: string, facts: SourceFacts, tree: SourceTree): string[] {
  return facts.imports
    .filter((edge) => !edge.typeOnly && edge.specifier.startsWith('.'))
    .map((edge) => posix.join(posix.dirname(path), edge.specifier))
    .filter((target) => Object.hasOwn(tree, target))
}

/** `undefined` for a file directly in src/: an entry point, which gathers what the folders offer. */
function folderOf(path: string): string | undefined {
  const parts = path.split('/')
  return parts.length > 2 ? parts[1] : undefined
}

function fileProblem(path: string, target: string): string | undefined {
  const from = folderOf(path)
  if (from !== undefined && layerRow(from) === undefined) {
    return `folder src/${from} is in no layer; add it to scripts/layers.ts where data passes through it`
  }
  if (!target.startsWith('src/')) {
    // The package's own manifest is the one file outside src/ that every installation holds.
    if (isTest(path) || target === 'package.json') return undefined
    return `imports ${target}, which is not shipped; move it under src/`
  }
  const to = folderOf(target)
  if (from === undefined) {
    return to === 'cli' ? `imports ${target}: an entry point must not load the command line` : undefined
  }
  if (to === undefined) {
    if (from === 'cli' || isTest(path)) return undefined
    return `imports the entry point ${target}, which loads everything; import the file that holds the name`
  }
  if (mayImport(from, to)) return undefined
  const advice = isTest(path)
    ? 'a test that needs higher layers belongs under test/'
    : `move the code to src/${from} or above, or turn the dependency round`
  const row = LAYER_ROWS[layerRow(from) ?? 0] ?? []
  const reason = row.includes(to) ? `${to} and ${from} are in one row` : `${to} is below ${from}`
  return `${from} must not import ${to} (${target}): ${reason}; ${advice}`
}

function packageProblem(path: string, specifier: string, manifest: PackageManifest): string | undefined {
  const parts = specifier.split('/')
  const name = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? specifier)
  if (specifier.startsWith('node:') || name === manifest.name) return undefined
  if (BUILTINS.has(name)) return `imports '${specifier}'; write 'node:${specifier}'`
  if (specifier.startsWith('/') || specifier.startsWith('file:')) {
    return `imports the absolute path '${specifier}'; use a relative one`
  }
  const shipped = [manifest.dependencies, manifest.optionalDependencies, manifest.peerDependencies]
  if (shipped.some((list) => list !== undefined && Object.hasOwn(list, name))) return undefined
  if (Object.hasOwn(manifest.devDependencies ?? {}, name)) {
    return isTest(path) ? undefined : `imports the development dependency '${name}', which users do not have`
  }
  return `imports '${name}', which package.json does not list`
}

/** Reads the TypeScript files of the repository that lies at `root`. */
export function readTree(root: string): SourceTree {
  const folders = ['src', 'scripts', 'test', 'bench', 'examples'].filter((folder) => existsSync(join(root, folder)))
  const paths = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => `${folder}/${path.replaceAll('\\', '/')}`),
  )
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..')
  const tree = readTree(root)
  const problems = checkLayers(tree, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageManifest)
  for (const problem of problems) console.error(problem)
  console.log(`layers: ${Object.keys(tree).length} files, ${problems.length} problems`)
  if (problems.length > 0) process.exitCode = 1
}
