/**
 * Builds the package: every source file to a JavaScript module of the same place under dist/, with its types. Then checks what
 * package.json promises: each export and command is there and loads in a fresh Node. Run by `npm run build`.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { digestSources, SOURCES_DIGEST } from '../src/runtime/cpu/generator-version.ts'

export interface PackageEntries {
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>
  readonly bin: Readonly<Record<string, string>>
}

/** The source of a built file: `./dist/ocr/index.js` comes from `src/ocr/index.ts`. */
export function sourceOf(built: string): string {
  return built.replace(/^(?:\.\/)?dist\//, 'src/').replace(/(?:\.d)?\.(?:js|ts)$/, '.ts')
}

/** Promises of package.json that `exists` cannot find, as lines. */
export function missingEntries(entries: PackageEntries, exists: (path: string) => boolean): string[] {
  const promised: [name: string, path: string][] = [
    ...Object.entries(entries.exports).flatMap(([name, { types, default: code }]): [string, string][] => [
      [`export ${name}`, code],
      [`types of export ${name}`, types],
    ]),
    ...Object.entries(entries.bin).map(([name, path]): [string, string] => [`command ${name}`, path]),
  ]
  return promised.filter(([, path]) => !exists(path)).map(([name, path]) => `${name}: ${path} does not exist`)
}

/** Builds the repository at `root` into `outDir` and checks the result. @throws when a promise is broken, or types are wrong. */
export function buildPackage(root: string, outDir: string = join(root, 'dist')): void {
  const entries = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageEntries
  complain(missingEntries(entries, (path) => existsSync(join(root, sourceOf(path)))))
  rmSync(outDir, { recursive: true, force: true })
  // The compiler itself: a bundler has nothing to do where every file stays a module of its own (workers and lazily loaded commands keep
  // their places), and the native threads of rolldown wait for each other now and then where there are two cores.
  const compiler = createRequire(import.meta.url).resolve('typescript/lib/tsc.js')
  execFileSync(process.execPath, [compiler, '--project', join(root, 'tsconfig.build.json'), '--outDir', outDir], {
    stdio: 'inherit',
  })
  // What keeps plans of models on disk need not read the whole package to know which one made them.
  writeFileSync(join(outDir, SOURCES_DIGEST), digestSources(outDir, ['.']))
  const built = (path: string): string => join(outDir, path.replace(/^(?:\.\/)?dist\//, ''))
  complain(missingEntries(entries, (path) => existsSync(built(path))))
  for (const { default: code } of Object.values(entries.exports)) {
    execFileSync(process.execPath, ['--input-type=module', '-e', 'await import(process.argv[1])', built(code)])
  }
  for (const path of Object.values(entries.bin)) execFileSync(process.execPath, [built(path), '--version'])
}

function complain(problems: readonly string[]): void {
  if (problems.length > 0) throw new Error(`package.json promises what is not there:\n  ${problems.join('\n  ')}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // The first argument: where to, instead of dist/.
  buildPackage(join(dirname(fileURLToPath(import.meta.url)), '..'), process.argv[2])
  console.log('build: dist is complete, every export loads')
}
