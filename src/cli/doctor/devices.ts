/** What each device name of `setDevice` means on this machine. */
import type { Finding } from './report.ts'

interface Device {
  readonly availability: 'native' | 'fallback' | 'present' | 'absent' | 'not built'
  readonly note: string
}

/** `cpu` is native code where a compiler works, else WebAssembly; what is not built is listed as absent. */
export function checkDevices(compilerWorks: boolean): Finding {
  const wasm = wasmFeatures()
  const devices = {
    cpu: compilerWorks
      ? { availability: 'native', note: 'native code' }
      : wasm.simd
        ? { availability: 'fallback', note: 'runs on wasm, no compiler' }
        : { availability: 'absent', note: 'neither a compiler nor WebAssembly SIMD' },
    wasm: wasm.simd
      ? { availability: 'present', note: `SIMD${wasm.relaxedSimd ? ', relaxed SIMD' : ''}` }
      : { availability: 'absent', note: 'no WebAssembly SIMD' },
    reference: { availability: 'present', note: 'slow, for tests' },
    webgpu: { availability: 'not built', note: 'not in this version' },
    gpu: { availability: 'not built', note: 'CUDA is not in this version' },
  } satisfies Record<string, Device>
  const isUsable = ({ availability }: Device): boolean => availability !== 'absent' && availability !== 'not built'
  const usable = Object.entries(devices).filter(([, device]) => isUsable(device))
  const missing = Object.entries(devices).filter(([, device]) => !isUsable(device))
  const show = (list: typeof usable) => list.map(([name, { note }]) => `${name} (${note})`).join(', ')
  const works = isUsable(devices.cpu)
  return {
    name: 'devices',
    title: 'Devices',
    status: works ? 'ok' : 'problem',
    summary: show(usable),
    notes: [`absent: ${show(missing)}`],
    ...(!works && { fix: 'install a C compiler, or a Node whose WebAssembly has SIMD (20 or newer)' }),
    details: { devices, wasm },
  }
}

/** Asks the engine by modules of one function each: `i8x16.splat`, and `f32x4.relaxed_madd` of three splats. */
function wasmFeatures(): { simd: boolean; relaxedSimd: boolean } {
  const splat = [0x41, 0x00, 0xfd, 0x0f]
  return {
    simd: WebAssembly.validate(moduleOf(splat)),
    relaxedSimd: WebAssembly.validate(moduleOf([...splat, ...splat, ...splat, 0xfd, 0x85, 0x02])),
  }
}

/** `\0asm` and version 1. */
const WASM_HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]

/** A WebAssembly module with one function `() -> v128`. */
function moduleOf(code: readonly number[]): Uint8Array<ArrayBuffer> {
  const section = (id: number, ...bytes: number[]): number[] => [id, bytes.length, ...bytes]
  const body = [0, ...code, 0x0b]
  return Uint8Array.from([
    ...WASM_HEADER,
    ...section(1, 1, 0x60, 0, 1, 0x7b),
    ...section(3, 1, 0),
    ...section(10, 1, body.length, ...body),
  ])
}
