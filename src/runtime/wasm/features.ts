/** What the WebAssembly engine of this process can do, found out by validating tiny modules. */
import { CodeWriter } from '../../render/wasm/code.ts'
import { ModuleEncoder } from '../../render/wasm/encoder.ts'
import type { PlainOpcode } from '../../render/wasm/opcodes.ts'

function validates(operands: number, opcode: PlainOpcode): boolean {
  if (typeof WebAssembly !== 'object') return false
  const code = new CodeWriter([])
  for (let i = 0; i < operands; i++) code.v128(new Int32Array(4))
  code.op(opcode)
  code.op('drop')
  const module = new ModuleEncoder()
  module.exportFunction('probe', { parameters: [], results: [] }, code.finish())
  return WebAssembly.validate(new Uint8Array(module.encode()))
}

export function hasSimd(): boolean {
  return validates(2, 'f32x4.add')
}

/** Whether a * b + c in one rounding can be had; on Node 20 it is switched on first. */
export function hasRelaxedSimd(): boolean {
  if (validates(3, 'f32x4.relaxed_madd')) return true
  enableOnNode20()
  return validates(3, 'f32x4.relaxed_madd')
}

/** Node 20 has relaxed SIMD behind a flag, which V8 takes at run time too; later versions have it, and warn about the flag. */
function enableOnNode20(): void {
  const node = (globalThis as { process?: NodeJS.Process }).process
  if (node?.versions?.node?.split('.')[0] !== '20') return
  node.getBuiltinModule?.('node:v8')?.setFlagsFromString('--experimental-wasm-relaxed-simd')
}
