import { describe, expect, test } from 'vitest'
import { readEnvironment } from './env.ts'
import { ArgumentError } from './errors.ts'

describe('readEnvironment', () => {
  test('unset and empty variables leave the defaults', () => {
    const unset = {
      device: undefined,
      numThreads: undefined,
      debug: 0,
      cacheDirectory: undefined,
      planCache: true,
      winograd: true,
      splitProducts: undefined,
    }
    expect(readEnvironment({})).toEqual(unset)
    expect(readEnvironment({ LONGZHOU_DEVICE: '', LONGZHOU_NUM_THREADS: ' ', LONGZHOU_DEBUG: '' })).toEqual(unset)
  })

  test('reads every variable', () => {
    expect(
      readEnvironment({
        LONGZHOU_DEVICE: 'gpu:1',
        LONGZHOU_NUM_THREADS: '4',
        LONGZHOU_DEBUG: '5',
        LONGZHOU_CACHE_DIR: '/tmp/cache dir',
        LONGZHOU_PLAN_CACHE: '0',
        LONGZHOU_WINOGRAD: '0',
        LONGZHOU_SPLIT_PRODUCTS: '0',
      }),
    ).toEqual({
      device: 'gpu:1',
      numThreads: 4,
      debug: 5,
      cacheDirectory: '/tmp/cache dir',
      planCache: false,
      winograd: false,
      splitProducts: 0,
    })
  })

  test.each(['cpu', 'wasm', 'webgpu', 'gpu', 'reference', 'null'])('takes the device %s', (device) => {
    expect(readEnvironment({ LONGZHOU_DEVICE: device }).device).toBe(device)
  })

  test.each([
    ['LONGZHOU_DEVICE', 'cuda', /'cuda', expected cpu, wasm/],
    ['LONGZHOU_DEVICE', 'gpu:x', /gpu:N/],
    ['LONGZHOU_NUM_THREADS', '0', /LONGZHOU_NUM_THREADS is '0', expected an integer from 1 to 1024/],
    ['LONGZHOU_NUM_THREADS', '2.5', /'2.5'/],
    ['LONGZHOU_NUM_THREADS', '1e2', /'1e2'/],
    ['LONGZHOU_NUM_THREADS', '-1', /'-1'/],
    ['LONGZHOU_DEBUG', '6', /from 0 to 5/],
    ['LONGZHOU_DEBUG', 'true', /from 0 to 5/],
    ['LONGZHOU_CACHE_DIR', 'a\0b', /NUL/],
    ['LONGZHOU_WINOGRAD', 'off', /from 0 to 1/],
  ])('refuses %s=%s', (name, value, message) => {
    expect(() => readEnvironment({ [name]: value })).toThrow(ArgumentError)
    expect(() => readEnvironment({ [name]: value })).toThrow(message)
  })
})
