import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { sampleArray } from '../../test/support/arrays.ts'
import { parseMutations } from '../../test/support/mutate.ts'
import { ArgumentError, FormatError, StorageError } from '../common/errors.ts'
import { loadCheckpoint, saveCheckpoint } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { latestCheckpoint, loadLatest, saveStep } from './checkpoint-steps.ts'
import { readNpy, readNpz, readSafetensors, streamSafetensors, writeNpy, writeNpz, writeSafetensors } from './files.ts'
import { layoutSafetensors } from './safetensors.ts'
import { openFileSink } from './sink.ts'
import type { OpenSink } from './sink.ts'
import { parseState, stringifyState } from './state-json.ts'

const root = mkdtempSync(join(tmpdir(), 'checkpoint-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

let directory = ''
let count = 0
beforeEach(() => {
  directory = join(root, `case-${count++}`, 'checkpoint')
})
const beside = () => readdirSync(join(directory, '..'))

function checkpoint(step: number): Checkpoint {
  return {
    tensors: {
      model: { 'conv1.weight': sampleArray('float32', [4, 3, 3, 3]), half: sampleArray('bfloat16', [5]) },
      optimizer: { moment: sampleArray('float64', [7]), count: sampleArray('int64', []) },
    },
    state: { step, best: Infinity, lr: 1e-3, sampler: { position: 3, key: 'ab' }, none: null },
  }
}

/** A disk that refuses after `limit` bytes. */
function fullAfter(limit: number): OpenSink {
  let left = limit
  return async (path) => {
    const sink = await openFileSink(path)
    return {
      ...sink,
      write: async (bytes) => {
        left -= bytes.byteLength
        if (left < 0) throw Object.assign(new Error('write failed'), { code: 'ENOSPC' })
        await sink.write(bytes)
      },
    }
  }
}

describe('a checkpoint', () => {
  test('comes back as it was, and again after it was replaced', async () => {
    await saveCheckpoint(directory, checkpoint(1))
    expect(await loadCheckpoint(directory)).toEqual(checkpoint(1))
    await saveCheckpoint(directory, checkpoint(2))
    expect(await loadCheckpoint(directory)).toEqual(checkpoint(2))
    expect(readdirSync(directory).sort()).toEqual([
      'manifest.json',
      'model.safetensors',
      'optimizer.safetensors',
      'state.json',
    ])
    expect(beside()).toEqual(['checkpoint'])
  })

  test('an empty one', async () => {
    await saveCheckpoint(directory, { tensors: {}, state: null })
    expect(await loadCheckpoint(directory)).toEqual({ tensors: {}, state: null })
  })

  test('saves of one directory wait for each other', async () => {
    await Promise.all([1, 2, 3, 4].map((step) => saveCheckpoint(directory, checkpoint(step))))
    expect(await loadCheckpoint(directory)).toEqual(checkpoint(4))
    expect(beside()).toEqual(['checkpoint'])
  })

  test('can be loaded while it is replaced', async () => {
    await saveCheckpoint(directory, checkpoint(0))
    const saving = (async () => {
      for (let step = 1; step <= 15; step++) await saveCheckpoint(directory, checkpoint(step))
    })()
    let last = 0
    while (last < 15) {
      const { step } = (await loadCheckpoint(directory)).state as { step: number }
      expect(step).toBeGreaterThanOrEqual(last)
      last = step
    }
    await saving
  })
})

describe('when saving fails, the older checkpoint stays', () => {
  test('disk full at any point', async () => {
    await saveCheckpoint(directory, checkpoint(1))
    const total = readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)
    for (let limit = 0; limit < total; limit += Math.ceil(total / 12)) {
      await expect(saveCheckpoint(directory, checkpoint(2), { openSink: fullAfter(limit) })).rejects.toThrow(
        /ENOSPC.*disk is full/,
      )
      expect(await loadCheckpoint(directory)).toEqual(checkpoint(1))
      expect(beside()).toEqual(['checkpoint'])
    }
  })

  test.runIf(process.platform === 'linux')('a device that is really full', async () => {
    await saveCheckpoint(directory, checkpoint(1))
    const openSink: OpenSink = async () => {
      const handle = await open('/dev/full', 'w')
      return {
        write: async (bytes) => void (await handle.write(bytes)),
        close: () => handle.close(),
        abort: () => handle.close(),
      }
    }
    const saving = saveCheckpoint(directory, checkpoint(2), { openSink })
    await expect(saving).rejects.toThrow(StorageError)
    expect(await loadCheckpoint(directory)).toEqual(checkpoint(1))
  })

  test('a state or a name that cannot be saved is refused before anything is written', async () => {
    await saveCheckpoint(directory, checkpoint(1))
    const state = { net: { f: () => 1 } } as unknown as Checkpoint['state']
    await expect(saveCheckpoint(directory, { tensors: {}, state })).rejects.toThrow(/state.net.f is a function/)
    const escaping = { '../../etc': {} }
    await expect(saveCheckpoint(directory, { tensors: escaping, state: 0 })).rejects.toThrow(ArgumentError)
    expect(await loadCheckpoint(directory)).toEqual(checkpoint(1))
  })

  test('a directory that is not a checkpoint, or holds more than one, is never replaced', async () => {
    mkdirSync(directory, { recursive: true })
    await saveCheckpoint(directory, checkpoint(1))
    writeFileSync(join(directory, 'notes.txt'), 'mine')
    await expect(saveCheckpoint(directory, checkpoint(2))).rejects.toThrow(/notes.txt/)
    rmSync(join(directory, 'manifest.json'))
    await expect(saveCheckpoint(directory, checkpoint(2))).rejects.toThrow(/not a checkpoint; nothing was changed/)
    expect(readFileSync(join(directory, 'notes.txt'), 'utf8')).toBe('mine')
    expect(beside()).toEqual(['checkpoint'])
  })
})

describe('what dead processes left', () => {
  /** The name that a process which no longer runs would have given. */
  async function leftByDeadProcess(kind: 'new' | 'old'): Promise<string> {
    let name = ''
    await saveCheckpoint(directory, checkpoint(9), {
      openSink: (path) => {
        name = path.split('/').at(-2)!
        return openFileSink(path)
      },
    })
    const dead = execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }).trim()
    return join(directory, '..', name.replace('.new-', `.${kind}-`).replace(`-${process.pid}-`, `-${dead}-`))
  }

  test('temporary directories and copies moved aside are removed by the next save; those of live processes are not', async () => {
    mkdirSync(await leftByDeadProcess('new'))
    mkdirSync(await leftByDeadProcess('old'))
    const alive = (await leftByDeadProcess('new')).replace(/-\d+-\d*-([0-9a-f]{8})$/, `-${process.ppid}--$1`)
    mkdirSync(alive)
    await saveCheckpoint(directory, checkpoint(2))
    expect(
      beside()
        .map((name) => name.slice(0, 15))
        .sort(),
    ).toEqual(['.checkpoint.new', 'checkpoint'])
  })

  test('killed between the two renames: the copy moved aside is read, and moved back by the next save', async () => {
    const aside = await leftByDeadProcess('old')
    renameSync(directory, aside)
    expect(await loadCheckpoint(directory)).toEqual(checkpoint(9))
    await expect(saveCheckpoint(directory, checkpoint(2), { openSink: fullAfter(0) })).rejects.toThrow(StorageError)
    expect(beside()).toEqual(['checkpoint'])
    expect(await loadCheckpoint(directory)).toEqual(checkpoint(9))
  })
})

describe('loading refuses', () => {
  test('what is not there', async () => {
    await expect(loadCheckpoint(directory)).rejects.toThrow(StorageError)
  })

  test.each(['model.safetensors', 'state.json', 'manifest.json'])(
    '%s cut off, changed in one bit, or missing',
    async (name) => {
      await saveCheckpoint(directory, checkpoint(1))
      const path = join(directory, name)
      const good = readFileSync(path)
      writeFileSync(path, good.subarray(0, good.length - 3))
      await expect(loadCheckpoint(directory)).rejects.toThrow(FormatError)
      for (const at of [3, good.length >> 1, good.length - 3]) {
        const bad = Buffer.from(good)
        bad[at]! ^= 4
        writeFileSync(path, bad)
        await expect(loadCheckpoint(directory)).rejects.toThrow(FormatError)
      }
      rmSync(path)
      await expect(loadCheckpoint(directory)).rejects.toThrow(name === 'manifest.json' ? StorageError : FormatError)
    },
  )

  test('foreign manifests and newer versions', async () => {
    mkdirSync(directory, { recursive: true })
    const manifest = (content: unknown) => writeFileSync(join(directory, 'manifest.json'), JSON.stringify(content))
    for (const foreign of [
      null,
      3,
      [],
      {},
      { format: 'other' },
      { format: 'longzhou-checkpoint', version: 1, files: { '../x': {} } },
    ]) {
      manifest(foreign)
      await expect(loadCheckpoint(directory)).rejects.toThrow(FormatError)
    }
    manifest({ format: 'longzhou-checkpoint', version: 2 })
    await expect(loadCheckpoint(directory)).rejects.toThrow(/version 2 is newer/)
  })
})

describe('steps of a run', () => {
  test('the newest is found, the last K are kept', async () => {
    expect(await latestCheckpoint(directory)).toBeUndefined()
    expect(await loadLatest(directory)).toBeUndefined()
    for (const step of [5, 10, 100, 20]) await saveStep(directory, step, checkpoint(step), { keepLast: 2 })
    expect(readdirSync(directory).sort()).toEqual(['step-100', 'step-20'])
    expect(await latestCheckpoint(directory)).toEqual({ step: 100, directory: join(directory, 'step-100') })
    // The one just saved stays, also when it is not among the newest.
    await saveStep(directory, 3, checkpoint(3), { keepLast: 1 })
    expect(readdirSync(directory)).toEqual(['step-3'])
  })

  test('a corrupt newest one is reported and the one before it loaded', async () => {
    await saveStep(directory, 1, checkpoint(1))
    await saveStep(directory, 2, checkpoint(2))
    await saveStep(directory, 3, checkpoint(3))
    writeFileSync(join(directory, 'step-2', 'model.safetensors'), 'broken')
    rmSync(join(directory, 'step-3', 'manifest.json'))
    const corrupt: string[] = []
    const found = await loadLatest(directory, (path, error) => corrupt.push(`${path}: ${error.name}`))
    expect(found).toEqual({ step: 1, directory: join(directory, 'step-1'), ...checkpoint(1) })
    expect(corrupt).toEqual([`${join(directory, 'step-2')}: FormatError`])
    expect((await latestCheckpoint(directory))?.step).toBe(2)
  })

  test('wrong arguments', async () => {
    await expect(saveStep(directory, 1.5, checkpoint(1))).rejects.toThrow(ArgumentError)
    await expect(saveStep(directory, 1, checkpoint(1), { keepLast: 0 })).rejects.toThrow(ArgumentError)
  })
})

describe('single files', () => {
  test('npy, npz and safetensors through the disk', async () => {
    const array = sampleArray('float16', [3, 5])
    await writeNpy(`${directory}.npy`, array)
    expect(await readNpy(`${directory}.npy`)).toEqual(array)
    await writeNpz(`${directory}.npz`, { array }, { compress: true })
    expect(await readNpz(`${directory}.npz`)).toEqual({ array })
    await writeSafetensors(`${directory}.st`, { array }, { note: '数' })
    await writeSafetensors(`${directory}.st`, { array }, { note: '字' })
    expect(await readSafetensors(`${directory}.st`)).toEqual({ tensors: { array }, metadata: { note: '字' } })
    expect(beside().sort()).toEqual(['checkpoint.npy', 'checkpoint.npz', 'checkpoint.st'])
    await expect(readNpz(`${directory}.npy`)).rejects.toThrow(/checkpoint.npy': zip/)
    await expect(readSafetensors(`${directory}.npy`)).rejects.toThrow(FormatError)
    await expect(readNpy(`${directory}.missing`)).rejects.toThrow(/ENOENT/)
  })

  test('a file that is not finished leaves the older one', async () => {
    await writeSafetensors(`${directory}.st`, { a: sampleArray('int8', [4]) })
    const tensors = { a: sampleArray('int8', [5]) }
    await expect(writeSafetensors(`${directory}.st`, tensors, {}, { openSink: fullAfter(60) })).rejects.toThrow(
      StorageError,
    )
    expect((await readSafetensors(`${directory}.st`)).tensors.a!.shape).toEqual([4])
    expect(beside()).toEqual(['checkpoint.st'])
  })

  test('streaming writes the data from where it lies; only the header is made', async () => {
    const tensors = { a: sampleArray('float32', [1000]), b: sampleArray('uint8', [77]) }
    let copied = 0
    const sink = {
      write: async (bytes: Uint8Array) => {
        const inPlace = Object.values(tensors).some((array) => array.data.buffer === bytes.buffer)
        if (!inPlace) copied += bytes.byteLength
      },
      close: async () => {},
      abort: async () => {},
    }
    await streamSafetensors(sink, tensors)
    expect(copied).toBe(layoutSafetensors(tensors).head.byteLength)
  })
})

describe('state JSON', () => {
  test('numbers that JSON has no form for', () => {
    const state = {
      a: [NaN, Infinity, -Infinity, -0, 0, 1e-320, 0.1],
      big: 2n ** 70n,
      text: '数"\n',
      nested: { x: [] },
      gone: undefined,
    }
    const { gone: _, ...rest } = state
    expect(parseState(stringifyState(state))).toEqual(rest)
  })

  test('what would be lost is named', () => {
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    const refuse = (value: unknown) => expect(() => stringifyState(value as null))
    refuse(cyclic).toThrow(/state.self contains itself/)
    refuse({ a: [new Float32Array(1)] }).toThrow(/state.a\[0\] is a Float32Array/)
    refuse({ $number: 1 }).toThrow(/reserved/)
    refuse([undefined]).toThrow(/state\[0\] is a undefined/)
  })

  test('damaged text gives a value or a FormatError', () => {
    const good = Buffer.from(stringifyState({ a: [NaN, 5n, -0], b: { c: 'x' } }))
    expect(
      parseMutations(good, 2000, (bytes) => parseState(Buffer.from(bytes).toString()), FormatError),
    ).toBeGreaterThan(500)
  })
})
