/** Metrics against values from PaddlePaddle 3.3.1 and by hand. */
import { expect, test } from 'vitest'
import { ArgumentError, ShapeError } from '../common/errors.ts'
import { noGrad, toTensor, zeros } from '../tensor/index.ts'
import { recordedNodes } from '../tensor/session.ts'
import { accuracy, Accuracy, Auc, EditDistance, Precision, Recall } from './index.ts'

const scores = toTensor([
  [0.5488135, 0.71518934, 0.60276335, 0.5448832],
  [0.4236548, 0.6458941, 0.4375872, 0.891773],
  [0.96366274, 0.3834415, 0.791725, 0.5288949],
  [0.56804454, 0.92559665, 0.07103606, 0.0871293],
  [0.0202184, 0.83261985, 0.77815676, 0.87001216],
  [0.9786183, 0.7991586, 0.46147937, 0.7805292],
])
const label = toTensor([[2], [3], [0], [1], [1], [1]])
const probabilities = [0.9446689, 0.5218483, 0.41466194, 0.2645556, 0.7742337, 0.45615032, 0.56843394, 0.0187898]
const classes = [1, 1, 0, 0, 0, 1, 1, 0]

test('Accuracy counts labels among the best classes', async () => {
  const metric = new Accuracy({ topk: [1, 2] })
  const correct = metric.compute(scores, label)
  expect(await correct.array()).toEqual([
    [0, 1],
    [1, 0],
    [1, 0],
    [1, 0],
    [0, 1],
    [0, 1],
  ])
  expect(await metric.update(correct).array()).toEqual([0.5, 1])
  expect(await metric.accumulate()).toEqual([0.5, 1])
  expect(metric.name()).toEqual(['acc_top1', 'acc_top2'])
  metric.update(metric.compute(scores, toTensor([0, 0, 0, 0, 0, 0])))
  expect(await metric.accumulate()).toEqual([5 / 12, 9 / 12])
  metric.reset()
  expect(await metric.accumulate()).toEqual([0, 0])
})

test('Accuracy takes one-hot labels, and gives one number for one k', async () => {
  const metric = new Accuracy()
  const oneHot = toTensor([
    [0, 0, 1, 0],
    [0, 0, 0, 1],
    [1, 0, 0, 0],
    [0, 1, 0, 0],
    [0, 1, 0, 0],
    [0, 1, 0, 0],
  ])
  expect(await metric.update(metric.compute(scores, oneHot)).item()).toBe(0.5)
  expect(await metric.accumulate()).toBe(0.5)
})

test('the function accuracy has rank 0', async () => {
  expect(accuracy(scores, label).shape).toEqual([])
  expect(await accuracy(scores, label).item()).toBe(0.5)
  expect(await accuracy(scores, label, 2).item()).toBe(1)
})

test('Precision, Recall and Auc give what Paddle gives, fed in parts', async () => {
  const pairs = probabilities.map((p) => [1 - p, p])
  const measures = [
    { metric: new Precision(), value: 0.75 },
    { metric: new Recall(), value: 0.75 },
    { metric: new Auc(), value: 0.8125 },
    { metric: new Auc({ numThresholds: 7 }), value: 0.8125 },
  ]
  for (const { metric, value } of measures) {
    for (const [from, to] of [
      [0, 3],
      [3, 8],
    ] as const) {
      const preds = metric instanceof Auc ? pairs : probabilities.map((p) => [p])
      metric.update(toTensor(preds.slice(from, to)), toTensor(classes.slice(from, to).map((c) => [c])))
    }
    expect(await metric.accumulate()).toBeCloseTo(value, 10)
    metric.reset()
    expect(await metric.accumulate()).toBe(0)
  }
})

test('EditDistance of texts', async () => {
  const metric = new EditDistance()
  metric.update(['壹佰圆', 'abc', ''], ['壹百元整', 'abc', 'xy'])
  expect(await metric.result()).toEqual({
    characterErrorRate: 5 / 9,
    sequenceErrorRate: 2 / 3,
    normalizedDistance: (3 / 4 + 1) / 3,
    edits: 5,
    count: 3,
  })
  expect(await metric.accumulate()).toEqual([5 / 9, 2 / 3])
  metric.reset()
  expect(await metric.accumulate()).toEqual([0, 0])
})

test('EditDistance of padded ids on the device', async () => {
  const metric = new EditDistance()
  const ids = toTensor([
    [1, 2, 0],
    [3, 0, 0],
  ])
  const truth = toTensor([
    [1, 2, 3],
    [3, 9, 9],
  ])
  metric.update({ ids, lengths: toTensor([2, 1]) }, { ids: truth, lengths: toTensor([3, 1]) })
  expect(await metric.accumulate()).toEqual([0.25, 0.5])
})

test('an evaluation without steps does not pile up nodes', () => {
  const metric = new Accuracy()
  noGrad(() => {
    for (let i = 0; i < 40; i++) metric.update(metric.compute(scores, label))
  })
  expect(recordedNodes()).toBeLessThan(400)
})

test('wrong input is named', () => {
  expect(() => new Accuracy({ topk: 0 })).toThrow(ArgumentError)
  expect(() => accuracy(scores, label, 5)).toThrow('k = 5 is above the number of classes, 4')
  expect(() => accuracy(scores, zeros([7], 'int64'))).toThrow(ShapeError)
  expect(() => new Precision().update(toTensor([0.5]), toTensor([1, 0]))).toThrow(ShapeError)
  expect(() => new EditDistance().update(['a'], ['a', 'b'])).toThrow('1 predictions for 2 references')
})
