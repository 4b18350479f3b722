import { describe, expect, test } from 'vitest'
import { checkLayers, type SourceTree } from './check-layers.ts'
import { cyclesOf } from './strong-components.ts'

const manifest = {
  name: 'longzhou',
  dependencies: { zod: '1.0.0', '@scope/used': '1.0.0' },
  devDependencies: { vitest: '1.0.0' },
}
const check = (tree: SourceTree) => checkLayers(tree, manifest)

describe('layers', () => {
  test('a tidy tree has no problems', () => {
    const tree = {
      'src/common/shape.ts': `import { a } from './text.ts'`,
      'src/common/text.ts': `import { readFileSync } from 'node:fs'; export const a = /x/.exec('x')`,
      'src/graph/node.ts': `import { s } from '../common/shape.ts'; import z from 'zod'; import u from '@scope/used/deep'`,
      'src/graph/node.test.ts': `import { test } from 'vitest'; import { help } from '../../test/help.ts'`,
      'src/amp/scaler.ts': `import { Optimizer } from '../optimizer/optimizer.ts'`,
      'src/optimizer/optimizer.ts': '',
      'src/index.ts': `export * from './graph/node.ts'`,
      'src/cli/main.ts': `const m = await import('../index.ts'); import p from '../../package.json' with { type: 'json' }`,
      'test/help.ts': `import { spawn } from 'node:child_process'; spawn('a', [], { shell: false })`,
    }
    expect(check(tree)).toEqual([])
  })

  test('an import from a lower folder names both and says what to do', () => {
    expect(
      check({ 'src/graph/node.ts': `\nimport { Tensor } from '../tensor/tensor.ts'`, 'src/tensor/tensor.ts': '' }),
    ).toEqual([
      'src/graph/node.ts:2: graph must not import tensor (src/tensor/tensor.ts): tensor is below graph; move the code to src/graph or above, or turn the dependency round',
    ])
  })

  test.each([
    `import type { T } from '../nn/layer.ts'`,
    `export { T } from '../nn/layer.ts'`,
    `export type { T } from '../nn/layer.ts'`,
    `const layer = await import('../nn/layer.ts')`,
    `let layer: typeof import('../nn/layer.ts')`,
    `let layer: import('../nn/layer.ts').T`,
  ])('sees %s', (text) => {
    expect(check({ 'src/tensor/tensor.ts': text })).toEqual([expect.stringContaining('tensor must not import nn')])
  })

  test('folders of one row do not know each other, but for the table', () => {
    expect(check({ 'src/optimizer/sgd.ts': `import '../amp/scaler.ts'` })).toEqual([
      expect.stringContaining('amp and optimizer are in one row'),
    ])
    expect(check({ 'src/jit/a.ts': `import '../metric/b.ts'` })).toHaveLength(1)
  })

  test('a unit test that reaches down is sent to test/', () => {
    expect(check({ 'src/graph/node.test.ts': `import '../nn/layer.ts'` })).toEqual([
      expect.stringContaining('belongs under test/'),
    ])
  })

  test('unknown folders, entry points and files outside src/', () => {
    expect(check({ 'src/misc/a.ts': `import '../common/b.ts'` })).toEqual([expect.stringContaining('in no layer')])
    expect(check({ 'src/nn/a.ts': `import '../index.ts'` })).toEqual([expect.stringContaining('entry point')])
    expect(check({ 'src/index.ts': `import './cli/main.ts'` })).toEqual([expect.stringContaining('command line')])
    expect(check({ 'src/nn/a.ts': `import '../../test/a.ts'` })).toEqual([expect.stringContaining('not shipped')])
  })
})

describe('packages', () => {
  test.each([
    [`import { test } from 'vitest'`, /development dependency 'vitest'/],
    [`import { test } from 'left-pad'`, /'left-pad', which package.json does not list/],
    [`import fs from 'fs'`, /write 'node:fs'/],
    [`import x from '/absolute.ts'`, /absolute path/],
  ])('%s', (text, message) => {
    expect(check({ 'src/common/a.ts': text })).toEqual([expect.stringMatching(message)])
  })
})

describe('shells', () => {
  test.each([
    `import { exec } from 'node:child_process'`,
    `import { execSync as run } from 'child_process'`,
    `import * as cp from 'node:child_process'; cp.exec('ls')`,
    `import cp from 'node:child_process'; cp.execSync('ls')`,
    `import { spawn } from 'node:child_process'; spawn('ls', [], { shell: true })`,
    `import { spawn } from 'node:child_process'; spawn('ls', [], { 'shell': '/bin/sh' })`,
  ])('%s', (text) => {
    expect(check({ 'scripts/a.ts': text })).toEqual([expect.stringMatching(/^scripts\/a.ts:1: .*starts a shell/)])
  })
})

describe('cycles', () => {
  test('a circle of files is shown whole', () => {
    const tree = {
      'src/nn/a.ts': `import './b.ts'`,
      'src/nn/b.ts': `import { c } from './c.ts'`,
      'src/nn/c.ts': `export * from './a.ts'`,
      'src/nn/d.ts': `import './a.ts'`,
    }
    expect(check(tree)).toEqual([
      expect.stringContaining('in a circle: src/nn/a.ts -> src/nn/b.ts -> src/nn/c.ts -> src/nn/a.ts;'),
    ])
  })

  test('type imports close no circle', () => {
    expect(check({ 'src/nn/a.ts': `import './b.ts'`, 'src/nn/b.ts': `import type { A } from './a.ts'` })).toEqual([])
  })

  test('a name marked as a type inside braces still loads the file', () => {
    const tree = { 'src/nn/a.ts': `import './b.ts'`, 'src/nn/b.ts': `import { type A } from './a.ts'` }
    expect(check(tree)).toHaveLength(1)
  })

  test('of a large component a short cycle is shown', () => {
    const edges = new Map([
      ['a', ['b', 'c']],
      ['b', ['c']],
      ['c', ['a', 'd']],
      ['d', ['d']],
    ])
    expect(cyclesOf(edges)).toEqual([['a', 'c'], ['d']])
  })
})
