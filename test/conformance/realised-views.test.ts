/** Regression: arithmetic on a view that was already read met sources that the realised node had dropped. */
import { expect, it } from 'vitest'
import { arange, full, neg, setDevice } from '../../src/index.ts'
import { judged } from '../support/backends.ts'

it.each(['reference', ...judged])('a view that was read can be used again on %s', async (device) => {
  setDevice(device)
  const repeated = full([1], 3).expand([4])
  await repeated.data()
  expect(await repeated.add(arange(0, 4).astype('float32')).array()).toEqual([3, 4, 5, 6])
  expect(await repeated.astype('int32').array()).toEqual([3, 3, 3, 3])
  const negative = neg(repeated)
  await negative.data()
  expect(await neg(negative).array()).toEqual([3, 3, 3, 3])
})
