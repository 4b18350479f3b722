/**
 * GFLOP/s of contractions on this machine: `npx tsx bench/contract.ts [regular expression] [--threads 2]`. The operations counted are those of the
 * definition, also where Winograd's form needs fewer; LONGZHOU_WINOGRAD=0 times the direct form, LONGZHOU_SPLIT_PRODUCTS=0 products by float32's own instructions; `--bf16` those of bfloat16. With one thread the time is the process's CPU
 * time, so that other programs disturb less; with more it is the wall clock's. Best of several runs, steps of the lowering summed.
 */
import type { ContractCase } from '../test/support/naive-contract.ts'
import { convolution, gradientOf } from '../test/support/naive-contract.ts'
import { compileAs, ContractRunner } from '../test/support/contract-runner.ts'
import { lowerContract } from '../src/codegen/contract/lower.ts'
import { readEnvironment } from '../src/common/env.ts'
import { contractSizes } from '../src/graph/build.ts'
import { contiguousStrides, numel } from '../src/common/shape.ts'
import { defaultCompiler } from '../src/runtime/compiler.ts'
import { bfloat16Products, detectCpuFeatures, vectorBytes } from '../src/runtime/cpu-features.ts'
import { kernelFlags } from '../src/runtime/cpu/flags.ts'
import { nativeRuntime } from '../src/runtime/cpu/native.ts'

const matmul = (m: number, n: number, k: number, order: 'nn' | 'nt' | 'tn' = 'nn'): ContractCase => ({
  name: `matmul ${order} ${m}x${n}x${k}`,
  spec: { lhs: order === 'tn' ? [1, 0] : [0, 1], rhs: order === 'nt' ? [2, 1] : [1, 2], out: [0, 2] },
  lhs: order === 'tn' ? [k, m] : [m, k],
  rhs: order === 'nt' ? [n, k] : [k, n],
  out: [m, n],
})

/** Scores q k^T and values p v of attention with heads inside the hidden axis: [batch, length, heads, size]. */
function attention(batch: number, heads: number, length: number, size: number): ContractCase[] {
  const [b, h, i, j, d] = [0, 1, 2, 3, 4]
  const hidden = [batch, length, heads, size]
  const scores = [batch, heads, length, length]
  const shape = `${batch}x${heads}x${length}x${length}x${size}`
  return [
    {
      name: `attention scores ${shape}`,
      spec: { lhs: [b, i, h, d], rhs: [b, j, h, d], out: [b, h, i, j] },
      lhs: hidden,
      rhs: hidden,
      out: scores,
    },
    {
      name: `attention values ${shape}`,
      spec: { lhs: [b, h, i, j], rhs: [b, j, h, d], out: [b, i, h, d] },
      lhs: scores,
      rhs: hidden,
      out: hidden,
    },
  ]
}

function conv(
  batch: number,
  inChannels: number,
  outChannels: number,
  size: readonly [number, number],
  kernel: readonly [number, number],
  stride: readonly [number, number] = [1, 1],
  padding: readonly [number, number] = [(kernel[0] - 1) >> 1, (kernel[1] - 1) >> 1],
  groups = 1,
): ContractCase[] {
  const c = convolution({ batch, groups, inChannels, outChannels, size, kernel, stride, dilation: [1, 1], padding })
  const name = `conv ${batch}x${inChannels * groups}x${size.join('x')} -> ${outChannels * groups} k${kernel.join('x')} s${stride.join('x')}${groups > 1 ? ` g${groups}` : ''}`
  return [
    { ...c, name: `${name} forward` },
    { ...gradientOf(c, 0), name: `${name} input gradient` },
    { ...gradientOf(c, 1), name: `${name} weight gradient` },
  ]
}

const cases: readonly ContractCase[] = [
  ...[256, 512, 1024, 2048].map((n) => matmul(n, n, n)),
  // ERNIE-nano: forward, input gradient, weight gradient of its feed-forward layer.
  matmul(2048, 1248, 312),
  matmul(2048, 312, 1248),
  matmul(2048, 312, 1248, 'nt'),
  matmul(312, 1248, 2048, 'tn'),
  matmul(2048, 312, 312),
  ...attention(16, 12, 128, 26),
  ...attention(1, 6, 128, 26),
  // ResNet-18 on CIFAR, batch 32.
  ...conv(32, 3, 64, [32, 32], [3, 3]),
  ...conv(32, 64, 64, [32, 32], [3, 3]),
  ...conv(32, 64, 128, [32, 32], [3, 3], [2, 2]),
  ...conv(32, 64, 128, [32, 32], [1, 1], [2, 2]),
  ...conv(32, 128, 128, [16, 16], [3, 3]),
  ...conv(32, 256, 256, [8, 8], [3, 3]),
  ...conv(32, 512, 512, [4, 4], [3, 3]),
  // First layers.
  ...conv(64, 3, 32, [32, 32], [3, 3], [1, 1], [0, 0]),
  ...conv(16, 1, 64, [32, 320], [3, 3]),
  ...conv(1, 3, 16, [48, 320], [3, 3], [2, 2]),
  ...conv(1, 3, 16, [640, 640], [3, 3], [2, 2]),
  ...conv(8, 3, 64, [224, 224], [7, 7], [2, 2]),
  // Few filters.
  ...conv(1, 16, 16, [160, 160], [3, 3]),
  ...conv(8, 24, 24, [40, 40], [3, 3]),
  ...conv(1, 96, 24, [80, 80], [3, 3]),
  ...conv(1, 96, 24, [160, 160], [3, 3]),
  ...conv(8, 16, 64, [56, 56], [1, 1]),
  ...conv(1, 16, 32, [320, 320], [1, 1]),
  ...conv(1, 32, 48, [160, 160], [1, 1]),
  ...conv(1, 12, 96, [160, 160], [1, 1]),
  ...conv(1, 48, 48, [160, 160], [1, 1]),
  // CRNN, batch 16 of 32 x 320.
  ...conv(16, 3, 64, [32, 320], [3, 3]),
  ...conv(16, 64, 128, [16, 160], [3, 3]),
  ...conv(16, 256, 256, [8, 80], [3, 3]),
  ...conv(16, 512, 512, [4, 80], [3, 3]),
  ...conv(16, 512, 512, [2, 81], [2, 2], [1, 1], [0, 0]),
  // ResNet-50 and PP-OCR pieces.
  ...conv(8, 64, 64, [56, 56], [3, 3]),
  ...conv(8, 256, 64, [56, 56], [1, 1]),
  ...conv(1, 16, 96, [48, 320], [1, 1]),
  ...conv(8, 1, 1, [48, 160], [3, 3], [1, 1], [1, 1], 64),
  ...conv(8, 1, 1, [48, 160], [5, 5], [2, 1], [2, 2], 64),
  // Rows and columns of one.
  matmul(1, 4096, 1024),
  matmul(1, 4096, 1024, 'nt'),
  matmul(4, 4096, 1024),
  matmul(64, 10, 512),
  matmul(32, 32, 32),
]

compileAs({
  vectorBytes: vectorBytes(defaultCompiler().features),
  flags: (kernel) => kernelFlags(kernel.needsRegions),
})
const argumentsOf = process.argv.slice(2)
const at = argumentsOf.indexOf('--threads')
const threads = at >= 0 ? Number(argumentsOf[at + 1]) : 1
const pattern = new RegExp(argumentsOf.find((a, i) => !a.startsWith('--') && (at < 0 || i !== at + 1)) ?? '')
const cpu = detectCpuFeatures()
const environment = readEnvironment()
const bfloat16 = bfloat16Products(defaultCompiler().features, () => nativeRuntime().allowTiles() === 1)
const capabilities = {
  vectorBytes: cpu.vectorBytes,
  threads,
  cacheBytes: [cpu.caches.l1d, cpu.caches.l2, cpu.caches.l3] as const,
  blocking: true,
  winograd: environment.winograd,
  splitProducts: environment.splitProducts,
  ...(bfloat16 && { bfloat16 }),
}
const detailed = argumentsOf.includes('--steps')
const dtype = argumentsOf.includes('--bf16') ? 'bfloat16' : 'float32'
const view = (shape: readonly number[]) => ({ shape, strides: contiguousStrides(shape), offset: 0 })
const data = (n: number): Float32Array | Uint16Array => {
  const values = Float32Array.from({ length: n }, (_, i) => (i % 7) - 3)
  return dtype === 'float32' ? values : Uint16Array.from(new Uint32Array(values.buffer), (word) => word >>> 16)
}

for (const c of cases) {
  if (!pattern.test(c.name)) continue
  const lowered = lowerContract({
    spec: c.spec,
    dtype,
    lhs: view(c.lhs),
    rhs: view(c.rhs),
    out: view(c.out),
    capabilities,
  })
  const memory = { lhs: data(numel(c.lhs)), rhs: data(numel(c.rhs)), out: data(numel(c.out)) }
  const runner = new ContractRunner(lowered, memory, threads)
  const flops = [...contractSizes(c.spec, c.lhs, c.rhs, c.out).values()].reduce((n, size) => n * size, 2)
  const rounds = Math.max(4, Math.min(100, Math.round(5e9 / flops)))
  let best = Infinity
  const steps = lowered.steps.map(() => Infinity)
  const once = (): number => {
    const before = process.cpuUsage()
    runner.run()
    const used = process.cpuUsage(before)
    return (used.user + used.system) / 1e6
  }
  for (let i = 0; i < rounds; i++) {
    if (threads === 1) best = Math.min(best, once())
    else {
      const start = performance.now()
      await runner.runThreads()
      best = Math.min(best, (performance.now() - start) / 1e3)
    }
    if (detailed) runner.timeSteps().forEach((t, n) => (steps[n] = Math.min(steps[n]!, t)))
  }
  console.log(
    `${c.name.padEnd(62)} ${(flops / best / 1e9).toFixed(1).padStart(7)} GFLOP/s ${(best * 1e3).toFixed(2).padStart(8)} ms`,
  )
  if (detailed)
    lowered.steps.forEach((s, n) => console.log(`    ${s.kernel.title.padEnd(58)} ${(steps[n]! * 1e3).toFixed(2)} ms`))
}
