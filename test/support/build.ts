/** Plain JavaScript of part of the sources, for tests that must run without a TypeScript loader. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('../../', import.meta.url))

/**
 * Transpiles `folders` (relative to the repository, with their subfolders; tests left out) into `.cache/NAME`, where imports of packages
 * still resolve. Gives the path of the output.
 */
export function buildSources(name: string, folders: readonly string[]): string {
  const out = join(root, '.cache', name)
  rmSync(out, { recursive: true, force: true })
  for (const folder of folders) {
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue
      const { outputText } = ts.transpileModule(readFileSync(join(root, folder, file), 'utf8'), {
        fileName: file,
        compilerOptions: {
          target: ts.ScriptTarget.ES2023,
          module: ts.ModuleKind.ESNext,
          verbatimModuleSyntax: true,
          rewriteRelativeImportExtensions: true,
        },
      })
      const target = join(out, folder, file.replace(/\.ts$/, '.js'))
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, outputText)
    }
  }
  writeFileSync(join(out, 'package.json'), '{"type":"module"}')
  return out
}
