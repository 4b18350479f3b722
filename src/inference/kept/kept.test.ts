import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { cpSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HostArray } from '../../common/dtype.ts'
import { exportProgram } from '../../io/formats/program/export/export.ts'
import { writeModel } from '../../io/formats/model-files.ts'
import { tracingFiles } from '../../io/file-trace.ts'
import { InputSpec } from '../../jit/input-spec.ts'
import * as nn from '../../nn/index.ts'
import { compilerCandidates } from '../../runtime/compiler.ts'
import { backendOf } from '../../tensor/device.ts'
import * as T from '../../tensor/index.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { EngineOptions, Session } from '../engine.ts'
import { longzhou } from '../longzhou.ts'
import { ProgramSession } from '../program-session.ts'
import { ModelIndex } from './identity.ts'
import { KeptSession } from './session.ts'

class Net extends nn.Layer {
  conv = new nn.Conv2D(3, 16, { kernelSize: 3, padding: 1 })
  head = new nn.Linear(16, 4)
  forward(x: Tensor): Tensor {
    const y = nn.functional.relu(this.conv(x))
    return nn.functional.softmax(this.head(T.mean(y, [2, 3])))
  }
}

const image = (n: number, h: number, w: number, at: number): HostArray => ({
  dtype: 'float32',
  shape: [n, 3, h, w],
  data: Float32Array.from({ length: n * 3 * h * w }, (_, i) => Math.sin(i * 0.37 + at)),
})

const scratch = mkdtempSync(join(tmpdir(), 'longzhou-kept-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe.runIf(compilerCandidates().length > 0)('models that were prepared before', () => {
  const cache = join(scratch, 'cache')
  const options: EngineOptions = { device: 'cpu', cache }
  const folder = join(scratch, 'model')
  let model = ''

  beforeAll(async () => {
    mkdirSync(cache, { mode: 0o700 })
    mkdirSync(folder)
    T.seed(1)
    const program = await exportProgram(new Net(), {
      inputSpec: [new InputSpec([null, 3, null, null], 'float32', 'x')],
    })
    model = await writeModel({ ...program, metadata: { labels: 'a b' } }, join(folder, 'net'), 'pir')
  })

  /** The directory of kept models, below that of the compiler and the machine. */
  const models = (): string => {
    const code = readdirSync(cache).find((n) => n.startsWith('cpu-'))
    return join(cache, code!, 'models')
  }
  const runs = (): string[] =>
    readdirSync(models(), { recursive: true, encoding: 'utf8' }).flatMap((n) =>
      n.endsWith('.run') ? join(models(), n) : [],
    )
  const weights = (): string[] =>
    readdirSync(models(), { recursive: true, encoding: 'utf8' }).flatMap((n) =>
      n.endsWith('.weights') ? join(models(), n) : [],
    )

  const settled = async (count: number): Promise<void> => {
    for (let i = 0; i < 500 && runs().length < count; i++) await new Promise((done) => setTimeout(done, 10))
    expect(runs()).toHaveLength(count)
  }
  const values = (outputs: readonly HostArray[]): number[] => Array.from(outputs[0]!.data as Float32Array)
  /** Of what nothing is kept. */
  const expected = async (x: HostArray): Promise<number[]> =>
    values(await (await longzhou.load(model, { ...options, cache: false })).run([x]))
  const opened: Session[] = []
  const open = async (given: EngineOptions = options): Promise<Session> => {
    const session = await longzhou.load(model, given)
    opened.push(session)
    return session
  }

  it('are run from the cache by whoever comes later, with the same results', async () => {
    const first = await open()
    expect(first).toBeInstanceOf(ProgramSession)
    const x = image(2, 8, 9, 0)
    const wanted = await expected(x)
    expect(values(await first.run([x]))).toEqual(wanted)
    await settled(1)
    const later = await open()
    expect(later).toBeInstanceOf(KeptSession)
    expect(later.inputs).toEqual(first.inputs)
    expect(later.outputNames).toEqual(first.outputNames)
    expect(later.metadata).toEqual(first.metadata)
    expect(values(await later.run([x]))).toEqual(wanted)
    expect(later.constantBytes).toBeGreaterThan(0)
    const others = [1, 2, 3].map((at) => image(2, 8, 9, at))
    const answers = await Promise.all(others.map((o) => later.run([o])))
    for (const [i, o] of others.entries()) expect(values(answers[i]!)).toEqual(await expected(o))
  })

  it('share memory with whoever has prepared them in this process', async () => {
    const usage = () => backendOf('cpu').shared!.usage()
    const x = image(2, 8, 9, 0)
    const before = usage()
    expect(before.bytes).toBeGreaterThan(0)
    const again = await open()
    expect(again).toBeInstanceOf(KeptSession)
    await again.run([x])
    expect(usage()).toEqual(before)
  })

  it('meet new shapes as others do, and keep them without writing weights twice', async () => {
    const files = weights()
    const session = await open()
    expect(session).toBeInstanceOf(KeptSession)
    const x = image(3, 8, 9, 4)
    const wanted = await expected(x)
    const data = (x.data as Float32Array).slice()
    const running = session.run([x])
    ;(x.data as Float32Array).fill(9)
    expect(values(await running)).toEqual(wanted)
    await settled(2)
    expect(weights()).toEqual(files)
    const later = await open()
    expect(values(await later.run([{ ...x, data }]))).toEqual(wanted)
    // Other choices of threads and precision have plans of their own.
    const single = await open({ ...options, threads: 1 })
    expect(values(await single.run([{ ...x, data }]))).toHaveLength(12)
    await settled(3)
  })

  it('are prepared anew where a file of the cache is damaged or gone', async () => {
    const x = image(2, 8, 9, 0)
    const wanted = await expected(x)
    // Nobody may still hold what was read from them.
    for (const session of opened.splice(0)) await session.dispose()
    for (const path of weights()) {
      const bytes = readFileSync(path)
      bytes[100]! ^= 1
      writeFileSync(path, bytes)
    }
    const count = runs().length
    const session = await open()
    expect(session).toBeInstanceOf(KeptSession)
    expect(values(await session.run([x]))).toEqual(wanted)
    await settled(count)
    // What was damaged is not used again.
    await session.dispose()
    const healed = await open()
    expect(values(await healed.run([x]))).toEqual(wanted)
    await healed.dispose()
    expect(runs()).toHaveLength(count)
    for (const path of runs()) truncateSync(path, statSync(path).size - 1)
    expect(values(await (await open()).run([x]))).toEqual(wanted)
  })

  it('are told from others by what their files hold, not by names and times', async () => {
    const copy = join(scratch, 'copy')
    cpSync(folder, copy, { recursive: true })
    const path = join(copy, 'net.json')
    // The first one reads the model, and finds that it is the same.
    await (await longzhou.load(path, options)).run([image(2, 8, 9, 0)])
    for (let i = 0; i < 500 && !((await longzhou.load(path, options)) instanceof KeptSession); i++)
      await new Promise((done) => setTimeout(done, 10))
    const now = new Date()
    utimesSync(path, now, now)
    expect(await longzhou.load(path, options)).toBeInstanceOf(KeptSession)
    const parameters = join(copy, 'net.pdiparams')
    const { atime, mtime } = statSync(parameters)
    const bytes = readFileSync(parameters)
    bytes[bytes.length - 5]! ^= 0x40
    writeFileSync(parameters, bytes)
    utimesSync(parameters, atime, mtime)
    expect(await longzhou.load(path, options)).toBeInstanceOf(ProgramSession)
  })

  it('are read again when a file appears that readers look for', async () => {
    const index = new ModelIndex(join(scratch, 'index'))
    const added = join(folder, 'net.pdiparams.info')
    const { files } = await tracingFiles(async () => (await import('../../io/formats/model-files.ts')).readModel(model))
    expect([...files.read]).toEqual([model, join(folder, 'net.pdiparams')])
    const contents = await index.look(model, { ...files, absent: new Set([...files.absent, added]) })
    expect(contents).toMatch(/^[0-9a-f]{64}$/)
    expect(await index.find(model)).toBe(contents)
    writeFileSync(added, '')
    expect(await index.find(model)).toBeNull()
    rmSync(added)
  })

  it('leave no shared memory behind', async () => {
    const before = backendOf('cpu').shared!.usage().buffers
    const session = await open()
    await session.run([image(2, 8, 9, 0)])
    expect(backendOf('cpu').shared!.usage().buffers).toBeGreaterThanOrEqual(before)
    await session.dispose()
    expect(backendOf('cpu').shared!.usage().buffers).toBe(before)
  })

  it('are kept as they were, though the predictor is given up at once', async () => {
    const given = { ...options, cache: join(scratch, 'hasty') }
    mkdirSync(given.cache, { mode: 0o700 })
    T.seed(2)
    const inputSpec = [new InputSpec([null, 3, null, null], 'float32', 'x')]
    const own = await writeModel(await exportProgram(new Net(), { inputSpec }), join(folder, 'hasty'), 'pir')
    const x = image(1, 7, 5, 0)
    const hasty = await longzhou.load(own, given)
    const wanted = values(await hasty.run([x]))
    await hasty.dispose()
    const later = await longzhou.load(own, given)
    expect(later).toBeInstanceOf(KeptSession)
    expect(values(await later.run([x]))).toEqual(wanted)
    await later.dispose()
  })

  it('are not kept where that is switched off', async () => {
    expect(await open({ ...options, cache: false })).toBeInstanceOf(ProgramSession)
    expect(await open({ ...options, device: 'reference' })).toBeInstanceOf(ProgramSession)
  })
})
