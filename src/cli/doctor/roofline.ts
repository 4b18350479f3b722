/** What the processor reaches at best, measured with kernels of our own: the roof that kernels are compared with. */
import { CpuBackend } from '../../runtime/cpu/backend.ts'
import { machineRoofline } from '../../runtime/cpu/roofline.ts'
import type { Roofline, Speeds } from '../../runtime/roofline.ts'
import { backendOf } from '../../tensor/device.ts'
import type { Finding } from './report.ts'

/** Measured on the first call on a machine, in about two seconds; `again` measures anew. Needs a compiler. */
export async function checkRoofline(again: boolean): Promise<Finding> {
  const backend = backendOf('cpu')
  if (!(backend instanceof CpuBackend)) return unmeasured('there is no native code on this machine')
  try {
    return rooflineFinding(await machineRoofline(backend, again))
  } catch (error) {
    return unmeasured((error as Error).message.split('\n')[0]!)
  }
}

export function unmeasured(reason: string): Finding {
  return {
    name: 'roofline',
    title: 'Roofline',
    status: 'warning',
    summary: `not measured: ${reason}`,
    fix: 'repair the compiler, then run this again',
    details: { reason },
  }
}

const widest = ({ gflops }: Speeds): number => Math.max(...Object.values(gflops))
const memory = ({ memory: { read, write, triad } }: Speeds): string =>
  `memory ${read.toFixed(1)} GB/s read, ${write.toFixed(1)} written, ${triad.toFixed(1)} triad`

export function rooflineFinding(roofline: Roofline): Finding {
  const all = roofline.speeds.at(-1)!
  const widths = (s: Speeds): string => {
    const speeds = Object.values(s.gflops).map((g) => g.toFixed(0))
    return `${speeds.join(' / ')} GFLOP/s with vectors of ${Object.keys(s.gflops).join(' / ')} bytes`
  }
  const cores = (s: Speeds): string => (s.threads === 1 ? 'one core' : `${s.threads} cores`)
  return {
    name: 'roofline',
    title: 'Roofline',
    status: 'ok',
    summary: `${widest(all).toFixed(0)} GFLOP/s of float32 multiply-adds, ${memory(all)}`,
    notes: [
      ...roofline.speeds.map((s) => `${cores(s)}: ${widths(s)}; ${memory(s)}`),
      `measured ${roofline.measured.slice(0, 10)}, 'doctor --measure' does it again`,
    ],
    details: { ...roofline },
  }
}
