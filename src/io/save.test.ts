import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ArgumentError, FormatError, StorageError } from '../common/errors.ts'
import { Linear } from '../nn/index.ts'
import { guard } from '../nn/unique-name.ts'
import { ones, rand, setDevice, Tensor } from '../tensor/index.ts'
import { parseSafetensors } from './safetensors.ts'
import { load, save } from './save.ts'

let directory: string
beforeAll(async () => {
  setDevice('reference')
  directory = await mkdtemp(join(tmpdir(), 'longzhou-save-'))
})
afterAll(() => rm(directory, { recursive: true }))
const at = (name: string): string => join(directory, name)

test('a state dictionary comes back into another layer', async () => {
  const [a, b] = guard(() => [new Linear(3, 2), new Linear(3, 2)])
  await save(a.stateDict(), at('linear.safetensors'))
  expect(b.setStateDict(await load(at('linear.safetensors')))).toMatchObject({ missing: [], unexpected: [] })
  expect(await b.weight.array()).toEqual(await a.weight.array())
  const plain = parseSafetensors(await readFile(at('linear.safetensors')))
  expect(Object.keys(plain.tensors).toSorted()).toEqual(['bias', 'weight'])
  expect(plain.metadata).toEqual({})
})

test('nested values keep their structure', async () => {
  const value = {
    epoch: 3,
    best: NaN,
    names: ['a', 'b'],
    none: null,
    model: { 'conv.weight': rand([2, 2]), half: ones([3], 'float16') },
  }
  await save(value, at('nested.safetensors'))
  const loaded = await load<typeof value>(at('nested.safetensors'))
  expect({ ...loaded, model: null }).toEqual({ ...value, model: null })
  expect(loaded.model.half).toBeInstanceOf(Tensor)
  expect(await loaded.model.half.hostArray()).toEqual(await value.model.half.hostArray())
  expect(await loaded.model['conv.weight'].array()).toEqual(await value.model['conv.weight'].array())
  const arrays = await load<{ model: Record<string, unknown> }>(at('nested.safetensors'), { returnHostArrays: true })
  expect(arrays.model['half']).toEqual(await value.model.half.hostArray())
})

test('refuses what it cannot keep', async () => {
  await expect(save({ f: () => 1 }, at('x.safetensors'))).rejects.toThrow(ArgumentError)
  await expect(save({ a: { layer: new Map() } }, at('x.safetensors'))).rejects.toThrow('a.layer is a Map')
  await expect(save({ 'a.b': ones([1]), a: { b: ones([1]) } }, at('x.safetensors'))).rejects.toThrow("named 'a.b'")
  await expect(save({ w: ones([1]) }, at('model.pdmodel'))).rejects.toThrow('model.pdparams')
  await expect(save({ w: ones([1]), f: () => 1 }, at('x.pdparams'))).rejects.toThrow('f is a function')
  await expect(save({ a: { layer: new Map() } }, at('x.pdparams'))).rejects.toThrow('a.layer is a Map')
  const loop: Record<string, unknown> = {}
  loop['loop'] = loop
  await expect(save(loop, at('x.pdparams'))).rejects.toThrow('goes on without end')
})

test('a broken or absent file is a typed error', async () => {
  await writeFile(at('broken.safetensors'), 'not a model')
  await expect(load(at('broken.safetensors'))).rejects.toThrow(FormatError)
  await expect(load(at('absent.safetensors'))).rejects.toThrow(StorageError)
  await writeFile(at('broken.pdparams'), 'not a model')
  await expect(load(at('broken.pdparams'))).rejects.toThrow(FormatError)
  await expect(load(at('broken.pdparams'))).rejects.toThrow('broken.pdparams')
})
