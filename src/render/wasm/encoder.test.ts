import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CodeWriter } from './code.ts'
import { Bytes, ModuleEncoder, type FunctionType } from './encoder.ts'

function written(write: (b: Bytes) => void): number[] {
  const b = new Bytes()
  write(b)
  return [...b.view()]
}

/** LEB128 by its definition. */
function decode(bytes: readonly number[], signed: boolean): bigint {
  let value = 0n
  bytes.forEach((b, i) => (value |= BigInt(b & 0x7f) << BigInt(7 * i)))
  return signed ? BigInt.asIntN(7 * bytes.length, value) : value
}

describe('LEB128', () => {
  test.each([
    [0, [0x00]],
    [127, [0x7f]],
    [128, [0x80, 0x01]],
    [624485, [0xe5, 0x8e, 0x26]],
    [2 ** 32 - 1, [0xff, 0xff, 0xff, 0xff, 0x0f]],
  ])('unsigned %i', (value, bytes) => {
    expect(written((b) => b.u32(value))).toEqual(bytes)
  })

  test.each([
    [0, [0x00]],
    [63, [0x3f]],
    [64, [0xc0, 0x00]],
    [-1, [0x7f]],
    [-64, [0x40]],
    [-65, [0xbf, 0x7f]],
    [-123456, [0xc0, 0xbb, 0x78]],
    [-(2 ** 31), [0x80, 0x80, 0x80, 0x80, 0x78]],
  ])('signed %i', (value, bytes) => {
    expect(written((b) => b.s32(value))).toEqual(bytes)
    expect(written((b) => b.s64(BigInt(value)))).toEqual(bytes)
  })

  test('comes back for any number', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.integer(),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        (u, s, l) => {
          expect(
            decode(
              written((b) => b.u32(u)),
              false,
            ),
          ).toBe(BigInt(u))
          expect(
            decode(
              written((b) => b.s32(s)),
              true,
            ),
          ).toBe(BigInt(s))
          expect(
            decode(
              written((b) => b.s64(l)),
              true,
            ),
          ).toBe(l)
        },
      ),
    )
  })
})

describe('modules', () => {
  const binary: FunctionType = { parameters: ['i32', 'i32'], results: ['i32'] }

  test('a function of two numbers, byte by byte', () => {
    const code = new CodeWriter(binary.parameters)
    code.get(0)
    code.get(1)
    code.op('i32.add')
    const module = new ModuleEncoder()
    module.exportFunction('add', binary, code.finish())
    const hex = Buffer.from(module.encode()).toString('hex')
    expect(hex.match(/.{1,32}/g)).toMatchInlineSnapshot(`
      [
        "0061736d0100000001070160027f7f01",
        "7f030201000707010361646400000a09",
        "010700200020016a0b",
      ]
    `)
    const instance = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(hex, 'hex')))
    expect((instance.exports['add'] as (a: number, b: number) => number)(2 ** 31 - 1, 1)).toBe(-(2 ** 31))
  })

  test('imports, locals of several types, control flow and constants', () => {
    const unary: FunctionType = { parameters: ['f64'], results: ['f64'] }
    const module = new ModuleEncoder()
    module.importMemory('env', 'memory')
    const callee = module.importFunction('math', 'half', unary)
    const code = new CodeWriter(unary.parameters)
    const [count, sum, wide] = [code.local('i32'), code.local('f64'), code.local('i64')]
    code.i64(-(2n ** 40n))
    code.set(wide)
    code.block('loop')
    code.get(sum)
    code.get(0)
    code.call(callee, 'half')
    code.op('f64.add')
    code.set(sum)
    code.get(count)
    code.i32(1)
    code.op('i32.add')
    code.tee(count)
    code.i32(300)
    code.op('i32.lt_s')
    code.branchIf(0)
    code.op('end')
    code.i32(0)
    code.get(sum)
    code.memory('f64.store', 3, 65528)
    code.get(sum)
    code.get(wide)
    code.op('f64.convert_i64_s')
    code.op('f64.add')
    module.exportFunction('f', unary, code.finish())
    const memory = new WebAssembly.Memory({ initial: 1 })
    const instance = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(module.encode())), {
      env: { memory },
      math: { half: (x: number) => x / 2 },
    })
    expect((instance.exports['f'] as (x: number) => number)(3)).toBe(450 - 2 ** 40)
    expect(new Float64Array(memory.buffer, 65528)[0]).toBe(450)
  })

  test('locals are used again, and set followed by get is one instruction', () => {
    const code = new CodeWriter(['i32'], true)
    const a = code.local('v128')
    code.release(a)
    expect(code.local('v128')).toBe(a)
    expect(code.local('i32')).toBe(a + 1)
    code.get(0)
    code.set(a + 1)
    code.get(a + 1)
    expect(code.text).toBe('  local.get 0\n  local.tee 2')
  })
})
