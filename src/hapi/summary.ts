/** `summary`: the table of a network's layers, as `paddle.summary`. */
import { numel } from '../common/shape.ts'
import { sizeOf, type DType } from '../common/dtype.ts'
import { LayerList, Sequential } from '../nn/container.ts'
import type { Layer } from '../nn/layer.ts'
import { Parameter } from '../nn/parameter.ts'
import { Tensor } from '../tensor/tensor.ts'
import { recordLayerCalls, zeroInputs, type InputSizes } from './layer-calls.ts'

export type { InputSizes } from './layer-calls.ts'

export interface SummaryOptions {
  /** Of the inputs, in order. Default float32. */
  readonly dtypes?: readonly DType[]
  /** Tensors to call the network with, instead of zeros of an input size. */
  readonly input?: Tensor | readonly Tensor[]
  /** Where the table goes. Default: standard output. */
  readonly print?: (table: string) => void
}

export interface SummaryResult {
  readonly totalParams: number
  readonly trainableParams: number
}

interface Row {
  readonly name: string
  readonly input: string
  readonly output: string
  readonly params: number
}

const text = (shapes: readonly (readonly number[])[]): string => shapes.map((s) => `[${s.join(', ')}]`).join(', ')
const commas = (n: number): string => n.toLocaleString('en-US')
const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(2)

/** Parameters and buffers of a layer itself, each counted once in the network. */
function ownTensors(layer: Layer, counted: Set<Tensor>): Tensor[] {
  const own = [...layer.parameters(false), ...layer.buffers(false)].filter((t) => !counted.has(t))
  for (const t of own) counted.add(t)
  return own
}

const isTrained = (t: Tensor): boolean => t instanceof Parameter && t.trainable

/**
 * Prints a row for each layer that is called (containers left out), with the shapes it takes and gives for an input of this size and its
 * number of parameters (running statistics included, as not trainable), and the totals. Nothing is computed.
 * @example summary(new SimpleCNN(), [1, 3, 32, 32]) // { totalParams: 72906, trainableParams: 72906 }
 */
export function summary(network: Layer, inputSize?: InputSizes, options: SummaryOptions = {}): SummaryResult {
  const given = options.input instanceof Tensor ? [options.input] : options.input
  const inputs = given ?? zeroInputs(inputSize ?? [], options.dtypes)
  const { calls } = recordLayerCalls(network, inputs)
  const counted = new Set<Tensor>()
  const rows: Row[] = []
  let activations = 0
  for (const { layer, path, inputs: taken, outputs } of calls) {
    if (layer instanceof Sequential || layer instanceof LayerList || (path === '' && calls.length > 1)) continue
    activations += outputs.reduce((sum, s) => sum + numel(s), 0)
    rows.push({
      name: `${layer.constructor.name}-${rows.length + 1}`,
      input: text(taken),
      output: text(outputs),
      params: ownTensors(layer, counted).reduce((sum, t) => sum + t.size, 0),
    })
  }
  const all = [...new Set<Tensor>([...network.parameters(), ...network.buffers()])]
  const totalParams = all.reduce((sum, t) => sum + t.size, 0)
  const trainableParams = all.filter(isTrained).reduce((sum, t) => sum + t.size, 0)
  const paramBytes = all.reduce((sum, t) => sum + t.size * sizeOf(t.dtype), 0)
  const inputBytes = inputs.reduce((sum, t) => sum + t.size * sizeOf(t.dtype), 0)
  const sizes = {
    'Input size': inputBytes,
    // Forward values and their gradients, as Paddle counts.
    'Forward/backward pass size': activations * 4 * 2,
    'Params size': paramBytes,
  }
  const table = [
    ...formatRows(rows),
    `Total params: ${commas(totalParams)}`,
    `Trainable params: ${commas(trainableParams)}`,
    `Non-trainable params: ${commas(totalParams - trainableParams)}`,
    null,
    ...Object.entries(sizes).map(([name, bytes]) => `${name} (MB): ${megabytes(bytes)}`),
    `Estimated Total Size (MB): ${megabytes(Object.values(sizes).reduce((a, b) => a + b))}`,
    null,
  ]
  const width = Math.max(...table.map((line) => line?.length ?? 0))
  const print = options.print ?? ((lines: string): void => void process.stdout.write(lines))
  print(`${table.map((line) => line ?? '-'.repeat(width)).join('\n')}\n`)
  return { totalParams, trainableParams }
}

/** Head, rows and the rules around them; null is a thin rule as wide as the table. */
function formatRows(rows: readonly Row[]): (string | null)[] {
  const head = ['Layer (type)', 'Input Shape', 'Output Shape', 'Param #']
  const cells = rows.map((r) => [r.name, r.input, r.output, commas(r.params)])
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((c) => c[i]!.length)))
  const line = (c: readonly string[]): string =>
    ` ${c.map((cell, i) => (i === 3 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('   ')} `
  const rule = '='.repeat(line(head).length)
  return [null, line(head), rule, ...cells.map(line), rule]
}
