/** Paddle Lite's runtime, for tests that load .nb files in the original. scripts/setup-paddlelite.sh installs it; where it is missing they are skipped. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { HostArray } from '../../src/common/dtype.ts'
import { askPaddle } from './paddle.ts'
import { ROOT } from './scratch.ts'

/** The interpreter at $LONGZHOU_PADDLELITE_PYTHON, by default the one that the script installs; undefined where there is none. */
export function paddleLitePython(): string | undefined {
  const path = process.env['LONGZHOU_PADDLELITE_PYTHON'] || join(ROOT, '.cache/venv-paddlelite/bin/python')
  return existsSync(path) ? path : undefined
}

const program = `
import json, sys
import numpy as np
from paddlelite.lite import MobileConfig, create_paddle_predictor
request = json.load(sys.stdin)
config = MobileConfig()
config.set_model_from_file(request['path'])
predictor = create_paddle_predictor(config)
for i, (shape, values) in enumerate(request['inputs']):
    predictor.get_input(i).from_numpy(np.array(values, dtype='float32').reshape(shape))
predictor.run()
outputs = [predictor.get_output(i).numpy() for i in range(request['outputs'])]
print(json.dumps([[list(o.shape), o.astype('float64').flatten().tolist()] for o in outputs]))
`

/** Runs a .nb file of the x86 target in a predictor of its own on float32 inputs; gives shape and values of its outputs. */
export function runInPaddleLite(
  python: string,
  path: string,
  inputs: readonly HostArray[],
  outputs = 1,
): [shape: number[], values: number[]][] {
  const request = { path, outputs, inputs: inputs.map(({ shape, data }) => [shape, Array.from(data, Number)]) }
  return askPaddle(python, program, request) as [number[], number[]][]
}
