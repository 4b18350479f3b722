/**
 * What a TypeScript file imports, read from its syntax tree, and the ways in which it could start a shell. The layer check
 * judges the result.
 */
import ts from 'typescript'

export interface ImportEdge {
  readonly specifier: string
  readonly line: number
  /** Erased by the compiler (`import type`, `export type`, `typeof import(...)`): no code is loaded. */
  readonly typeOnly: boolean
}

export interface ShellUse {
  readonly line: number
  readonly what: string
}

export interface SourceFacts {
  readonly imports: readonly ImportEdge[]
  readonly shellUses: readonly ShellUse[]
}

const CHILD_PROCESS = new Set(['child_process', 'node:child_process'])
const SHELL_FUNCTIONS = new Set(['exec', 'execSync'])

/** Parses one file; `path` only tells the parser which syntax to expect. */
export function readSource(path: string, text: string): SourceFacts {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, false)
  const imports: ImportEdge[] = []
  const shellUses: ShellUse[] = []
  const childProcessNames = new Set<string>()
  let importsChildProcess = false

  const lineOf = (node: ts.Node): number => file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1
  const addImport = (node: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return
    imports.push({ specifier: specifier.text, line: lineOf(node), typeOnly })
    if (CHILD_PROCESS.has(specifier.text) && !typeOnly) importsChildProcess = true
  }
  const addShellUse = (node: ts.Node, what: string): void => {
    shellUses.push({ line: lineOf(node), what })
  }

  const readChildProcessImport = (node: ts.ImportDeclaration): void => {
    const { importClause, moduleSpecifier } = node
    if (!ts.isStringLiteralLike(moduleSpecifier) || !CHILD_PROCESS.has(moduleSpecifier.text)) return
    if (importClause?.name !== undefined) childProcessNames.add(importClause.name.text)
    const bindings = importClause?.namedBindings
    if (bindings === undefined) return
    if (ts.isNamespaceImport(bindings)) {
      childProcessNames.add(bindings.name.text)
      return
    }
    for (const element of bindings.elements) {
      const name = (element.propertyName ?? element.name).text
      if (SHELL_FUNCTIONS.has(name)) addShellUse(element, `child_process.${name}`)
    }
  }

  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      addImport(node, node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword)
      readChildProcessImport(node)
    } else if (ts.isExportDeclaration(node)) {
      addImport(node, node.moduleSpecifier, node.isTypeOnly)
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      addImport(node, node.argument.literal, true)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      addImport(node, node.arguments[0], false)
    } else if (ts.isPropertyAccessExpression(node)) {
      const isChildProcess = ts.isIdentifier(node.expression) && childProcessNames.has(node.expression.text)
      if (isChildProcess && SHELL_FUNCTIONS.has(node.name.text)) addShellUse(node, `child_process.${node.name.text}`)
    } else if (ts.isPropertyAssignment(node) && importsChildProcess) {
      const isShell = (ts.isIdentifier(node.name) || ts.isStringLiteral(node.name)) && node.name.text === 'shell'
      if (isShell && node.initializer.kind !== ts.SyntaxKind.FalseKeyword) addShellUse(node, 'the option `shell`')
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return { imports, shellUses }
}
