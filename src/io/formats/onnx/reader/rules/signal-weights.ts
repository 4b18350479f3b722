/** Windows and filter banks of signals, which depend on sizes only: constants. */
import { allocateHost, isFloat, type HostDataOf } from '../../../../../common/dtype.ts'
import type { NodeCall } from '../node-call.ts'
import { always, type Convert, type OnnxOperator, type RuleTable } from '../rule.ts'

/** Result 0, of the dtype that the node names. */
function giveNumbers(n: NodeCall, shape: readonly number[], data: HostDataOf<'float64'>): void {
  const dtype = n.dtypeAttribute('output_datatype', 'float32')
  if (!isFloat(dtype)) n.refuse(`results of ${dtype}`)
  n.give('cast', { x: n.asOperand(n.make({ dtype: 'float64', shape, data })) }, { dtype })
}

const single = (n: NodeCall, i: number, what: string): number =>
  n.fixed(i, what)?.[0] ?? n.refuse(`no number as its ${what}`)

/** a0 - a1 cos(2 pi i / N) + a2 cos(4 pi i / N), where N is the size, or one less for a window that is symmetric. */
const cosines = (a0: number, a1: number, a2: number): OnnxOperator =>
  always((n) => {
    const size = single(n, 0, 'size')
    if (size < 0) n.refuse(`a size of ${size}`)
    const turn = (2 * Math.PI) / (n.int('periodic', 1) !== 0 ? size : size - 1)
    n.charge(8 * size)
    const data = allocateHost('float64', size)
    data.forEach((_, i) => (data[i] = a0 - a1 * Math.cos(turn * i) + a2 * Math.cos(2 * turn * i)))
    giveNumbers(n, [size], data)
  }, 'a size that is constant')

const toMel = (hertz: number): number => 2595 * Math.log10(1 + hertz / 700)
const toHertz = (mel: number): number => 700 * (10 ** (mel / 2595) - 1)

/** Triangles over the bins of a spectrum, [bins, filters], whose corners lie at equal distances on the mel scale. */
const melWeightMatrix: Convert = (n) => {
  const [filters, length] = [single(n, 0, 'number of filters'), single(n, 1, 'length')]
  const [rate, low, high] = [single(n, 2, 'sample rate'), single(n, 3, 'lower edge'), single(n, 4, 'upper edge')]
  const bins = Math.floor(length / 2) + 1
  const step = (toMel(high) - toMel(low)) / (filters + 2)
  const corner = (i: number): number => Math.floor(((length + 1) * toHertz(toMel(low) + i * step)) / rate)
  if (bins < 1 || filters < 0) n.refuse(`${filters} filters over ${bins} bins`)
  n.charge(8 * bins * filters)
  const weights = allocateHost('float64', bins * filters)
  for (let f = 0; f < filters; f++) {
    const [left, top, right] = [corner(f), corner(f + 1), corner(f + 2)]
    for (let bin = Math.max(left, 0); bin < Math.min(right, bins); bin++)
      weights[bin * filters + f] = bin < top ? (bin - left) / (top - left) : (right - bin) / (right - top)
    if (top >= 0 && top < bins) weights[top * filters + f] = 1
  }
  giveNumbers(n, [bins, filters], weights)
}

export const signalWeightRules: RuleTable = {
  BlackmanWindow: cosines(0.42, 0.5, 0.08),
  HammingWindow: cosines(25 / 46, 21 / 46, 0),
  HannWindow: cosines(0.5, 0.5, 0),
  MelWeightMatrix: always(melWeightMatrix, 'operands that are constant'),
}
