/** Runs `longzhou read` in a process of its own, with nothing of this one but the files. */
import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { LongzhouError } from '../../common/errors.ts'
import { readNpz } from '../../io/index.ts'
import { freshWords } from '../fresh-words.ts'

export interface FreshReading {
  readonly text: string
  readonly confidence: number
  readonly logits: Float32Array
}

/** Texts and logits of images as a new process reads them. The logits travel through `logitsFile`, which is removed. */
export async function readInFreshProcess(
  model: string,
  images: readonly string[],
  logitsFile: string,
  device: string,
): Promise<FreshReading[]> {
  const words = freshWords(['read', model, ...images, '--device', device, '--logits', logitsFile, '--json'])
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] })
  let [output, complaints] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (s: string) => (output += s))
  child.stderr.setEncoding('utf8').on('data', (s: string) => (complaints += s))
  const code = await new Promise<number | null>((done, failed) => child.on('error', failed).on('close', done))
  if (code !== 0)
    throw new LongzhouError(
      `reading the exported model in a fresh process failed (exit code ${code}): ${complaints.trim()}`,
    )
  const rows = JSON.parse(output) as { text: string; confidence: number }[]
  const logits = await readNpz(logitsFile)
  await rm(logitsFile, { force: true })
  return rows.map((r, i) => ({
    text: r.text,
    confidence: r.confidence,
    logits: logits[String(i)]!.data as Float32Array,
  }))
}
