import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ArgumentError, FormatError, ShapeError, StorageError } from '../../common/errors.ts'
import type { OperatorProgram } from '../../io/formats/program/program.ts'
import { compileModel } from './compile.ts'
import { isCompiledModel } from './manifest-file.ts'
import { describeFile, parseManifest, readChecked, readManifest, type Manifest } from './manifest.ts'

const scratch = mkdtempSync(join(tmpdir(), 'longzhou-manifest-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const file = describeFile('weights.bin', new Uint8Array(64))
const manifest: Manifest = {
  format: 'longzhou-compiled-model',
  version: 1,
  name: 'reader',
  target: { name: 'aarch64', architecture: 'arm64', features: [], flags: ['-O2'] },
  library: { ...file, file: 'libreader.so' },
  header: { ...file, file: 'reader.h' },
  weights: { ...file, crc32: 1 },
  inputs: [{ name: 'x', dtype: 'float32', shape: [-1, 3] }],
  outputs: [{ name: 'y', dtype: 'float32' }],
  shapes: [{ inputs: [[1, 3]], outputs: [[1]], arenaBytes: 0 }],
  constantBytes: 0,
  metadata: {},
}

const parse = (change: object): Manifest => parseManifest(JSON.stringify({ ...manifest, ...change }))

describe('manifests', () => {
  it('are read as they were written', () => {
    expect(parse({})).toEqual(manifest)
  })

  it.each([
    ['names a file elsewhere', { library: { ...file, file: '../lib.so' } }, 'library.file'],
    ['names a file by a path', { weights: { ...file, file: '/etc/passwd', crc32: 1 } }, 'weights.file'],
    ['has another version', { version: 2 }, 'compile it again'],
    ['is of another kind', { format: 'something' }, "not 'longzhou-compiled-model'"],
    ['has a name that is no name in C', { name: 'a-b' }, 'damaged at name'],
    ['has keys that nobody knows', { script: 'x' }, 'damaged'],
    ['has no shapes', { shapes: [] }, 'damaged at shapes'],
    ['has shapes for other inputs', { shapes: [{ inputs: [], outputs: [[1]], arenaBytes: 0 }] }, 'do not fit'],
    ['has shapes of another rank', { shapes: [{ inputs: [[1]], outputs: [[1]], arenaBytes: 0 }] }, 'do not fit'],
  ])('that %s is refused', (_, change, message) => {
    expect(() => parse(change)).toThrow(FormatError)
    expect(() => parse(change)).toThrow(message)
  })

  it('that are no JSON are refused, and are no compiled model', async () => {
    expect(() => parseManifest('{')).toThrow('no JSON')
    writeFileSync(join(scratch, 'manifest.json'), '{')
    expect(await isCompiledModel(scratch)).toBe(false)
    await expect(readManifest(scratch)).rejects.toThrow(join(scratch, 'manifest.json'))
    writeFileSync(join(scratch, 'manifest.json'), JSON.stringify({ ...manifest, version: 9 }))
    // Of a version that this build does not read, but one.
    expect(await isCompiledModel(scratch)).toBe(true)
    expect(await isCompiledModel(join(scratch, 'absent'))).toBe(false)
    expect(await isCompiledModel(join(scratch, 'manifest.json'))).toBe(false)
  })

  it('tell when a file is not what they say', async () => {
    writeFileSync(join(scratch, 'weights.bin'), new Uint8Array(64))
    expect(await readChecked(scratch, file)).toHaveLength(64)
    writeFileSync(join(scratch, 'weights.bin'), new Uint8Array(64).fill(1))
    await expect(readChecked(scratch, file)).rejects.toThrow('is not what its manifest says')
    writeFileSync(join(scratch, 'weights.bin'), new Uint8Array(63))
    await expect(readChecked(scratch, file)).rejects.toThrow('has 63 bytes')
    await expect(readChecked(scratch, { ...file, file: 'absent' })).rejects.toThrow(StorageError)
  })
})

describe('what is compiled', () => {
  const program: OperatorProgram = {
    inputs: [
      { name: 'x', dtype: 'float32', shape: [-1, 3] },
      { name: 'mask', dtype: 'int64', shape: [2] },
    ],
    outputs: [],
    parameters: new Map(),
    operations: [],
    values: new Map(),
    metadata: {},
  }
  const compile = (options: Partial<Parameters<typeof compileModel>[0]>): Promise<Manifest> =>
    compileModel({ model: program, directory: join(scratch, 'out'), target: 'x86-64-v3', emit: 'c', ...options })

  it('needs shapes where the model leaves sizes open', async () => {
    await expect(compile({})).rejects.toThrow('--shape x=Nx3,mask=2')
    await expect(compile({ shapes: [{ mask: [2] }] })).rejects.toThrow("the shape of input 'x' is missing")
    await expect(compile({ shapes: [{ x: [1, 3], y: [1] }] })).rejects.toThrow("there is no input 'y'")
    await expect(compile({ shapes: [{ x: [1, 4] }] })).rejects.toThrow(ShapeError)
    await expect(compile({ shapes: [{ x: [0, 3] }] })).rejects.toThrow(ShapeError)
  })

  it('has a name that C takes', async () => {
    for (const name of ['int', '2nd', 'Reader', 'a b', '']) {
      await expect(compile({ name, shapes: [{ x: [1, 3] }] })).rejects.toThrow(ArgumentError)
    }
  })
})
