import { expect, test } from 'vitest'
import { askPaddle, paddlePython } from './paddle.ts'

const python = paddlePython()

test.runIf(python)('the PaddlePaddle that is asked is the one that the fixtures were recorded from', () => {
  const program = `
import json, sys
import paddle
values = json.load(sys.stdin)
print(json.dumps([paddle.__version__, (paddle.to_tensor(values) * 2).tolist()]))
`
  expect(askPaddle(python ?? '', program, [1, 2.5])).toEqual(['3.3.1', [2, 5]])
})
