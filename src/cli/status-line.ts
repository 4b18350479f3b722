/** What a command is at, in one line of a terminal that is replaced and goes when the result comes. Logs and pipes get nothing. */
import type { TerminalStream } from './ui.ts'

export class StatusLine {
  readonly #stream: TerminalStream & { write(text: string): unknown }
  #shown = false

  /** `stream`: default standard error, so that results on standard output stay clean. */
  constructor(stream: TerminalStream & { write(text: string): unknown } = process.stderr) {
    this.#stream = stream
  }

  show(text: string): void {
    if (this.#stream.isTTY !== true) return
    this.#stream.write(`\r\u001b[K${text} ...`)
    this.#shown = true
  }

  clear(): void {
    if (this.#shown) this.#stream.write('\r\u001b[K')
    this.#shown = false
  }
}

/** Runs `work` with a line that goes when it ends, also by an error. */
export async function withStatus<T>(work: (status: StatusLine) => Promise<T>, status = new StatusLine()): Promise<T> {
  try {
    return await work(status)
  } finally {
    status.clear()
  }
}
