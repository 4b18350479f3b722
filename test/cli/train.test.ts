/** `longzhou train` as a user runs it: a process of its own, one's own pictures, Ctrl-C, and going on. */
import { spawn, type ChildProcess } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freshWords } from '../../src/cli/fresh-words.ts'
import { TextRecognizer } from '../../src/ocr/recognition/recognizer.ts'
import { makeScratch, ROOT } from '../support/scratch.ts'

const root = makeScratch('train')
afterAll(() => rmSync(root, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function ending(child: ChildProcess): Promise<Ended> {
  let [stdout, stderr] = ['', '']
  child.stdout!.setEncoding('utf8').on('data', (s: string) => (stdout += s))
  child.stderr!.setEncoding('utf8').on('data', (s: string) => (stderr += s))
  return new Promise((done, failed) => {
    child.on('error', failed).on('close', (code) => done({ code, stdout, stderr }))
  })
}

const longzhou = (...words: string[]): Promise<Ended> =>
  ending(spawn(process.execPath, freshWords(words), { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] }))

/** A small network on the pictures of the example, some of them spoilt, and on synthetic lines. */
const config = `
Global: { steps: 30, logEvery: 1, saveEvery: 10, evalEvery: 15, outputDir: ${root}/whole }
Architecture: { name: CRNN, channels: [4, 4, 8, 8, 8, 8], hidden: 8 }
Optimizer:
  name: AdamW
  lr: { name: Cosine, learningRate: 0.01, warmupSteps: 5 }
  gradClip: { name: GlobalNorm, clipNorm: 5 }
Train:
  datasets:
    - { name: LabelFile, labelFiles: ${root}/pictures/labels.txt, share: 3 }
    - { name: Synthetic, family: pretrain }
  batchSize: 4
  bucket: 3
  workers: 1
Eval:
  datasets:
    - { name: LabelFile, labelFiles: [${root}/pictures/labels.txt], count: 6, label: mine }
`
const file = join(root, 'train.yml')

beforeAll(() => {
  const pictures = join(root, 'pictures')
  mkdirSync(join(pictures, 'images'), { recursive: true })
  const from = join(ROOT, 'examples/receipts/lines')
  const labels = readFileSync(join(from, 'labels.txt'), 'utf8').trim().split('\n').slice(0, 12)
  for (const line of labels) {
    const image = line.split('\t')[0]!
    copyFileSync(join(from, image), join(pictures, image))
  }
  writeFileSync(
    join(pictures, 'images/broken.jpg'),
    readFileSync(join(pictures, labels[0]!.split('\t')[0]!)).subarray(0, 200),
  )
  labels.push('images/broken.jpg\t123', 'images/missing.jpg\t123', `${labels[0]!.split('\t')[0]}\t龘`)
  writeFileSync(join(pictures, 'labels.txt'), `${labels.join('\n')}\n`)
  writeFileSync(file, config)
})

const logOf = (name: string): { step: number; loss: number; cer_mine?: number }[] =>
  readFileSync(join(root, name, 'log.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const { minutes: _, ...entry } = JSON.parse(line) as { step: number; loss: number; minutes: number }
      return entry
    })

/** Starts a run the way the README says, presses Ctrl-C in its terminal once some steps are logged, and waits. */
async function interrupted(name: string, steps: number): Promise<Ended> {
  const words = ['run', '-s', 'longzhou', '--', 'train', file, '-o', `Global.outputDir=${root}/${name}`]
  const child = spawn('npm', words, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const ended = ending(child)
  const log = join(root, name, 'log.jsonl')
  // The run is writing it: the last line may be there in part.
  const wholeLines = (): number => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').length - 1 : 0)
  while (child.exitCode === null && wholeLines() < steps) await sleep(5)
  // Ctrl-C in a terminal goes to all processes of the group.
  process.kill(-child.pid!, 'SIGINT')
  return ended
}

describe('longzhou train', () => {
  let whole: Ended
  beforeAll(async () => {
    whole = await longzhou('train', file, '--json')
  })

  test('trains, names what it left out, and tells what came of it as one line of JSON', async () => {
    expect(whole.stderr).toMatch(/model {2}CRNN, .* 1154 characters, from new weights/)
    expect(whole.stderr).toMatch(/left out \(1\): .*missing.jpg': there is no such picture/)
    expect(whole.stderr).toMatch(/left out \(2\): .*the dictionary lacks 龘/)
    expect(whole.stderr).toMatch(/left out \(3\): .*broken.jpg/)
    expect(whole.stderr).toMatch(/next {3}.*read .*recognizer.safetensors/)
    expect(whole.code).toBe(0)
    expect(whole.stdout.trim().split('\n')).toHaveLength(1)
    const result = JSON.parse(whole.stdout) as Record<string, unknown>
    expect(result).toMatchObject({
      step: 30,
      interrupted: false,
      leftOut: 3,
      modelFile: join(root, 'whole/recognizer.safetensors'),
      latestCheckpoint: join(root, 'whole/checkpoints/step-30'),
      bestCheckpoint: join(root, 'whole/best'),
      log: join(root, 'whole/log.jsonl'),
    })
    expect(result['loss']).toBe(logOf('whole').at(-1)!.loss)
    expect(result['cer_mine']).toBe(logOf('whole').at(-1)!.cer_mine)
    expect(logOf('whole').map((e) => e.step)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
    expect((await TextRecognizer.load(result['modelFile'] as string)).dictionary.characters).toHaveLength(1154)
    expect(readFileSync(join(root, 'whole/config.yml'), 'utf8')).toMatch(/useSpaceChar: true/)
  })

  test('Ctrl-C saves; the command that is printed goes on with the same bits', async () => {
    const stopped = await interrupted('parts', 4)
    const [, step] = /stopped after step (\d+) of 30; saved .*parts.checkpoints.step-\1\n/.exec(stopped.stdout) ?? []
    expect(Number(step), stopped.stdout + stopped.stderr).toBeGreaterThanOrEqual(4)
    expect(Number(step)).toBeLessThan(30)
    const [, again] = /go on with: npm run longzhou -- (.*)\n/.exec(stopped.stdout)!
    const resumed = await longzhou(...again!.split(' '))
    expect(resumed.stdout + resumed.stderr).toMatch(new RegExp(`resumed at step ${step} from`))
    expect(resumed.code, resumed.stderr).toBe(0)
    expect(logOf('parts')).toEqual(logOf('whole'))
    for (const place of ['checkpoints/step-30', 'best']) {
      expect(readdirSync(join(root, 'parts', place)).sort()).toEqual(readdirSync(join(root, 'whole', place)).sort())
      for (const name of readdirSync(join(root, 'whole', place)).filter((n) => n !== 'manifest.json'))
        expect(
          readFileSync(join(root, 'parts', place, name)).equals(readFileSync(join(root, 'whole', place, name))),
          name,
        ).toBe(true)
    }
    const [a, b] = ['parts', 'whole'].map((n) => readFileSync(join(root, n, 'recognizer.safetensors')))
    expect(a!.equals(b!)).toBe(true)
  })

  test('what cannot begin ends with code 1 and says why', async () => {
    const [again, fails, typo] = await Promise.all([
      longzhou('train', file),
      longzhou('train', file, '-o', 'Global.onBadSample=fail', `Global.outputDir=${root}/fails`),
      longzhou('train', file, '-o', 'Optimizer.lr.learning_rate=1'),
    ])
    expect(again.stderr).toMatch(/holds a run at step 30[\s\S]*-o Global.resume=true/)
    expect(fails.stderr).toMatch(/2 of 15 lines cannot be used; the first: .*missing.jpg/)
    expect(typo.stderr).toMatch(
      /-o Optimizer.lr.learning_rate=1: Optimizer.lr.learning_rate: unknown key; did you mean 'learningRate'\?/,
    )
    expect([again.code, fails.code, typo.code]).toEqual([1, 1, 1])
    expect(existsSync(join(root, 'fails'))).toBe(false)
  })
})
