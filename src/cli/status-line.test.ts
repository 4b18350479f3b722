import { expect, test } from 'vitest'
import { StatusLine, withStatus } from './status-line.ts'

function terminal(isTTY: boolean) {
  const written: string[] = []
  return { isTTY, written, write: (text: string) => written.push(text) }
}

test('a terminal has one line, which goes when the work ends, also by an error', async () => {
  const stream = terminal(true)
  expect(
    await withStatus(async (status) => {
      status.show('reading')
      status.show('running')
      return 7
    }, new StatusLine(stream)),
  ).toBe(7)
  expect(stream.written).toEqual(['\r\u001b[Kreading ...', '\r\u001b[Krunning ...', '\r\u001b[K'])
  const failed = withStatus((status) => {
    status.show('reading')
    throw new Error('no')
  }, new StatusLine(stream))
  await expect(failed).rejects.toThrow('no')
  expect(stream.written.at(-1)).toBe('\r\u001b[K')
})

test('logs and pipes get nothing', async () => {
  const stream = terminal(false)
  await withStatus(async (status) => status.show('reading'), new StatusLine(stream))
  expect(stream.written).toEqual([])
})
