/** Functions against PaddlePaddle itself, where it is installed (scripts/setup-paddle.sh). */
import { askAboutRows } from '../support/ask-rows.ts'
import { rows } from './paddle-functions.ts'
import { layerRows } from './paddle-layers.ts'

askAboutRows('tensor functions as PaddlePaddle computes them', rows)
askAboutRows('functions of layers as PaddlePaddle computes them', layerRows)
