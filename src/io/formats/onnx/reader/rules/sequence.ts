/** Sequences of tensors are lists while a model is read; the program has their tensors only. */
import { FormatError } from '../../../../../common/errors.ts'
import { fromFront } from '../../../program/inference/known.ts'
import type { NodeCall } from '../node-call.ts'
import { always, type Convert, type RuleTable } from '../rule.ts'

/** More are refused: each is a value of the program. */
const MAX_PARTS = 1000

/** A position in a sequence, or, to insert at, behind it. */
function positionIn(n: NodeCall, i: number, length: number, isInsertion = false): number {
  const [given = NaN] = n.fixed(i, 'positions') ?? []
  const position = given < 0 ? given + length : given
  if (position >= 0 && position < length + (isInsertion ? 1 : 0)) return position
  throw new FormatError(`has position ${given} in a sequence of ${length}`)
}

const construct: Convert = (n) => n.bind(0, n.operands())

const at: Convert = (n) => {
  const sequence = n.sequence(0)
  n.bind(0, sequence[positionIn(n, 1, sequence.length)]!)
}

const insert: Convert = (n) => {
  const sequence = n.sequence(0)
  const position = n.has(2) ? positionIn(n, 2, sequence.length, true) : sequence.length
  n.bind(0, [...sequence.slice(0, position), n.operand(1), ...sequence.slice(position)])
}

const erase: Convert = (n) => {
  const sequence = n.sequence(0)
  const position = n.has(1) ? positionIn(n, 1, sequence.length) : sequence.length - 1
  n.bind(
    0,
    sequence.filter((_, i) => i !== position),
  )
}

const length: Convert = (n) => {
  n.bindConstant(0, { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(n.sequence(0).length)) })
}

const concat: Convert = (n) => {
  const axis = n.int('axis') ?? n.refuse('an axis that is not told')
  n.give(n.int('new_axis', 0) !== 0 ? 'stack' : 'concat', { x: n.sequence(0) }, { axis })
}

/** In parts of given sizes, or of one size, the last of which may be smaller; of one without the axis, unless it is kept. */
const split: Convert = (n) => {
  const axis = fromFront(n.int('axis', 0), n.rank())
  const given = n.fixed(1, 'sizes of the parts')
  const isList = n.has(1) && n.known(1).shape?.length === 1
  let sections = given ?? []
  if (!isList) {
    const each = given?.[0] ?? 1
    const size = n.knownSize(n.value(0), axis)
    if (!(each > 0)) throw new FormatError(`splits into parts of ${each}`)
    if (size / each > MAX_PARTS) n.refuse(`more than ${MAX_PARTS} parts`)
    sections = Array.from({ length: Math.ceil(size / each) }, (_, i) => Math.min(each, size - i * each))
  }
  const { out } = n.emitAll('split', { x: n.operand(0) }, { sections, axis }, { out: sections.length })
  const isKept = given !== undefined || n.int('keepdims', 1) !== 0
  n.bind(0, isKept ? out! : out!.map((x) => n.emit('squeeze', { x }, { axis: [axis] })))
}

const told = 'a sequence whose length and positions are told'

export const sequenceRules: RuleTable = {
  ConcatFromSequence: always(concat, told),
  SequenceAt: always(at, told),
  SequenceConstruct: always(construct),
  SequenceEmpty: always((n) => n.bind(0, [])),
  SequenceErase: always(erase, told),
  SequenceInsert: always(insert, told),
  SequenceLength: always(length, told),
  SplitToSequence: always(split, `sizes that are constant, at most ${MAX_PARTS} parts`),
}
