import { afterEach, expect, test } from 'vitest'
import { IndexOutOfRangeError } from '../common/errors.ts'
import { compilerCandidates } from '../runtime/compiler.ts'
import { add, gather, getDevice, setDevice, toTensor } from './index.ts'

const before = getDevice()
afterEach(() => setDevice(before))

test.runIf(compilerCandidates().length > 0)(
  'a fault that a blocking door threw is not thrown by the next door',
  async () => {
    setDevice('cpu')
    const table = toTensor([10, 20, 30])
    expect(() => gather(table, toTensor([0, 7])).dataSync()).toThrow(IndexOutOfRangeError)
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect([...(await add(table, 1).data())]).toEqual([11n, 21n, 31n])
    await expect(gather(table, toTensor([0, 7])).data()).rejects.toThrow(IndexOutOfRangeError)
    expect([...add(table, 1).dataSync()]).toEqual([11n, 21n, 31n])
  },
)
