import { describe, expect, test } from 'vitest'
import * as ir from '../codegen/builder.ts'
import { KernelBuilder } from '../codegen/builder.ts'
import { InternalError } from '../common/errors.ts'
import { renderWasm, wasmText } from './wasm.ts'

function scaleRows(): KernelBuilder {
  const k = new KernelBuilder('rows * scale')
  const [x, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'write')]
  const [n, scale] = [k.index(), k.scalar('f32')]
  k.parallel('i', (i) => {
    k.vector('j', 0, n, (j) => {
      const at = k.let('at', ir.add(ir.mul(i, n), j))
      k.store(out, at, ir.mul(ir.load(x, at), scale))
    })
  })
  return k
}

describe('the text of kernels', () => {
  test('lanes and a tail, with the address of a row computed once a row', () => {
    expect(wasmText(scaleRows().build(), { relaxedSimd: false })).toMatchInlineSnapshot(`
      "  local.get 0
        i32.load
        local.set 5
        local.get 0
        i32.load offset=8
        local.set 6
        local.get 0
        i32.load offset=16
        local.set 7
        local.get 0
        f64.load offset=24
        f32.demote_f64
        local.set 8
        local.get 7
        i32.const 4
        i32.ge_s
        local.set 9
        local.get 7
        i32.const 2
        i32.shl
        local.set 10
        local.get 8
        f32x4.splat
        local.set 11
        local.get 1
        local.tee 12
        local.get 2
        i32.lt_s
        if
          loop
            local.get 9
            if
              local.get 6
              local.get 12
              local.get 10
              i32.mul
              i32.add
              local.set 13
              local.get 5
              local.get 12
              local.get 10
              i32.mul
              i32.add
              local.set 14
              i32.const 0
              local.tee 15
              local.get 7
              i32.lt_s
              if
                loop
                  local.get 7
                  i32.const -4
                  i32.add
                  local.set 17
                  local.get 15
                  local.get 17
                  local.get 15
                  local.get 17
                  i32.lt_s
                  select
                  local.set 16
                  local.get 13
                  local.get 16
                  i32.const 2
                  i32.shl
                  local.tee 17
                  i32.add
                  local.get 14
                  local.get 17
                  i32.add
                  v128.load
                  local.get 11
                  f32x4.mul
                  v128.store
                  local.get 15
                  i32.const 4
                  i32.add
                  local.tee 15
                  local.get 7
                  i32.lt_s
                  br_if 0
                end
              end
            else
              local.get 6
              local.get 12
              local.get 10
              i32.mul
              i32.add
              local.set 14
              local.get 5
              local.get 12
              local.get 10
              i32.mul
              i32.add
              local.set 13
              i32.const 0
              local.tee 15
              local.get 7
              i32.lt_s
              if
                loop
                  local.get 14
                  local.get 15
                  i32.const 2
                  i32.shl
                  local.tee 16
                  i32.add
                  local.get 13
                  local.get 16
                  i32.add
                  f32.load
                  local.get 8
                  f32.mul
                  f32.store
                  local.get 15
                  i32.const 1
                  i32.add
                  local.tee 15
                  local.get 7
                  i32.lt_s
                  br_if 0
                end
              end
            end
            local.get 12
            i32.const 1
            i32.add
            local.tee 12
            local.get 2
            i32.lt_s
            br_if 0
          end
        end"
    `)
  })

  test('a product in one rounding where the engine has it, and in two where not', () => {
    const k = new KernelBuilder('fma')
    const x = k.buffer('float32', 'update')
    k.parallel('i', (i) => {
      const v = k.let('v', ir.load(x, ir.mul(i, 4), 4))
      k.store(x, ir.mul(i, 4), ir.fma(v, v, 1))
    })
    const kernel = k.build()
    expect(wasmText(kernel, { relaxedSimd: true })).toContain('f32x4.relaxed_madd')
    const plain = wasmText(kernel, { relaxedSimd: false })
    expect(plain).not.toContain('relaxed')
    expect(plain).toMatch(/f32x4\.mul\n.*v128\.const \[1 1 1 1\]\n.*f32x4\.add/)
  })

  test('a value that a statement needs twice is computed once', () => {
    const k = new KernelBuilder('square of a load')
    const [x, out] = [k.buffer('float32', 'read'), k.buffer('float32', 'write')]
    k.parallel('i', (i) => {
      const root = () => ir.sqrt(ir.load(x, i))
      k.store(out, i, ir.mul(root(), root()))
    })
    expect(wasmText(k.build(), { relaxedSimd: false }).match(/f32\.sqrt/g)).toHaveLength(1)
  })
})

describe('modules of kernels', () => {
  test('the bytes validate, export a function a kernel, and import only what is called', () => {
    const k = new KernelBuilder('exp')
    const x = k.buffer('float64', 'update')
    k.parallel('i', (i) => k.store(x, i, ir.call('atan2', ir.call('exp', ir.load(x, i)), ir.f64(2))))
    const bytes = renderWasm([scaleRows().build(), k.build()], { relaxedSimd: false })
    const module = new WebAssembly.Module(Buffer.from(bytes))
    expect(WebAssembly.Module.imports(module).map((i) => `${i.module}.${i.name}`)).toEqual([
      'env.memory',
      'math.atan2',
      'math.exp',
    ])
    expect(WebAssembly.Module.exports(module).map((e) => e.name)).toEqual(['k0', 'k1'])
  })

  test('the same structure gives the same bytes', () => {
    const render = () => Buffer.from(renderWasm([scaleRows().build()], { relaxedSimd: true })).toString('hex')
    expect(render()).toBe(render())
  })

  test('vectors that the device cannot hold are refused', () => {
    const k = new KernelBuilder('pairs')
    const x = k.buffer('float32', 'update')
    k.parallel('i', (i) => k.store(x, i, ir.load(x, i, 2)))
    expect(() => renderWasm([k.build()], { relaxedSimd: false })).toThrow(InternalError)
  })
})
